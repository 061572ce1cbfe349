//! A learned prior as a denoiser, a score and an energy.

use crate::arrays::{Floats, batch_array, in_rows};
use crate::error::value_error;
use crate::kept::Kept;
use gradus::backend::cpu::Network;
use gradus::prior::Prior as Inner;
use gradus::reconstruct::{Denoiser, DenoiserDerivative};
use numpy::{IntoPyArray, PyArray1, PyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::borrow::Cow;

/// A learned, energy-based diffusion prior: -log p_t(x) = |h(x, t)|^2 / 2 up to a constant, at every noise level t.
///
/// name: "ellipses", "ct", "disc", or a weights file. Images are [..., rows, columns] in the prior's units (0 to 1), t
/// is in (0, 1], one for all images or one for each; at level t an image x is mean_scale x + std z with normal z.
/// The memory of the last batch is kept for the next one of its size. One call is served at a time; others wait.
#[pyclass(frozen, module = "gradus")]
pub struct Prior {
    /// The library's.
    pub inner: Inner,
    networks: Kept<Size, Network>,
    denoisers: Kept<Size, Denoiser>,
    derivatives: Kept<Size, DenoiserDerivative>,
}

/// Number, rows and columns of images.
type Size = (usize, usize, usize);

/// The level of all images, or that of each.
#[derive(FromPyObject)]
pub enum Levels {
    /// Of all.
    One(f64),
    /// Of each, in the order of the images.
    Each(Vec<f64>),
}

/// Images of a batch, one after the other, with their levels.
struct Batch<'a> {
    /// The axes before the last two.
    shape: &'a [usize],
    size: Size,
    pixels: Cow<'a, [f32]>,
    levels: Vec<f64>,
}

impl<'a> Batch<'a> {
    fn of(images: &'a Floats<'_>, t: Levels) -> PyResult<Self> {
        let [shape @ .., height, width] = images.shape() else {
            let shape = images.shape();
            let words = format!("the image has shape {shape:?}; expected [..., rows, columns]");
            return Err(PyValueError::new_err(words));
        };
        let count = shape.iter().product();
        let levels = match t {
            Levels::One(t) => vec![t; count],
            Levels::Each(levels) if levels.len() == count => levels,
            Levels::Each(levels) => {
                let words = format!("t has {} levels for {count} images; give one, or one for each", levels.len());
                return Err(PyValueError::new_err(words));
            }
        };
        if let Some(t) = levels.iter().find(|t| !(**t > 0.0 && **t <= 1.0)) {
            return Err(PyValueError::new_err(format!("t is {t}; give a level above 0 and up to 1")));
        }
        Ok(Self { shape, size: (count, *height, *width), pixels: in_rows(images), levels })
    }

    fn array<'py>(&self, py: Python<'py>, values: Vec<f32>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        batch_array(py, values, self.shape, (self.size.1, self.size.2))
    }
}

impl From<Inner> for Prior {
    fn from(inner: Inner) -> Self {
        Self { inner, networks: Kept::new(), denoisers: Kept::new(), derivatives: Kept::new() }
    }
}

impl Prior {
    /// The network after a forward pass over all images, for `work`.
    fn forward<R: Send>(
        &self,
        py: Python<'_>,
        batch: &Batch<'_>,
        work: impl FnOnce(&mut Network) -> R + Send,
    ) -> PyResult<R> {
        let (count, height, width) = batch.size;
        let times: Vec<f32> = batch.levels.iter().map(|t| *t as f32).collect();
        let make = || Network::new(&self.inner, height, width, count);
        let done = py.detach(|| {
            self.networks.with(batch.size, make, |network| {
                network.forward(0..count, &batch.pixels, &times);
                work(network)
            })
        });
        done.map_err(value_error)
    }
}

#[pymethods]
impl Prior {
    #[new]
    fn new(name: &str) -> PyResult<Self> {
        Inner::named(name).map(Self::from).map_err(value_error)
    }

    /// The name that it was made by.
    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// The images that it suits, in words; None where its file does not say.
    #[getter]
    fn suits(&self) -> Option<String> {
        self.inner.suits().map(ToString::to_string)
    }

    /// mean_scale and std of the perturbation kernel at level t.
    fn perturbation_kernel(&self, t: f64) -> (f64, f64) {
        let kernel = self.inner.perturbation_kernel().at(t);
        (kernel.mean_scale, kernel.std)
    }

    /// E[x_0 | x_t] by Tweedie's formula: the mean of the images that each image could be a noisy version of.
    fn denoise<'py>(&self, py: Python<'py>, images: Floats<'py>, t: Levels) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let batch = Batch::of(&images, t)?;
        let (count, height, width) = batch.size;
        let mut pixels = batch.pixels.to_vec();
        let make = || Denoiser::new(&self.inner, (height, width), count);
        let work = |denoiser: &mut Denoiser| denoiser.denoise(&mut pixels, &batch.levels);
        py.detach(|| self.denoisers.with(batch.size, make, work)).map_err(value_error)?;
        batch.array(py, pixels)
    }

    /// Vectors of the images' shape times the derivative of `denoise` at the images, which is symmetric: exact, by
    /// second derivatives of the energy.
    fn denoise_vjp<'py>(
        &self,
        py: Python<'py>,
        images: Floats<'py>,
        t: Levels,
        vectors: Floats<'py>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let batch = Batch::of(&images, t)?;
        if vectors.shape() != images.shape() {
            let words = format!("the vectors have shape {:?}, the images {:?}", vectors.shape(), images.shape());
            return Err(PyValueError::new_err(words));
        }
        let (count, height, width) = batch.size;
        let mut products = in_rows(&vectors).into_owned();
        let make = || DenoiserDerivative::new(&self.inner, (height, width), count);
        let work =
            |derivative: &mut DenoiserDerivative| derivative.multiply(&batch.pixels, &batch.levels, &mut products);
        py.detach(|| self.derivatives.with(batch.size, make, work)).map_err(value_error)?;
        batch.array(py, products)
    }

    /// The score, grad log p_t(x) = -J_h^T h.
    fn score<'py>(&self, py: Python<'py>, images: Floats<'py>, t: Levels) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let batch = Batch::of(&images, t)?;
        let count = batch.size.0;
        let score = self.forward(py, &batch, |network| {
            let features: Vec<f32> = (0..count).flat_map(|lane| network.h(lane).to_vec()).collect();
            let mut score = vec![0.0; features.len()];
            network.vjp(0..count, &features, &mut score);
            score.iter_mut().for_each(|value| *value = -*value);
            score
        })?;
        batch.array(py, score)
    }

    /// The energy |h(x, t)|^2 / 2 of each image: -log p_t(x) up to a constant of t.
    fn energy<'py>(&self, py: Python<'py>, images: Floats<'py>, t: Levels) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let batch = Batch::of(&images, t)?;
        let energies = |network: &mut Network| (0..batch.size.0).map(|lane| network.energy(lane)).collect::<Vec<f64>>();
        Ok(self.forward(py, &batch, energies)?.into_pyarray(py))
    }

    fn __repr__(&self) -> String {
        match self.suits() {
            Some(suits) => format!("<gradus.Prior {:?}, for {suits}>", self.inner.name()),
            None => format!("<gradus.Prior {:?}>", self.inner.name()),
        }
    }
}
