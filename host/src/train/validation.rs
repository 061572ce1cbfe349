//! What the averaged weights can do, on images that training never sees: denoise and reconstruct.

use super::config::ValidationConfig;
use super::images::Images;
use crate::backend::DeviceChoice;
use crate::backend::cpu::{Network, NetworkError};
use crate::image::Image;
use crate::metrics::psnr;
use crate::reconstruct::{Measurement, Method, ReconstructError, Settings, reconstruct};
use crate::simulate::{Simulation, simulate};
use crate::unet::Weights;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::error::Error;
use std::ops::ControlFlow;

/// Smoothing levels at which denoising is measured.
pub const LEVELS: [f64; 5] = [0.001, 0.01, 0.05, 0.2, 0.5];

/// Seed of the validation noise.
const SEED: u64 = 1;

/// Mean PSNR in dB of the denoised images (x_t + nu_t^2 s(x_t, t))/gamma_t at each of [`LEVELS`] (data range 1).
///
/// # Errors
/// When the images' size does not fit the network.
pub fn denoising_db(weights: &Weights, images: &[Image]) -> Result<[f64; LEVELS.len()], NetworkError> {
    let Some(Image { height, width, .. }) = images.first() else { return Ok([f64::NAN; LEVELS.len()]) };
    let mut network = Network::new(weights, *height, *width, LEVELS.len())?;
    let n = network.image_len();
    let (mut x_t, mut h, mut d) =
        (vec![0.0; LEVELS.len() * n], vec![0.0; LEVELS.len() * n], vec![0.0; LEVELS.len() * n]);
    let mut sums = [0.0; LEVELS.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let kernels = LEVELS.map(|t| weights.perturbation_kernel().at(t));
    for image in images {
        for (x_t, kernel) in x_t.chunks_exact_mut(n).zip(kernels) {
            for (x_t, x) in x_t.iter_mut().zip(&image.pixels) {
                let z: f32 = StandardNormal.sample(&mut rng);
                *x_t = kernel.mean_scale as f32 * x + kernel.std as f32 * z;
            }
        }
        network.forward(0..LEVELS.len(), &x_t, &LEVELS.map(|t| t as f32));
        for (lane, h) in h.chunks_exact_mut(n).enumerate() {
            h.copy_from_slice(network.h(lane));
        }
        network.vjp(0..LEVELS.len(), &h, &mut d);
        let passes = x_t.chunks_exact(n).zip(d.chunks_exact(n)).zip(kernels);
        for (sum, ((x_t, d), kernel)) in sums.iter_mut().zip(passes) {
            let (variance, gamma) = ((kernel.std * kernel.std) as f32, kernel.mean_scale as f32);
            let pixels = x_t.iter().zip(d).map(|(x, d)| (x - variance * d) / gamma).collect();
            *sum += psnr(image, &Image { pixels, ..*image }, 1.0).unwrap_or(f64::NAN);
        }
    }
    Ok(sums.map(|sum| sum / images.len() as f64))
}

/// Mean PSNR in dB of reconstructions by Algorithm 2, 60 views (data range 1); `None` when none are asked for.
///
/// # Errors
/// When an image cannot be scanned or reconstructed.
pub(super) fn reconstruction_db(
    weights: &Weights,
    config: &ValidationConfig,
    images: &Images,
) -> Result<Option<f64>, Box<dyn Error + Send + Sync>> {
    let images = images.validation(config.reconstructions);
    let settings = Settings {
        method: Method::GradientLike,
        steps: config.iterations,
        device: DeviceChoice::Cpu,
        ..Settings::default()
    };
    let mut sum = 0.0;
    for (seed, image) in images.iter().enumerate() {
        let simulation = Simulation { noise: config.noise, seed: seed as u64 + 1, ..Simulation::default() };
        let measurement = Measurement::new(&simulate(image, 1.0, &simulation)?)?;
        let run = reconstruct(&measurement, &settings, Some(weights), &mut |_| ControlFlow::Continue(()));
        match run {
            Ok(run) => sum += psnr(image, &run.image, 1.0)?,
            // Weights from early in the training may give an energy that no descent survives: no dB, but no end of the training.
            Err(ReconstructError::Broke { .. }) => sum += f64::NAN,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((!images.is_empty()).then(|| sum / images.len() as f64))
}
