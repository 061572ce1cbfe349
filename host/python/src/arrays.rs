//! Arrays of Python, in and out.

use gradus::image::Image;
use numpy::{AllowTypeChange, IntoPyArray, PyArray2, PyArrayDyn, PyArrayLikeDyn, PyArrayMethods, ToPyArray};
use numpy::{PyReadwriteArrayDyn, PyUntypedArrayMethods, ndarray::IxDyn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::borrow::Cow;

/// Anything that numpy takes for an array of numbers, as f32; not copied where it is one.
pub type Floats<'py> = PyArrayLikeDyn<'py, f32, AllowTypeChange>;

/// The numbers, row-major; not copied where they lie so.
pub fn in_rows<'a>(floats: &'a Floats<'_>) -> Cow<'a, [f32]> {
    let array = floats.as_array();
    // numpy's own `as_slice` also takes arrays that lie column by column.
    array.to_slice().map_or_else(|| array.iter().copied().collect::<Vec<f32>>().into(), Cow::Borrowed)
}

/// The axes before the last two, which must be `rows` and `columns` long: the shape of a batch, empty for one image.
///
/// # Errors
/// A `ValueError` that says `what` has which shape, and which is expected.
pub fn batch_of(floats: &Floats<'_>, what: &str, rows: usize, columns: usize) -> PyResult<Vec<usize>> {
    match floats.shape() {
        [batch @ .., r, c] if (*r, *c) == (rows, columns) => Ok(batch.to_vec()),
        shape => Err(PyValueError::new_err(format!(
            "{what} has shape {shape:?}; expected [{rows}, {columns}], or a batch [..., {rows}, {columns}]"
        ))),
    }
}

/// The array that receives a batch of `rows` and `columns`: `out`, if there is one, else a new one.
///
/// # Errors
/// A `ValueError` where `out` has another shape, does not lie row by row, cannot be written, or is what is read.
pub fn receiver<'py>(
    py: Python<'py>,
    out: Option<Bound<'py, PyArrayDyn<f32>>>,
    batch: &[usize],
    (rows, columns): (usize, usize),
) -> PyResult<PyReadwriteArrayDyn<'py, f32>> {
    let shape = [batch, &[rows, columns]].concat();
    let array = match out {
        Some(out) if out.shape() != shape || !out.is_c_contiguous() => {
            let (given, order) = (out.shape(), if out.is_c_contiguous() { "" } else { ", not row by row" });
            let text = format!("out has shape {given:?}{order}; expected a row-major array of shape {shape:?}");
            return Err(PyValueError::new_err(text));
        }
        Some(out) => out,
        None => PyArrayDyn::zeros(py, IxDyn(&shape), false),
    };
    array.try_readwrite().map_err(|error| PyValueError::new_err(format!("out cannot be written to: {error}")))
}

/// An array of the shape of a batch, and of `rows` and `columns`.
///
/// # Errors
/// Never, where there are as many values as the shape says.
pub fn batch_array<'py>(
    py: Python<'py>,
    values: Vec<f32>,
    batch: &[usize],
    (rows, columns): (usize, usize),
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let shape = [batch, &[rows, columns]].concat();
    values.into_pyarray(py).reshape(IxDyn(&shape))
}

/// An image as an array `[row, column]`.
pub fn image_array<'py>(py: Python<'py>, image: &Image) -> PyResult<Bound<'py, PyArray2<f32>>> {
    image.pixels.to_pyarray(py).reshape([image.height, image.width])
}

/// An image of two axes.
///
/// # Errors
/// A `ValueError` where there are more or fewer.
pub fn image(floats: &Floats<'_>, what: &str) -> PyResult<Image> {
    match *floats.shape() {
        [height, width] => Ok(Image { height, width, pixels: in_rows(floats).into_owned() }),
        ref shape => Err(PyValueError::new_err(format!("{what} has shape {shape:?}; expected [rows, columns]"))),
    }
}
