//! The time embedding in training: cosines and sines of t, linear, SiLU, linear, SiLU, and a linear layer to the shifts
//! of each residual block. It does not depend on the image, so it has no tangent.

use crate::unet::operation::{Linear, TimeEmbedding};

/// The embedding's layers.
#[derive(Debug)]
pub(super) struct Embedding(TimeEmbedding);

/// The numbers of one image; `z_*` goes into a SiLU.
#[derive(Debug)]
pub(super) struct EmbeddingState {
    waves: Vec<f32>,
    z_hidden: Vec<f32>,
    hidden: Vec<f32>,
    z_embedding: Vec<f32>,
    embedding: Vec<f32>,
    /// The shifts of all residual blocks, one after the other.
    pub(super) shifts: Vec<f32>,
    pub(super) d_shifts: Vec<f32>,
    d_hidden: Vec<f32>,
    d_embedding: Vec<f32>,
}

impl Linear {
    /// y = W x + b.
    fn forward(&self, parameters: &[f32], x: &[f32], y: &mut [f32]) {
        let rows = parameters[self.weight.clone()].chunks_exact(x.len());
        for ((y, row), bias) in y.iter_mut().zip(rows).zip(&parameters[self.bias.clone()]) {
            *y = bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        }
    }

    /// d_x += W^T d_y.
    fn backward(&self, parameters: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        for (row, d_y) in parameters[self.weight.clone()].chunks_exact(d_x.len()).zip(d_y) {
            d_x.iter_mut().zip(row).for_each(|(d_x, w)| *d_x += w * d_y);
        }
    }

    /// gradient += factor d_y x^T, and factor d_y.
    fn weight_gradient(&self, factor: f32, d_y: &[f32], x: &[f32], gradient: &mut [f32]) {
        for (row, d_y) in gradient[self.weight.clone()].chunks_exact_mut(x.len()).zip(d_y) {
            row.iter_mut().zip(x).for_each(|(d_w, x)| *d_w += factor * d_y * x);
        }
        gradient[self.bias.clone()].iter_mut().zip(d_y).for_each(|(d_b, d_y)| *d_b += factor * d_y);
    }
}

impl Embedding {
    pub(super) fn new(layers: TimeEmbedding) -> Self {
        Self(layers)
    }

    pub(super) fn state(&self) -> EmbeddingState {
        let zeros = |n: usize| vec![0.0; n];
        let (hidden, embedding) = (self.0.first.bias.len(), self.0.second.bias.len());
        let shifts = self.0.shifts.iter().map(|layer| layer.bias.len()).sum();
        EmbeddingState {
            waves: zeros(2 * self.0.frequencies.len()),
            z_hidden: zeros(hidden),
            hidden: zeros(hidden),
            z_embedding: zeros(embedding),
            embedding: zeros(embedding),
            shifts: zeros(shifts),
            d_shifts: zeros(shifts),
            d_hidden: zeros(hidden),
            d_embedding: zeros(embedding),
        }
    }

    /// Fills `at.shifts` for smoothing level `t`.
    pub(super) fn forward(&self, parameters: &[f32], t: f64, at: &mut EmbeddingState) {
        self.0.waves(t, &mut at.waves);
        self.0.first.forward(parameters, &at.waves, &mut at.z_hidden);
        at.hidden.iter_mut().zip(&at.z_hidden).for_each(|(s, &z)| *s = silu(z));
        self.0.second.forward(parameters, &at.hidden, &mut at.z_embedding);
        at.embedding.iter_mut().zip(&at.z_embedding).for_each(|(s, &z)| *s = silu(z));
        let mut shifts = &mut at.shifts[..];
        for layer in &self.0.shifts {
            let (own, rest) = shifts.split_at_mut(layer.bias.len());
            layer.forward(parameters, &at.embedding, own);
            shifts = rest;
        }
    }

    /// From `at.d_shifts` back to the first layer.
    pub(super) fn backward(&self, parameters: &[f32], at: &mut EmbeddingState) {
        at.d_embedding.fill(0.0);
        for (layer, d_shifts) in self.of_shifts(&at.d_shifts) {
            layer.backward(parameters, d_shifts, &mut at.d_embedding);
        }
        at.d_embedding.iter_mut().zip(&at.z_embedding).for_each(|(d, &z)| *d *= silu_slope(z));
        at.d_hidden.fill(0.0);
        self.0.second.backward(parameters, &at.d_embedding, &mut at.d_hidden);
        at.d_hidden.iter_mut().zip(&at.z_hidden).for_each(|(d, &z)| *d *= silu_slope(z));
    }

    /// Adds up the gradients of the weights of all images; `gradient` holds zeros there.
    pub(super) fn collect<'a>(
        &self,
        states: impl Iterator<Item = &'a EmbeddingState>,
        factor: f32,
        gradient: &mut [f32],
    ) {
        for at in states {
            self.0.first.weight_gradient(factor, &at.d_hidden, &at.waves, gradient);
            self.0.second.weight_gradient(factor, &at.d_embedding, &at.hidden, gradient);
            for (layer, d_shifts) in self.of_shifts(&at.d_shifts) {
                layer.weight_gradient(factor, d_shifts, &at.embedding, gradient);
            }
        }
    }

    /// Every shift layer with its part of `shifts`.
    fn of_shifts<'a>(&'a self, mut shifts: &'a [f32]) -> impl Iterator<Item = (&'a Linear, &'a [f32])> {
        self.0.shifts.iter().map(move |layer| {
            let (own, rest) = shifts.split_at(layer.bias.len());
            shifts = rest;
            (layer, own)
        })
    }
}

fn silu(z: f32) -> f32 {
    z / (1.0 + (-z).exp())
}

fn silu_slope(z: f32) -> f32 {
    let sigma = 1.0 / (1.0 + (-z).exp());
    sigma * (1.0 + z * (1.0 - sigma))
}
