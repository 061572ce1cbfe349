//! Algorithm 1: the graduated non-convexity flow.

use super::ask::{Answer, Request, Solver};
use super::descent::{Descent, check};
use super::directional::Directional;
use super::error::{AnswerError, SettingsError};
use super::line_search::Backtracking;
use super::step_size::{FlowStep, StepCandidate};
use crate::schedule::{Homotopy, Level};
use crate::trace::{Outcome, Record};

/// The graduated non-convexity flow \[FKD24, Algorithm 1\].
///
/// ```text
/// for i = 1, 2, ..., I:                                               (the paper: I - 1)
///     d_i <- -t_i grad F(x_i, t_i)                                    Direction
///     lambda_i <- a constant, or first of lambda, tau lambda, ...     LineSearch
///         with f(x_i + lambda_i d_i) <= f(x_i) - c lambda_i |<grad f(x_i), d_i>|
///     x_{i+1} <- x_i + lambda_i d_i                                   Update
/// ```
///
/// Nothing forces `d_i` to descend on `f`; each [`Record`] says whether it did.
///
/// # Where it differs from the paper
/// * The paper ends with `x_I`, after `I - 1` steps. This takes one at the last level `t_I = t_min`, too: without it
///   none would follow the gradient of `f` itself.
/// * Where `d_i` ascends, Armijo's bound `c lambda_i <grad f(x_i), d_i>` is positive, so a step that raises `f` would
///   pass. With minus the absolute value a step that was searched for lowers `f`, as a long one along an ascending
///   `d_i` can; where `d_i` descends the two bounds are one.
/// * Where no trial passes, `x_i` stays, and the next level comes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GraduatedFlow {
    pub(super) descent: Descent,
    pub(super) candidate: StepCandidate,
    /// Set where the candidate is the first of a line search, not the step itself.
    pub(super) searches: bool,
}

impl GraduatedFlow {
    /// A run over the levels of `homotopy`, one iteration each.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that makes no sense.
    pub fn new(homotopy: Homotopy, rule: FlowStep) -> Result<Self, SettingsError> {
        let (candidate, backtracking, searches) = match rule {
            FlowStep::Constant(length) => (StepCandidate::Constant(length), Backtracking::DEFAULT, false),
            FlowStep::LineSearch(candidate, backtracking) => (candidate, backtracking, true),
        };
        check(&homotopy, &backtracking)?;
        Ok(Self { descent: Descent::new(homotopy, backtracking), candidate: candidate.checked()?, searches })
    }

    /// `d_i` is known: searches along it, or steps along it.
    fn follow(&mut self, direction: Directional) -> Option<Record> {
        self.descent.new_iterate = false;
        let length = self.candidate.length(&direction, self.descent.last_step);
        if self.searches {
            self.descent.search(direction, length);
        } else {
            self.descent.take_untested(direction, Outcome::Step, length);
        }
        None
    }
}

impl Solver for GraduatedFlow {
    fn request(&self) -> Request {
        let descent = &self.descent;
        descent.request(|| Request::Direction { level: descent.level(), new_iterate: descent.new_iterate })
    }

    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        match answer {
            Answer::Direction(direction) if self.descent.makes_direction() => Ok(self.follow(direction.checked()?)),
            _ => self.descent.answer(answer, Descent::next_level),
        }
    }

    fn stop(&mut self) {
        self.descent.stop();
    }

    fn objective(&self) -> Level {
        self.descent.homotopy.objective()
    }
}
