//! The loop that connects a solver with an evaluator.

use crate::problem::Evaluator;
use crate::solver::{AnswerError, Request, Solver, Status};
use crate::trace::Record;
use core::fmt;
use core::ops::ControlFlow;

/// Reasons for which a run breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DriveError<E> {
    /// The evaluator failed.
    Evaluator(E),
    /// The evaluator computed something that the solver refused.
    Answer(AnswerError),
}

impl<E: fmt::Display> fmt::Display for DriveError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evaluator(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for DriveError<E> {}

/// Runs `solver` to its end on `evaluator`.
///
/// `observe` sees each completed iteration, and the evaluator as it is then; it may end the run there.
///
/// # Errors
/// When the evaluator fails, or when it computes a number that is not finite; the last iterate stays in the evaluator.
pub fn drive<S: Solver + ?Sized, E: Evaluator + ?Sized>(
    solver: &mut S,
    evaluator: &mut E,
    mut observe: impl FnMut(&Record, &mut E) -> ControlFlow<()>,
) -> Result<Status, DriveError<E::Error>> {
    loop {
        let request = solver.request();
        if let Request::Done(status) = request {
            return Ok(status);
        }
        let answer = evaluator.answer(request).map_err(DriveError::Evaluator)?;
        let record = solver.answer(answer).map_err(DriveError::Answer)?;
        if record.is_some_and(|record| observe(&record, evaluator).is_break()) {
            solver.stop();
        }
    }
}
