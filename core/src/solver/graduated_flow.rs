//! Algorithm 1: the graduated non-convexity flow.

use super::ask::{Answer, Request, Solver};
use super::descent::{Descent, State};
use super::directional::Directional;
use super::error::{AnswerError, SettingsError};
use super::line_search::Backtracking;
use super::step_size::StepCandidate;
use crate::schedule::{Homotopy, Level};
use crate::trace::{Outcome, Record};

/// How the flow chooses `lambda_i`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlowStep {
    /// The same length in every iteration, untested.
    Constant(f32),
    /// A line search on `f`; without a passing trial the iterate stays and the flow goes on to the next level.
    LineSearch(StepCandidate, Backtracking),
}

/// The graduated non-convexity flow \[FKD24, Algorithm 1\].
///
/// ```text
/// for i = 1, ..., I:
///     d_i <- -t_i grad F(x_i, t_i)            Direction
///     choose lambda_i                         LineSearch (or constant)
///     x_{i+1} <- x_i + lambda_i d_i           Update
/// ```
///
/// Nothing forces `d_i` to descend on `f`; each [`Record`] says whether it did.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GraduatedFlow {
    pub(super) descent: Descent,
    pub(super) candidate: StepCandidate,
    /// Whether the candidate is the first of a line search, not the step itself.
    pub(super) searches: bool,
}

impl GraduatedFlow {
    /// A run over the levels of `homotopy`, one iteration each.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn new(homotopy: Homotopy, rule: FlowStep) -> Result<Self, SettingsError> {
        let (candidate, backtracking, searches) = match rule {
            FlowStep::Constant(length) => (StepCandidate::Constant(length), Backtracking::DEFAULT, false),
            FlowStep::LineSearch(candidate, backtracking) => (candidate, backtracking, true),
        };
        Ok(Self { descent: Descent::new(homotopy, backtracking)?, candidate: candidate.checked()?, searches })
    }

    /// `d_i` is known: searches along it, or steps along it.
    fn follow(&mut self, direction: Directional) {
        self.descent.new_iterate = false;
        let length = self.candidate.length(&direction, self.descent.last_step);
        if self.searches {
            self.descent.search(direction, length);
        } else {
            self.descent.step(&direction, Outcome::Step, length);
        }
    }
}

impl Solver for GraduatedFlow {
    fn request(&self) -> Request {
        self.descent.request().unwrap_or_else(|| Request::Direction {
            level: self.descent.level(),
            new_iterate: self.descent.new_iterate,
        })
    }

    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        match (self.descent.state, answer) {
            (State::Direction, Answer::Direction(direction)) => {
                self.follow(direction.checked()?);
                Ok(None)
            }
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
