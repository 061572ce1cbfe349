//! Samples of training: a crop of an image, turned and flipped, under noise. Sample number n is the same whenever it is
//! made.

use super::config::Smoothing;
use super::images::{Images, below};
use super::initial::uniform;
use crate::backend::cpu::TrainingBatch;
use crate::unet::{Parametrisation, PerturbationKernelSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Images of a step, one after the other.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) x_t: Vec<f32>,
    pub(super) z: Vec<f32>,
    pub(super) t: Vec<f32>,
    pub(super) weights: Vec<f32>,
}

/// The maker of samples.
#[derive(Debug)]
pub(super) struct Sampler<'a> {
    pub(super) images: &'a Images,
    pub(super) seed: u64,
    pub(super) crop: usize,
    pub(super) smoothing: &'a Smoothing,
    pub(super) kernel: PerturbationKernelSpec,
    pub(super) parametrisation: Parametrisation,
}

impl Batch {
    pub(super) fn new(n_images: usize, crop: usize) -> Self {
        let pixels = || vec![0.0; n_images * crop * crop];
        Self { x_t: pixels(), z: pixels(), t: vec![0.0; n_images], weights: vec![0.0; n_images] }
    }

    /// The first `n` images.
    pub(super) fn first(&self, n: usize) -> TrainingBatch<'_> {
        let pixels = n * (self.x_t.len() / self.t.len());
        TrainingBatch { x_t: &self.x_t[..pixels], z: &self.z[..pixels], t: &self.t[..n], weights: &self.weights[..n] }
    }

    /// Fills the first `n` places with the samples from number `first` on.
    pub(super) fn fill(&mut self, sampler: &Sampler<'_>, first: u64, n: usize) {
        let pixels = sampler.crop * sampler.crop;
        let images = self.x_t.par_chunks_exact_mut(pixels).zip(self.z.par_chunks_exact_mut(pixels));
        let scalars = self.t.par_iter_mut().zip(&mut self.weights);
        images.zip(scalars).take(n).enumerate().for_each(|(k, ((x_t, z), (t, weight)))| {
            (*t, *weight) = sampler.sample(first + k as u64, x_t, z);
        });
    }
}

