//! The scalars that a solver learns about a direction.

use super::error::{AnswerError, finite, square};
use crate::math::{difference_products, dot, sqrt};
use crate::trace::{Outcome, Record};
use crate::words::words;

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
    /// The products of `d` with `grad f(x)` and with the `previous` direction, where there is one.
    #[must_use]
    pub fn of(gradient: &[f32], d: &[f32], previous: Option<&[f32]>) -> Self {
        Self::by(dot, difference_products, gradient, d, previous)
    }

    /// The same with sums of the caller's own, in whatever precision it has: `dot` is `<a, b>`, and `difference` is
    /// `<a, a - b>` and `|a - b|^2`.
    pub fn by(
        dot: impl Fn(&[f32], &[f32]) -> f32,
        difference: impl FnOnce(&[f32], &[f32]) -> [f32; 2],
        gradient: &[f32],
        d: &[f32],
        previous: Option<&[f32]>,
    ) -> Self {
        let [previous_dot_difference, difference_norm_sq] = previous.map_or([0.0; 2], |old| difference(old, d));
        Self {
            gradient_norm_sq: dot(gradient, gradient),
            slope: dot(gradient, d),
            direction_norm_sq: dot(d, d),
            previous_dot_difference,
            difference_norm_sq,
        }
    }

    /// The same products, once it is certain that each is finite and no square negative.
    pub(super) fn checked(self) -> Result<Self, AnswerError> {
        let squares = [self.gradient_norm_sq, self.direction_norm_sq, self.difference_norm_sq];
        for product in [self.slope, self.previous_dot_difference].iter().chain(&squares) {
            finite(*product)?;
        }
        squares.iter().try_for_each(|value| square(*value).map(drop))?;
        Ok(self)
    }

    /// `|grad f(x)|`.
    pub(super) fn gradient_norm(&self) -> f32 {
        sqrt(self.gradient_norm_sq)
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
            direction_norm: sqrt(self.direction_norm_sq),
            slope: self.slope,
            change: None,
            unsolved: 0.0,
        }
    }
}

words!(struct Directional {
    gradient_norm_sq, slope, direction_norm_sq, previous_dot_difference, difference_norm_sq
});
