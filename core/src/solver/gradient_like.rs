//! Algorithm 2: the gradient-like method with the adaptive smoothing schedule.

use super::ask::{Answer, Request, Solver};
use super::descent::{Descent, check, checked_tolerance};
use super::directional::Directional;
use super::error::{AnswerError, SettingsError};
use super::line_search::Backtracking;
use super::step_size::StepCandidate;
use crate::schedule::{Homotopy, Level};
use crate::trace::Record;

/// The gradient-like method \[FKD24, Algorithm 2\].
///
/// ```text
/// for i = 1, 2, ..., I:
///     d_i <- -t_i grad F(x_i, t_i)                                    Direction
///     if |grad f(x_i)| <= eps: stop
///     if <grad f(x_i), d_i> >= 0: leave this t_i                      (eq. 13, adaptive smoothing schedule)
///     lambda_i <- first of lambda, tau lambda, ... with               LineSearch
///         f(x_i + lambda_i d_i) <= f(x_i) + c lambda_i <grad f(x_i), d_i>
///     x_{i+1} <- x_i + lambda_i d_i                                   Update
/// ```
///
/// Every accepted step lowers `f`; every limit point is stationary (Theorem 3.2). On a schedule whose levels are all
/// `t_min` this is gradient descent on `f` itself.
///
/// # Where it differs from the paper
/// * The paper's adaptive smoothing schedule searches the next level, `j*`, inside an iteration. This spends an
///   iteration, with a record of its own, on each level that it leaves, so that a run has as many as it was given,
///   whatever it meets.
/// * The paper's first trial is 1; here it is what [`StepCandidate`] says.
/// * At `t_min` a search without a passing trial, or a direction that does not descend, ends the run
///   ([`Status::NoStep`](crate::Status::NoStep)); above `t_min` either leaves the level.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GradientLike {
    pub(super) descent: Descent,
    pub(super) candidate: StepCandidate,
    pub(super) tolerance: f32,
}

impl GradientLike {
    /// A run over the levels of `homotopy`, one iteration each.
    ///
    /// It ends sooner when `|grad f|` is at most `tolerance`; see
    /// [`with_max_iterations`](Self::with_max_iterations) to go on at `t_min` after the last level.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that makes no sense.
    pub fn new(
        homotopy: Homotopy,
        candidate: StepCandidate,
        backtracking: Backtracking,
        tolerance: f32,
    ) -> Result<Self, SettingsError> {
        check(&homotopy, &backtracking)?;
        let (candidate, tolerance) = (candidate.checked()?, checked_tolerance(tolerance)?);
        Ok(Self { descent: Descent::new(homotopy, backtracking), candidate, tolerance })
    }

    /// The same run with another number of iterations; those after the last level stay at `t_min`.
    #[must_use]
    pub const fn with_max_iterations(mut self, max_iterations: u32) -> Self {
        self.descent.iterations = max_iterations;
        self
    }

    /// `d_i` is known: stops, leaves this level, or searches along it.
    fn follow(&mut self, direction: Directional) -> Option<Record> {
        self.descent.new_iterate = false;
        if self.descent.end_where_stationary(direction, self.tolerance) {
            return None;
        }
        if let Some(record) = self.descent.leave_where_ascending(direction) {
            return Some(record);
        }
        let length = self.candidate.length(&direction, self.descent.last_step);
        self.descent.search(direction, length);
        None
    }
}

impl Solver for GradientLike {
    fn request(&self) -> Request {
        let descent = &self.descent;
        descent.request(|| Request::Direction { level: descent.level(), new_iterate: descent.new_iterate })
    }

    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        match answer {
            Answer::Direction(direction) if self.descent.makes_direction() => Ok(self.follow(direction.checked()?)),
            _ => self.descent.answer(answer, Descent::leave_level),
        }
    }

    fn stop(&mut self) {
        self.descent.stop();
    }

    fn objective(&self) -> Level {
        self.descent.homotopy.objective()
    }
}
