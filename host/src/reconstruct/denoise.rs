//! One look at images by the prior alone.

use crate::backend::cpu::{Network, NetworkError};
use crate::image::Image;
use crate::prior::Prior;

/// The mean of the images that an image could be a diffused version of, by Tweedie's formula \[Efr11\]:
///
/// ```text
/// E[x_0 | x_t] = (x_t + nu_t^2 s(x_t, t)) / gamma_t,   here x_t = image, as it is.
/// ```
#[derive(Debug)]
pub struct Denoiser<'a> {
    prior: &'a Prior,
    network: Network,
    features: Vec<f32>,
    gradients: Vec<f32>,
}

impl<'a> Denoiser<'a> {
    /// Room for so many images at once, of `height` x `width` pixels.
    ///
    /// # Errors
    /// When that size does not fit the network.
    pub fn new(prior: &'a Prior, (height, width): (usize, usize), images: usize) -> Result<Self, NetworkError> {
        let network = Network::new(prior, height, width, images)?;
        let room = vec![0.0; images * network.image_len()];
        Ok(Self { prior, network, features: room.clone(), gradients: room })
    }

    /// Denoises images that lie one after the other, each at its level.
    ///
    /// # Panics
    /// When there are not as many as there is room for.
    pub fn denoise(&mut self, images: &mut [f32], levels: &[f64]) {
        let (lanes, n) = (0..self.network.n_lanes(), self.network.image_len());
        let times: Vec<f32> = levels.iter().map(|t| *t as f32).collect();
        self.network.forward(lanes.clone(), images, &times);
        for (lane, h) in self.features.chunks_exact_mut(n).enumerate() {
            h.copy_from_slice(self.network.h(lane));
        }
        self.network.vjp(lanes, &self.features, &mut self.gradients);
        for ((image, gradient), t) in images.chunks_exact_mut(n).zip(self.gradients.chunks_exact(n)).zip(levels) {
            let kernel = self.prior.perturbation_kernel().at(*t);
            let (gamma, variance) = (kernel.mean_scale as f32, (kernel.std * kernel.std) as f32);
            image.iter_mut().zip(gradient).for_each(|(x, g)| *x = (*x - variance * g) / gamma);
        }
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
