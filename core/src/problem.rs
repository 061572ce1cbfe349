//! What a problem must offer, at two levels: on vectors ([`Problem`]) and behind a solver's requests ([`Evaluator`]).

use crate::schedule::Level;
use crate::solver::Directional;

/// Whoever holds the vectors `x`, `grad f(x)`, `d` and answers the requests of a solver.
///
/// The vectors may live anywhere; only these scalars cross.
pub trait Evaluator {
    /// What can go wrong while computing.
    type Error;

    /// Computes `d = -t grad F(x, t)`, after `grad f(x)` where `new_iterate` says that `x` has changed.
    ///
    /// # Errors
    /// When the computation fails; `x` is unchanged then.
    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, Self::Error>;

    /// `f(x + step d) - f(x)`, computed as a difference: subtracting two values of `f` would lose it.
    ///
    /// # Errors
    /// When the computation fails; `x` is unchanged then.
    fn change(&mut self, step: f32) -> Result<f32, Self::Error>;

    /// `x <- x + step d`; keeps `d` as the previous direction.
    ///
    /// # Errors
    /// When the computation fails.
    fn update(&mut self, step: f32) -> Result<(), Self::Error>;
}

/// A homotopy on vectors of a fixed length, for [`crate::Buffers`].
pub trait Problem {
    /// What can go wrong while computing.
    type Error;

    /// Length of `x`.
    fn dimension(&self) -> usize;

    /// `out = grad F(x, t)`; both have length [`dimension`](Self::dimension).
    ///
    /// # Errors
    /// When the computation fails.
    fn gradient(&mut self, x: &[f32], level: Level, out: &mut [f32]) -> Result<(), Self::Error>;

    /// `F(x + step d, t) - F(x, t)`, computed as a difference.
    ///
    /// # Errors
    /// When the computation fails.
    fn change(&mut self, x: &[f32], d: &[f32], step: f32, level: Level) -> Result<f32, Self::Error>;
}

/// An [`Evaluator`] that also solves for the directions of [`crate::Preconditioned`]: it keeps the vectors `g = grad
/// F(x, t)`, `r`, `p` and `d` of the conjugate gradient method \[HS52\].
pub trait PreconditionedEvaluator: Evaluator {
    /// `x <- x - variance grad R(x, t)`, then `r <- -A^T(A x - y)`, `p <- 0`, `d <- 0`; returns `|r|^2`. `R` may be taken
    /// in the `turn`-th of the prior's symmetries.
    ///
    /// # Errors
    /// When the computation fails.
    fn denoise(&mut self, level: Level, variance: f32, turn: u32) -> Result<f32, Self::Error>;

    /// `r <- -grad F(x, t)`, `p <- 0`, `d <- 0`, after `grad f(x)` where `new_iterate` says that `x` has changed;
    /// returns `|r|^2`.
    ///
    /// # Errors
    /// When the computation fails; `x` is unchanged then.
    fn begin_solve(&mut self, level: Level, new_iterate: bool) -> Result<f32, Self::Error>;

    /// `p <- r + momentum p`; returns `<p, (A^T A + damping I) p>`.
    ///
    /// # Errors
    /// When the computation fails; `x` is unchanged then.
    fn curvature(&mut self, momentum: f32, damping: f32) -> Result<f32, Self::Error>;

    /// `d <- d + length p`, `r <- r - length (A^T A + damping I) p`; returns `|r|^2`.
    ///
    /// # Errors
    /// When the computation fails; `x` is unchanged then.
    fn advance(&mut self, length: f32, damping: f32) -> Result<f32, Self::Error>;

    /// Products of the direction `d` that was solved for; those with the previous one may be 0.
    ///
    /// # Errors
    /// When the computation fails; `x` is unchanged then.
    fn products(&mut self) -> Result<Directional, Self::Error>;
}

/// A [`Problem`] that knows its two terms apart, and the curvature of the first, for [`crate::PreconditionedBuffers`].
pub trait LinearModel: Problem {
    /// `out = A^T(A x - y)`; both have length [`dimension`](Problem::dimension).
    ///
    /// # Errors
    /// When the computation fails.
    fn data_gradient(&mut self, x: &[f32], out: &mut [f32]) -> Result<(), Self::Error>;

    /// `out = grad R(x, t)` likewise, without its weight, in the `turn`-th of the prior's symmetries.
    ///
    /// # Errors
    /// When the computation fails.
    fn prior_gradient(&mut self, x: &[f32], level: Level, turn: u32, out: &mut [f32]) -> Result<(), Self::Error>;

    /// `out = A^T A p`; both have length [`dimension`](Problem::dimension).
    ///
    /// # Errors
    /// When the computation fails.
    fn normal(&mut self, p: &[f32], out: &mut [f32]) -> Result<(), Self::Error>;
}
