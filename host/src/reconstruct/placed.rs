//! A prior on a device.

use super::ReconstructError;
use crate::backend::choice::Opened;
use crate::backend::cuda::{CudaSlices, DeviceError};
use crate::backend::{DeviceChoice, Precision};
use crate::ct::Geometry;
use crate::doctor;
use crate::prior::Prior;

/// Runs in a batch at most.
pub(super) const MOST: usize = 32;

/// A prior, and what it is computed on.
#[derive(Debug, Clone)]
pub struct PlacedPrior<'a> {
    /// The prior.
    pub prior: &'a Prior,
    /// The device.
    pub opened: Opened,
}

impl<'a> PlacedPrior<'a> {
    /// The prior on the device of a choice, set to a precision; `auto` takes a GPU only if it passes its checks with
    /// this prior.
    ///
    /// # Errors
    /// When the GPU that was asked for cannot be used, and when the CPU is asked for TF32.
    pub fn open(prior: &'a Prior, choice: DeviceChoice, precision: Precision) -> Result<Self, DeviceError> {
        Ok(Self { prior, opened: choice.open(precision, |device| doctor::cuda::distrust(device, prior))? })
    }

    /// [`PlacedPrior::open`] for scans of this geometry: `auto` leaves a GPU that does not take it, and says why.
    ///
    /// # Errors
    /// As [`PlacedPrior::open`].
    pub fn open_for(
        geometry: &Geometry,
        prior: &'a Prior,
        choice: DeviceChoice,
        precision: Precision,
    ) -> Result<Self, DeviceError> {
        let doubt = |device: &_| not_taken(geometry, prior).or_else(|| doctor::cuda::distrust(device, prior));
        Ok(Self { prior, opened: choice.open(precision, doubt)? })
    }

    /// The prior on the CPU.
    #[must_use]
    pub fn on_cpu(prior: &'a Prior) -> Self {
        Self { prior, opened: Opened::Cpu(None) }
    }

    /// The number of images of this size that are well made together: on a GPU as many as its free memory holds, on the
    /// CPU one for each thread; 1 to 32.
    ///
    /// # Errors
    /// When the size does not fit the prior, or the device fails.
    pub fn at_once(&self, geometry: &Geometry) -> Result<usize, ReconstructError> {
        let fitting = match &self.opened {
            Opened::Cpu(_) => rayon::current_num_threads(),
            Opened::Cuda(device) => CudaSlices::that_fit(device, geometry, self.prior)?,
        };
        Ok(fitting.clamp(1, MOST))
    }
}

/// The reason why the CUDA backend does not take scans of a geometry, if it does not.
fn not_taken(geometry: &Geometry, prior: &Prior) -> Option<String> {
    let (sides, multiple) = ([geometry.height, geometry.width], prior.weights().architecture().size_multiple());
    if sides.iter().any(|side| !side.is_multiple_of(multiple)) {
        Some(format!("takes images with sides that are multiples of {multiple}, and these are {sides:?}"))
    } else {
        None
    }
}
