//! Tests of the averaged weights on images that training never sees: denoising and reconstruction.

use super::config::ValidationConfig;
use super::images::Images;
use crate::backend::cpu::NetworkError;
use crate::image::Image;
use crate::metrics::psnr;
use crate::prior::Prior;
use crate::reconstruct::{
    Denoiser, GradientLikeSettings, GraduatedSettings, Job, Measurement, PlacedPrior, ReconstructError, Settings,
    reconstruct_all,
};
use crate::simulate::{Simulation, simulate};
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
pub fn denoising_db(prior: &Prior, images: &[Image]) -> Result<[f64; LEVELS.len()], NetworkError> {
    let Some(Image { height, width, .. }) = images.first() else { return Ok([f64::NAN; LEVELS.len()]) };
    let mut denoiser = Denoiser::new(prior, (*height, *width), LEVELS.len())?;
    let n = height * width;
    let (mut x_t, mut sums) = (vec![0.0; LEVELS.len() * n], [0.0; LEVELS.len()]);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let kernels = LEVELS.map(|t| prior.perturbation_kernel().at(t));
    for image in images {
        for (x_t, kernel) in x_t.chunks_exact_mut(n).zip(kernels) {
            for (x_t, x) in x_t.iter_mut().zip(&image.pixels) {
                let z: f32 = StandardNormal.sample(&mut rng);
                *x_t = kernel.mean_scale as f32 * x + kernel.std as f32 * z;
            }
        }
        denoiser.denoise(&mut x_t, &LEVELS);
        for (sum, pixels) in sums.iter_mut().zip(x_t.chunks_exact(n)) {
            *sum += psnr(image, &Image { pixels: pixels.to_vec(), ..*image }, 1.0).unwrap_or(f64::NAN);
        }
    }
    Ok(sums.map(|sum| sum / images.len() as f64))
}

/// Mean PSNR in dB of reconstructions by Algorithm 2, 60 views (data range 1); `None` when none are asked for.
///
/// # Errors
/// When an image cannot be scanned or reconstructed.
pub(super) fn reconstruction_db(
    prior: &Prior,
    config: &ValidationConfig,
    images: &Images,
) -> Result<Option<f64>, Box<dyn Error + Send + Sync>> {
    let images = images.validation(config.reconstructions);
    let graduated = GraduatedSettings { steps: config.iterations, ..GraduatedSettings::default() };
    let settings = Settings::GradientLike(GradientLikeSettings { graduated, ..GradientLikeSettings::default() });
    let measurements = images.iter().enumerate().map(|(seed, image)| {
        let simulation = Simulation { noise: config.noise, seed: seed as u64 + 1, ..Simulation::default() };
        Ok(Measurement::new(&simulate(image, 1.0, &simulation)?)?)
    });
    let measurements = measurements.collect::<Result<Vec<_>, Box<dyn Error + Send + Sync>>>()?;
    let jobs: Vec<Job<'_>> = measurements.iter().map(|measurement| Job { measurement, settings: &settings }).collect();
    let prior = PlacedPrior::on_cpu(prior);
    let runs = reconstruct_all(&jobs, Some(&prior), &mut |_| ControlFlow::Continue(()))?;
    let mut sum = 0.0;
    for (image, run) in images.iter().zip(runs) {
        match run {
            Ok(run) => sum += psnr(image, &run.image, 1.0)?,
            // Weights from early in the training may give an energy that no descent survives: no dB, but no end of the
            // training.
            Err(ReconstructError::Broke { .. }) => sum += f64::NAN,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((!images.is_empty()).then(|| sum / images.len() as f64))
}
