//! The conversation between a solver and the owner of the vectors.

use super::directional::Directional;
use super::effort::{Effort, Solved};
use super::error::AnswerError;
use crate::noise::Draw;
use crate::schedule::Level;
use crate::trace::Record;
use crate::words::words;
use core::fmt;

/// A method that minimises `f` by asking for directions, differences of `f` and updates.
///
/// It holds scalars only. Its caller reads [`request`](Self::request), computes, and hands the result to
/// [`answer`](Self::answer); [`crate::drive`] is that loop.
pub trait Solver {
    /// The next thing to be computed or done. It does not change until it is answered.
    fn request(&self) -> Request;

    /// Takes the answer to [`request`](Self::request); returns the record of an iteration when that completes one.
    ///
    /// # Errors
    /// An answer that was not asked for, or holds a NaN, an infinity or a negative square, leaves the state unchanged.
    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError>;

    /// Ends the run at the current iterate with [`Status::Stopped`], unless it has ended already.
    fn stop(&mut self);

    /// The member of the homotopy that is `f`.
    fn objective(&self) -> Level;
}

impl<S: Solver + ?Sized> Solver for &mut S {
    fn request(&self) -> Request {
        S::request(self)
    }

    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        S::answer(self, answer)
    }

    fn stop(&mut self) {
        S::stop(self);
    }

    fn objective(&self) -> Level {
        S::objective(self)
    }
}

/// The next need of a solver. All ask for [`Change`](Self::Change) and [`Update`](Self::Update); the others make a
/// direction, by which methods differ.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Request {
    /// Compute `d = -t grad F(x, t)` and answer with [`Answer::Direction`].
    Direction {
        /// The member `F(., t)` of the homotopy.
        level: Level,
        /// Set where `x` has changed since `grad f(x)` was last computed. Both gradients may go through one batch.
        new_iterate: bool,
    },
    /// Set `x <- D(x, t) + extrapolation (D(x, t) - x')` and `r <- -A^T(A x - y)`: `D(x, t) = x - variance grad R(x,
    /// t)` is the denoised image, `x'` the `x` of the last request of this kind, from which an [`Update`](Self::Update)
    /// by 1 has led to this one. Where the extrapolation is 0, there need be none.
    Denoise {
        /// The member `F(., t)` of the homotopy.
        level: Level,
        /// `sigma_t^2`.
        variance: f32,
        /// Number of the symmetry of the prior in which to look at `x`; any number, for as many as there are.
        turn: u32,
        /// The share of the way from `x'` to the denoised image by which to go on beyond it.
        extrapolation: f32,
    },
    /// Set `r <- -grad F(x, t)`, after `grad f(x)` where `x` has changed.
    Gradient {
        /// The member `F(., t)` of the homotopy.
        level: Level,
        /// Set where `x` has changed since `grad f(x)` was last computed. Both gradients may go through one batch.
        new_iterate: bool,
    },
    /// Solve `(A^T A + damping I) d = r` by conjugate gradients from `d = 0`, as [`crate::ConjugateGradient`] says, and
    /// answer with [`Answer::Solved`], its squares those of the recurrence. `r` may be overwritten.
    Solve {
        /// `mu`.
        damping: f32,
        /// The iterations of conjugate gradients.
        effort: Effort,
    },
    /// Set `x <- x + removed e + taken d' + fresh z`: `e` is what the last [`Denoise`](Self::Denoise), which did not
    /// extrapolate, took from `x`, `d'` the direction of the last update, `z` standard normal noise. A vector whose
    /// factor is 0 is not looked at. Nothing is known of the new `x`, so only [`Denoise`](Self::Denoise) may follow.
    Diffuse {
        /// Factor of `e`.
        removed: f32,
        /// Factor of `d'`.
        taken: f32,
        /// Factor of `z`.
        fresh: f32,
        /// Says what `z` is.
        draw: Draw,
    },
    /// Answer with the products of `d`, [`Answer::Direction`]; those with the previous direction may be 0.
    Products,
    /// Compute `f(x + step d) - f(x)` and answer with [`Answer::Change`].
    Change {
        /// Trial length `lambda`.
        step: f32,
    },
    /// Set `x <- x + step d`; `d` is the previous direction from then on. After a line search `step` is that of the
    /// last trial.
    Update {
        /// Accepted length `lambda`.
        step: f32,
    },
    /// Nothing: the run has ended.
    Done(Status),
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// To [`Request::Direction`] and [`Request::Products`].
    Direction(Directional),
    /// To [`Request::Solve`].
    Solved(Solved),
    /// To [`Request::Change`]: `f(x + step d) - f(x)`.
    Change(f32),
    /// To all others: it is done.
    Ready,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// `|grad f(x)|` is at most the tolerance.
    Stationary,
    /// All iterations were made; the last ones at `t_min`.
    ScheduleDone,
    /// At `t_min` no trial of the line search passed: `f` cannot be lowered further in this arithmetic.
    NoStep,
    /// Stopped from outside.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stationary => "stationary",
            Self::ScheduleDone => "schedule-done",
            Self::NoStep => "no-step",
            Self::Stopped => "stopped",
        })
    }
}

words!(enum Status { 0 = Stationary {}, 1 = ScheduleDone {}, 2 = NoStep {}, 3 = Stopped {} });
