//! The reconstruction of a scan.

use crate::error::{run_error, value_error};
use crate::prior::Prior;
use crate::result::Reconstruction;
use crate::scan::Scan;
use crate::settings::settings;
use gradus::backend::{DeviceChoice, Precision};
use gradus::image::Image;
use gradus::prior::{Prior as InnerPrior, Unit, suiting};
use gradus::reconstruct::{
    Interval, Job, Measurement, PlacedPrior, Progress, Settings, cut_to, field_of, in_field,
    reconstruct as reconstructed,
};
use gradus::trust::{Look, TrainingLooks};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ops::ControlFlow;

/// A prior, or the name of one.
#[derive(FromPyObject)]
pub enum Named {
    /// A prior that is there.
    Prior(Py<Prior>),
    /// A name.
    Name(String),
}

impl Named {
    /// The prior, or that of the scan.
    fn prior(this: Option<Self>, scan: &Scan) -> PyResult<InnerPrior> {
        let name = match this {
            Some(Self::Prior(prior)) => return Ok(prior.get().inner.clone()),
            Some(Self::Name(name)) => name,
            None => scan.0.prior.clone().unwrap_or_else(|| suiting(Unit::Hounsfield).name.to_owned()),
        };
        InnerPrior::named(&name).map_err(value_error)
    }
}

/// Calls Python between iterations: for its progress, and to see whether Ctrl-C was pressed.
struct Watch {
    progress: Option<Py<PyAny>>,
    /// The exception that was raised there.
    raised: Option<PyErr>,
}

impl Watch {
    fn look(&mut self, progress: &Progress<'_>) -> ControlFlow<()> {
        let looked = Python::attach(|py| {
            py.check_signals()?;
            match &self.progress {
                Some(call) => call.call1(py, (progress.done, progress.total)).map(drop),
                None => Ok(()),
            }
        });
        match looked {
            Ok(()) => ControlFlow::Continue(()),
            Err(raised) => {
                self.raised = Some(raised);
                ControlFlow::Break(())
            }
        }
    }
}

/// Reconstructs a scan; see `gradus.reconstruct`.
#[pyfunction]
#[pyo3(signature = (scan, method, prior, device, progress, given))]
pub fn reconstruct(
    py: Python<'_>,
    scan: &Bound<'_, Scan>,
    method: &str,
    prior: Option<Named>,
    device: &str,
    progress: Option<Py<PyAny>>,
    given: &Bound<'_, PyDict>,
) -> PyResult<Reconstruction> {
    let scan = scan.get();
    let settings = settings(method, Some(given))?;
    let device: DeviceChoice = device.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?;
    let prior = match settings.method().is_learned() {
        true => Some(Named::prior(prior, scan)?),
        false if prior.is_some() => {
            return Err(PyValueError::new_err(format!("method {method} has no prior; leave it out")));
        }
        false => None,
    };
    let mut watch = Watch { progress, raised: None };
    let result = py.detach(|| run(scan, settings, prior.as_ref(), device, &mut watch));
    match watch.raised {
        Some(raised) => Err(raised),
        None => result,
    }
}

/// The run, as the command line makes it.
fn run(
    scan: &Scan,
    settings: Settings,
    prior: Option<&InnerPrior>,
    device: DeviceChoice,
    watch: &mut Watch,
) -> PyResult<Reconstruction> {
    let scan = &scan.0;
    let field = field_of(scan).map_err(value_error)?;
    let whole = in_field(scan, &field);
    let measurement = match prior {
        Some(prior) => Measurement::suiting(&whole, prior),
        None => Measurement::new(&whole),
    };
    let measurement = measurement.map_err(run_error)?.within(&field);
    let settings = match prior {
        Some(prior) => settings.suiting(prior, &measurement),
        None => settings,
    };
    let job = Job { measurement: &measurement, settings: &settings };
    let open = |prior| PlacedPrior::open_for(&job, 1, prior, device, Precision::Full);
    let placed = prior.map(open).transpose().map_err(value_error)?;
    let mut observe = |progress: Progress<'_>| watch.look(&progress);
    let mut result = reconstructed(&measurement, &settings, placed.as_ref(), &mut observe).map_err(run_error)?;
    let unlike = prior.map(|prior| unlike(&result.image, prior)).transpose()?.flatten();
    let mut interval = prior.and_then(|prior| Interval::of(&result, prior, &whole, job));
    let cut = |image: &Image| cut_to(image, scan.geometry.height, scan.geometry.width);
    if let Some(Ok(interval)) = &mut interval {
        interval.half_width = cut(&interval.half_width);
    }
    (result.image, result.deviation) = (cut(&result.image), result.deviation.as_ref().map(cut));
    let assumed = scan.warnings.iter().cloned().chain(field.warnings());
    let fit = |residual| measurement.fit_warning(settings.method(), residual, false);
    let found = unlike.into_iter().chain(result.residual.as_ref().and_then(fit));
    let warnings = assumed.chain(measurement.warnings.iter().cloned()).chain(found).collect();
    Ok(Reconstruction { result, measurement, interval, warnings })
}

/// Said of an image that is far from those that the prior learned from.
fn unlike(image: &Image, prior: &InnerPrior) -> PyResult<Option<String>> {
    let Some(Ok(looks)) = TrainingLooks::in_weights(prior.weights()) else { return Ok(None) };
    if looks.sides != [image.height, image.width] {
        return Ok(None);
    }
    let look = Look::at(image, prior).map_err(value_error)?;
    Ok(looks.warning(prior.name(), looks.distance(&look)))
}
