//! The energy network as data: its shape, its weights, and its passes as lists of operations.
//!
//! No arithmetic on images is done here: a backend executes the lists. [`Architecture`] and [`Weights`] are what a
//! weights file holds; [`Perturbation`] is the diffusion at one level.

pub mod architecture;
pub mod layers;
mod lowering;
pub(crate) mod operation;
pub mod perturbation;
pub(crate) mod program;
mod stages;
pub(crate) mod tape;
mod validation;
pub mod weights;
mod weights_file;

pub use architecture::{Architecture, ArchitectureError, Description, Parametrisation, PerturbationKernelSpec};
pub use perturbation::{Direction, EnergyScales, Perturbation};
pub use program::NetworkError;
pub use weights::{Tensor, Weights, WeightsError};
pub(crate) use weights_file::OLD_LEVELS;
