//! Entries of linear_training.cu: linear layers in training.

use crate::entry::{Address, BLOCK, entries};

/// Outputs that a block makes, and inputs whose gradients it makes.
pub const OUTPUTS: usize = 8;
/// See [`OUTPUTS`].
pub const INPUTS: usize = 32;

entries! { "linear_training";
    /// z = W x + b, and its SiLU.
    Forward = "linear_training_forward" [BLOCK] {
        lanes: Address<i32>,
        parameters: Address<f32>,
        rows: Address<i32>,
        x: Address<f32>,
        z: Address<f32>,
        s: Address<f32>,
        n_in: i32,
        n_out: i32,
    }
    /// d_z from d_y.
    Backward = "linear_training_backward" [BLOCK] {
        lanes: Address<i32>,
        parameters: Address<f32>,
        rows: Address<i32>,
        d_y: Address<f32>,
        z: Address<f32>,
        d_z: Address<f32>,
        n_in: i32,
        n_out: i32,
    }
    /// Gradients of weights and biases.
    Weights = "linear_training_weights" [BLOCK] {
        lanes: Address<i32>,
        rows: Address<i32>,
        d_y: Address<f32>,
        x: Address<f32>,
        gradient: Address<f32>,
        factor: f32,
        n_in: i32,
        n_lanes: i32,
    }
}
