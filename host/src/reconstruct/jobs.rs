//! The entrance: jobs of any method, each alone or together with those like it.

use super::course::Results;
use super::job::Job;
use super::run::run;
use super::task::Task;
use super::{
    Measurement, Observer, PlacedPrior, ReconstructError, Reconstruction, Settings, denoise, searched_weight,
    total_variation,
};

/// Reconstructs `measurement` with `settings`; learned methods need a `prior`.
///
/// # Examples
/// ```
/// use gradus::data::ellipses::ellipses;
/// use gradus::reconstruct::{Measurement, Method, Settings, reconstruct};
/// use gradus::simulate::{Simulation, simulate};
/// use std::ops::ControlFlow;
///
/// let measurement = Measurement::new(&simulate(&ellipses(1, 32), 1.0, &Simulation::default())?)?;
/// let result = reconstruct(&measurement, &Settings::from(Method::Fbp), None, &mut |_| ControlFlow::Continue(()))?;
/// assert!(result.residual.is_some_and(|residual| residual.chi_squared().is_finite()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ReconstructError`]: the data, the settings, the prior or the device, by name.
pub fn reconstruct(
    measurement: &Measurement,
    settings: &Settings,
    prior: Option<&PlacedPrior<'_>>,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    reconstruct_all(&[Job { measurement, settings }], prior, observer)?.swap_remove(0)
}

/// Makes each of `jobs`. Those of learned methods that are alike and of one size are made together, as many at a time
/// as [`PlacedPrior::at_once`] says; each has the result that it would have alone, but that its `traffic` is that of
/// all.
///
/// # Errors
/// When settings make no sense, or the device fails. A run that meets a number that is not finite is an error of its
/// own.
pub fn reconstruct_all(jobs: &[Job<'_>], prior: Option<&PlacedPrior<'_>>, observer: Observer<'_>) -> Results {
    let mut results: Vec<Option<Result<Reconstruction, ReconstructError>>> = jobs.iter().map(|_| None).collect();
    let mut waiting = Vec::new();
    for (job, Job { measurement, settings }) in jobs.iter().enumerate() {
        match settings {
            Settings::Fbp(own) => {
                results[job] = Some(measurement.filtered_backprojection(own.window).map(Reconstruction::of));
            }
            Settings::Tv(own) => {
                results[job] = Some(total_variation::reconstruct(job, &measurement.for_pixels(), own, &mut *observer));
            }
            learned => {
                let prior = prior.ok_or_else(|| ReconstructError::NoPrior(learned.method()))?;
                let recipe = settings.recipe(measurement, prior.prior, None)?;
                waiting.extend(recipe.map(|recipe| Task { job, measurement, recipe }));
            }
        }
    }
    while let (Some(first), Some(prior)) = (waiting.first(), prior) {
        let most = prior.at_once(&first.measurement.geometry)?;
        let (batch, rest) = split(waiting, most);
        waiting = rest;
        let made = match &batch[..] {
            [task] => vec![searched_weight::with_weight_by_rule(task, jobs[task.job].settings, prior, &mut *observer)],
            tasks => run(tasks, prior, &mut *observer)?,
        };
        for (task, result) in batch.iter().zip(made) {
            results[task.job] = Some(result.and_then(|result| completed(result, task, prior)));
        }
    }
    let held_against_data = |(result, job): (Result<Reconstruction, ReconstructError>, &Job<'_>)| {
        let result = result?;
        let residual = Some(job.measurement.residual(&result.image)?);
        Ok(Reconstruction { residual, ..result })
    };
    Ok(results.into_iter().flatten().zip(jobs).map(held_against_data).collect())
}

/// The first task with those like it, `most` in all, and the rest. A search of the weight is made alone.
fn split<'a>(tasks: Vec<Task<'a>>, most: usize) -> (Vec<Task<'a>>, Vec<Task<'a>>) {
    let (mut batch, mut rest) = (Vec::<Task<'a>>::new(), Vec::new());
    for task in tasks {
        let suits = batch.first().is_none_or(|first| first.is_like(&task) && !first.recipe.searches());
        if suits && batch.len() < most { batch.push(task) } else { rest.push(task) }
    }
    (batch, rest)
}

/// The same reconstruction with its image denoised, where that is wanted. On the CPU whatever the device: it is one
/// pass.
fn completed(
    result: Reconstruction,
    task: &Task<'_>,
    prior: &PlacedPrior<'_>,
) -> Result<Reconstruction, ReconstructError> {
    let Some(t) = task.recipe.denoised_at else { return Ok(result) };
    let (image, mut counters) = (denoise(prior.prior, &result.image, t)?, result.counters);
    counters.network_forwards += 1;
    counters.network_vjps += 1;
    Ok(Reconstruction { image, counters, ..result })
}

#[cfg(test)]
mod tests {
    use super::super::{GradientLikeSettings, GraduatedSettings, Start};
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::metrics::rmse;
    use crate::prior::Prior;
    use crate::simulate::{Simulation, simulate};
    use std::ops::ControlFlow;

    /// Root mean square between the results of Algorithm 2 from two starts.
    fn between_starts(early_weight: f64) -> f64 {
        let prior = Prior::named("ellipses").unwrap();
        let measurement = Measurement::new(&simulate(&ellipses(3, 64), 1.0, &Simulation::default()).unwrap()).unwrap();
        let settings = [1, 2].map(|seed| {
            let start = Start::Noise;
            let graduated = GraduatedSettings { seed, start, early_weight, steps: 100, ..GraduatedSettings::default() };
            Settings::GradientLike(GradientLikeSettings { graduated, ..GradientLikeSettings::default() })
        });
        let jobs = settings.each_ref().map(|settings| Job { measurement: &measurement, settings });
        let prior = PlacedPrior::on_cpu(&prior);
        let runs = reconstruct_all(&jobs, Some(&prior), &mut |_| ControlFlow::Continue(())).unwrap();
        let images: Vec<_> = runs.into_iter().map(|run| run.unwrap().image).collect();
        rmse(&images[0], &images[1]).unwrap()
    }

    #[test]
    fn a_prior_that_weighs_more_at_first_forgets_the_start() {
        let (with, without) = (between_starts(8.0), between_starts(0.0));
        assert!(4.0 * with < without, "{with} {without}");
    }

    #[test]
    fn a_learned_method_needs_a_prior() {
        let measurement = Measurement::new(&simulate(&ellipses(3, 16), 1.0, &Simulation::default()).unwrap()).unwrap();
        let go_on = &mut |_: super::super::Progress<'_>| ControlFlow::Continue(());
        let error = reconstruct(&measurement, &Settings::default(), None, go_on).unwrap_err();
        assert!(matches!(error, ReconstructError::NoPrior(_)), "{error}");
    }
}
