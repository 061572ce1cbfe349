//! One look at images by the prior alone.

use crate::backend::cpu::{Curvature, Network, NetworkError};
use crate::image::Image;
use crate::prior::Prior;
use crate::unet::PerturbationKernelSpec;

/// The mean of the images that an image could be a diffused version of, by Tweedie's formula \[Efr11\]:
///
/// ```text
/// E[x_0 | x_t] = (x_t + nu_t^2 s(x_t, t)) / gamma_t,   here x_t = image, as it is.
/// ```
#[derive(Debug)]
pub struct Denoiser {
    network: Network,
    features: Vec<f32>,
    gradients: Vec<f32>,
}

impl Denoiser {
    /// Room for so many images at once, of `height` x `width` pixels.
    ///
    /// # Errors
    /// When that size does not fit the network.
    pub fn new(prior: &Prior, (height, width): (usize, usize), images: usize) -> Result<Self, NetworkError> {
        let network = Network::new(prior, height, width, images)?;
        let room = vec![0.0; images * network.image_len()];
        Ok(Self { network, features: room.clone(), gradients: room })
    }

    /// Denoises images that lie one after the other, each at its level.
    ///
    /// # Panics
    /// When there are not as many as there is room for.
    pub fn denoise(&mut self, images: &mut [f32], levels: &[f64]) {
        let (lanes, n) = (0..self.network.n_lanes(), self.network.image_len());
        self.network.forward(lanes.clone(), images, &in_single(levels));
        for (lane, h) in self.features.chunks_exact_mut(n).enumerate() {
            h.copy_from_slice(self.network.h(lane));
        }
        self.network.vjp(lanes, &self.features, &mut self.gradients);
        less(self.network.perturbation_kernel(), levels, images, &self.gradients);
    }
}

/// The derivative of a [`Denoiser`]: with the Hessian H of the energy it is `(I - nu_t^2 H) / gamma_t`, symmetric.
#[derive(Debug)]
pub struct DenoiserDerivative {
    curvature: Curvature,
    kernel: PerturbationKernelSpec,
    products: Vec<f32>,
}

impl DenoiserDerivative {
    /// Room for so many images at once, of `height` x `width` pixels.
    ///
    /// # Errors
    /// When that size does not fit the network.
    pub fn new(prior: &Prior, (height, width): (usize, usize), images: usize) -> Result<Self, NetworkError> {
        let curvature = Curvature::new(prior, height, width, images)?;
        Ok(Self { curvature, kernel: *prior.perturbation_kernel(), products: vec![0.0; images * height * width] })
    }

    /// Multiplies vectors that lie one after the other by the derivative at each image and level.
    ///
    /// # Panics
    /// When there are not as many as there is room for.
    pub fn multiply(&mut self, images: &[f32], levels: &[f64], vectors: &mut [f32]) {
        self.curvature.product(images, &in_single(levels), vectors, &mut self.products);
        less(self.kernel, levels, vectors, &self.products);
    }
}

fn in_single(levels: &[f64]) -> Vec<f32> {
    levels.iter().map(|t| *t as f32).collect()
}

/// `x <- (x - nu_t^2 g) / gamma_t` of each image.
fn less(kernel: PerturbationKernelSpec, levels: &[f64], images: &mut [f32], gradients: &[f32]) {
    let n = images.len().checked_div(levels.len()).unwrap_or(0).max(1);
    for ((image, gradient), t) in images.chunks_exact_mut(n).zip(gradients.chunks_exact(n)).zip(levels) {
        let at = kernel.at(*t);
        let (gamma, variance) = (at.mean_scale as f32, (at.std * at.std) as f32);
        image.iter_mut().zip(gradient).for_each(|(x, g)| *x = (*x - variance * g) / gamma);
    }
}

/// One image denoised.
///
/// # Errors
/// When the image's size does not fit the network.
pub fn denoise(prior: &Prior, image: &Image, t: f64) -> Result<Image, NetworkError> {
    let mut denoised = image.clone();
    Denoiser::new(prior, (image.height, image.width), 1)?.denoise(&mut denoised.pixels, &[t]);
    Ok(denoised)
}
