//! Training: the network's operations apart, each with a value, a tangent and the gradients of both.

mod attention;
mod convolution;
mod curvature;
mod embedding;
mod head;
mod lane;
mod layers;
mod memory;
mod network;
mod norm;
mod norm_kernels;

pub use curvature::Curvature;
pub use network::TrainingNetwork;
