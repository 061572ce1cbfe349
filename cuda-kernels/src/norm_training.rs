//! Entries of norm_training.cu: group normalisation and SiLU in training.

use crate::entry::{Address, BLOCK, entries};

/// The record of the same name in norm_training.cu, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Norm {
    pub lanes: Address<i32>,
    pub x_first: Address<f32>,
    pub x_second: Address<f32>,
    pub dot_first: Address<f32>,
    pub dot_second: Address<f32>,
    pub gain: Address<f32>,
    pub affine: Address<[f32; 4]>,
    pub dot_hat: Address<[f32; 4]>,
    pub on_value: Address<[f32; 4]>,
    pub on_tangent: Address<[f32; 2]>,
    pub sums: Address<[f32; 4]>,
    pub means: Address<f64>,
    pub d_dot_y: Address<f32>,
    pub d_dot_z: Address<f32>,
    pub d_z: Address<f32>,
    pub n_first: i32,
    pub n_channels: i32,
    pub n_pixels: i32,
    pub groups: i32,
    pub with_silu: i32,
    pub with_tangents: i32,
    pub n_lanes: i32,
    /// The record ends at a multiple of 8 bytes.
    pub rest: i32,
}

entries! { "norm_training";
    /// y.
    Forward = "norm_training_forward" [BLOCK] { at: Norm, y: Address<f32> }
    /// dot_y.
    Tangent = "norm_training_tangent" [BLOCK] { at: Norm, y: Address<f32> }
    /// Sums of dot_x.
    DotSums = "norm_training_dot_sums" [BLOCK] { at: Norm }
    /// d_dot_z and its sums.
    DDotSums = "norm_training_d_dot_sums" [BLOCK] { at: Norm }
    /// d_z and its sums.
    DSums = "norm_training_d_sums" [BLOCK] { at: Norm }
    /// Means and coefficients of the tangent.
    DotMeans = "norm_training_dot_means" [BLOCK] { at: Norm }
    /// Those of its gradient.
    DDotMeans = "norm_training_d_dot_means" [BLOCK] { at: Norm }
    /// Those of the value's gradient.
    DMeans = "norm_training_d_means" [BLOCK] { at: Norm }
    /// d_dot_x or d_x.
    Inputs = "norm_training_inputs" [BLOCK] {
        at: Norm,
        d: Address<f32>,
        x: Address<f32>,
        dot_x: Address<f32>,
        d_x: Address<f32>,
        first: i32,
        accumulate: i32,
    }
    /// Gradients of gain and bias.
    Weights = "norm_training_weights" [BLOCK] { at: Norm, d_gain: Address<f32>, d_bias: Address<f32>, factor: f32 }
}
