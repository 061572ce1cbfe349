//! The projector and its exact adjoint.

use crate::arrays::{Floats, batch_array, batch_of, in_rows};
use crate::error::value_error;
use crate::geometry::Geometry;
use gradus::ct::{FilteredBackprojector, ProjectionError, Projector as Inner, UnknownWindow, Window};
use numpy::PyArrayDyn;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Steps of the power iteration for the norm.
const NORM_STEPS: usize = 100;

/// The linear map A from images to sinograms for one geometry, by Joseph's method, and its exact transpose.
///
/// Images are [..., rows, columns] in 1/mm, sinograms [..., views, bins] without unit; leading axes are a batch. Any
/// number of threads gives the same bits. One projector serves one call at a time; others wait.
#[pyclass(frozen, module = "gradus")]
pub struct Projector {
    geometry: Geometry,
    // Its methods work in buffers of their own.
    inner: Mutex<Inner>,
}

impl Projector {
    /// Applies a map to each item of a batch, without the interpreter's lock.
    fn map(
        &self,
        py: Python<'_>,
        from: &[f32],
        (length, result): (usize, usize),
        apply: impl Fn(&mut Inner, &[f32], &mut [f32]) -> Result<(), ProjectionError> + Sync,
    ) -> PyResult<Vec<f32>> {
        let mut to = vec![0.0; from.len() / length * result];
        py.detach(|| {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let inner = &mut *inner;
            let mut items = from.chunks_exact(length).zip(to.chunks_exact_mut(result));
            // Entering the pool once saves a hand-over at every loop of every item.
            rayon::scope(|_| items.try_for_each(|(from, to)| apply(inner, from, to)))
        })
        .map_err(value_error)?;
        Ok(to)
    }
}

#[pymethods]
impl Projector {
    #[new]
    fn new(geometry: Geometry) -> PyResult<Self> {
        let inner = Mutex::new(Inner::new(geometry.0.clone()).map_err(value_error)?);
        Ok(Self { geometry, inner })
    }

    /// The geometry that it was made for.
    #[getter]
    fn geometry(&self) -> Geometry {
        self.geometry.clone()
    }

    /// A x: line integrals of images.
    fn forward<'py>(&self, py: Python<'py>, images: Floats<'py>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let g = &self.geometry.0;
        let batch = batch_of(&images, "the image", g.height, g.width)?;
        let sizes = (g.image_len(), g.sinogram_len());
        let sinograms = self.map(py, &in_rows(&images), sizes, Inner::forward_project)?;
        batch_array(py, sinograms, &batch, (g.angles_rad.len(), g.n_bins))
    }

    /// A^T y: the exact transpose, not a backprojection that resembles it.
    fn adjoint<'py>(&self, py: Python<'py>, sinograms: Floats<'py>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let g = &self.geometry.0;
        let batch = batch_of(&sinograms, "the sinogram", g.angles_rad.len(), g.n_bins)?;
        let images = self.map(py, &in_rows(&sinograms), (g.sinogram_len(), g.image_len()), Inner::adjoint)?;
        batch_array(py, images, &batch, (g.height, g.width))
    }

    /// Filtered backprojection; window is "ramp", "shepp-logan" or "hann".
    #[pyo3(signature = (sinograms, window = "hann"))]
    fn fbp<'py>(&self, py: Python<'py>, sinograms: Floats<'py>, window: &str) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let window: Window = window.parse().map_err(|error: UnknownWindow| value_error(error))?;
        let g = &self.geometry.0;
        let batch = batch_of(&sinograms, "the sinogram", g.angles_rad.len(), g.n_bins)?;
        let (from, mut to) = (in_rows(&sinograms), vec![0.0; batch.iter().product::<usize>() * g.image_len()]);
        let mut fbp = FilteredBackprojector::new(g.clone(), window).map_err(value_error)?;
        py.detach(|| {
            let mut items = from.chunks_exact(g.sinogram_len()).zip(to.chunks_exact_mut(g.image_len()));
            rayon::scope(|_| items.try_for_each(|(from, to)| fbp.filtered_backproject(from, to)))
        })
        .map_err(value_error)?;
        batch_array(py, to, &batch, (g.height, g.width))
    }

    /// |A|, the largest singular value, from below by power iteration.
    fn norm(&self, py: Python<'_>) -> f64 {
        py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).norm(NORM_STEPS))
    }

    fn __repr__(&self) -> String {
        let g = &self.geometry.0;
        let (views, bins) = (g.angles_rad.len(), g.n_bins);
        format!("<gradus.Projector: images [{}, {}] to sinograms [{views}, {bins}]>", g.height, g.width)
    }
}
