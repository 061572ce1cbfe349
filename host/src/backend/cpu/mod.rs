//! The CPU backend: rayon over fixed tiles, SIMD chosen at run time.
//!
//! Results do not depend on the number of threads: every tile is computed the same way by whoever takes it, and sums
//! over tiles are taken in the order of the tiles.

mod blocked;
mod engine;
mod layer;
pub mod network;
mod profile;
mod simd;
mod step;

pub use network::{Network, NetworkError};
pub use profile::LayerTime;
