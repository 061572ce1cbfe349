//! The part that all methods share: place on the schedule, tests, line search, step, and end.

use super::ask::{Answer, Request, Status};
use super::directional::Directional;
use super::error::{AnswerError, SettingsError, finite};
use super::line_search::{Backtracking, LineSearch, Verdict};
use crate::schedule::{Homotopy, Level};
use crate::trace::{Outcome, Record};

/// A run of any method, on the way from `x_i` to `x_{i+1}`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Descent {
    pub(super) homotopy: Homotopy,
    pub(super) backtracking: Backtracking,
    /// Iterations at most.
    pub(super) iterations: u32,
    /// Index of the iteration and of its level, counted from 0.
    pub(super) i: u32,
    /// Set where `x` has changed since `grad f(x)` was last computed.
    pub(super) new_iterate: bool,
    pub(super) last_step: Option<f32>,
    pub(super) state: State,
}

/// The line of the algorithm at which the run waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum State {
    /// `d_i` is being made: each method asks for it in its own way.
    Direction,
    /// `lambda_i` is being searched for.
    LineSearch { search: LineSearch, direction: Directional },
    /// `x_{i+1} <- x_i + lambda_i d_i`; the record of the iteration is complete.
    Update(Record),
    /// The run has ended.
    Done(Status),
}

impl Descent {
    /// A run with one iteration at each level.
    pub(super) fn new(homotopy: Homotopy, backtracking: Backtracking) -> Self {
        let iterations = homotopy.schedule.len();
        let (i, new_iterate, last_step, state) = (0, true, None, State::Direction);
        Self { homotopy, backtracking, iterations, i, new_iterate, last_step, state }
    }

    /// The member `F(., t_i)`.
    pub(super) fn level(&self) -> Level {
        self.homotopy.level(self.i)
    }

    /// `t_i`.
    pub(super) fn t(&self) -> f32 {
        self.homotopy.schedule.t(self.i)
    }

    /// True while `d_i` is being made.
    pub(super) fn makes_direction(&self) -> bool {
        matches!(self.state, State::Direction)
    }

    /// The request of the line: where the direction is being made, the one of the method, and one that all share
    /// elsewhere.
    pub(super) fn request(&self, of_direction: impl FnOnce() -> Request) -> Request {
        match self.state {
            State::Direction => of_direction(),
            State::LineSearch { search, .. } => Request::Change { step: search.step() },
            State::Update(record) => Request::Update { step: record.step },
            State::Done(status) => Request::Done(status),
        }
    }

    /// Takes the answer to [`request`](Self::request). `no_step` says how the method goes on where no trial passed.
    pub(super) fn answer(
        &mut self,
        answer: Answer,
        no_step: impl FnOnce(&mut Self, Record) -> Record,
    ) -> Result<Option<Record>, AnswerError> {
        match (&mut self.state, answer) {
            (State::LineSearch { search, direction }, Answer::Change(change)) => {
                let step = search.step();
                let verdict = search.judge(&self.backtracking, finite(change)?);
                let (direction, trials) = (*direction, search.trials());
                match verdict {
                    Verdict::Shorten => Ok(None),
                    Verdict::Accept => {
                        let record = self.record(direction, Outcome::Step, trials);
                        self.state = State::Update(Record { step, change: Some(change), ..record });
                        Ok(None)
                    }
                    Verdict::GiveUp => {
                        let record = self.record(direction, Outcome::NoTrialPassed, trials);
                        Ok(Some(no_step(self, record)))
                    }
                }
            }
            (State::Update(record), Answer::Ready) => {
                let record = *record;
                self.new_iterate = true;
                self.last_step = Some(record.step);
                Ok(Some(self.next_level(record)))
            }
            _ => Err(AnswerError::NotAsked),
        }
    }

    pub(super) fn stop(&mut self) {
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Done(Status::Stopped);
        }
    }

    /// Ends the run where `|grad f(x_i)| <= eps`; true then.
    pub(super) fn end_where_stationary(&mut self, direction: Directional, tolerance: f32) -> bool {
        let stationary = direction.gradient_norm() <= tolerance;
        if stationary {
            self.state = State::Done(Status::Stationary);
        }
        stationary
    }

    /// Leaves the level where `<grad f(x_i), d_i> >= 0`, so that eq. 13 fails; the record then.
    pub(super) fn leave_where_ascending(&mut self, direction: Directional) -> Option<Record> {
        (direction.slope >= 0.0).then(|| self.leave_level(self.record(direction, Outcome::NotDescent, 0)))
    }

    /// Searches along `d_i`, from the length `candidate` down.
    pub(super) fn search(&mut self, direction: Directional, candidate: f32) {
        self.state = State::LineSearch { search: LineSearch::new(candidate, direction.slope), direction };
    }

    /// Goes on to `x_i + step d_i` without a test.
    pub(super) fn take_untested(&mut self, direction: Directional, outcome: Outcome, step: f32) {
        self.state = State::Update(Record { step, ..self.record(direction, outcome, 0) });
    }

    /// No step at this level: goes on to the next, or ends where there is none below.
    pub(super) fn leave_level(&mut self, record: Record) -> Record {
        if record.t <= self.homotopy.schedule.t_min() {
            self.state = State::Done(Status::NoStep);
            return record;
        }
        self.next_level(record)
    }

    /// Iteration `i` is complete, with this record: goes on to the next, or ends after the last.
    pub(super) fn next_level(&mut self, record: Record) -> Record {
        self.i = self.i.saturating_add(1);
        self.state = if self.i < self.iterations { State::Direction } else { State::Done(Status::ScheduleDone) };
        record
    }

    fn record(&self, direction: Directional, outcome: Outcome, trials: u32) -> Record {
        direction.record(self.i, self.t(), outcome, trials)
    }
}

/// Refuses what no method takes.
pub(super) fn check(homotopy: &Homotopy, backtracking: &Backtracking) -> Result<(), SettingsError> {
    let valid = |level: Level| level.prior_weight.is_finite() && level.prior_weight >= 0.0;
    if !valid(homotopy.level(0)) || !valid(homotopy.objective()) {
        return Err(SettingsError::PriorWeight);
    }
    if backtracking.is_valid() { Ok(()) } else { Err(SettingsError::Backtracking) }
}

/// The same tolerance on `|grad f|`, once it is certain that it is one.
pub(super) fn checked_tolerance(tolerance: f32) -> Result<f32, SettingsError> {
    if tolerance.is_nan() || tolerance < 0.0 { Err(SettingsError::Tolerance) } else { Ok(tolerance) }
}
