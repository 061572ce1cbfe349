//! Time embedding: cosines and sines of t times a geometric ladder of frequencies, two linear layers with a SiLU
//! between, and from the SiLU of that one shift per channel for every residual block.

use super::linear::Linear;
use pulp::Arch;

/// Weights of the embedding and of all shifts that are read from it.
#[derive(Debug, Clone)]
pub(crate) struct TimeEmbedding {
    /// `max_period^(-k/half)` for k in 0..half.
    pub(crate) frequencies: Vec<f64>,
    pub(crate) first: Linear,
    pub(crate) second: Linear,
    pub(crate) shifts: Linear,
}

/// Buffers of one image.
#[derive(Debug, Default)]
pub(crate) struct Embedded {
    waves: Vec<f32>,
    hidden: Vec<f32>,
    embedding: Vec<f32>,
    /// The shifts of all residual blocks, one after the other.
    pub(crate) shifts: Vec<f32>,
}

impl TimeEmbedding {
    pub(crate) fn frequencies(model_channels: usize, max_period: f64) -> Vec<f64> {
        let half = model_channels / 2;
        (0..half).map(|k| (-max_period.ln() * k as f64 / half as f64).exp()).collect()
    }

    pub(crate) fn buffers(&self) -> Embedded {
        Embedded {
            waves: vec![0.0; 2 * self.frequencies.len()],
            hidden: vec![0.0; self.first.n_out()],
            embedding: vec![0.0; self.second.n_out()],
            shifts: vec![0.0; self.shifts.n_out()],
        }
    }

    /// Fills `at.shifts` for smoothing level `t`.
    pub(crate) fn forward(&self, arch: Arch, t: f64, at: &mut Embedded) {
        let (cosines, sines) = at.waves.split_at_mut(self.frequencies.len());
        for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(&self.frequencies) {
            *cosine = (t * frequency).cos() as f32;
            *sine = (t * frequency).sin() as f32;
        }
        self.first.forward(arch, &at.waves, &mut at.hidden);
        at.hidden.iter_mut().for_each(silu);
        self.second.forward(arch, &at.hidden, &mut at.embedding);
        at.embedding.iter_mut().for_each(silu);
        self.shifts.forward(arch, &at.embedding, &mut at.shifts);
    }
}

fn silu(z: &mut f32) {
    *z /= 1.0 + (-*z).exp();
}
