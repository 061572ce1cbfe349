//! Views that an image was made without, foretold by it: no prior can flatter this check.

use super::{Job, Observer, PlacedPrior, ReconstructError, reconstruct_all};
use crate::trust::Residual;

/// The residual of every `every`-th view by an image that was made without it, for each of `jobs`.
///
/// # Errors
/// No view is left, or a run fails as in [`reconstruct_all`].
pub fn foretold(
    jobs: &[Job<'_>],
    every: usize,
    prior: Option<&PlacedPrior<'_>>,
    observer: Observer<'_>,
) -> Result<Vec<Residual>, ReconstructError> {
    let parts: Vec<_> = jobs.iter().map(|job| job.measurement.without_every(every)).collect::<Result<_, _>>()?;
    let kept = parts.iter().zip(jobs).map(|((kept, _), job)| Job { measurement: kept, settings: job.settings });
    let runs = reconstruct_all(&kept.collect::<Vec<_>>(), prior, observer)?;
    runs.into_iter().zip(&parts).map(|(run, (_, held))| held.residual(&run?.image)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Measurement, Method, Settings, SolvedSettings, WeightRule, reconstruct};
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::prior::Prior;
    use crate::simulate::{Simulation, simulate};
    use std::ops::ControlFlow;

    #[test]
    fn what_is_wrong_foretells_less_than_what_is_right() {
        let scan = simulate(&ellipses(102, 64), 1.0, &Simulation::default()).unwrap();
        let (measurement, prior) = (Measurement::new(&scan).unwrap(), Prior::named("ellipses").unwrap());
        let variance = measurement.noise_std.powi(2);
        let with =
            |factor: f64| Settings::Solved(SolvedSettings { alpha: Some(factor * variance), ..Default::default() });
        let settings = [with(1.0), with(1.0 / 64.0), with(64.0), Method::Fbp.into()];
        let jobs = settings.each_ref().map(|settings| Job { measurement: &measurement, settings });
        let go_on = &mut |_: super::super::Progress<'_>| ControlFlow::Continue(());
        let left = foretold(&jobs, 5, Some(&PlacedPrior::on_cpu(&prior)), go_on).unwrap();
        let chi: Vec<f64> = left.iter().map(Residual::chi_squared).collect();
        assert!(chi[1..].iter().all(|wrong| *wrong > 1.02 * chi[0]), "{chi:?}");
        assert!((0.9..1.3).contains(&chi[0]), "{chi:?}");
        // And the rule for the weight finds its way back.
        let found = Settings::Solved(SolvedSettings { weight: WeightRule::HeldOut, ..SolvedSettings::default() });
        let weight = reconstruct(&measurement, &found, Some(&PlacedPrior::on_cpu(&prior)), go_on).unwrap().weight;
        assert!((1.0 / 5.0..5.0).contains(&(weight.unwrap() / variance)), "{weight:?}");
    }
}
