//! The layers: for each kernel file, what lays out its weights and launches it. Named like the CPU's.

pub mod attention;
pub mod attention_training;
pub mod conv;
pub mod conv_pack;
pub mod conv_weights;
pub mod group_norm;
pub mod linear_training;
pub mod norm_training;
pub mod pixel_shuffle;
pub mod residual;
mod stencil;
pub mod time_embedding;
pub mod training_loss;

use gradus_cuda_kernels::Address;

/// One tensor `[lane][channel][row][col]`, or two of the same size with the channels of the second behind the first's.
#[derive(Debug, Clone, Copy)]
pub struct Concat {
    /// The first tensor and its channels.
    pub first: (Address<f32>, usize),
    /// The second tensor and its channels; null and 0 for none.
    pub second: (Address<f32>, usize),
}

impl Concat {
    /// Nothing.
    pub const NONE: Self = Self { first: (Address::NULL, 0), second: (Address::NULL, 0) };

    /// One tensor.
    #[must_use]
    pub fn one(address: Address<f32>, channels: usize) -> Self {
        Self { first: (address, channels), ..Self::NONE }
    }

    /// Channels of both.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.first.1 + self.second.1
    }
}
