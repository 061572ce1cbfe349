//! The preconditioned gradient-like method: Algorithm 2 along Newton-like directions.

use super::ask::{Answer, Request, Solver};
use super::descent::{Descent, check, checked_tolerance};
use super::directional::Directional;
use super::effort::Effort;
use super::error::{AnswerError, SettingsError};
use super::line_search::Backtracking;
use crate::diffusion::PerturbationKernel;
use crate::schedule::{Homotopy, Level};
use crate::trace::{Outcome, Record};

/// The preconditioned gradient-like method.
///
/// ```text
/// for i = 1, 2, ..., I:
///     while approaching:                                              Denoise
///         z_i <- D(x_i, t_i) + beta (D(x_i, t_i) - x_{i-1}),  g_i <- A^T(A z_i - y);  beta = 0 where i < 3
///     else: g_i <- grad F(x_i, t_i)                                   Gradient
///     solve (A^T A + mu_i I) d_i = -g_i by conjugate gradients        Solve
///         from d_i = 0, as many as the effort says; mu_i = alpha_i/(sigma_i^2 (1 + beta))
///     while approaching: x_{i+1} <- z_i + d_i, next i                 Update (untested: this only chooses the start)
///     if |grad f(x_i)| <= eps: stop                                   Products
///     if <grad f(x_i), d_i> >= 0: leave this t_i                      (eq. 13, adaptive smoothing schedule)
///     lambda_i <- first of 1, tau, tau^2, ... with                    LineSearch
///         f(x_i + lambda_i d_i) <= f(x_i) + c lambda_i <grad f(x_i), d_i>
///     x_{i+1} <- x_i + lambda_i d_i                                   Update
/// ```
///
/// `R(x, t)` is to be minus the logarithm of the image's distribution under noise of standard deviation `sigma_t =
/// nu_t/gamma_t`, without drift \[FKD24, eq. 6\]. With its denoiser `D`, `grad R = (x - D(x))/sigma_t^2` \[Efr11\], so
/// `x_i + d_i` is near the minimiser of `1/2 |A x - y|^2 + mu_i/2 |x - D(x_i)|^2`: the data term is solved, the
/// denoiser trusted.
///
/// # The approach
/// Directions at large `t` often ascend on `f`, from starting points at which `f` is small already, and the method
/// would skip the levels that lead to the right basin. So the run has a beginning that makes no claim: the first
/// levels, as many as [`with_approach`](Preconditioned::with_approach) says, whose steps are recorded as
/// [`Outcome::Approach`]. From then on every step is tested.
///
/// There, as in plug-and-play restoration with diffusion models \[ZZL23\], the solve starts from the denoised image,
/// and minimises `1/2 |A x - y|^2 + mu_i/2 |x - z_i|^2` over a space that holds `z_i`: what the data do not see comes
/// from the denoiser, however few the iterations. At large `t` that is nearly the mean of all images, so the starting
/// point is forgotten. Levels are few, and what a denoiser recovers grows from one to the next; so the denoised image
/// may be extrapolated from the iterate before, by [`beta`](Preconditioned::with_extrapolation), but not from the
/// start, which may be noise. Where iterates stand still, `x - z = (1 + beta) (x - D(x))`: with `mu` over `1 + beta`
/// that is where they would without. Each level may look at the image in another of the symmetries under which the
/// prior's distribution stays the same, its `turn`: what a denoiser has learned wrongly is seldom symmetric, and
/// repeated it would grow (equivariant plug-and-play \[TMPT24\]).
///
/// # Why Theorem 3.2 holds
/// `M = A^T A + mu I` has its eigenvalues in `[mu, L]`, `L = |A|^2 + mu`. After each conjugate gradient iteration from
/// 0, `d` minimises `q(d) = <g, d> + 1/2 <d, M d>` over a space that holds `g`, so `<d, M d> = -<g, d>` and `q(d) = 1/2
/// <g, d>`, which is at most the least `q` along `g` alone, `-1/2 |g|^4 / <g, M g>`; and `mu |d|^2 <= <d, M d>`:
///
/// ```text
/// <g, d> <= -|g|^2 / L,      |d| <= |g| / mu.
/// ```
///
/// With a preconditioner `P` the space holds `P g` in place of `g`, and `<g, d> <= -<g, P g>^2 / <P g, M P g>`, which
/// is at most `-p |g|^2 / L` with the ratio `p` of the least eigenvalue of `P` to its largest.
///
/// So `d` is bounded where `g` is, descends on `F(., t_i)`, and is gradient-like for `f` (Definition 3.1) at
/// `t_i = t_min`, where `g = grad f`; at larger `t_i` the test of eq. 13 is made as in Algorithm 2. The theorem's proof
/// uses no more, and no particular starting point: every limit point is stationary.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Preconditioned {
    pub(super) descent: Descent,
    pub(super) kernel: PerturbationKernel,
    pub(super) effort: Effort,
    pub(super) tolerance: f32,
    pub(super) approach: u32,
    /// `beta`.
    pub(super) extrapolation: f32,
    pub(super) making: Making,
    /// [`Record::unsolved`] of the newest direction.
    pub(super) unsolved: f32,
}

