//! The classical rival: least squares with total variation.

use super::{Measurement, Observer, Progress, ReconstructError, Reconstruction, TvSettings};
use crate::backend::Counters;
use crate::ct::{self, Projector, TvEnd, TvReconstructor};
use crate::image::Image;
use gradus_core::Status;

/// Minimises `1/2 |W^(1/2) (A x - y)|^2 + weight TV(x)` over images that are nowhere negative (`x >= 0`), from the zero
/// image; `W` holds the rays' weights where their variances differ, else 1.
pub(super) fn reconstruct(
    job: usize,
    measurement: &Measurement,
    settings: &TvSettings,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    let weight = settings.weight(measurement.noise_std, measurement.geometry.angles_rad.len());
    let max_iterations = settings.tv_iterations as usize;
    let tv = ct::TvSettings { weight, max_iterations, ..ct::TvSettings::default() };
    let mut image = Image::zeros(measurement.geometry.height, measurement.geometry.width);
    let total = settings.tv_iterations.into();
    let tv_of = TvReconstructor::new(Projector::new(measurement.geometry.clone())?);
    let mut tv_of = match &measurement.weights {
        Some(weights) => tv_of.with_weights(weights.clone())?,
        None => tv_of,
    };
    let outcome = tv_of.reconstruct(&measurement.sinogram, &mut image.pixels, &tv, |progress| {
        let copy_iterate: &dyn Fn(&mut [f32]) = &|to| to.copy_from_slice(progress.image);
        observer(Progress { job, done: progress.iteration as u64, total, row: None, copy_iterate })
    })?;
    let status = match outcome.end {
        TvEnd::Converged => Status::Stationary,
        TvEnd::IterationsDone => Status::ScheduleDone,
        TvEnd::Stopped => Status::Stopped,
    };
    // One projection and one adjoint an iteration.
    let counters = Counters { projections: 2 * outcome.iterations as u64, ..Counters::default() };
    Ok(Reconstruction {
        status: Some(status),
        iterations: outcome.iterations as u64,
        objective: Some(outcome.objective),
        weight: Some(weight),
        counters,
        ..Reconstruction::of(image)
    })
}
