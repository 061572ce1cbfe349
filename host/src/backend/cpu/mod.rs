//! The CPU backend: the default, and the oracle of every other one.
//!
//! Rayon over fixed tiles, SIMD chosen at run time. Results do not depend on the number of threads: every tile is
//! computed the same way by each thread, and sums over tiles are taken in the order of the tiles.

mod aligned;
mod blocked;
mod data_term;
mod engine;
mod execute;
mod flop;
mod lane;
mod layer;
mod model;
pub mod network;
mod passes;
mod profile;
pub(crate) mod simd;
mod slices;
mod state;
pub mod training;

pub use super::training_batch::TrainingBatch;
pub use crate::unet::NetworkError;
pub use flop::Flop;
pub use network::Network;
pub use profile::LayerTime;
pub use slices::{CpuSlices, SlicesError};
pub use training::{Curvature, TrainingNetwork};

/// The instruction set that the network uses here, chosen at run time.
#[must_use]
pub fn simd_name() -> &'static str {
    match pulp::Arch::new() {
        pulp::Arch::Scalar => "no SIMD",
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(_) => "AVX2 and FMA",
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(_) => "AVX-512",
        _ => "SIMD",
    }
}
