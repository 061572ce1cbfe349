//! The buffers of one image: activations, gradients and small per-channel numbers.

use super::aligned::Aligned;
use super::layer::group_norm::{InputGradient, Normalisation};
use super::layer::time_embedding::Embedded;
use crate::unet::EnergyScales;

/// A tensor's values, and a pair of sums for each channel of each block: moments, or the sums of a norm's vjp.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) values: Aligned,
    pub(crate) sums: Vec<[f32; 2]>,
}

/// A normalisation where the forward pass left it, and its vjp.
#[derive(Debug, Default)]
pub(crate) struct NormState {
    pub(crate) forward: Normalisation,
    pub(crate) vjp: InputGradient,
}

impl NormState {
    pub(crate) fn new(channels: usize) -> Self {
        Self { forward: Normalisation::new(channels), vjp: InputGradient::new(channels) }
    }
}

/// Everything that passes over one image read and write.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) buffers: Vec<Memory>,
    pub(crate) norms: Vec<NormState>,
    pub(crate) embedded: Embedded,
    /// Per attention: log sum exp, and the products of its vjp.
    pub(crate) log_sums: Vec<Vec<f32>>,
    pub(crate) products: Vec<f32>,
    /// Smoothing level, and what it makes of images.
    pub(crate) t: f64,
    pub(crate) scales: EnergyScales,
    /// h of the last forward pass, `[channel][row][col]`.
    pub(crate) h: Vec<f32>,
    /// Room for what enters and what leaves, where images have a frame.
    pub(crate) framed: [Vec<f32>; 2],
}
