//! One look at an image by the prior alone.

use super::ReconstructError;
use crate::backend::cpu::Network;
use crate::image::Image;
use crate::unet::Weights;

/// The mean of the images that `image` could be a diffused version of, by Tweedie's formula \[Efr11\]:
///
/// ```text
/// E[x_0 | x_t] = (x_t + nu_t^2 s(x_t, t)) / gamma_t,   here x_t = image, as it is.
/// ```
///
/// # Errors
/// `Network`, when the image's size does not fit.
pub fn denoise(prior: &Weights, image: &Image, t: f64) -> Result<Image, ReconstructError> {
    let mut network = Network::new(prior, image.height, image.width, 1)?;
    network.forward(0..1, &image.pixels, &[t as f32]);
    let h = network.h(0).to_vec();
    let mut gradient = vec![0.0; h.len()];
    network.vjp(0..1, &h, &mut gradient);
    let kernel = prior.perturbation_kernel().at(t);
    let (gamma, variance) = (kernel.mean_scale as f32, (kernel.std * kernel.std) as f32);
    let pixels = image.pixels.iter().zip(&gradient).map(|(x, g)| (x - variance * g) / gamma).collect();
    Ok(Image { pixels, ..*image })
}
