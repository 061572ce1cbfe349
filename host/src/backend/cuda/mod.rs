//! The CUDA backend: the same passes as the CPU's, in the kernels of `gradus-cuda-kernels`.
//!
//! Compiled in always; the driver is looked for at run time. Not run on a GPU yet: every kernel is tested on a driver that
//! runs the same sources on the CPU (`tests/cuda-stand-in`).
//!
//! Images that are computed together are *lanes*. Every buffer holds all lanes, and every launch names those that take
//! part, so that slices with steps of their own share the passes of one network.

mod buffer;
mod data_term;
mod device;
mod error;
pub mod layer;
mod loader;
mod lockstep;
mod network;
mod passes;
mod preconditioned;
pub mod projector;
mod slice;
mod slices;
pub mod solve;
mod step;
pub mod training;
pub mod vector;

pub use buffer::{Buffer, Plain};
pub use device::{Description, Device, Precision, Profile, Traffic, devices};
pub use error::DeviceError;
pub use lockstep::{End, drive_in_lockstep, drive_preconditioned_in_lockstep};
pub use network::{CudaNetwork, CudaNetworkError};
pub use preconditioned::PreconditionedCudaSlices;
pub use slice::{Slice, SlicesError};
pub use slices::CudaSlices;
pub use training::CudaTrainingNetwork;
