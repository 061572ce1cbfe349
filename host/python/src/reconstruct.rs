//! The reconstruction of a scan.

use crate::error::{run_error, value_error};
use crate::prior::Prior;
use crate::result::Reconstruction;
use crate::scan::Scan;
use crate::settings::settings;
use gradus::backend::{DeviceChoice, Precision};
use gradus::prior::Prior as InnerPrior;
use gradus::reconstruct::{Measurement, PlacedPrior, Progress, reconstruct as reconstructed};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ops::ControlFlow;

/// The prior of a scan that says none.
const USUAL_PRIOR: &str = "ct";

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
            Some(Self::Prior(prior)) => return Ok(prior.get().0.clone()),
            Some(Self::Name(name)) => name,
            None => scan.0.prior.clone().unwrap_or_else(|| USUAL_PRIOR.to_owned()),
        };
        InnerPrior::named(&name).map_err(value_error)
    }
}

/// Calls Python between iterations: for its progress, and to see whether Ctrl-C was pressed.
struct Watch {
    progress: Option<Py<PyAny>>,
    /// What was raised there.
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
    let mut settings = settings(method, Some(given))?;
    let device: DeviceChoice = device.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?;
    let prior = match settings.method().is_learned() {
        true => Some(Named::prior(prior, scan)?),
        false if prior.is_some() => {
            return Err(PyValueError::new_err(format!("method {method} has no prior; leave it out")));
        }
        false => None,
    };
    if let Some(prior) = &prior {
        settings = settings.with_prior(prior);
    }
    let mut watch = Watch { progress, raised: None };
    let result = py.detach(|| {
        let measurement = Measurement::new(&scan.0).map_err(run_error)?;
        let placed = prior.as_ref().map(|prior| PlacedPrior::open(prior, device, Precision::Full));
        let placed = placed.transpose().map_err(value_error)?;
        let mut observe = |progress: Progress<'_>| watch.look(&progress);
        let result = reconstructed(&measurement, &settings, placed.as_ref(), &mut observe).map_err(run_error)?;
        Ok(Reconstruction { result, measurement, warnings: scan.0.warnings.clone() })
    });
    match watch.raised {
        Some(raised) => Err(raised),
        None => result,
    }
}
