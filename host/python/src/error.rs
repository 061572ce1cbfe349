//! Errors of the library as exceptions of Python.

use gradus::reconstruct::ReconstructError;
use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use std::error::Error;
use std::iter::successors;

/// The error and its causes, in the words of the command line.
fn words(error: &dyn Error) -> String {
    let causes = successors(Some(error), |&error: &&dyn Error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A `ValueError`: what was given makes no sense.
pub fn value_error(error: impl Error) -> PyErr {
    PyValueError::new_err(words(&error))
}

/// A `RuntimeError` where a device or a run failed, a `ValueError` where what was given makes no sense.
pub fn run_error(error: ReconstructError) -> PyErr {
    match error {
        ReconstructError::Device(_) | ReconstructError::Slices(_) | ReconstructError::Broke { .. } => {
            PyRuntimeError::new_err(words(&error))
        }
        given => value_error(given),
    }
}
