//! The CPU backend: the default, and the oracle of every other one.

mod evaluator;
pub mod layer;
pub mod network;
mod vector;

pub use evaluator::CpuEvaluator;
pub use network::Network;
