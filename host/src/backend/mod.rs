//! Backends compute what solvers of `gradus-core` ask for, and decide nothing.
//!
//! A backend offers [`Slices`], a [`gradus_core::Batch`] of `f(x) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` for one or
//! more slices, that keeps every vector where it computes, and hands out scalars only.

pub mod choice;
mod counters;
pub mod cpu;
pub mod cuda;
mod drift;
pub(crate) mod frame;
mod mirror;
mod precision;
mod slices;
mod traffic;
pub(crate) mod training_batch;

pub use choice::DeviceChoice;
pub use counters::Counters;
pub use drift::Drift;
pub use mirror::Mirror;
pub use precision::Precision;
pub use slices::{Slice, Slices};
pub use traffic::Traffic;
pub use training_batch::TrainingBatch;
