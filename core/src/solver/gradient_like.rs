//! Algorithm 2: the gradient-like method with the adaptive smoothing schedule.

use super::request::{Answer, AnswerError, Directional, Request, Status, finite};
use super::{SettingsError, Solver, check_weights};
use crate::line_search::{Backtracking, LineSearch, Verdict};
use crate::schedule::{Homotopy, Level};
use crate::state::{Reader, StateError, WORD, Words, Writer, words};
use crate::step_size::StepCandidate;
use crate::trace::{Outcome, Record};

/// The gradient-like method \[FKD24, Algorithm 2\].
///
/// ```text
/// for i = 1, 2, ...:
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
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GradientLike {
    homotopy: Homotopy,
    candidate: StepCandidate,
    backtracking: Backtracking,
    tolerance: f32,
    max_iterations: u32,
    i: u32,
    new_iterate: bool,
    last_step: Option<f32>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    Direction,
    LineSearch { search: LineSearch, direction: Directional },
    Update(Record),
    Done(Status),
}

impl GradientLike {
    /// A run over the levels of `homotopy`, one iteration each.
    ///
    /// It ends sooner when `|grad f|` is at most `tolerance`; see
    /// [`with_max_iterations`](Self::with_max_iterations) to go on at `t_min` after the last level.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn new(
        homotopy: Homotopy,
        candidate: StepCandidate,
        backtracking: Backtracking,
        tolerance: f32,
    ) -> Result<Self, SettingsError> {
        check_weights(&homotopy)?;
        if !candidate.is_valid() {
            return Err(SettingsError::StepCandidate);
        }
        if !backtracking.is_valid() {
            return Err(SettingsError::Backtracking);
        }
        if tolerance.is_nan() || tolerance < 0.0 {
            return Err(SettingsError::Tolerance);
        }
        Ok(Self {
            homotopy,
            candidate,
            backtracking,
            tolerance,
            max_iterations: homotopy.schedule.len(),
            i: 0,
            new_iterate: true,
            last_step: None,
            state: State::Direction,
        })
    }

    /// The same run with another number of iterations; those after the last level stay at `t_min`.
    #[must_use]
    pub const fn with_max_iterations(self, max_iterations: u32) -> Self {
        Self { max_iterations, ..self }
    }

    /// Length of [`to_bytes`](Self::to_bytes): tag 1, homotopy 10, candidate 5, line search 3, tolerance and limit 2,
    /// progress 4 and at most 11 words of the line of the algorithm.
    pub const BYTES: usize = 36 * WORD;

    const TAG: [u8; WORD] = *b"GL02";

    /// The state, to be resumed at this request by [`from_bytes`](Self::from_bytes).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let out = &mut Writer::new(&mut bytes, Self::TAG);
        self.homotopy.write(out);
        self.candidate.write(out);
        self.backtracking.write(out);
        self.tolerance.to_bits().write(out); // may be infinite
        self.max_iterations.write(out);
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
        let (homotopy, candidate, backtracking) = (Words::read(words)?, Words::read(words)?, Words::read(words)?);
        let fresh = Self::new(homotopy, candidate, backtracking, f32::from_bits(Words::read(words)?))?;
        let solver = Self {
            max_iterations: Words::read(words)?,
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

    /// `d_i` is known: stop, leave this level, or search along it.
    fn decide(&mut self, direction: Directional) -> Option<Record> {
        self.new_iterate = false;
        if direction.gradient_norm() <= self.tolerance {
            self.state = State::Done(Status::Stationary);
            return None;
        }
        if direction.slope >= 0.0 {
            return Some(self.leave_level(direction.record(self.i, self.level().t, Outcome::NotDescent, 0)));
        }
        let candidate = self.candidate.length(&direction, self.last_step);
        self.state = State::LineSearch { search: LineSearch::new(candidate, direction.slope), direction };
        None
    }

    /// `f(x + lambda d) - f(x)` is known: accept, shorten or give up.
    fn judge(&mut self, mut search: LineSearch, direction: Directional, change: f32) -> Option<Record> {
        let step = search.step();
        let verdict = search.judge(&self.backtracking, change);
        let record = |outcome| direction.record(self.i, self.level().t, outcome, search.trials());
        match verdict {
            Verdict::Accept => {
                self.state = State::Update(Record { step, change: Some(change), ..record(Outcome::Step) });
                None
            }
            Verdict::Shorten => {
                self.state = State::LineSearch { search, direction };
                None
            }
            Verdict::GiveUp => Some(self.leave_level(record(Outcome::NoTrialPassed))),
        }
    }

    /// No step at this level: go on to the next, or end where there is none below.
    fn leave_level(&mut self, record: Record) -> Record {
        if record.t <= self.homotopy.schedule.t_min() {
            self.state = State::Done(Status::NoStep);
        } else {
            self.next_level();
        }
        record
    }

    fn next_level(&mut self) {
        self.i = self.i.saturating_add(1);
        self.state = if self.i < self.max_iterations { State::Direction } else { State::Done(Status::ScheduleDone) };
    }
}

impl Solver for GradientLike {
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
            (State::Direction, Answer::Direction(direction)) => Ok(self.decide(direction.checked()?)),
            (State::LineSearch { search, direction }, Answer::Change(change)) => {
                Ok(self.judge(search, direction, finite(change)?))
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

words!(enum State {
    0 = Direction {},
    1 = LineSearch { search: search, direction: direction },
    2 = Update { 0: record },
    3 = Done { 0: status }
});
