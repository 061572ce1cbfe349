//! What the solver is told about f, judged in `f64` by an independent network and a dense matrix.
#![allow(missing_docs, clippy::unwrap_used)]

use core::ops::ControlFlow;
use gradus::backend::cpu::{CpuEvaluator, Network};
use gradus::ct::{ParallelBeam, Projector, relative_gaussian};
use gradus::data::ellipses::ellipses;
use gradus::unet::Weights;
use gradus_core::{
    Backtracking, Evaluator, GradientLike, Homotopy, Level, Outcome, PerturbationKernel, RegularisationWeight,
    Schedule, Solver, Spacing, Status, StepCandidate, drive,
};
use gradus_tests::reference_network::{Architecture, ReferenceNetwork};

const SIDE: usize = 32;
const VIEWS: usize = 15;

fn weights() -> Weights {
    Weights::from_bytes(gradus::unet::embedded("ellipses").unwrap()).unwrap()
}

/// f in f64: the matrix of A, the data, and the network in plain loops.
struct Judge {
    /// Columns of A.
    columns: Vec<Vec<f64>>,
    data: Vec<f64>,
    network: ReferenceNetwork,
    level: Level,
}

impl Judge {
    fn new(data: &[f32], level: Level) -> Self {
        let mut projector = projector();
        let columns = (0..SIDE * SIDE)
            .map(|pixel| {
                let mut image = vec![0.0; SIDE * SIDE];
                image[pixel] = 1.0;
                let mut column = vec![0.0; data.len()];
                projector.forward_project(&image, &mut column).unwrap();
                column.into_iter().map(f64::from).collect()
            })
            .collect();
        let weights = weights();
        let a = weights.architecture();
        let architecture = Architecture {
            pixel_unshuffle: a.pixel_unshuffle,
            model_channels: a.model_channels,
            channel_mult: a.channel_mult.clone(),
            num_res_blocks: a.num_res_blocks,
            attention_resolutions: a.attention_resolutions.clone(),
            norm_groups: a.norm_groups,
        };
        let tensors = weights.tensors().iter();
        let named = tensors.map(|(name, t)| (name.clone(), t.data.iter().copied().map(f64::from).collect())).collect();
        let network = ReferenceNetwork { architecture, weights: named };
        Self { columns, data: data.iter().copied().map(f64::from).collect(), network, level }
    }

    fn residual(&self, x: &[f64]) -> Vec<f64> {
        let mut residual: Vec<f64> = self.data.iter().map(|y| -y).collect();
        for (column, x) in self.columns.iter().zip(x) {
            residual.iter_mut().zip(column).for_each(|(r, a)| *r += a * x);
        }
        residual
    }

    /// h(x, t_min) in the residual parametrisation with the data's mean 0.15 and spread 0.25.
    fn features(&self, x: &[f64]) -> Vec<f64> {
        let t = f64::from(self.level.t);
        let ln_gamma = -t * t * 19.9 / 4.0 - t * 0.05;
        let (gamma, nu) = (ln_gamma.exp(), (-(2.0 * ln_gamma).exp_m1()).sqrt());
        let (sigma, mean, spread) = (nu / gamma, 0.15, 0.25);
        let total = sigma.hypot(spread);
        let centred: Vec<f64> = x.iter().map(|x| x / gamma - mean).collect();
        let input: Vec<f64> = centred.iter().map(|x| x / total).collect();
        let u = self.network.forward(&input, SIDE, SIDE, t);
        centred.iter().zip(u).map(|(x, u)| sigma / (total * total) * x - spread / total * u).collect()
    }

    fn change(&self, from: &[f32], to: &[f32]) -> f64 {
        let [from, to] = [from, to].map(|x| x.iter().copied().map(f64::from).collect::<Vec<f64>>());
        let half = |a: Vec<f64>, b: Vec<f64>| 0.5 * a.iter().zip(b).map(|(a, b)| (b - a) * (b + a)).sum::<f64>();
        half(self.residual(&from), self.residual(&to))
            + f64::from(self.level.prior_weight) * half(self.features(&from), self.features(&to))
    }
}

fn projector() -> Projector {
    Projector::new(ParallelBeam::covering(SIDE, SIDE, VIEWS)).unwrap()
}

/// Views of a small ellipses image with 5 % noise.
fn data() -> Vec<f32> {
    let mut projector = projector();
    let mut data = vec![0.0; projector.geometry().sinogram_len()];
    projector.forward_project(&ellipses(5, SIDE).pixels, &mut data).unwrap();
    relative_gaussian(&mut data, 0.05, 1).unwrap();
    data
}

/// Noise that needs no generator: a fixed irrational rotation.
fn start() -> Vec<f32> {
    (0..SIDE * SIDE).map(|k| 2.0 * ((k as f64 * 0.754_877_666).fract() as f32) - 1.0).collect()
}

fn evaluator(data: &[f32], objective: Level) -> CpuEvaluator {
    let network = Network::new(&weights(), SIDE, SIDE, CpuEvaluator::LANES).unwrap();
    CpuEvaluator::new(projector(), network, data.to_vec(), start(), objective).unwrap()
}

#[test]
fn changes_of_f_are_right_to_four_digits() {
    let data = data();
    let objective = Level { t: 1e-3, prior_weight: 0.3 };
    let judge = Judge::new(&data, objective);
    let mut evaluator = evaluator(&data, objective);
    for t in [0.8, 0.3, 0.05, 1e-3] {
        let level = if t == objective.t { objective } else { Level { t, prior_weight: 2.0 } };
        let direction = evaluator.direction(level, true).unwrap();
        let norm = direction.direction_norm_sq.sqrt();
        for length in [1e-2, 1.0, 10.0] {
            let step = length / norm;
            let found = evaluator.change(step).unwrap();
            let to: Vec<f32> =
                evaluator.iterate().iter().zip(evaluator.search_direction()).map(|(x, d)| x + step * d).collect();
            let wanted = judge.change(evaluator.iterate(), &to);
            assert!((f64::from(found) / wanted - 1.0).abs() < 1e-4, "t = {t}, |step d| = {length}: {found} {wanted}");
        }
        let short = 0.1 / norm;
        evaluator.change(short).unwrap();
        evaluator.update(short).unwrap();
    }
}

#[test]
fn every_accepted_step_lowers_f_in_f64() {
    let data = data();
    let schedule = Schedule::new(Spacing::Logarithmic, 1.0, 1e-3, 60).unwrap();
    let weight = RegularisationWeight::NoiseToSignal { alpha: 5.0, kernel: PerturbationKernel::VP };
    let homotopy = Homotopy { schedule, weight };
    let mut solver = GradientLike::new(homotopy, StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT, 0.0).unwrap();
    let judge = Judge::new(&data, solver.objective());
    let mut evaluator = evaluator(&data, solver.objective());
    let (mut last, mut steps) = (start(), 0);
    let status = drive(&mut solver, &mut evaluator, |record, evaluator| {
        if record.outcome == Outcome::Step {
            let change = judge.change(&last, evaluator.iterate());
            let told = f64::from(record.change.unwrap());
            assert!(change < 0.0, "iteration {} raises f by {change}", record.iteration);
            assert!((told / change - 1.0).abs() < 1e-2, "iteration {}: told {told}, is {change}", record.iteration);
            last.copy_from_slice(evaluator.iterate());
            steps += 1;
        }
        ControlFlow::Continue(())
    });
    assert_eq!(status, Ok(Status::ScheduleDone));
    assert!(steps > 40, "{steps} steps");
}
