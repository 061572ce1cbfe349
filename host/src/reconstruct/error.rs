//! Errors of a reconstruction.

use super::Method;
use crate::backend::cpu::{self, NetworkError};
use crate::backend::cuda::{self, DeviceError};
use crate::ct::{GeometryError, ProjectionError, TvError};
use crate::trust::CauseError;
use gradus_core::SettingsError;

/// Reasons why nothing could be reconstructed.
#[derive(Debug, thiserror::Error)]
pub enum ReconstructError {
    /// The geometry makes no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The sinogram does not fit its geometry.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// Nothing can be tried on an image and its data.
    #[error(transparent)]
    Cause(#[from] CauseError),
    /// The settings of total variation make no sense.
    #[error(transparent)]
    Tv(#[from] TvError),
    /// The settings contradict themselves.
    #[error("the settings make no sense")]
    Settings(#[from] SettingsError),
    /// The prior cannot be used on this image.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The scale of the image cannot be found.
    #[error("nothing in the sinogram attenuates; it must hold line integrals, -log(counts/I0), not counts")]
    NothingAttenuates,
    /// The device cannot be used, or stopped working.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The problem does not fit the prior or itself.
    #[error(transparent)]
    Cpu(#[from] cpu::SlicesError),
    /// The same on a device, or the device cannot hold it.
    #[error(transparent)]
    Cuda(#[from] cuda::SlicesError),
    /// The mean of no runs.
    #[error("the number of runs to average is 0; give 1 for a single run")]
    NoRuns,
    /// Views that cannot be held out.
    #[error("every {every}-th view of {views} cannot be held out; give a number from 2 to that of the views")]
    HoldOut {
        /// One in so many.
        every: usize,
        /// Views there are.
        views: usize,
    },
    /// The method needs a prior.
    #[error("method {0} needs a prior; name one")]
    NoPrior(Method),
    /// A number that is not finite came up.
    #[error("after {iterations} iterations {cause}; lower alpha or the first step")]
    Broke {
        /// Iterations made.
        iterations: usize,
        /// The refused answer.
        cause: gradus_core::AnswerError,
    },
}
