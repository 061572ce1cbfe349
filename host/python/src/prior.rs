//! A learned prior as a denoiser, a score and an energy.

use crate::arrays::{Floats, batch_array, in_rows};
use crate::error::value_error;
use gradus::backend::cpu::Network;
use gradus::prior::Prior as Inner;
use gradus::reconstruct::Denoiser;
use numpy::{IntoPyArray, PyArray1, PyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A learned, energy-based diffusion prior: -log p_t(x) = |h(x, t)|^2 / 2 up to a constant, at every noise level t.
///
/// name: "ellipses", "ct", or a weights file. Images are [..., rows, columns] in the prior's units (0 to 1), t is in
/// (0, 1]; at level t an image x is mean_scale x + std z with standard normal z.
#[pyclass(frozen, module = "gradus")]
pub struct Prior(pub Inner);

/// Images of a batch, one after the other.
struct Batch<'a> {
    shape: &'a [usize],
    height: usize,
    width: usize,
    count: usize,
}

impl<'a> Batch<'a> {
    fn of(images: &'a Floats<'_>, t: f64) -> PyResult<Self> {
        if !(t > 0.0 && t <= 1.0) {
            return Err(PyValueError::new_err(format!("t is {t}; give a level above 0 and up to 1")));
        }
        match images.shape() {
            [shape @ .., height, width] => {
                Ok(Self { shape, height: *height, width: *width, count: shape.iter().product() })
            }
            shape => {
                Err(PyValueError::new_err(format!("the image has shape {shape:?}; expected [..., rows, columns]")))
            }
        }
    }
}

impl Prior {
    /// A forward pass over all images.
    fn forward(&self, images: &Floats<'_>, batch: &Batch<'_>, t: f64) -> PyResult<Network> {
        let network = Network::new(self.0.weights(), batch.height, batch.width, batch.count.max(1));
        let mut network = network.map_err(value_error)?;
        let times = vec![t as f32; batch.count];
        network.forward(0..batch.count, &in_rows(images), &times);
        Ok(network)
    }
}

#[pymethods]
impl Prior {
    #[new]
    fn new(name: &str) -> PyResult<Self> {
        Inner::named(name).map(Self).map_err(value_error)
    }

    /// The name that it was made by.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The images that it suits, in words; None where its file does not say.
    #[getter]
    fn suits(&self) -> Option<String> {
        self.0.suits().map(ToString::to_string)
    }

    /// mean_scale and std of the perturbation kernel at level t.
    fn perturbation_kernel(&self, t: f64) -> (f64, f64) {
        let kernel = self.0.perturbation_kernel().at(t);
        (kernel.mean_scale, kernel.std)
    }

    /// E[x_0 | x_t] by Tweedie's formula: the mean of the images that each image could be a noisy version of.
    fn denoise<'py>(&self, py: Python<'py>, images: Floats<'py>, t: f64) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let batch = Batch::of(&images, t)?;
        let mut pixels = in_rows(&images).into_owned();
        let levels = vec![t; batch.count];
        let denoiser = Denoiser::new(&self.0, (batch.height, batch.width), batch.count);
        let mut denoiser = denoiser.map_err(value_error)?;
        py.detach(|| denoiser.denoise(&mut pixels, &levels));
        batch_array(py, pixels, batch.shape, (batch.height, batch.width))
    }

    /// The score, grad log p_t(x) = -J_h^T h.
    fn score<'py>(&self, py: Python<'py>, images: Floats<'py>, t: f64) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let batch = Batch::of(&images, t)?;
        let mut network = self.forward(&images, &batch, t)?;
        let features: Vec<f32> = (0..batch.count).flat_map(|lane| network.h(lane).to_vec()).collect();
        let mut score = vec![0.0; features.len()];
        py.detach(|| network.vjp(0..batch.count, &features, &mut score));
        score.iter_mut().for_each(|value| *value = -*value);
        batch_array(py, score, batch.shape, (batch.height, batch.width))
    }

    /// The energy |h(x, t)|^2 / 2 of each image: -log p_t(x) up to a constant of t.
    fn energy<'py>(&self, py: Python<'py>, images: Floats<'py>, t: f64) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let batch = Batch::of(&images, t)?;
        let network = self.forward(&images, &batch, t)?;
        let energies: Vec<f64> = (0..batch.count).map(|lane| network.energy(lane)).collect();
        Ok(energies.into_pyarray(py))
    }

    fn __repr__(&self) -> String {
        match self.suits() {
            Some(suits) => format!("<gradus.Prior {:?}, for {suits}>", self.0.name()),
            None => format!("<gradus.Prior {:?}>", self.0.name()),
        }
    }
}
