//! The CUDA backend: the same passes as the CPU's, in the kernels of `gradus-cuda-kernels`.
//!
//! Compiled in always; the driver is looked for at run time. Every kernel is tested on a driver that runs the same
//! sources on the CPU (`tests/cuda-stand-in`); README.md says what of them has run on a GPU.
//!
//! Images that are computed together are *lanes*. Every buffer holds all lanes, and every launch names those that take
//! part, so that slices with steps of their own share the passes of one network.

mod arena;
mod beam;
mod buffer;
pub mod conjugate_gradient;
mod data_term;
mod device;
mod error;
mod execute;
mod graph;
pub mod layer;
mod linear_system;
mod loader;
mod memory;
mod mirror;
mod model;
mod network;
mod outbox;
mod passes;
mod products;
mod profile;
pub mod projector;
mod projector_error;
mod slices;
mod state;
pub mod training;
pub mod vector;

pub use super::precision::Precision;
pub use buffer::{Buffer, Plain};
pub use device::{Description, Device, devices};
pub use error::DeviceError;
pub use loader::driver_is_present;
pub use network::{CudaNetwork, CudaNetworkError};
pub use products::Products;
pub use profile::Launched;
pub use projector_error::ProjectorError;
pub use slices::CudaSlices;
pub use state::SlicesError;
pub use training::CudaTrainingNetwork;

/// The PTX of all kernels.
pub(crate) fn kernel_sources() -> impl std::hash::Hash {
    gradus_cuda_kernels::SOURCES.each_ref().map(|source| source.ptx)
}
