//! Rounds over a batch: who waits for whom.

use crate::problem::Batch;
use crate::solver::{Answer, AnswerError, Request, Solver, Status};
use crate::trace::{Outcome, Record};

/// The end of a run of a batch; an error where its solver was told a number that is not finite.
pub type End = Result<Status, AnswerError>;

/// A run of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Run<S> {
    solver: S,
    broke: Option<AnswerError>,
}

impl<S: Solver> Run<S> {
    /// The run of `solver`.
    #[must_use]
    pub const fn new(solver: S) -> Self {
        Self { solver, broke: None }
    }

    /// The solver, where it is now.
    #[must_use]
    pub const fn solver(&self) -> &S {
        &self.solver
    }

    /// The request that the run waits at; none once it has ended.
    fn request(&self) -> Option<Request> {
        let request = self.solver.request();
        (self.broke.is_none() && !matches!(request, Request::Done(_))).then_some(request)
    }

    /// Tells the solver; one that refuses has ended.
    fn answer(&mut self, answer: Answer) -> Option<Record> {
        self.solver.answer(answer).unwrap_or_else(|error| {
            self.broke = Some(error);
            None
        })
    }

    /// The end of the run; none while it goes on.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match (self.broke, self.solver.request()) {
            (Some(error), _) => Some(Err(error)),
            (None, Request::Done(status)) => Some(Ok(status)),
            (None, _) => None,
        }
    }
}

/// Memory for rounds of at most `N` requests.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Room<const N: usize> {
    requests: [(usize, Request); N],
    answers: [Answer; N],
    completed: [(usize, Record); N],
}

impl<const N: usize> Room<N> {
    /// Empty room.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > 0, "a round needs room for a request") };
        Self { requests: [(0, Request::Products); N], answers: [Answer::Ready; N], completed: [(0, NO_RECORD); N] }
    }

    /// Gathers the requests of the next round; their number.
    fn ask<S: Solver>(&mut self, runs: &[Run<S>]) -> usize {
        let waiting = || runs.iter().enumerate().filter_map(|(slice, run)| Some((slice, run.request()?)));
        let Some(next) = waiting().map(|(_, request)| place(request)).min() else { return 0 };
        let asked = waiting().filter(|(_, request)| place(*request) == next);
        self.requests.iter_mut().zip(asked).map(|(to, ask)| *to = ask).count()
    }

    /// Hands out the first `n` answers; the number of iterations that they complete.
    fn tell<S: Solver>(&mut self, runs: &mut [Run<S>], n: usize) -> usize {
        let told = self.requests.iter().zip(&self.answers).take(n);
        let records = told.filter_map(|((slice, _), answer)| Some((*slice, runs.get_mut(*slice)?.answer(*answer)?)));
        self.completed.iter_mut().zip(records).map(|(to, record)| *to = record).count()
    }
}

impl<const N: usize> Default for Room<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A filler of [`Room`].
const NO_RECORD: Record = Record {
    iteration: 0,
    t: 0.0,
    outcome: Outcome::NotDescent,
    step: 0.0,
    trials: 0,
    gradient_norm: 0.0,
    direction_norm: 0.0,
    slope: 0.0,
    change: None,
    unsolved: 0.0,
};

/// Place of a request in the order of rounds: later parts of an iteration come first.
const fn place(request: Request) -> u8 {
    match request {
        Request::Change { .. } => 0,
        Request::Update { .. } => 1,
        Request::Products => 2,
        Request::Solve { .. } => 3,
        Request::Denoise { .. } => 4,
        Request::Gradient { .. } => 5,
        Request::Direction { .. } => 6,
        Request::Diffuse { .. } => 7,
        Request::Done(_) => 8,
    }
}

/// Runs the solvers of `runs`, one per slice of `batch`, to their ends.
///
/// A round answers all requests of one kind, at most `N`, together: the kind that comes last in an iteration, because
/// a slice that is ahead waits for it, so that all come to their next direction together. Slices that need more trials
/// than others go on trying while the others wait. Every slice makes the steps that it would make alone, and one that
/// breaks off leaves the others alone: [`Run::end`] says how each ended. `observe` sees the iterations that a round
/// completes, `(slice, record)`, and names the slices whose runs are to end where they are.
///
/// # Errors
/// When the batch fails.
pub fn drive_in_lockstep<S: Solver, B: Batch + ?Sized, I: IntoIterator<Item = usize>, const N: usize>(
    runs: &mut [Run<S>],
    batch: &mut B,
    room: &mut Room<N>,
    mut observe: impl FnMut(&[(usize, Record)], &mut B) -> I,
) -> Result<(), B::Error> {
    loop {
        let n = room.ask(runs);
        let (Some(requests), Some(answers)) = (room.requests.get(..n), room.answers.get_mut(..n)) else {
            return Ok(());
        };
        if requests.is_empty() {
            return Ok(());
        }
        batch.answer(requests, answers)?;
        let n = room.tell(runs, n);
        let completed = room.completed.get(..n).unwrap_or_default();
        if completed.is_empty() {
            continue;
        }
        for slice in observe(completed, batch) {
            if let Some(run) = runs.get_mut(slice) {
                run.solver.stop();
            }
        }
    }
}
