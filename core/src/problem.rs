//! The side that computes, at two levels: on vectors ([`Problem`]) and behind a solver's requests ([`Evaluator`],
//! [`Batch`]).
//!
//! Implement [`Problem`] for vectors in memory, and [`crate::Buffers`] answers the requests; implement [`Evaluator`]
//! where they live elsewhere.

use crate::schedule::Level;
use crate::solver::{Answer, Request};

/// The holder of the vectors `x`, `grad f(x)`, `d` of one run, who answers the requests of its solver.
///
/// The vectors may live anywhere; only the scalars of [`Answer`] cross.
pub trait Evaluator {
    /// Failures of the computation; a request that the evaluator cannot answer is an error of its own.
    type Error;

    /// Does what `request` says. [`Request::Done`] asks for nothing and is answered by [`Answer::Ready`].
    ///
    /// # Errors
    /// When the computation fails; `x` is unchanged then, unless the request was to change it.
    fn answer(&mut self, request: Request) -> Result<Answer, Self::Error>;
}

/// The holder of the vectors of several runs, one to a slice, who answers their solvers together.
pub trait Batch {
    /// Failures of the computation, for all slices at once.
    type Error;

    /// Does what `requests` say, `(slice, request)`, at most one per slice and slices ascending. They are all of one
    /// kind, and none is [`Request::Done`]. `answers` has the length of `requests` and takes the answers in their
    /// order; a number that is not finite is handed on in the answer of its slice, where the solver refuses it.
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn answer(&mut self, requests: &[(usize, Request)], answers: &mut [Answer]) -> Result<(), Self::Error>;
}

/// A homotopy on vectors of a fixed length, for [`crate::Buffers`].
pub trait Problem {
    /// Failures of the computation.
    type Error;

    /// Length of `x`.
    fn dimension(&self) -> usize;

    /// `out = grad F(x, t)`; both have length [`dimension`](Self::dimension).
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn gradient(&mut self, x: &[f32], level: Level, out: &mut [f32]) -> Result<(), Self::Error>;

    /// `F(x + step d, t) - F(x, t)`, computed as a difference: subtracting two values of `F` would lose it.
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn change(&mut self, x: &[f32], d: &[f32], step: f32, level: Level) -> Result<f32, Self::Error>;

    /// The two terms apart, for methods that denoise or solve; none by default.
    fn linear_model(&mut self) -> Option<&mut dyn LinearModel<Error = Self::Error>> {
        None
    }
}

/// A [`Problem`] that knows its two terms apart, and the curvature of the first.
pub trait LinearModel: Problem {
    /// `out = A^T(A x - y)`; both have length [`dimension`](Problem::dimension).
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn data_gradient(&mut self, x: &[f32], out: &mut [f32]) -> Result<(), Self::Error>;

    /// `out = grad R(x, t)` likewise, without its weight, in the `turn`-th of the prior's symmetries.
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn prior_gradient(&mut self, x: &[f32], level: Level, turn: u32, out: &mut [f32]) -> Result<(), Self::Error>;

    /// `out = A^T A p`; both have length [`dimension`](Problem::dimension).
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn normal(&mut self, p: &[f32], out: &mut [f32]) -> Result<(), Self::Error>;
}
