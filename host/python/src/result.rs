//! The result of a reconstruction.

use crate::arrays::image_array;
use crate::error::value_error;
use gradus::image::{GreyWindow, Image};
use gradus::reconstruct::{Interval, Measurement, Reconstruction as Inner, TraceRow};
use gradus::report::{Picture, picture_strip};
use gradus::trust::Residual;
use gradus_core::Outcome;
use numpy::{PyArray2, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// An image with the trace of how it came about.
#[pyclass(frozen, module = "gradus")]
pub struct Reconstruction {
    /// The result, in network units.
    pub result: Inner,
    /// The measurement that it was made from.
    pub measurement: Measurement,
    /// Intervals of a mean of runs, or the reason why there are none.
    pub interval: Option<Result<Interval, String>>,
    /// Assumptions, and what the image does not explain, one sentence each.
    pub warnings: Vec<String>,
}

impl Reconstruction {
    /// Values in 1/mm, as files have them.
    fn per_mm(&self, image: &Image) -> Image {
        let per_unit = self.measurement.attenuation_per_unit;
        let pixels = image.pixels.iter().map(|value| (f64::from(*value) * per_unit) as f32).collect();
        Image { pixels, ..*image }
    }
}

/// The word of a trace for an outcome.
fn outcome(row: &TraceRow) -> &'static str {
    match row.record.outcome {
        Outcome::Step => "step",
        Outcome::NotDescent => "not-descent",
        Outcome::NoTrialPassed => "no-trial-passed",
        Outcome::Approach => "approach",
    }
}

#[pymethods]
impl Reconstruction {
    /// Attenuation in 1/mm, [rows, columns].
    #[getter]
    fn image<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        image_array(py, &self.per_mm(&self.result.image))
    }

    /// The image in the prior's units (0 to 1), [rows, columns].
    #[getter]
    fn relative_image<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        image_array(py, &self.result.image)
    }

    /// Standard deviation of each pixel over the runs that were averaged, in 1/mm; None for one run.
    #[getter]
    fn deviation<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        self.result.deviation.as_ref().map(|deviation| image_array(py, &self.per_mm(deviation))).transpose()
    }

    /// Of a mean of runs with a calibrated prior: half the width of each pixel's interval in 1/mm [rows, columns]
    /// ("half_width"), the share of pixels that it holds ("level"), and what it is calibrated on ("calibrated_on"); or
    /// the reason why there is none ("refused"). None for one run.
    #[getter]
    fn interval<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let entries = PyDict::new(py);
        match &self.interval {
            None => return Ok(None),
            Some(Err(reason)) => entries.set_item("refused", reason)?,
            Some(Ok(interval)) => {
                entries.set_item("half_width", image_array(py, &self.per_mm(&interval.half_width))?)?;
                entries.set_item("level", interval.calibration.level)?;
                entries.set_item("calibrated_on", &interval.calibration.patients)?;
            }
        }
        Ok(Some(entries))
    }

    /// Attenuation in 1/mm of 1 in the prior's units.
    #[getter]
    fn attenuation_per_unit_per_mm(&self) -> f64 {
        self.measurement.attenuation_per_unit
    }

    /// Iterations made.
    #[getter]
    fn iterations(&self) -> u64 {
        self.result.iterations
    }

    /// alpha, or the weight of total variation; None where the method has none.
    #[getter]
    fn weight(&self) -> Option<f64> {
        self.result.weight
    }

    /// The device that computed it.
    #[getter]
    fn device(&self) -> String {
        self.result.device.to_string()
    }

    /// Warnings: assumptions, what the data do not hold or the image does not explain, an image unlike those of the
    /// prior's training, and why a device was not used.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.warnings.iter().chain(&self.result.warning).cloned().collect()
    }

    /// Mean over the rays of (A x - y)^2 over the variance of each: 1 where as much is left as the noise.
    #[getter]
    fn chi_squared(&self) -> Option<f64> {
        self.result.residual.as_ref().map(Residual::chi_squared)
    }

    /// A x - y in standard deviations of the noise, [views, bins].
    #[getter]
    fn residual<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        self.result.residual.as_ref().map(|residual| image_array(py, &residual.image)).transpose()
    }

    /// Every iteration, a column an entry, by the names of trace.csv.
    #[getter]
    fn trace<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let rows = &self.result.trace;
        let columns = PyDict::new(py);
        let number = |name: &str, of: fn(&TraceRow) -> f64| {
            columns.set_item(name, rows.iter().map(of).collect::<Vec<f64>>().to_pyarray(py))
        };
        number("iteration", |row| row.record.iteration.into())?;
        number("t", |row| row.record.t.into())?;
        columns.set_item("outcome", rows.iter().map(outcome).collect::<Vec<_>>())?;
        number("step", |row| row.record.step.into())?;
        number("trials", |row| row.record.trials.into())?;
        number("gradient_norm", |row| row.record.gradient_norm.into())?;
        number("direction_norm", |row| row.record.direction_norm.into())?;
        number("slope", |row| row.record.slope.into())?;
        number("change", |row| row.record.change.map_or(f64::NAN, f64::from))?;
        number("objective", |row| row.objective.unwrap_or(f64::NAN))?;
        Ok(columns)
    }

    /// The evidence for the conditions of Theorem 3.2; None for methods that make no claim of descent.
    #[getter]
    fn certificate<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(c) = &self.result.certificate else { return Ok(None) };
        let entries = PyDict::new(py);
        entries.set_item("steps", c.steps)?;
        entries.set_item("approach_steps", c.approach_steps)?;
        entries.set_item("ascending_steps", c.ascending_steps)?;
        entries.set_item("skipped_levels", c.skipped_levels)?;
        entries.set_item("failed_searches", c.failed_searches)?;
        entries.set_item("largest_direction", c.largest_direction)?;
        entries.set_item("least_cosine", c.least_cosine)?;
        entries.set_item("least_descent", c.least_descent)?;
        entries.set_item("gradient_norm", c.gradient_norm)?;
        entries.set_item("every_step_descended", c.every_step_descended())?;
        Ok(Some(entries))
    }

    /// The picture that a notebook shows.
    fn _repr_png_(&self) -> PyResult<Vec<u8>> {
        let image = self.result.image.clone();
        let window = GreyWindow::of(&image);
        picture_strip(&[Picture::new("result", image, window)], 2).map_err(value_error)
    }

    fn __repr__(&self) -> String {
        let Image { height, width, .. } = self.result.image;
        format!("<gradus.Reconstruction: {height} x {width} pixels after {} iterations>", self.result.iterations)
    }
}
