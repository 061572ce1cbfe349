//! A prior on a device.

use super::{Job, ReconstructError};
use crate::backend::choice::Opened;
use crate::backend::cuda::{CudaSlices, DeviceError, driver_is_present};
use crate::backend::gain::gains_by_gpu;
use crate::backend::{DeviceChoice, Precision};
use crate::ct::Geometry;
use crate::doctor::verdict::distrust_once;
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
        Ok(Self { prior, opened: choice.open(precision, |device| distrust_once(device, prior))? })
    }

    /// [`PlacedPrior::open`] for so many jobs like one: `auto` leaves a GPU that does not take them, or by which they
    /// would not be done sooner, and says why.
    ///
    /// # Errors
    /// As [`PlacedPrior::open`].
    pub fn open_for(
        job: &Job<'_>,
        jobs: usize,
        prior: &'a Prior,
        choice: DeviceChoice,
        precision: Precision,
    ) -> Result<Self, DeviceError> {
        let geometry = &job.measurement.geometry;
        let is_free = choice == DeviceChoice::Auto && precision == Precision::Full && driver_is_present();
        if is_free && not_taken(geometry, prior).is_none() && is_little(job, jobs, prior) {
            let why = "computed on the CPU: so little is done there before a GPU is ready; --device cuda:0 takes it";
            return Ok(Self { prior, opened: Opened::Cpu(Some(why.to_owned())) });
        }
        let doubt = |device: &_| not_taken(geometry, prior).or_else(|| distrust_once(device, prior));
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

/// True if so many jobs are done on the CPU before a GPU would have done them.
fn is_little(job: &Job<'_>, jobs: usize, prior: &Prior) -> bool {
    let pixels = job.measurement.geometry.image_len().saturating_mul(jobs);
    // What makes no sense is told when it is run.
    let recipe = job.settings.recipe(job.measurement, prior, None).ok().flatten();
    recipe.is_some_and(|recipe| !gains_by_gpu(pixels, recipe.total_steps(), rayon::current_num_threads()))
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
