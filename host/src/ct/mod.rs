//! Computed tomography: geometry.
pub mod geometry;

pub use geometry::{GeometryError, ParallelBeam};
