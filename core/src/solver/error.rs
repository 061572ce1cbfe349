//! Settings and answers that a solver refuses.

use crate::schedule::ScheduleError;
use core::fmt;

/// Reasons for which no solver can be built from the settings given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SettingsError {
    /// The candidate step can be zero, negative or not finite, or its bounds are crossed.
    StepCandidate,
    /// The line search needs `0 < c < 1`, `0 < tau < 1` and at least one trial.
    Backtracking,
    /// Linear systems need at least one iteration of conjugate gradients, no more at least than at most, and a
    /// positive tolerance.
    SolveIterations,
    /// The tolerance on `|grad f|` is negative or NaN.
    Tolerance,
    /// A regularisation weight on the schedule is negative or not finite.
    PriorWeight,
    /// A share of fresh noise is not between 0 and 1.
    NoiseShare,
    /// An extrapolation is not at least 0 and below 1.
    Extrapolation,
    /// A weight of the data term is not positive and finite.
    DataWeight,
    /// The schedule is impossible.
    Schedule(ScheduleError),
}

impl From<ScheduleError> for SettingsError {
    fn from(error: ScheduleError) -> Self {
        Self::Schedule(error)
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StepCandidate => "the candidate step must be positive and finite, with its least not above its most",
            Self::Backtracking => "the line search needs c and tau between 0 and 1 and at least one trial",
            Self::SolveIterations => {
                "the linear systems need an iteration of conjugate gradients or more, and a positive tolerance"
            }
            Self::Tolerance => "the tolerance on the gradient norm must be zero or positive",
            Self::PriorWeight => "the regularisation weight must be finite and not negative at every level",
            Self::NoiseShare => "the share of fresh noise, eta or zeta, must be from 0 to 1",
            Self::Extrapolation => "the extrapolation of denoised images must be at least 0 and below 1",
            Self::DataWeight => "the weight of the data, gamma, must be positive and finite",
            Self::Schedule(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for SettingsError {}

/// Reasons for which an answer is refused. The solver still waits for the right one.
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

/// The same value, once it is certain that it is finite.
pub(super) fn finite(value: f32) -> Result<f32, AnswerError> {
    if value.is_finite() { Ok(value) } else { Err(AnswerError::NotFinite) }
}

/// The same value, once it is certain that it is finite and not negative.
pub(super) fn square(value: f32) -> Result<f32, AnswerError> {
    if finite(value)? < 0.0 { Err(AnswerError::NegativeSquare) } else { Ok(value) }
}
