//! A measured or simulated sinogram with its geometry.

use crate::arrays::{Floats, image, image_array, in_rows};
use crate::error::value_error;
use crate::geometry::Geometry;
use gradus::data::scan::Scan as Inner;
use gradus::simulate::{Simulation, simulate as simulated};
use numpy::{PyArray2, PyArrayMethods, PyUntypedArrayMethods, ToPyArray};
use pyo3::exceptions::{PyFileNotFoundError, PyValueError};
use pyo3::prelude::*;
use std::path::PathBuf;

/// A sinogram, its geometry, and what is known about the measurement.
///
/// sinogram: line integrals [views, bins], without unit. noise_std: standard deviation of Gaussian noise on them.
/// photons: those that a ray without object would count, for Poisson noise. attenuation_per_unit_per_mm: attenuation in
/// 1/mm of an image value of 1 in the prior's own units. prior: the name of the prior that suits the object. truth: the
/// true image in the prior's units, where it is known.
#[pyclass(frozen, module = "gradus")]
pub struct Scan(pub Inner);

#[pymethods]
impl Scan {
    #[new]
    #[pyo3(signature = (sinogram, geometry, *, noise_std = None, photons = None, attenuation_per_unit_per_mm = None,
                        prior = None, truth = None, note = String::new()))]
    #[expect(clippy::too_many_arguments, reason = "Python calls it by keywords")]
    fn new(
        sinogram: Floats<'_>,
        geometry: Geometry,
        noise_std: Option<f64>,
        photons: Option<f64>,
        attenuation_per_unit_per_mm: Option<f64>,
        prior: Option<String>,
        truth: Option<Floats<'_>>,
        note: String,
    ) -> PyResult<Self> {
        let (views, bins) = (geometry.0.angles_rad.len(), geometry.0.n_bins);
        if sinogram.shape() != [views, bins] {
            let shape = sinogram.shape();
            return Err(PyValueError::new_err(format!(
                "the sinogram has shape {shape:?}; expected [{views}, {bins}], views and bins of the geometry"
            )));
        }
        let scan = Inner {
            geometry: geometry.0,
            sinogram: in_rows(&sinogram).into_owned(),
            truth: truth.map(|truth| image(&truth, "the truth")).transpose()?,
            photons,
            noise_std,
            attenuation_per_unit_per_mm,
            prior,
            note,
            warnings: Vec::new(),
        };
        scan.validate().map_err(value_error)?;
        Ok(Self(scan))
    }

    /// Line integrals [views, bins].
    #[getter]
    fn sinogram<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let shape = [self.0.geometry.angles_rad.len(), self.0.geometry.n_bins];
        self.0.sinogram.to_pyarray(py).reshape(shape)
    }

    /// Image grid, views, detector and beam.
    #[getter]
    fn geometry(&self) -> Geometry {
        Geometry(self.0.geometry.clone())
    }

    /// The true image in the prior's units, or None.
    #[getter]
    fn truth<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        self.0.truth.as_ref().map(|truth| image_array(py, truth)).transpose()
    }

    /// Photons that a ray without object would count, or None.
    #[getter]
    fn photons(&self) -> Option<f64> {
        self.0.photons
    }

    /// Standard deviation of Gaussian noise on the line integrals, or None.
    #[getter]
    fn noise_std(&self) -> Option<f64> {
        self.0.noise_std
    }

    /// Attenuation in 1/mm of an image value of 1 in the prior's units, or None.
    #[getter]
    fn attenuation_per_unit_per_mm(&self) -> Option<f64> {
        self.0.attenuation_per_unit_per_mm
    }

    /// The name of the prior that suits the object, or None.
    #[getter]
    fn prior(&self) -> Option<&str> {
        self.0.prior.as_deref()
    }

    /// Origin of the data.
    #[getter]
    fn note(&self) -> &str {
        &self.0.note
    }

    /// Assumptions made in reading, one sentence each.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.0.warnings.clone()
    }

    /// Writes the scan as npz, the file that `gradus reconstruct` reads.
    fn write(&self, path: PathBuf) -> PyResult<()> {
        self.0.write(path).map_err(value_error)
    }

    fn __repr__(&self) -> String {
        let geometry = Geometry(self.0.geometry.clone()).to_string();
        format!("<gradus.Scan of {geometry}>")
    }
}

/// Reads a scan: an npz file, or a folder with scan.toml.
#[pyfunction]
pub fn read_scan(py: Python<'_>, path: PathBuf) -> PyResult<Scan> {
    if !path.exists() {
        return Err(PyFileNotFoundError::new_err(format!("there is no {}", path.display())));
    }
    py.detach(|| Inner::read(path)).map(Scan).map_err(value_error)
}

/// Simulates a scan of an image [rows, columns] in the prior's units (0 to 1), pixels of side pixel_mm.
///
/// noise: standard deviation of Gaussian noise over the mean of the line integrals; photons in its place gives Poisson
/// noise. parts: parts that each side of a pixel, and each bin, is divided into, so that the scan is not made by the
/// very operator that reconstructs it. The same seed gives the same bits everywhere.
#[pyfunction]
#[pyo3(signature = (image, *, pixel_mm = 1.0, angles = 60, noise = 0.1, photons = None, seed = 1, parts = 1,
                    prior = None))]
#[expect(clippy::too_many_arguments, reason = "Python calls it by keywords")]
pub fn simulate(
    py: Python<'_>,
    image: Floats<'_>,
    pixel_mm: f64,
    angles: usize,
    noise: f64,
    photons: Option<f64>,
    seed: u64,
    parts: usize,
    prior: Option<String>,
) -> PyResult<Scan> {
    let image = crate::arrays::image(&image, "the image")?;
    let simulation = Simulation { angles, noise, photons, seed, parts, ..Simulation::default() };
    let scan = py.detach(|| simulated(&image, pixel_mm, &simulation)).map_err(value_error)?;
    Ok(Scan(Inner { prior, ..scan }))
}
