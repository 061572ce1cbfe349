//! Time embedding: cosines and sines of t times a geometric ladder of frequencies, two linear layers with a SiLU
//! between, and from the SiLU of that one shift per channel for every residual block.

use super::linear::Linear;
use crate::unet::operation;
use pulp::Arch;

/// Weights of the embedding and of all shifts that are read from it.
#[derive(Debug, Clone)]
pub(crate) struct TimeEmbedding {
    places: operation::TimeEmbedding,
    first: Linear,
    second: Linear,
    shifts: Linear,
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
    pub(crate) fn new(places: operation::TimeEmbedding, parameters: &[f32]) -> Self {
        let layer = |place: &operation::Linear| (&parameters[place.weight.clone()], &parameters[place.bias.clone()]);
        let [first, second] = [&places.first, &places.second].map(|place| Linear::stacked([layer(place)]));
        Self { first, second, shifts: Linear::stacked(places.shifts.iter().map(layer)), places }
    }

    pub(crate) fn buffers(&self) -> Embedded {
        Embedded {
            waves: vec![0.0; 2 * self.places.frequencies.len()],
            hidden: vec![0.0; self.first.n_out()],
            embedding: vec![0.0; self.second.n_out()],
            shifts: vec![0.0; self.shifts.n_out()],
        }
    }

    /// Fills `at.shifts` for smoothing level `t`.
    pub(crate) fn forward(&self, arch: Arch, t: f64, at: &mut Embedded) {
        self.places.waves(t, &mut at.waves);
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