impl Sampler<'_> {
    /// Sample `number`: x_t = gamma_t x_0 + nu_t z and z, which is normal times the image's factor; returns t and the
    /// weight of its loss.
    fn sample(&self, number: u64, x_t: &mut [f32], z: &mut [f32]) -> (f32, f32) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Stream 0 is that of the first weights.
        rng.set_stream(number + 1);
        let t = self.level(&mut rng);
        self.crop(&mut rng, x_t);
        let kernel = self.kernel.at(t.into());
        let (gamma, nu) = (kernel.mean_scale as f32, kernel.std as f32);
        let factor = self.noise_factor(&mut rng);
        for (x, z) in x_t.iter_mut().zip(z) {
            *z = factor * Distribution::<f32>::sample(&StandardNormal, &mut rng);
            *x = gamma * *x + nu * *z;
        }
        (t, self.weight(kernel.std / kernel.mean_scale))
    }

    fn level(&self, rng: &mut ChaCha8Rng) -> f32 {
        let Smoothing { t_min, t_max, log_uniform_share, .. } = *self.smoothing;
        let (kind, u) = (uniform(rng), uniform(rng));
        let t =
            if kind < log_uniform_share { t_min * libm::pow(t_max / t_min, u) } else { t_min + (t_max - t_min) * u };
        t as f32
    }

    /// Noise of an image over that of its level.
    fn noise_factor(&self, rng: &mut ChaCha8Rng) -> f32 {
        let spread = self.smoothing.noise_spread;
        if spread == 0.0 { 1.0 } else { libm::exp(spread * Distribution::<f64>::sample(&StandardNormal, rng)) as f32 }
    }

    fn weight(&self, sigma: f64) -> f32 {
        let Parametrisation::Residual { data_std, .. } = self.parametrisation else { return 1.0 };
        libm::pow(1.0 + (sigma / data_std).powi(2), self.smoothing.weight_exponent) as f32
    }

    /// A random square of a random image, in one of its eight orientations.
    fn crop(&self, rng: &mut ChaCha8Rng, out: &mut [f32]) {
        let image = self.images.draw(rng);
        let (crop, free) = (self.crop, image.width - self.crop + 1);
        let (top, left, orientation) = (below(rng, free), below(rng, free), below(rng, 8));
        // Where the first pixel comes from, and how far apart those of two rows and of two columns are.
        let (mut row_step, mut col_step) = (image.width as isize, 1_isize);
        if orientation & 4 != 0 {
            std::mem::swap(&mut row_step, &mut col_step);
        }
        let mut start = (top * image.width + left) as isize;
        for (flipped, step) in [(1, &mut row_step), (2, &mut col_step)] {
            if orientation & flipped != 0 {
                start += (crop - 1) as isize * *step;
                *step = -*step;
            }
        }
        for (row, line) in out.chunks_exact_mut(crop).enumerate() {
            let first = start + row as isize * row_step;
            for (col, pixel) in line.iter_mut().enumerate() {
                *pixel = image.pixels[(first + col as isize * col_step) as usize];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler<'a>(images: &'a Images, smoothing: &'a Smoothing) -> Sampler<'a> {
        let kernel = PerturbationKernelSpec::Vp { beta_min: 0.1, beta_max: 20.0 };
        let parametrisation = Parametrisation::Residual { data_mean: 0.1, data_std: 0.2 };
        Sampler { images, seed: 3, crop: 16, smoothing, kernel, parametrisation }
    }

    #[test]
    fn a_sample_depends_on_its_number_only() {
        let (images, smoothing) = (Images::Ellipses { size: 32 }, Smoothing::default());
        let sampler = sampler(&images, &smoothing);
        let (mut whole, mut part) = (Batch::new(4, 16), Batch::new(2, 16));
        whole.fill(&sampler, 10, 4);
        part.fill(&sampler, 12, 2);
        assert_eq!(whole.x_t[2 * 256..], part.x_t[..]);
        assert_eq!((&whole.t[2..], &whole.weights[2..]), (&part.t[..], &part.weights[..]));
        assert_ne!(whole.x_t[..256], whole.x_t[256..512]);
    }

    /// Each of the eight orientations is drawn, and each crop is the square of its image that its draws name.
    #[test]
    fn crops_are_turned_and_flipped() {
        let (images, smoothing) = (Images::Ellipses { size: 12 }, Smoothing::default());
        let sampler = Sampler { crop: 8, ..sampler(&images, &smoothing) };
        let mut seen = [false; 8];
        for seed in 0..60 {
            let (mut rng, mut again) = (ChaCha8Rng::seed_from_u64(seed), ChaCha8Rng::seed_from_u64(seed));
            let mut out = [0.0; 64];
            sampler.crop(&mut rng, &mut out);
            let image = images.draw(&mut again);
            let [top, left, orientation] = [5, 5, 8].map(|n| below(&mut again, n));
            seen[orientation] = true;
            for (k, pixel) in out.into_iter().enumerate() {
                let flip = |bit: usize, k: usize| if orientation & bit != 0 { 7 - k } else { k };
                let (i, j) = (flip(1, k / 8), flip(2, k % 8));
                let (i, j) = if orientation & 4 != 0 { (j, i) } else { (i, j) };
                assert_eq!(pixel, image.pixels[(top + i) * 12 + left + j]);
            }
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    /// z has unit variance, x_t - nu z is gamma times an image, and levels cover both kinds of draws.
    #[test]
    fn samples_follow_the_perturbation_kernel() {
        let (images, smoothing) = (Images::Ellipses { size: 32 }, Smoothing::default());
        let sampler = sampler(&images, &smoothing);
        let mut batch = Batch::new(200, 16);
        batch.fill(&sampler, 0, 200);
        let variance = batch.z.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / batch.z.len() as f64;
        assert!((variance - 1.0).abs() < 5.0 * (2.0 / batch.z.len() as f64).sqrt(), "{variance}");
        for (k, &t) in batch.t.iter().enumerate() {
            let kernel = sampler.kernel.at(t.into());
            for i in k * 256..(k + 1) * 256 {
                let x = (f64::from(batch.x_t[i]) - kernel.std * f64::from(batch.z[i])) / kernel.mean_scale;
                assert!((-1e-3..1.001).contains(&x) || kernel.mean_scale < 1e-2, "{x} at {t}");
            }
        }
        let below = |limit: f32| batch.t.iter().filter(|t| **t < limit).count();
        // Of the 200, half are log-uniform over three decades: 33 + 1 are expected below 0.01, 85 + 35 below 0.35.
        assert!((15..55).contains(&below(0.01)) && (95..145).contains(&below(0.35)), "{:?}", batch.t);
    }

    /// The logarithm of z's size spreads as asked, about that of its level, and x_t - nu z is an image all the same.
    #[test]
    fn noise_spreads_about_its_level() {
        let smoothing = Smoothing { noise_spread: 0.5, ..Smoothing::default() };
        let images = Images::Ellipses { size: 32 };
        let mut batch = Batch::new(400, 16);
        batch.fill(&sampler(&images, &smoothing), 0, 400);
        let logarithm = |z: &[f32]| (z.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / 256.0).sqrt().ln();
        let sizes: Vec<f64> = batch.z.chunks_exact(256).map(logarithm).collect();
        let mean = sizes.iter().sum::<f64>() / 400.0;
        let spread = (sizes.iter().map(|size| (size - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        assert!(mean.abs() < 0.1 && (spread - 0.5).abs() < 0.08, "{mean} {spread}");
        let kernel = PerturbationKernelSpec::Vp { beta_min: 0.1, beta_max: 20.0 };
        for (k, &t) in batch.t.iter().enumerate().filter(|(_, t)| **t < 0.1) {
            let kernel = kernel.at(t.into());
            for i in k * 256..(k + 1) * 256 {
                let x = (f64::from(batch.x_t[i]) - kernel.std * f64::from(batch.z[i])) / kernel.mean_scale;
                assert!((-1e-3..1.001).contains(&x), "{x} at {t}");
            }
        }
    }
}