/// The parts of the direction, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Making {
    /// `g_i` comes first, with or without the denoiser.
    Gradient,
    /// Then the linear system,
    Solve,
    /// and, unless the run approaches, the products of its solution.
    Products,
}

impl Preconditioned {
    /// A run over the levels of `homotopy`, one iteration each, whose linear systems are each worth some `effort`;
    /// `kernel` says what `sigma_t` is.
    ///
    /// It ends sooner when `|grad f|` is at most `tolerance`.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that makes no sense.
    pub fn new(
        homotopy: Homotopy,
        kernel: PerturbationKernel,
        effort: Effort,
        backtracking: Backtracking,
        tolerance: f32,
    ) -> Result<Self, SettingsError> {
        check(&homotopy, &backtracking)?;
        let (effort, tolerance) = (effort.checked()?, checked_tolerance(tolerance)?);
        let descent = Descent::new(homotopy, backtracking);
        let (approach, extrapolation, making) = (0, 0.0, Making::Gradient);
        Ok(Self { descent, kernel, effort, tolerance, approach, extrapolation, making, unsolved: 0.0 })
    }

    /// The same run with its first `levels` levels as an approach, which is not tested on `f`; 0 by default. The last
    /// level never belongs to it.
    #[must_use]
    pub const fn with_approach(self, levels: u32) -> Self {
        Self { approach: levels, ..self }
    }

    /// The same run whose approach extrapolates denoised images by `beta`; 0 by default.
    ///
    /// # Errors
    /// [`SettingsError::Extrapolation`] unless `0 <= beta < 1`.
    pub fn with_extrapolation(self, beta: f32) -> Result<Self, SettingsError> {
        let is_sane = (0.0..1.0).contains(&beta);
        if is_sane { Ok(Self { extrapolation: beta, ..self }) } else { Err(SettingsError::Extrapolation) }
    }

    fn is_approaching(&self) -> bool {
        let descent = &self.descent;
        descent.i < self.approach && descent.t() > descent.homotopy.schedule.t_min()
    }

    /// `sigma_i^2`.
    fn variance(&self) -> f32 {
        let (t, ratio) = (self.descent.t(), self.kernel.mean_scale(self.descent.t()));
        self.kernel.variance(t) / (ratio * ratio)
    }

    /// `mu_i = alpha_i/(sigma_i^2 (1 + beta))`.
    fn damping(&self) -> f32 {
        self.descent.level().prior_weight / self.variance() / (1.0 + self.beta())
    }

    /// `beta` while approaching, from the third level on: the iterate before the second is the start, maybe noise.
    fn beta(&self) -> f32 {
        if self.is_approaching() && self.descent.i >= 2 { self.extrapolation } else { 0.0 }
    }

    /// The next need of the direction.
    fn request_of_direction(&self) -> Request {
        let level = self.descent.level();
        match self.making {
            Making::Gradient if self.is_approaching() => {
                let (variance, turn, extrapolation) = (self.variance(), self.descent.i, self.beta());
                Request::Denoise { level, variance, turn, extrapolation }
            }
            Making::Gradient => Request::Gradient { level, new_iterate: self.descent.new_iterate },
            Making::Solve => Request::Solve { damping: self.damping(), effort: self.effort },
            Making::Products => Request::Products,
        }
    }

    /// The linear system is solved: a step of the approach, or more to know about the direction.
    fn solved(&mut self) {
        self.making = if self.is_approaching() { Making::Gradient } else { Making::Products };
        if self.making == Making::Gradient {
            self.descent.take_untested(Directional::default(), Outcome::Approach, 1.0);
        }
    }

    /// `d_i` is known: stops, leaves this level, or searches along it.
    fn follow(&mut self, direction: Directional) -> Option<Record> {
        self.making = Making::Gradient;
        if self.descent.end_where_stationary(direction, self.tolerance) {
            return None;
        }
        if let Some(record) = self.descent.leave_where_ascending(direction) {
            return Some(record);
        }
        self.descent.search(direction, 1.0);
        None
    }

    /// Takes an answer; the record of the iteration where it completes one.
    fn take(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        if !self.descent.makes_direction() {
            return self.descent.answer(answer, Descent::leave_level);
        }
        match (self.making, answer) {
            (Making::Gradient, Answer::Ready) => {
                // The approach has moved x, and looks at no gradient of f.
                self.descent.new_iterate = self.is_approaching();
                self.making = Making::Solve;
            }
            (Making::Solve, Answer::Solved(solved)) => {
                self.unsolved = self.effort.unsolved(&solved.checked()?);
                self.solved();
            }
            (Making::Products, Answer::Direction(direction)) => return Ok(self.follow(direction.checked()?)),
            _ => return Err(AnswerError::NotAsked),
        }
        Ok(None)
    }
}

impl Solver for Preconditioned {
    fn request(&self) -> Request {
        self.descent.request(|| self.request_of_direction())
    }

    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        let record = self.take(answer)?;
        Ok(record.map(|record| Record { unsolved: self.unsolved, ..record }))
    }

    fn stop(&mut self) {
        self.descent.stop();
    }

    fn objective(&self) -> Level {
        self.descent.homotopy.objective()
    }
}
