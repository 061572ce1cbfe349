//! The weight of the prior, where runs search for it.

use super::discrepancy::{discrepancy, search};
use super::hold_out::{USUAL_HOLD_OUT, least};
use super::method_settings::WeightRule;
use super::run::run;
use super::task::Task;
use super::{Measurement, Observer, PlacedPrior, ReconstructError, Reconstruction, Settings};
use crate::backend::Counters;
use gradus_core::Status;
use std::slice;

/// Runs that differ in the weight of the prior alone, and what they cost together.
struct Trials<'a, 'b> {
    job: usize,
    settings: &'a Settings,
    prior: &'a PlacedPrior<'a>,
    observer: Observer<'b>,
    cost: Counters,
}

impl Trials<'_, '_> {
    /// A run with so many times the variance of the noise, and with its restarts where they are wanted.
    fn run(
        &mut self,
        measurement: &Measurement,
        factor: f64,
        restarts: bool,
    ) -> Result<Reconstruction, ReconstructError> {
        Ok(self.run_all(measurement, &[factor], restarts)?.swap_remove(0))
    }

    /// The same for several factors, side by side where there is room.
    fn run_all(
        &mut self,
        measurement: &Measurement,
        factors: &[f64],
        restarts: bool,
    ) -> Result<Vec<Reconstruction>, ReconstructError> {
        let task = |factor: &f64| {
            let alpha = factor * measurement.noise_std * measurement.noise_std;
            let Some(mut recipe) = self.settings.recipe(measurement, self.prior.prior, Some(alpha))? else {
                return Err(ReconstructError::NoPrior(self.settings.method()));
            };
            recipe.restarts = recipe.restarts.filter(|_| restarts);
            Ok(Task { job: self.job, measurement, recipe })
        };
        let tasks = factors.iter().map(task).collect::<Result<Vec<_>, _>>()?;
        let mut results = Vec::new();
        for side_by_side in tasks.chunks(self.prior.at_once(&measurement.geometry)?) {
            for result in run(side_by_side, self.prior, &mut *self.observer)? {
                let result = result?;
                self.cost = self.cost.plus(&result.counters);
                results.push(Reconstruction { counters: self.cost, ..result });
            }
        }
        Ok(results)
    }
}

/// The reconstruction with the weight that the rule of a task finds; by that of the noise, the task has it already.
pub(super) fn with_weight_by_rule(
    task: &Task<'_>,
    settings: &Settings,
    prior: &PlacedPrior<'_>,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    let mut trials = Trials { job: task.job, settings, prior, observer, cost: Counters::default() };
    match task.recipe.rule {
        WeightRule::Noise => run(slice::from_ref(task), prior, trials.observer)?.swap_remove(0),
        WeightRule::Discrepancy => by_discrepancy(task, &mut trials),
        WeightRule::HeldOut => by_held_out_views(task, &mut trials),
    }
}

/// By single runs: the last of them, where that is what is wanted, else one run more.
fn by_discrepancy(task: &Task<'_>, trials: &mut Trials<'_, '_>) -> Result<Reconstruction, ReconstructError> {
    let weights = task.measurement.weights.as_deref().filter(|_| task.recipe.weighted);
    let mut last = None;
    let factor = search(&mut |factor| {
        let result = trials.run(task.measurement, factor, false)?;
        let is_stopped = result.status == Some(Status::Stopped);
        let found = discrepancy(task.measurement, weights, &result.image)?;
        last = Some((factor, result));
        Ok((!is_stopped).then_some(found))
    })?;
    match last {
        Some((_, result)) if result.status == Some(Status::Stopped) => Ok(result),
        Some((tried, result)) if tried == factor && task.recipe.restarts.is_none() => Ok(result),
        _ => trials.run(task.measurement, factor, true),
    }
}

/// By runs without every fifth view, which these are to foretell; then one with all views.
fn by_held_out_views(task: &Task<'_>, trials: &mut Trials<'_, '_>) -> Result<Reconstruction, ReconstructError> {
    let (kept, held) = task.measurement.without_every(USUAL_HOLD_OUT)?;
    let mut stopped = None;
    let factor = least(&mut |factors| {
        let results = trials.run_all(&kept, factors, false)?;
        let left = results.iter().map(|result| Ok(held.residual(&result.image)?.chi_squared()));
        let left = left.collect::<Result<Vec<f64>, ReconstructError>>()?;
        stopped = results.into_iter().find(|result| result.status == Some(Status::Stopped));
        Ok(stopped.is_none().then_some(left))
    })?;
    stopped.map_or_else(|| trials.run(task.measurement, factor, true), Ok)
}
