//! The energy network as data: what it looks like, its weights, its layers in order. No arithmetic on images here.

pub mod architecture;
pub mod layers;
pub mod perturbation;
pub mod plan;
pub(crate) mod tape;
pub mod weights;

pub use architecture::{Architecture, ArchitectureError, Parametrisation, PerturbationKernelSpec};
pub use perturbation::{EnergyScales, PerturbationKernel};
pub use plan::{Plan, PlanError};
pub use weights::{Tensor, Weights, WeightsError};
