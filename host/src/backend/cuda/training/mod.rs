//! Training on the device: what `backend::cpu::training` does, in its order.

mod convolution;
mod memory;
mod network;
mod operation;

pub use network::CudaTrainingNetwork;
