//! The projector and its exact adjoint.

use crate::arrays::{Floats, batch_of, in_rows, receiver};
use crate::error::value_error;
use crate::geometry::Geometry;
use crate::threads::in_pool;
use gradus::ct::{FilteredBackprojector, Projector as Inner, UnknownWindow, Window};
use numpy::PyArrayDyn;
use pyo3::prelude::*;
use std::error::Error;
use std::sync::Mutex;

/// Steps of the power iteration for the norm.
const NORM_STEPS: usize = 100;

/// The linear map A from images to sinograms for one geometry, by Joseph's method, and its exact transpose.
///
/// Images are [..., rows, columns] in 1/mm, sinograms [..., views, bins] without unit; leading axes are a batch. Any
/// number of threads gives the same bits. One projector serves one call at a time; others wait. `out`, an array of
/// float32 of the result's shape, receives the result in place of a new array, as in numpy.
#[pyclass(frozen, module = "gradus")]
pub struct Projector {
    geometry: Geometry,
    // Its methods work in buffers of their own.
    inner: Mutex<Inner>,
}

type Array<'py> = Bound<'py, PyArrayDyn<f32>>;

/// The array into which a map has put each item of a batch: `out`, if there is one, else a new one.
fn mapped<'py, T: Send, E: Error + Send>(
    (py, from, out): (Python<'py>, &Floats<'py>, Option<Array<'py>>),
    what: &str,
    [(rows, columns), (to_rows, to_columns)]: [(usize, usize); 2],
    shared: &Mutex<T>,
    map: impl Fn(&mut T, &[f32], &mut [f32]) -> Result<(), E> + Sync,
) -> PyResult<Array<'py>> {
    let batch = batch_of(from, what, rows, columns)?;
    let mut to = receiver(py, out, &batch, (to_rows, to_columns))?;
    let from = in_rows(from);
    let mut items = from.chunks_exact(rows * columns).zip(to.as_slice_mut()?.chunks_exact_mut(to_rows * to_columns));
    in_pool(py, shared, |own| items.try_for_each(|(from, to)| map(own, from, to))).map_err(value_error)?;
    Ok(Bound::clone(&to))
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
    #[pyo3(signature = (images, *, out = None))]
    fn forward<'py>(&self, py: Python<'py>, images: Floats<'py>, out: Option<Array<'py>>) -> PyResult<Array<'py>> {
        let (image, sinogram) = self.shapes();
        mapped((py, &images, out), "the image", [image, sinogram], &self.inner, Inner::forward_project)
    }

    /// A^T y: the exact transpose, not a backprojection that resembles it.
    #[pyo3(signature = (sinograms, *, out = None))]
    fn adjoint<'py>(&self, py: Python<'py>, sinograms: Floats<'py>, out: Option<Array<'py>>) -> PyResult<Array<'py>> {
        let (image, sinogram) = self.shapes();
        mapped((py, &sinograms, out), "the sinogram", [sinogram, image], &self.inner, Inner::adjoint)
    }

    /// Filtered backprojection; window is "ramp", "shepp-logan" or "hann".
    #[pyo3(signature = (sinograms, window = "hann", *, out = None))]
    fn fbp<'py>(
        &self,
        py: Python<'py>,
        sinograms: Floats<'py>,
        window: &str,
        out: Option<Array<'py>>,
    ) -> PyResult<Array<'py>> {
        let window: Window = window.parse().map_err(|error: UnknownWindow| value_error(error))?;
        let own = Mutex::new(FilteredBackprojector::new(self.geometry.0.clone(), window).map_err(value_error)?);
        let (image, sinogram) = self.shapes();
        let map = FilteredBackprojector::filtered_backproject;
        mapped((py, &sinograms, out), "the sinogram", [sinogram, image], &own, map)
    }

    /// |A|, the largest singular value, from below by power iteration.
    fn norm(&self, py: Python<'_>) -> f64 {
        in_pool(py, &self.inner, |own| own.norm(NORM_STEPS))
    }

    fn __repr__(&self) -> String {
        let g = &self.geometry.0;
        let (views, bins) = (g.angles_rad.len(), g.n_bins);
        format!("<gradus.Projector: images [{}, {}] to sinograms [{views}, {bins}]>", g.height, g.width)
    }
}

impl Projector {
    /// Rows and columns of an image, and of a sinogram.
    fn shapes(&self) -> ((usize, usize), (usize, usize)) {
        let g = &self.geometry.0;
        ((g.height, g.width), (g.angles_rad.len(), g.n_bins))
    }
}
