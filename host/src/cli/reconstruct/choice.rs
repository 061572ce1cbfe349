//! The choice of a prior: the one that is named or suits, or of several the one that foretells held-out views best.

use super::prepared::measured;
use crate::config::{AUTO, RunConfig, candidates};
use crate::ending::Failure;
use crate::problem::{self, Unit};
use gradus::data::scan::Scan;
use gradus::prior::{EMBEDDED, Prior, embedded};
use gradus::reconstruct::{
    Job, Observer, PlacedPrior, Settings, SolvedSettings, USUAL_HOLD_OUT, WeightRule, field_of, foretold, in_field,
};
use gradus::trust::Field;
use miette::{IntoDiagnostic, WrapErr};

/// The prior of a run, and what else was tried.
#[derive(Debug, Default)]
pub struct Choice {
    /// None for methods without one.
    pub prior: Option<Prior>,
    /// Of several candidates each with what it leaves of held-out views, in standard deviations a ray.
    pub tried: Vec<(String, f64)>,
}

/// The prior of a learned method, named in `run` from then on.
pub fn choose(run: &mut RunConfig, scan: &Scan, observer: Observer<'_>) -> Result<Choice, Failure> {
    if !run.reconstruction.method().is_learned() {
        return Ok(Choice::default());
    }
    // A scan that does not say what suits it is taken to be of a body.
    let usual = || scan.prior.clone().unwrap_or_else(|| Unit::Hounsfield.prior().to_owned());
    let named = run.prior.take().unwrap_or_else(usual);
    let names = if named == AUTO { suiting(scan) } else { candidates(&named) };
    let [first, others @ ..] = names.as_slice() else { return Ok(Choice::default()) };
    if others.is_empty() {
        return Ok(Choice { prior: Some(problem::prior(run.prior.insert((*first).to_owned()))?), tried: Vec::new() });
    }
    let field = field_of(scan).into_diagnostic()?;
    let scan = in_field(scan, &field);
    let (mut best, mut tried) = (None, Vec::new());
    for name in names {
        let prior = problem::prior(name)?;
        let left =
            sigma(run, (&scan, &field), &prior, &mut *observer).wrap_err_with(|| format!("with the prior {name}"))?;
        tried.push((name.to_owned(), left));
        if best.as_ref().is_none_or(|(_, least)| left < *least) {
            best = Some((prior, left));
        }
    }
    let prior = best.map(|(prior, _)| prior);
    run.prior = prior.as_ref().map(|prior| prior.name().to_owned());
    Ok(Choice { prior, tried })
}

/// The embedded priors for the unit that the scan says; all of them, where it says none.
fn suiting(scan: &Scan) -> Vec<&'static str> {
    let unit = scan.prior.as_deref().and_then(embedded).map(|prior| prior.suits.unit);
    let may_suit = EMBEDDED.iter().filter(|prior| unit.is_none_or(|unit| prior.suits.unit == unit));
    may_suit.map(|prior| prior.name).collect()
}

/// The residual of a single run with a prior in the views that it does not see, in standard deviations a ray.
fn sigma(run: &RunConfig, scan: (&Scan, &Field), prior: &Prior, observer: Observer<'_>) -> Result<f64, Failure> {
    let measurement = measured(scan.0, Some(prior))?.within(scan.1);
    let mut settings = match run.reconstruction.clone() {
        Settings::Solved(own) => Settings::Solved(SolvedSettings { weight: WeightRule::Noise, ..own }),
        other => other,
    };
    settings.average_mut().into_iter().for_each(|average| *average = 1);
    let (device, precision) = (run.device.unwrap_or_default(), run.precision.unwrap_or_default());
    let jobs = [Job { measurement: &measurement, settings: &settings }];
    let placed = PlacedPrior::open_for(&jobs[0], 1, prior, device, precision).into_diagnostic()?;
    let every = run.hold_out.unwrap_or(USUAL_HOLD_OUT);
    let left = foretold(&jobs, every, Some(&placed), observer).into_diagnostic()?;
    Ok(left.first().map_or(f64::INFINITY, |residual| residual.chi_squared().sqrt()))
}
