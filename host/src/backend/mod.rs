//! Backends compute what solvers of `gradus-core` ask for, and decide nothing.
//!
//! A backend offers [`Slices`], a [`gradus_core::Batch`] of `f(x) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` for one or
//! more slices, that keeps every vector where it computes, and hands out scalars only. [`cpu`] is the default and needs
//! nothing; [`cuda`] looks for its driver when the program runs. A [`DeviceChoice`] opens one of them. On each, the
//! same question gives the same bits, alone or in a batch, for any number of threads.
//!
//! ```
//! use gradus::backend::cpu::Network;
//! use gradus::prior::Prior;
//!
//! let mut network = Network::new(&Prior::named("ellipses")?, 32, 32, 1)?; // for one image of 32 x 32
//! network.forward(0..1, &[0.5; 32 * 32], &[0.1]); // h(x, t) at t = 0.1
//! assert!(network.energy(0) > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod choice;
mod counters;
pub mod cpu;
pub mod cuda;
mod drift;
pub(crate) mod frame;
pub(crate) mod gain;
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
