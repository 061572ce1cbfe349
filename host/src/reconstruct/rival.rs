//! A classical method that explains the data better than a result does.

use super::{Measurement, Method, ReconstructError, Reconstruction, TvSettings, total_variation};
use crate::image::Image;
use crate::trust::{Case, Cause, Misfit, Residual};
use std::ops::ControlFlow;

/// Iterations of total variation that tell whether it explains the data.
const TV_ITERATIONS: u32 = 100;
/// Filtered backprojection minimises no misfit: its window and its sum over views leave this share of the line
/// integrals of any scan.
const LEFT_BY_FBP: f64 = 0.03;

/// A method that explains the data better, and what it leaves.
#[derive(Debug, Clone)]
pub struct Rival {
    /// The method.
    pub method: Method,
    /// The data that its image leaves unexplained.
    pub residual: Residual,
}

/// True if a result by `method` leaves no more than noise, pixels and the method itself can.
#[must_use]
pub fn is_explained(method: Method, residual: &Residual) -> bool {
    residual.is_small() || (method == Method::Fbp && residual.relative() < LEFT_BY_FBP)
}

impl Measurement {
    /// The faults of the scan of a result by `method`, the likeliest first, as far as its data show it; `better` leaves
    /// less of them.
    ///
    /// # Errors
    /// When the result is not of this measurement.
    pub fn causes(
        &self,
        method: Method,
        result: &Reconstruction,
        better: Option<&Rival>,
    ) -> Result<Vec<Cause>, ReconstructError> {
        let Some(residual) = &result.residual else { return Ok(Vec::new()) };
        let (geometry, rays, image) = (&self.geometry, self.rays(), &result.image);
        let is_doubtful = !is_explained(method, residual);
        let (better, is_whole) = (better.map(|rival| &rival.residual), self.beyond_detector == [0, 0]);
        Ok(Case { geometry, rays, image, residual, better, is_doubtful, is_whole }.causes()?)
    }

    /// The warning of a result by `method` that leaves more of the data than it should, or, by a method that knows the
    /// noise, much less; `is_known` if the cause is named elsewhere.
    #[must_use]
    pub fn fit_warning(&self, method: Method, residual: &Residual, is_known: bool) -> Option<String> {
        let follows_noise = method != Method::Fbp && residual.misfit() == Misfit::Overfitted;
        let is_doubtful = follows_noise || !is_explained(method, residual);
        is_doubtful.then(|| residual.warning(self.noise_shown, is_known)).flatten()
    }
}

/// The classical method that explains the data better than a result by `method`, where one does. Nothing is computed
/// for results that leave no more than the noise. Filtered backprojection comes first, being at hand as `fbp`; total
/// variation takes a second or so, which a picture that is not to be believed is worth.
///
/// # Errors
/// [`ReconstructError`] of the classical method that failed.
pub fn rival(
    measurement: &Measurement,
    method: Method,
    result: &Reconstruction,
    fbp: &Image,
) -> Result<Option<Rival>, ReconstructError> {
    let Some(own) = &result.residual else { return Ok(None) };
    if is_explained(method, own) {
        return Ok(None);
    }
    if method != Method::Fbp {
        let residual = measurement.residual(fbp)?;
        if own.is_explained_by(&residual) {
            return Ok(Some(Rival { method: Method::Fbp, residual }));
        }
    }
    if method != Method::Tv {
        let settings = TvSettings { tv_iterations: TV_ITERATIONS, ..TvSettings::default() };
        let go_on = &mut |_: super::Progress<'_>| ControlFlow::Continue(());
        let residual = measurement.residual(&total_variation::reconstruct(0, measurement, &settings, go_on)?.image)?;
        if own.is_explained_by(&residual) {
            return Ok(Some(Rival { method: Method::Tv, residual }));
        }
    }
    Ok(None)
}
