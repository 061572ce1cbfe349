//! Decomposed diffusion sampling: the rival that solves for the data in a Krylov space of the denoised image.

use super::ask::{Answer, Request, Solver};
use super::error::{AnswerError, SettingsError};
use super::sampler::{Mixture, Sampler, checked_share};
use crate::diffusion::PerturbationKernel;
use crate::math::sqrt;
use crate::schedule::{Homotopy, Level};
use crate::trace::Record;

/// Decomposed diffusion sampling \[CLY24\].
///
/// ```text
/// x_1 <- sigma_1 z_1                                                  Diffuse
/// for i = 1, 2, ..., I:
///     D_i <- D(x_i, t_i),  e_i <- x_i - D_i                           Denoise
///     solve (A^T A + mu I) d_i = -A^T(A D_i - y),  mu = 0 or 1/gamma, Solve
///         by K iterations of conjugate gradients from d_i = 0
///     xhat_i <- D_i + d_i                                             Update
///     x_{i+1} <- xhat_i + sqrt(sigma_{i+1}^2 - eta^2 b_i^2) e_i/sigma_i + eta b_i z_{i+1}      Diffuse
///         with b_i^2 = sigma_{i+1}^2 (1 - sigma_{i+1}^2/sigma_i^2)
/// ```
///
/// The result is `xhat_I`. The noise is that of DDIM \[SME21, eq. 12 and 16\] with the noise `e_i/sigma_i` that the
/// denoiser found, whatever the solve did afterwards. Nothing is compared with `f`, so there is no claim of descent.
///
/// # Where it differs from the paper
/// * Iterates are divided by `sqrt(abar_t)`. With `abar_t = 1/(1 + sigma_t^2)` the paper's `btilde_t` becomes `b_i`.
/// * The paper's `CG(A^T A, A^T y, D, K)` starts from `D`; with `d = xhat - D` this is the system above. Without
///   `gamma` its `mu` is 0, the paper's choice for data without noise; with it, it minimises
///   `gamma/2 |A x - y|^2 + 1/2 |x - D|^2`, its choice for noisy data.
/// * The authors' scripts give fresh noise the share `eta^2` of `sigma_{i+1}^2`, and not of `b_i^2` as the paper does.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DecomposedDiffusion {
    pub(super) sampler: Sampler,
    pub(super) eta: f32,
    pub(super) gamma: Option<f32>,
}

impl DecomposedDiffusion {
    /// A run over the levels of `homotopy`, one pass of the denoiser each, with `solve_iterations` conjugate gradient
    /// iterations in each. `kernel` says what `sigma_t` is, `seed` which noise is drawn. `eta` from 0 to 1 is the
    /// stochasticity: with 0 only `x_1` is drawn. Of the homotopy's weights only the last is used, to say what `f` is.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that makes no sense.
    pub fn new(
        homotopy: Homotopy,
        kernel: PerturbationKernel,
        solve_iterations: u32,
        eta: f32,
        seed: u64,
    ) -> Result<Self, SettingsError> {
        let sampler = Sampler::new(homotopy, kernel, solve_iterations, seed)?;
        Ok(Self { sampler, eta: checked_share(eta)?, gamma: None })
    }

    /// The same run with noise of another `seed`.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { sampler: Sampler { seed, ..self.sampler }, ..self }
    }

    /// The same run for noisy data, with the weight `gamma` of the data term.
    ///
    /// # Errors
    /// [`SettingsError::DataWeight`].
    pub fn with_gamma(self, gamma: f32) -> Result<Self, SettingsError> {
        let is_weight = gamma > 0.0 && gamma.is_finite() && (1.0 / gamma).is_finite();
        if is_weight { Ok(Self { gamma: Some(gamma), ..self }) } else { Err(SettingsError::DataWeight) }
    }

    /// The parts of the noise from `sigma_i` to `sigma_{i+1}`.
    fn mixture(&self, from: f32, to: f32) -> Mixture {
        let narrowing = to / from;
        let fresh = self.eta * to * sqrt((1.0 - narrowing * narrowing).max(0.0));
        let removed = sqrt((to * to - fresh * fresh).max(0.0)) / from;
        Mixture { removed, taken: 0.0, fresh }
    }
}

impl Solver for DecomposedDiffusion {
    fn request(&self) -> Request {
        self.sampler.request(self.gamma.map_or(0.0, |gamma| 1.0 / gamma), |from, to| self.mixture(from, to))
    }

    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        self.sampler.answer(answer)
    }

    fn stop(&mut self) {
        self.sampler.stop();
    }

    fn objective(&self) -> Level {
        self.sampler.homotopy.objective()
    }
}
