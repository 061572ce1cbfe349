//! The algorithms, as state machines that ask for what they need.
//!
//! A solver holds scalars only. Whoever runs it reads [`Solver::request`], computes, and hands the result to
//! [`Solver::answer`]; [`crate::drive`] is that loop. The state of a solver is `Copy`: it can be saved at any request
//! and resumed later with the same bits.

mod gradient_like;
mod graduated_flow;
mod preconditioned;
mod preconditioned_request;
mod request;

pub use gradient_like::GradientLike;
pub use graduated_flow::{FlowStep, GraduatedFlow};
pub use preconditioned::Preconditioned;
pub use preconditioned_request::{PreconditionedAnswer, PreconditionedRequest};
pub use request::{Answer, AnswerError, Directional, Request, Status};

use crate::schedule::{Level, ScheduleError};
use crate::trace::Record;
use core::fmt;

/// A method that minimises `f` by asking for directions, differences of `f` and updates.
pub trait Solver {
    /// What the solver wants to know or have done now. Does not change until it is answered.
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

/// Why a solver cannot be built from the settings given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SettingsError {
    /// The candidate step can be zero, negative or not finite, or its bounds are crossed.
    StepCandidate,
    /// The line search needs `0 < c < 1`, `0 < tau < 1` and at least one trial.
    Backtracking,
    /// The linear systems of the preconditioned method need at least one conjugate gradient step.
    SolveSteps,
    /// The tolerance on `|grad f|` is negative or NaN.
    Tolerance,
    /// A regularisation weight on the schedule is negative or not finite.
    PriorWeight,
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
            Self::SolveSteps => "the preconditioned method needs at least one conjugate gradient step",
            Self::Tolerance => "the tolerance on the gradient norm must be zero or positive",
            Self::PriorWeight => "the regularisation weight must be finite and not negative at every level",
            Self::Schedule(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for SettingsError {}

fn check_weights(homotopy: &crate::schedule::Homotopy) -> Result<(), SettingsError> {
    let valid = |level: Level| level.prior_weight.is_finite() && level.prior_weight >= 0.0;
    if valid(homotopy.level(0)) && valid(homotopy.objective()) { Ok(()) } else { Err(SettingsError::PriorWeight) }
}
