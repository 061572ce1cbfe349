//! The coarse choice of `alpha`, on images that no table is made of.

use super::bench::scanned;
use super::{Dataset, EvaluateError, Protocol};
use crate::metrics::{psnr, ssim_uniform};
use crate::reconstruct::{GraduatedSettings, Method, PlacedPrior, ReconstructError, Settings, reconstruct};
use std::fmt::Write;
use std::ops::ControlFlow;

/// Factors on the default `alpha` that are tried.
pub const SWEEP_FACTORS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// The finding of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// (alpha over the standard deviation of the noise, mean PSNR in dB, mean SSIM).
    pub tried: Vec<(f64, f64, f64)>,
    /// Number of images.
    pub images: usize,
}

impl Sweep {
    /// The weight with the best mean PSNR; the default one when every run broke.
    #[must_use]
    pub fn best(&self) -> f64 {
        let finite = self.tried.iter().filter(|tried| tried.1.is_finite());
        finite.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(GraduatedSettings::ALPHA_PER_STD, |tried| tried.0)
    }

    /// As csv: `alpha_per_std,psnr_db,ssim,images`.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("alpha_per_std,psnr_db,ssim,images\n");
        for (alpha, psnr, ssim) in &self.tried {
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{alpha},{psnr},{ssim},{}", self.images);
        }
        csv
    }
}

/// Algorithm 2 with every factor of [`SWEEP_FACTORS`], on the first `images` sweep images. `observe` is called at every
/// iterate with the number of finished runs; `None` when it broke off.
///
/// # Errors
/// [`EvaluateError`] says which image, start or file.
pub fn sweep(
    dataset: &Dataset,
    protocol: &Protocol,
    prior: &PlacedPrior<'_>,
    images: usize,
    observe: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Sweep>, EvaluateError> {
    let mut found = Sweep { tried: Vec::new(), images };
    let mut done = 0;
    for factor in SWEEP_FACTORS {
        let alpha_per_std = factor * GraduatedSettings::ALPHA_PER_STD;
        let (mut psnr_sum, mut ssim_sum) = (0.0, 0.0);
        for k in 1..=images {
            let truth = dataset.swept_image(k);
            let measurement = scanned(&truth, protocol, k as u64)?;
            let settings = settings(protocol, alpha_per_std * measurement.noise_std);
            let mut is_stopped = false;
            let run = reconstruct(&measurement, &settings, Some(prior), &mut |_| {
                let flow = observe(done);
                is_stopped = flow.is_break();
                flow
            });
            if is_stopped {
                return Ok(None);
            }
            match run {
                Ok(run) => {
                    psnr_sum += psnr(&truth, &run.image, 1.0)?;
                    ssim_sum += ssim_uniform(&truth, &run.image, 1.0)?;
                }
                Err(ReconstructError::Broke { .. }) => psnr_sum += f64::NAN,
                Err(error) => return Err(error.into()),
            }
            done += 1;
        }
        let n = images as f64;
        found.tried.push((alpha_per_std, psnr_sum / n, ssim_sum / n));
    }
    Ok(Some(found))
}

/// Those of Algorithm 2 with this weight of the prior.
fn settings(protocol: &Protocol, alpha: f64) -> Settings {
    let mut settings = protocol.methods.get("gradient-like").cloned().unwrap_or_else(|| Method::GradientLike.into());
    settings.graduated_mut().into_iter().for_each(|graduated| graduated.alpha = Some(alpha));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_best_of_those_that_ran() {
        let sweep = |psnrs: [f64; 3]| Sweep {
            tried: [4.0, 8.0, 16.0].into_iter().zip(psnrs).map(|(a, p)| (a, p, 0.5)).collect(),
            images: 2,
        };
        assert_eq!(sweep([30.0, 31.0, f64::NAN]).best(), 8.0);
        assert_eq!(sweep([f64::NAN; 3]).best(), GraduatedSettings::ALPHA_PER_STD);
        assert_eq!(sweep([30.0, 31.0, 29.0]).to_csv().lines().nth(2), Some("8,31,0.5,2"));
    }
}
