//! The discrepancy principle \[Mor66\]: the prior's weight at which the image explains the data as well as the noise
//! allows.

use super::{Measurement, ReconstructError};
use crate::ct::Projector;
use crate::image::Image;

/// Runs of a search at most.
const MOST_RUNS: u32 = 8;
/// The distance from 1 at which the discrepancy is near enough.
const NEAR: f64 = 0.02;
/// Largest factor on the noise's variance that is tried, and the inverse of the least.
const WIDEST: f64 = 64.0;

/// `|W^(1/2) (A x - y)|^2 / (m sigma_y^2)` with `m` line integrals that were measured, of weight above 0: 1 on average
/// for the true image.
///
/// # Errors
/// When the image does not fit the geometry.
pub fn discrepancy(measurement: &Measurement, weights: Option<&[f32]>, image: &Image) -> Result<f64, ReconstructError> {
    let mut projected = vec![0.0; measurement.sinogram.len()];
    Projector::new(measurement.geometry.clone())?.forward_project(&image.pixels, &mut projected)?;
    let squares = projected.iter().zip(&measurement.sinogram).enumerate().map(|(i, (p, y))| {
        let residual = f64::from(p - y);
        weights.map_or(1.0, |weights| f64::from(weights[i])) * residual * residual
    });
    let n_measured = weights.map_or(projected.len(), |own| own.iter().filter(|weight| **weight > 0.0).count());
    Ok(squares.sum::<f64>() / (n_measured.max(1) as f64 * measurement.noise_std * measurement.noise_std))
}

/// The factor on the variance of the noise at which the prior's weight leads to a discrepancy of 1, by bisection of its
/// logarithm: `misfit` says what a factor leads to, more for a larger one. Ends within two percent of 1, at the eighth
/// run, at a bound (64 and a 64th), or where `misfit` is stopped, with `None`.
///
/// # Errors
/// Those of `misfit`.
pub(super) fn search(
    misfit: &mut dyn FnMut(f64) -> Result<Option<f64>, ReconstructError>,
) -> Result<f64, ReconstructError> {
    let (mut least, mut most, mut factor) = (1.0 / WIDEST, WIDEST, 1.0_f64);
    for _ in 0..MOST_RUNS {
        match misfit(factor)? {
            Some(found) if (found - 1.0).abs() > NEAR => {
                let end = if found > 1.0 { &mut most } else { &mut least };
                *end = factor;
                factor = (least * most).sqrt();
            }
            _ => break,
        }
    }
    Ok(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};

    #[test]
    fn the_true_image_has_a_discrepancy_of_one() {
        let truth = ellipses(3, 64);
        for photons in [None, Some(1e4)] {
            let scan = simulate(&truth, 0.05, &Simulation { photons, ..Simulation::default() }).unwrap();
            let measurement = Measurement::new(&scan).unwrap();
            let found = discrepancy(&measurement, measurement.weights.as_deref(), &truth).unwrap();
            // The deviation of chi^2/m is sqrt(2/m), 0.02 here.
            assert!((found - 1.0).abs() < 0.08, "{found} with photons {photons:?}");
        }
    }

    /// Rays that were not measured are no rays.
    #[test]
    fn unmeasured_rays_do_not_count() {
        let truth = ellipses(3, 64);
        let measurement = Measurement::new(&simulate(&truth, 1.0, &Simulation::default()).unwrap()).unwrap();
        let n = measurement.sinogram.len();
        let half: Vec<f32> = (0..n).map(|ray| if ray < n / 2 { 0.0 } else { 1.0 }).collect();
        let found = discrepancy(&measurement, Some(&half), &truth).unwrap();
        assert!((found - 1.0).abs() < 0.1, "{found}");
    }

    #[test]
    fn the_search_finds_the_factor_or_a_bound() {
        let mut runs = 0;
        let mut at = |right: f64| {
            runs = 0;
            let mut misfit = |factor: f64| {
                runs += 1;
                Ok(Some((factor / right).powf(0.2)))
            };
            search(&mut misfit).unwrap() / right
        };
        for right in [0.05, 1.0, 3.0, 40.0] {
            let off = at(right);
            assert!((off.powf(0.2) - 1.0).abs() <= NEAR, "{off} for {right}");
        }
        assert!(at(1e4) * 1e4 > 0.9 * WIDEST && runs == MOST_RUNS);
        assert_eq!(search(&mut |_| Ok(None)).unwrap(), 1.0);
    }
}
