//! The number of iterations of a linear solve, and what they reached.

use super::error::{AnswerError, SettingsError, square};
use crate::math::sqrt;
use crate::words::words;

/// The iterations that a linear solve is worth: `least` in any case, then more until the residual is `tolerance` times
/// what it was at first, and `most` at most.
///
/// The number that is needed depends on the scan: rays that count more than others, and data that are better, make
/// systems of a larger condition number. Where `least` suffice, a solve is one of a fixed number of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Effort {
    /// Iterations in any case, unless nothing is left to solve.
    pub least: u32,
    /// Iterations at most.
    pub most: u32,
    /// `|r|` at the end over `|r|` at first, from which on the system counts as solved.
    pub tolerance: f32,
}

impl Effort {
    /// So many iterations, whose end counts as solved.
    #[must_use]
    pub const fn fixed(iterations: u32) -> Self {
        Self { least: iterations, most: iterations, tolerance: f32::MAX }
    }

    /// True if an iteration is to follow the `made` ones, which led there.
    pub(super) fn goes_on(&self, made: u32, to: &Solved) -> bool {
        made < self.most && (made < self.least || self.unsolved(to) > 1.0)
    }

    /// `|r| / (tolerance |r_0|)`: more than 1 where the system is not solved.
    pub(super) fn unsolved(&self, to: &Solved) -> f32 {
        let at_first = self.tolerance * sqrt(to.initial_square);
        if to.residual_square > 0.0 { (sqrt(to.residual_square) / at_first).min(f32::MAX) } else { 0.0 }
    }

    /// The same, once it is certain that there is an iteration and that `tolerance` is a positive number.
    pub(super) fn checked(self) -> Result<Self, SettingsError> {
        let valid = self.least > 0 && self.least <= self.most && self.tolerance > 0.0 && self.tolerance.is_finite();
        if valid { Ok(self) } else { Err(SettingsError::SolveIterations) }
    }
}

/// The residual of a linear system, before it was solved and after.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Solved {
    /// `|r|^2` before.
    pub initial_square: f32,
    /// `|r|^2` after.
    pub residual_square: f32,
}

impl Solved {
    /// The same squares, once it is certain that both are squares.
    pub(super) fn checked(self) -> Result<Self, AnswerError> {
        square(self.initial_square)?;
        square(self.residual_square)?;
        Ok(self)
    }
}

words!(struct Effort { least, most, tolerance });
