//! The coarse choice of `alpha`, on images that no table is made of.

use super::bench::scanned;
use super::{Dataset, EvaluateError, Protocol};
use crate::image::Image;
use crate::metrics::{psnr, ssim_uniform};
use crate::ranks::Ranks;
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

/// A run of a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tried {
    factor: f64,
    image: usize,
    /// In dB; NaN where the run broke.
    psnr: f64,
    ssim: f64,
}

/// Algorithm 2 with every factor of [`SWEEP_FACTORS`], on the first `images` sweep images; ranks share the runs.
/// `observe` is called at every iterate with the number of finished runs of this rank; `None` when it broke off, here
/// or on another rank.
///
/// # Errors
/// [`EvaluateError`] says which image, start or file.
pub fn sweep(
    dataset: &Dataset,
    protocol: &Protocol,
    prior: &PlacedPrior<'_>,
    images: usize,
    ranks: &Ranks,
    observe: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Sweep>, EvaluateError> {
    let of_factor = |factor| (1..=images).map(move |image| Tried { factor, image, psnr: 0.0, ssim: 0.0 });
    let mut tried: Vec<Tried> = SWEEP_FACTORS.into_iter().flat_map(of_factor).collect();
    let owner = |k: usize| k % ranks.count();
    // Shared like the figures of merit, in which 1 says that a rank was stopped.
    let mut stopped = vec![0.0; ranks.count()];
    let own = tried.iter_mut().enumerate().filter(|(k, _)| owner(*k) == ranks.rank());
    for (done, (_, run)) in own.enumerate() {
        let truth = dataset.swept_image(run.image);
        match one(&truth, protocol, prior, *run, &mut || observe(done))? {
            Some((psnr, ssim)) => (run.psnr, run.ssim) = (psnr, ssim),
            None => {
                stopped[ranks.rank()] = 1.0;
                break;
            }
        }
    }
    stopped.iter_mut().enumerate().for_each(|(rank, is_stopped)| ranks.share(rank, is_stopped, &mut []));
    if stopped.contains(&1.0) {
        return Ok(None);
    }
    for (k, run) in tried.iter_mut().enumerate() {
        ranks.share(owner(k), &mut run.psnr, &mut []);
        ranks.share(owner(k), &mut run.ssim, &mut []);
    }
    Ok(Some(Sweep { tried: tried.chunks(images).map(mean).collect(), images }))
}

/// PSNR and SSIM of a run on its image; `None` when `observe` broke it off.
fn one(
    truth: &Image,
    protocol: &Protocol,
    prior: &PlacedPrior<'_>,
    run: Tried,
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Option<(f64, f64)>, EvaluateError> {
    let measurement = scanned(truth, protocol, run.image as u64)?;
    let settings = settings(protocol, run.factor * GraduatedSettings::ALPHA_PER_STD * measurement.noise_std);
    let mut is_stopped = false;
    let result = reconstruct(&measurement, &settings, Some(prior), &mut |_| {
        let flow = observe();
        is_stopped = flow.is_break();
        flow
    });
    match result {
        _ if is_stopped => Ok(None),
        Ok(result) => Ok(Some((psnr(truth, &result.image, 1.0)?, ssim_uniform(truth, &result.image, 1.0)?))),
        Err(ReconstructError::Broke { .. }) => Ok(Some((f64::NAN, 0.0))),
        Err(error) => Err(error.into()),
    }
}

/// The weight of the runs with one factor, and the means of their PSNR and SSIM.
fn mean(runs: &[Tried]) -> (f64, f64, f64) {
    let n = runs.len() as f64;
    let alpha_per_std = runs.first().map_or(f64::NAN, |run| run.factor * GraduatedSettings::ALPHA_PER_STD);
    let (psnr, ssim) = runs.iter().fold((0.0, 0.0), |(psnr, ssim), run| (psnr + run.psnr, ssim + run.ssim));
    (alpha_per_std, psnr / n, ssim / n)
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
