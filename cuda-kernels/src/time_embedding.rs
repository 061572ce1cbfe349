//! Entries of time_embedding.cu: the time embedding and its linear layers.

use crate::entry::{Address, BLOCK, entries};
use crate::pixel_shuffle::LaneScalars;

/// Values of the embedding's layers at most.
pub const MOST_VALUES: usize = 2048;

/// A linear layer; the record of the same name in time_embedding.cu.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Linear {
    pub weights: Address<f32>,
    pub bias: Address<f32>,
    pub n_in: i32,
    pub n_out: i32,
}

/// The record of the same name in time_embedding.cu.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct TimeEmbedding {
    pub lanes: Address<i32>,
    pub scalars: Address<LaneScalars>,
    pub frequencies: Address<f64>,
    pub hidden: Linear,
    pub embedding: Linear,
    pub to_shifts: Linear,
    pub shifts: Address<f32>,
}

entries! { "time_embedding";
    /// Cosines and sines.
    Waves = "time_embedding_waves" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<LaneScalars>,
        frequencies: Address<f64>,
        waves: Address<f32>,
        half: i32,
    }
    /// The shifts of all residual blocks.
    All = "time_embedding" [BLOCK] { at: TimeEmbedding }
}
