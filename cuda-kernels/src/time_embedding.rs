//! Entries of time_embedding.cu: the time embedding and its linear layers.

use crate::entry::{Address, BLOCK, entries};
use crate::pixel_shuffle::LaneScalars;

entries! { "time_embedding";
    /// Cosines and sines.
    Waves = "time_embedding_waves" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<LaneScalars>,
        frequencies: Address<f64>,
        waves: Address<f32>,
        half: i32,
    }
    /// y = W x + b, or its SiLU.
    Linear = "linear_forward" [BLOCK] {
        lanes: Address<i32>,
        weights: Address<f32>,
        bias: Address<f32>,
        x: Address<f32>,
        y: Address<f32>,
        n_in: i32,
        n_out: i32,
        with_silu: i32,
    }
}
