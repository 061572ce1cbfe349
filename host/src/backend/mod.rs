//! Backends compute what a solver of `gradus-core` asks for, and decide nothing.
//!
//! A backend offers a [`gradus_core::Evaluator`] of `f(x) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` that keeps every
//! vector where it computes, and hands out scalars only.

pub mod choice;
pub mod cpu;
pub mod cuda;
mod mirror;
mod precision;
pub(crate) mod training_batch;

pub use choice::DeviceChoice;
pub use mirror::Mirror;
pub use precision::Precision;
pub use training_batch::TrainingBatch;

use cuda::Traffic;
use gradus_core::{Evaluator, Level};
use serde::{Deserialize, Serialize};

/// How the prior looks at an image `x` at the smoothing level `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// `R(x, t) = -log p_t(x)`: `x` itself is taken for a diffused image \[FKD24, eq. 8\].
    Diffused,
    /// `R(x, t) = -log p_t(gamma_t x)`: up to a constant minus the log density of clean images under noise of standard
    /// deviation `nu_t/gamma_t`, without drift towards 0 \[FKD24, eq. 6\].
    DriftFree,
}

/// What a run asks of the holder of one slice's vectors, beside the requests of its solver.
pub trait SliceEvaluator: Evaluator {
    /// `f(x)` at the current iterate, without the constant of the prior.
    ///
    /// # Errors
    /// When the computation fails.
    fn objective(&mut self) -> Result<f64, Self::Error>;

    /// Copies the current iterate, `[row][col]`.
    ///
    /// # Errors
    /// When the copy fails.
    fn copy_iterate(&self, image: &mut [f32]) -> Result<(), Self::Error>;

    /// Goes on from the image `x`, `[row][col]`, as at the start of a run on another objective.
    ///
    /// # Errors
    /// When it has another length, or the computation fails.
    fn restart(&mut self, x: &[f32], objective: Level) -> Result<(), Self::Error>;

    /// What the run has cost so far.
    fn counters(&self) -> Counters;

    /// What has crossed between host and device, where there is one.
    fn traffic(&self) -> Option<Traffic>;
}

/// What a run has cost, in passes over one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Forward passes of the network.
    pub network_forwards: u64,
    /// Vector-Jacobian products of the network.
    pub network_vjps: u64,
    /// Forward projections and adjoints.
    pub projections: u64,
}

impl Counters {
    /// The cost of both.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            network_forwards: self.network_forwards + other.network_forwards,
            network_vjps: self.network_vjps + other.network_vjps,
            projections: self.projections + other.projections,
        }
    }
}
