//! The entry of training_loss.cu: residuals, their gradients and the loss.

use crate::entry::{Address, BLOCK, entries};
use crate::vector::Sums;

/// Scalars of a lane's loss; the record of the same name in training_loss.cu.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct LossScalars {
    pub weight: f64,
    pub std: f32,
    pub factor: f32,
}

entries! { "training_loss";
    /// v = factor (z - std a), and the loss.
    Loss = "training_loss" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<LossScalars>,
        a: Address<f32>,
        z: Address<f32>,
        v: Address<f32>,
        sums: Sums,
        n: i32,
    }
}
