//! What a solver asks and what it is told.

use crate::schedule::Level;
use crate::state::words;
use crate::trace::{Outcome, Record};
use core::fmt;

/// What the solver needs next.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Request {
    /// Compute `d = -t grad F(x, t)` and answer with [`Answer::Direction`].
    Direction {
        /// The member `F(., t)` of the homotopy.
        level: Level,
        /// Whether `x` has changed since `grad f(x)` was last computed. Both gradients may go through one batch.
        new_iterate: bool,
    },
    /// Compute `f(x + step d) - f(x)` and answer with [`Answer::Change`].
    Change {
        /// Trial length `lambda`.
        step: f32,
    },
    /// Set `x <- x + step d` and answer with [`Answer::Updated`]. After a line search `step` is that of the last trial.
    Update {
        /// Accepted length `lambda`.
        step: f32,
    },
    /// Nothing: the run has ended.
    Done(Status),
}

/// Products of the direction just computed. All are zero by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Directional {
    /// `|grad f(x)|^2`.
    pub gradient_norm_sq: f32,
    /// `<grad f(x), d>`.
    pub slope: f32,
    /// `|d|^2`.
    pub direction_norm_sq: f32,
    /// `<d', d' - d>` for the direction `d'` of the last update; 0 before the first.
    pub previous_dot_difference: f32,
    /// `|d' - d|^2` likewise.
    pub difference_norm_sq: f32,
}

impl Directional {
    /// The same products, once it is certain that each is finite and no square negative.
    pub(super) fn checked(self) -> Result<Self, AnswerError> {
        let squares = [self.gradient_norm_sq, self.direction_norm_sq, self.difference_norm_sq];
        if squares.iter().chain(&[self.slope, self.previous_dot_difference]).any(|value| !value.is_finite()) {
            return Err(AnswerError::NotFinite);
        }
        if squares.iter().any(|square| *square < 0.0) { Err(AnswerError::NegativeSquare) } else { Ok(self) }
    }

    /// `|grad f(x)|`.
    pub(super) fn gradient_norm(&self) -> f32 {
        crate::math::sqrt(self.gradient_norm_sq)
    }

    /// The record of an iteration that went along this direction and took no step.
    pub(super) fn record(&self, iteration: u32, t: f32, outcome: Outcome, trials: u32) -> Record {
        Record {
            iteration,
            t,
            outcome,
            step: 0.0,
            trials,
            gradient_norm: self.gradient_norm(),
            direction_norm: crate::math::sqrt(self.direction_norm_sq),
            slope: self.slope,
            change: None,
        }
    }
}

/// What the solver is told.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// To [`Request::Direction`].
    Direction(Directional),
    /// To [`Request::Change`]: `f(x + step d) - f(x)`.
    Change(f32),
    /// To [`Request::Update`].
    Updated,
}

/// Why an answer was refused. The solver still waits for the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AnswerError {
    /// It is not of the kind that was asked for, or the run has ended.
    NotAsked,
    /// It holds a NaN or an infinity.
    NotFinite,
    /// It holds a negative square of a norm.
    NegativeSquare,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => "the solver was told something that it did not ask for",
            Self::NotFinite => "a number that is not finite came out of the problem",
            Self::NegativeSquare => "the square of a norm came out negative",
        })
    }
}

impl core::error::Error for AnswerError {}

pub(super) fn finite(value: f32) -> Result<f32, AnswerError> {
    if value.is_finite() { Ok(value) } else { Err(AnswerError::NotFinite) }
}

/// How a run ended.
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
words!(struct Directional {
    gradient_norm_sq, slope, direction_norm_sq, previous_dot_difference, difference_norm_sq
});
