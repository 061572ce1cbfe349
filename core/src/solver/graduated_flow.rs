//! Algorithm 1: the graduated non-convexity flow.

use super::request::{Answer, AnswerError, Directional, Request, Status, finite};
use super::{SettingsError, Solver, check_weights};
use crate::line_search::{Backtracking, LineSearch, Verdict};
use crate::schedule::{Homotopy, Level};
use crate::state::{Reader, StateError, WORD, Words, Writer, words};
use crate::step_size::StepCandidate;
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
    homotopy: Homotopy,
    rule: FlowStep,
    i: u32,
    new_iterate: bool,
    last_step: Option<f32>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    Direction,
    LineSearch { search: LineSearch, backtracking: Backtracking, direction: Directional },
    Update(Record),
    Done(Status),
}

impl GraduatedFlow {
    /// A run over the levels of `homotopy`, one iteration each.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn new(homotopy: Homotopy, rule: FlowStep) -> Result<Self, SettingsError> {
        check_weights(&homotopy)?;
        let (candidate, backtracking) = match rule {
            FlowStep::Constant(length) => (StepCandidate::Constant(length), Backtracking::DEFAULT),
            FlowStep::LineSearch(candidate, backtracking) => (candidate, backtracking),
        };
        if !candidate.is_valid() {
            return Err(SettingsError::StepCandidate);
        }
        if !backtracking.is_valid() {
            return Err(SettingsError::Backtracking);
        }
        Ok(Self { homotopy, rule, i: 0, new_iterate: true, last_step: None, state: State::Direction })
    }

    /// Length of [`to_bytes`](Self::to_bytes): tag 1, homotopy 10, rule at most 9, progress 4 and at most 12 words of the
    /// line of the algorithm.
    pub const BYTES: usize = 36 * WORD;

    const TAG: [u8; WORD] = *b"GF02";

    /// The state, to be resumed at this request by [`from_bytes`](Self::from_bytes).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let out = &mut Writer::new(&mut bytes, Self::TAG);
        self.homotopy.write(out);
        self.rule.write(out);
        self.i.write(out);
        self.new_iterate.write(out);
        self.last_step.write(out);
        self.state.write(out);
        bytes
    }

    /// The solver whose state was saved: it asks the same request again, and goes on with the same bits.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut input = Reader::new(bytes, Self::BYTES, Self::TAG)?;
        let words = &mut input;
        let fresh = Self::new(Words::read(words)?, Words::read(words)?)?;
        let solver = Self {
            i: Words::read(words)?,
            new_iterate: Words::read(words)?,
            last_step: Words::read(words)?,
            state: Words::read(words)?,
            ..fresh
        };
        input.end()?;
        Ok(solver)
    }

    fn level(&self) -> Level {
        self.homotopy.level(self.i)
    }

    /// `d_i` is known: step along it, or search along it.
    fn decide(&mut self, direction: Directional) {
        self.new_iterate = false;
        self.state = match self.rule {
            FlowStep::Constant(step) => {
                let record = direction.record(self.i, self.level().t, Outcome::Step, 0);
                State::Update(Record { step, ..record })
            }
            FlowStep::LineSearch(candidate, backtracking) => {
                let search = LineSearch::new(candidate.length(&direction, self.last_step), direction.slope);
                State::LineSearch { search, backtracking, direction }
            }
        };
    }

    /// `f(x + lambda d) - f(x)` is known: accept, shorten or go on without a step.
    fn judge(
        &mut self,
        mut search: LineSearch,
        backtracking: Backtracking,
        direction: Directional,
        change: f32,
    ) -> Option<Record> {
        let step = search.step();
        let verdict = search.judge(&backtracking, change);
        let record = |outcome| direction.record(self.i, self.level().t, outcome, search.trials());
        match verdict {
            Verdict::Accept => {
                self.state = State::Update(Record { step, change: Some(change), ..record(Outcome::Step) });
                None
            }
            Verdict::Shorten => {
                self.state = State::LineSearch { search, backtracking, direction };
                None
            }
            Verdict::GiveUp => {
                let record = record(Outcome::NoTrialPassed);
                self.next_level();
                Some(record)
            }
        }
    }

    fn next_level(&mut self) {
        self.i = self.i.saturating_add(1);
        self.state =
            if self.i < self.homotopy.schedule.len() { State::Direction } else { State::Done(Status::ScheduleDone) };
    }
}

impl Solver for GraduatedFlow {
    fn request(&self) -> Request {
        match self.state {
            State::Direction => Request::Direction { level: self.level(), new_iterate: self.new_iterate },
            State::LineSearch { search, .. } => Request::Change { step: search.step() },
            State::Update(record) => Request::Update { step: record.step },
            State::Done(status) => Request::Done(status),
        }
    }

    fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        match (self.state, answer) {
            (State::Direction, Answer::Direction(direction)) => {
                self.decide(direction.checked()?);
                Ok(None)
            }
            (State::LineSearch { search, backtracking, direction }, Answer::Change(change)) => {
                Ok(self.judge(search, backtracking, direction, finite(change)?))
            }
            (State::Update(record), Answer::Updated) => {
                self.new_iterate = true;
                self.last_step = Some(record.step);
                self.next_level();
                Ok(Some(record))
            }
            _ => Err(AnswerError::NotAsked),
        }
    }

    fn stop(&mut self) {
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Done(Status::Stopped);
        }
    }

    fn objective(&self) -> Level {
        self.homotopy.objective()
    }
}

words!(enum FlowStep { 0 = Constant { 0: length }, 1 = LineSearch { 0: candidate, 1: backtracking } });
words!(enum State {
    0 = Direction {},
    1 = LineSearch { search: search, backtracking: backtracking, direction: direction },
    2 = Update { 0: record },
    3 = Done { 0: status }
});
