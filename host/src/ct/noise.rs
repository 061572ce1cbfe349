//! Measurement noise for simulated sinograms: Gaussian relative to the signal, and counting noise.
//!
//! Seeded with ChaCha8 and drawn one after another in the order of the sinogram: one seed, one noise, whatever the
//! number of threads. Sums and distributions work in f64 and round to f32 last, so platforms whose exp and log differ
//! in the last place of f64 agree but for rare rounding cases. Tests pin the first values.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

/// A fault that makes a noise level unusable.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoiseError {
    /// The relative noise is negative, infinite or not a number.
    #[error("noise: the relative level is {0}; give a finite number of at least 0, such as 0.05 for 5 %")]
    Level(f32),
    /// The number of photons is zero, negative, not finite or beyond what can be counted.
    #[error("noise: the number of photons is {0}; give a finite number above 0 and below 1e15, such as 1e5")]
    Photons(f64),
    /// A line integral is not a number or infinite, or so negative that the counts overflow.
    #[error("noise: sinogram value {index} is {value}; counts need finite line integrals")]
    LineIntegral {
        /// Number of the value.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// Most photons whose count is still exact in f64, with room for negative line integrals.
const MAX_PHOTONS: f64 = 1e15;

/// Adds Gaussian noise of standard deviation `relative` * mean |`sinogram`| to the sinogram in place (`+=`), and
/// returns that deviation.
///
/// **Equation.** y <- y + sigma z with z ~ N(0, I) and sigma = relative (1/n) sum_i |y_i|.
///
/// # Errors
/// [`NoiseError::Level`] when `relative` is negative or not finite; nothing is changed then.
///
/// # Examples
/// ```
/// let mut sinogram = vec![2.0; 100];
/// let std = gradus::ct::relative_gaussian(&mut sinogram, 0.05, 1)?;
/// assert!((std - 0.1).abs() < 1e-6);
/// # Ok::<(), gradus::ct::NoiseError>(())
/// ```
pub fn relative_gaussian(sinogram: &mut [f32], relative: f32, seed: u64) -> Result<f32, NoiseError> {
    if !(relative.is_finite() && relative >= 0.0) {
        return Err(NoiseError::Level(relative));
    }
    let sum: f64 = sinogram.iter().map(|&y| f64::from(y.abs())).sum();
    let std = (f64::from(relative) * sum / sinogram.len().max(1) as f64) as f32;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for y in sinogram {
        let z: f64 = StandardNormal.sample(&mut random);
        *y += std * z as f32;
    }
    Ok(std)
}

/// Replaces line integrals by what a detector that counts `photons` per bin without an object would measure.
///
/// **Equation.** n_i ~ Poisson(I_0 exp(-y_i)), then y_i <- -log(max(n_i, 1/2) / I_0). A bin that counted nothing is
/// taken for half a photon: the largest value is then log(2 I_0), not infinity.
///
/// **Units.** Line integrals without unit, in and out, in place.
///
/// # Errors
/// [`NoiseError::Photons`] when `photons` is not in (0, 1e15]; [`NoiseError::LineIntegral`] when a value is not finite
/// or so negative that its mean count is not in reach. Nothing is changed then.
pub fn poisson(sinogram: &mut [f32], photons: f64, seed: u64) -> Result<(), NoiseError> {
    if !(photons > 0.0 && photons <= MAX_PHOTONS) {
        return Err(NoiseError::Photons(photons));
    }
    let mean_count = |y: f32| photons * (-f64::from(y)).exp();
    let unusable = |&y: &f32| !(y.is_finite() && mean_count(y) <= MAX_PHOTONS * 10.0);
    if let Some(index) = sinogram.iter().position(unusable) {
        return Err(NoiseError::LineIntegral { index, value: sinogram[index] });
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for y in sinogram {
        // A mean that underflows to 0 is no Poisson parameter; it counts nothing.
        let count: f64 = Poisson::new(mean_count(*y)).map_or(0.0, |distribution| distribution.sample(&mut random));
        *y = -(count.max(0.5) / photons).ln() as f32;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        (mean, (values.map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn gaussian_has_the_deviation_it_reports() {
        let clean: Vec<f32> = (0..40_000).map(|i| (i % 7) as f32 - 2.0).collect();
        let mut noisy = clean.clone();
        let std = relative_gaussian(&mut noisy, 0.1, 3).unwrap();
        let mean_abs = clean.iter().map(|v| v.abs()).sum::<f32>() / clean.len() as f32;
        assert!((std - 0.1 * mean_abs).abs() < 1e-5);
        let (mean, spread) = moments(noisy.iter().zip(&clean).map(|(a, b)| f64::from(a - b)));
        assert!(mean.abs() < 0.02 * f64::from(std) && (spread / f64::from(std) - 1.0).abs() < 0.01, "{mean} {spread}");
    }

    #[test]
    fn counts_have_the_mean_and_deviation_of_poisson() {
        for photons in [50.0, 1e5] {
            let mut sinogram = vec![1.2f32; 40_000];
            poisson(&mut sinogram, photons, 9).unwrap();
            let expected = photons * (-1.2f64).exp();
            let (mean, spread) = moments(sinogram.iter().map(|&y| photons * (-f64::from(y)).exp()));
            assert!((mean / expected - 1.0).abs() < 0.005, "{mean} {expected}");
            assert!((spread / expected.sqrt() - 1.0).abs() < 0.02, "{spread} {expected}");
        }
    }

    #[test]
    fn no_count_is_half_a_photon() {
        let mut sinogram = vec![50.0, 1e30, 800.0];
        poisson(&mut sinogram, 100.0, 1).unwrap();
        assert!(sinogram.iter().all(|&y| y == (200.0f64).ln() as f32), "{sinogram:?}");
    }

    #[test]
    fn seeds_pin_the_noise() {
        let mut gaussian = vec![1.0f32; 4];
        relative_gaussian(&mut gaussian, 1.0, 42).unwrap();
        let mut counted = [0.0f32, 1.0, 2.0, 3.0];
        poisson(&mut counted, 1000.0, 42).unwrap();
        let mut few = [1.0f32, 2.0, 3.0, 4.0];
        poisson(&mut few, 20.0, 42).unwrap();
        let close = |got: &[f32], want: [f32; 4]| got.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-6 * w.abs());
        assert!(close(&gaussian, [1.477_981_2, 2.334_070_7, 0.789_133_3, 1.476_347]), "{gaussian:?}");
        assert!(close(&counted, [-0.014_888_613, 0.933_945_66, 2.024_953_4, 3.079_114]), "{counted:?}");
        assert!(close(&few, [0.798_507_7, 1.386_294_4, 2.995_732_3, 3.688_879_5]), "{few:?}");
    }

    #[test]
    fn another_seed_is_another_noise_and_zero_is_none() {
        let draw = |relative, seed| {
            let mut y = vec![1.0f32; 8];
            relative_gaussian(&mut y, relative, seed).unwrap();
            y
        };
        assert_eq!(draw(0.1, 5), draw(0.1, 5));
        assert_ne!(draw(0.1, 5), draw(0.1, 6));
        assert_eq!(draw(0.0, 5), vec![1.0; 8]);
        assert_eq!(relative_gaussian(&mut [], 0.1, 1), Ok(0.0));
    }

    #[test]
    fn nonsense_is_refused_and_changes_nothing() {
        let mut y = vec![1.0f32, -40.0];
        assert_eq!(relative_gaussian(&mut y, -0.1, 1), Err(NoiseError::Level(-0.1)));
        assert!(matches!(relative_gaussian(&mut y, f32::NAN, 1), Err(NoiseError::Level(_))));
        for photons in [0.0, -3.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(poisson(&mut y, photons, 1), Err(NoiseError::Photons(_))));
        }
        assert_eq!(poisson(&mut y, 1e5, 1), Err(NoiseError::LineIntegral { index: 1, value: -40.0 }));
        assert_eq!(y, vec![1.0, -40.0]);
    }
}
