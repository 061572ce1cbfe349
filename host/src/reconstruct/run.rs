//! Runs of learned methods on a backend.

use super::average;
use super::course::{Course, Results};
use super::task::Task;
use super::{Observer, PlacedPrior, ReconstructError, Reconstruction};
use crate::backend::Slice;
use crate::backend::choice::Opened;
use crate::backend::cpu::CpuSlices;
use crate::backend::cuda::CudaSlices;

/// Makes tasks that are alike, in lockstep; each has the result that it would have alone, but for its `traffic`.
pub(super) fn run(tasks: &[Task<'_>], prior: &PlacedPrior<'_>, observer: Observer<'_>) -> Results {
    let Some(first) = tasks.first() else { return Ok(Vec::new()) };
    let (geometry, recipe) = (first.measurement.geometry.clone(), &first.recipe);
    // Restarts run side by side, as many as there is room for.
    let restarts = recipe.restarts.as_ref().map_or(1, |again| again.count as usize);
    let lanes = if restarts > 1 { (prior.at_once(&geometry)? / tasks.len()).clamp(1, restarts) } else { 1 };
    let slices: Vec<Slice> = tasks.iter().map(Task::slice).collect::<Result<_, _>>()?;
    let slices = std::iter::repeat_n(slices, lanes).flatten().collect::<Vec<Slice>>();
    let own: Vec<Option<Vec<f32>>> = tasks.iter().map(Task::weights).collect();
    let weights: Vec<Option<&[f32]>> = std::iter::repeat_n(&own, lanes).flatten().map(Option::as_deref).collect();
    let (drift, mirrors) = (recipe.drift, recipe.mirrors);
    let results = match &prior.opened {
        Opened::Cpu(_) => {
            let slices = CpuSlices::new(geometry, prior.prior, slices)?;
            let slices = slices.with_drift(drift).with_mirrors(mirrors).with_weights(&weights)?;
            average::run(Course::new(tasks, slices, lanes, observer))?
        }
        Opened::Cuda(device) => {
            let slices = CudaSlices::new(device, geometry, prior.prior, &slices)?;
            let slices = slices.with_drift(drift).with_mirrors(mirrors).with_weights(&weights)?;
            average::run(Course::new(tasks, slices, lanes, observer))?
        }
    };
    let placed = |(result, task): (Result<Reconstruction, ReconstructError>, &Task<'_>)| {
        let (device, precision) = (prior.opened.choice(), prior.opened.precision());
        let (weight, warning) = (Some(task.recipe.alpha), prior.opened.warning().map(str::to_owned));
        result.map(|result| Reconstruction { weight, device, precision, warning, ..result })
    };
    Ok(results.into_iter().zip(tasks).map(placed).collect())
}
