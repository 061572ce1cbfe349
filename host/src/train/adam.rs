//! Adam \[KB15, Algorithm 1\] with clipping and a moving average of the weights.

use super::config::{OptimiserConfig, Phase};
use rayon::prelude::*;

/// Values of a task: of the five vectors they stay in a second-level cache of 1 MiB.
const CHUNK: usize = 16 * 1024;

/// Weights and what the optimiser remembers of them; all vectors have the network's number of parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OptimiserState {
    /// Steps taken.
    pub(super) steps: u64,
    pub(super) parameters: Vec<f32>,
    /// Decaying mean of the gradient.
    pub(super) mean: Vec<f32>,
    /// Decaying mean of its square.
    pub(super) mean_square: Vec<f32>,
    /// Moving average of the parameters: the weights that are kept.
    pub(super) average: Vec<f32>,
}

impl OptimiserState {
    pub(super) fn new(parameters: Vec<f32>) -> Self {
        let zeros = vec![0.0; parameters.len()];
        Self { steps: 0, mean: zeros.clone(), mean_square: zeros, average: parameters.clone(), parameters }
    }

    /// One step along a gradient of norm `norm`.
    pub(super) fn step(&mut self, config: &OptimiserConfig, rate: f64, gradient: &[f32], norm: f64) {
        self.steps += 1;
        let OptimiserConfig { beta_1, beta_2, epsilon, clip_norm, average_decay } = *config;
        let steps = self.steps as f64;
        let scale = (clip_norm / norm.max(f64::MIN_POSITIVE)).min(1.0) as f32;
        // rate * (m / (1 - beta_1^k)) / (sqrt(v / (1 - beta_2^k)) + epsilon), with the corrections taken out of the
        // loop.
        let correction = (1.0 - libm::pow(beta_2, steps)).sqrt();
        let rate = (rate * correction / (1.0 - libm::pow(beta_1, steps))) as f32;
        let epsilon = (epsilon * correction) as f32;
        // Early on, the average forgets the first weights sooner.
        let keep = average_decay.min((1.0 + steps) / (10.0 + steps)) as f32;
        let (b1, b2) = (beta_1 as f32, beta_2 as f32);
        let moments = self.mean.par_chunks_mut(CHUNK).zip(self.mean_square.par_chunks_mut(CHUNK));
        let weights = self.parameters.par_chunks_mut(CHUNK).zip(self.average.par_chunks_mut(CHUNK));
        moments.zip(weights).zip(gradient.par_chunks(CHUNK)).for_each(|(((m, v), (parameters, average)), g)| {
            let moments = m.iter_mut().zip(v);
            let weights = parameters.iter_mut().zip(average);
            for (((m, v), (parameter, average)), g) in moments.zip(weights).zip(g) {
                let g = scale * g;
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                *parameter -= rate * *m / (v.sqrt() + epsilon);
                *average = keep * *average + (1.0 - keep) * *parameter;
            }
        });
    }
}

/// |gradient|: the chunks' sums in the order of the chunks, by any number of threads.
pub(super) fn norm(gradient: &[f32]) -> f64 {
    let squares = |chunk: &[f32]| chunk.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
    let sums: Vec<f64> = gradient.par_chunks(CHUNK).map(squares).collect();
    sums.into_iter().sum::<f64>().sqrt()
}

/// sum += factor x.
pub(super) fn add_scaled(sum: &mut [f32], factor: f32, x: &[f32]) {
    sum.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(sum, x)| {
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
    });
}

/// The learning rate of step `step` of a phase.
pub(super) fn learning_rate(phase: &Phase, step: u64) -> f64 {
    let Phase { learning_rate: peak, final_learning_rate: last, warm_up, steps, .. } = *phase;
    if step < warm_up {
        return peak * (step + 1) as f64 / warm_up as f64;
    }
    let done = (step - warm_up) as f64 / (steps - warm_up).max(1) as f64;
    last + (peak - last) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done))
}

#[cfg(test)]
mod tests {
    use super::super::config::{Loss, Smoothing};
    use super::*;

    /// The first steps on two weights, worked out from the paper's Algorithm 1 in f64.
    #[test]
    fn steps_are_those_of_the_paper() {
        let config = OptimiserConfig { clip_norm: 1e9, ..OptimiserConfig::default() };
        let mut state = OptimiserState::new(vec![1.0, -2.0]);
        let (mut x, mut m, mut v) = ([1.0_f64, -2.0], [0.0_f64; 2], [0.0_f64; 2]);
        for k in 1..=5 {
            let gradient = [x[0] * k as f64, x[1] - 0.5];
            state.step(&config, 0.1, &gradient.map(|g| g as f32), 1.0);
            for i in 0..2 {
                m[i] = 0.9 * m[i] + 0.1 * gradient[i];
                v[i] = 0.99 * v[i] + 0.01 * gradient[i] * gradient[i];
                let (m_hat, v_hat) = (m[i] / (1.0 - 0.9_f64.powi(k)), v[i] / (1.0 - 0.99_f64.powi(k)));
                x[i] -= 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        for (found, expected) in state.parameters.iter().zip(x) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn long_gradients_are_shortened() {
        let config = OptimiserConfig::default();
        let mean = |gradient: &[f32], norm: f64| {
            let mut state = OptimiserState::new(vec![0.0; 2]);
            state.step(&config, 0.1, gradient, norm);
            state.mean
        };
        let close = |a: Vec<f32>, b: [f32; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(mean(&[30.0, 40.0], 50.0), [0.06, 0.08]));
        assert!(close(mean(&[0.3, 0.4], 0.5), [0.03, 0.04]));
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let phase = Phase {
            loss: Loss::Denoising,
            images_at_a_time: None,
            steps: 110,
            batch: 1,
            crop: 8,
            learning_rate: 1.0,
            final_learning_rate: 0.1,
            warm_up: 10,
            smoothing: Smoothing::default(),
        };
        let rates: Vec<f64> = (0..110).map(|step| learning_rate(&phase, step)).collect();
        assert!((rates[4] - 0.5).abs() < 1e-12 && rates[9] == 1.0 && rates[10] == 1.0);
        assert!((rates[60] - 0.55).abs() < 1e-12);
        assert!(rates[10..].windows(2).all(|pair| pair[1] < pair[0] || pair[0] == 1.0));
        assert!(rates[109] < 0.101 && rates[109] > 0.1);
    }
}
