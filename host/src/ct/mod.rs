//! CT.
mod geometry;
mod projector;
mod resample;
#[cfg(test)]
mod test_support;
pub use geometry::{GeometryError, ParallelBeam};
pub use projector::{ProjectionError, Projector};
