//! DiffPIR: the rival that restores by plug-and-play steps between two noise levels.

use super::ask::{Answer, Request, Solver};
use super::error::{AnswerError, SettingsError};
use super::sampler::{Mixture, Sampler, checked_share};
use crate::diffusion::PerturbationKernel;
use crate::math::sqrt;
use crate::schedule::{Homotopy, Level};
use crate::trace::Record;

/// Plug-and-play restoration with a diffusion model, DiffPIR \[ZZL23, Algorithm 1\].
///
/// ```text
/// x_1 <- sigma_1 z_1                                                  Diffuse
/// for i = 1, 2, ..., I:
///     D_i <- D(x_i, t_i)                                              Denoise
///     solve (A^T A + mu_i I) d_i = -A^T(A D_i - y),                   Solve
///         mu_i = alpha/sigma_i^2, by K iterations of conjugate gradients from d_i = 0
///     xhat_i <- D_i + d_i                                             Update
///     x_{i+1} <- xhat_i + sqrt(1 - zeta) sigma_{i+1} (x_i - xhat_i)/sigma_i + sqrt(zeta) sigma_{i+1} z_{i+1}   Diffuse
/// ```
///
/// The result is `xhat_I`. `alpha = lambda sigma_y^2` with the noise `sigma_y` of the data. The noise that is kept is
/// that which `x_i` has beside `xhat_i`, the solved image, not beside `D_i` as in
/// [`DecomposedDiffusion`](crate::DecomposedDiffusion). Nothing is compared with `f`, so there is no claim of descent.
///
/// # Where it differs from the paper
/// * Iterates are divided by `sqrt(abar_t)`; the paper's `sigma_t` bar is `sigma_i` here.
/// * The paper minimises `|A x - y|^2 + rho_i |x - D_i|^2` in closed form, or by a step along the gradient. Neither is
///   at hand for projections, which conjugate gradients solve with `mu_i = rho_i`.
/// * The authors' scripts leave the data out at the last level; this does not, nor does the paper's box.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DiffPir {
    pub(super) sampler: Sampler,
    pub(super) zeta: f32,
}

impl DiffPir {
    /// A run over the levels of `homotopy`, whose weights are `alpha`, one pass of the denoiser each, with
    /// `solve_iterations` conjugate gradient iterations in each. `kernel` says what `sigma_t` is, `seed` which noise is
    /// drawn. `zeta` from 0 to 1 is the share of fresh noise in its variance: with 0 only `x_1` is drawn.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that makes no sense.
    pub fn new(
        homotopy: Homotopy,
        kernel: PerturbationKernel,
        solve_iterations: u32,
        zeta: f32,
        seed: u64,
    ) -> Result<Self, SettingsError> {
        let sampler = Sampler::new(homotopy, kernel, solve_iterations, seed)?;
        Ok(Self { sampler, zeta: checked_share(zeta)? })
    }

    /// The same run with noise of another `seed`.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { sampler: Sampler { seed, ..self.sampler }, ..self }
    }

    /// The parts of the noise from `sigma_i` to `sigma_{i+1}`: `x_i - xhat_i = e_i - d_i`.
    fn mixture(&self, from: f32, to: f32) -> Mixture {
        let kept = sqrt(1.0 - self.zeta) * to / from;
        Mixture { removed: kept, taken: -kept, fresh: sqrt(self.zeta) * to }
    }
}

impl Solver for DiffPir {
    fn request(&self) -> Request {
        let damping = self.sampler.level().prior_weight / self.sampler.variance();
        self.sampler.request(damping, |from, to| self.mixture(from, to))
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
