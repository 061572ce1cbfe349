//! The loop that connects a solver with an evaluator, and the evaluator over fixed buffers.

use crate::math::{Sum, dot};
use crate::problem::{Evaluator, Problem};
use crate::schedule::Level;
use crate::solver::{Answer, AnswerError, Directional, Request, Solver, Status};
use crate::trace::Record;
use core::fmt;
use core::ops::ControlFlow;

mod preconditioned;
pub use preconditioned::{PreconditionedBuffers, drive_preconditioned};

/// Why a run broke off.
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
pub fn drive<S: Solver, E: Evaluator>(
    solver: &mut S,
    evaluator: &mut E,
    mut observe: impl FnMut(&Record, &mut E) -> ControlFlow<()>,
) -> Result<Status, DriveError<E::Error>> {
    loop {
        let answer = match solver.request() {
            Request::Direction { level, new_iterate } => evaluator.direction(level, new_iterate).map(Answer::Direction),
            Request::Change { step } => evaluator.change(step).map(Answer::Change),
            Request::Update { step } => evaluator.update(step).map(|()| Answer::Updated),
            Request::Done(status) => return Ok(status),
        };
        let record = solver.answer(answer.map_err(DriveError::Evaluator)?).map_err(DriveError::Answer)?;
        if record.is_some_and(|record| observe(&record, evaluator).is_break()) {
            solver.stop();
        }
    }
}

/// A slice has not the length that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WrongLength {
    /// The length it must have.
    pub expected: usize,
    /// The length it has.
    pub found: usize,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a buffer has {} numbers where {} are needed", self.found, self.expected)
    }
}

impl core::error::Error for WrongLength {}

/// The four vectors of [`Buffers`] in a run under way, each of the dimension of the problem.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Vectors<'a> {
    /// `x`.
    pub iterate: &'a [f32],
    /// `grad f(x)`, where the solver has had it computed.
    pub gradient: &'a [f32],
    /// `d`, likewise.
    pub direction: &'a [f32],
    /// `d'`, the direction of the last update.
    pub previous: &'a [f32],
    /// Whether there was an update.
    pub has_previous: bool,
}

/// `x`, `grad f`; `d`, `d'`.
type Quarters<'a> = ((&'a mut [f32], &'a mut [f32]), (&'a mut [f32], &'a mut [f32]));

/// Four vectors of length `n` from the start of `memory`.
fn quarters(memory: &mut [f32], n: usize) -> Option<Quarters<'_>> {
    let (x, rest) = memory.split_at_mut_checked(n)?;
    let (gradient, rest) = rest.split_at_mut_checked(n)?;
    let (direction, rest) = rest.split_at_mut_checked(n)?;
    Some(((x, gradient), (direction, rest)))
}

fn copy(from: &[f32], to: &mut [f32]) -> Result<(), WrongLength> {
    let (expected, found) = (to.len(), from.len());
    if expected != found {
        return Err(WrongLength { expected, found });
    }
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    Ok(())
}

/// The plain evaluator: vectors in one slice that the caller owns.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Buffers<'a, P> {
    problem: &'a mut P,
    objective: Level,
    x: &'a mut [f32],
    gradient: &'a mut [f32],
    direction: &'a mut [f32],
    previous: &'a mut [f32],
    has_previous: bool,
}

impl<'a, P: Problem> Buffers<'a, P> {
    /// Number of floats that [`new`](Self::new) needs for a problem of this dimension: four vectors.
    #[must_use]
    pub const fn floats(dimension: usize) -> usize {
        dimension.saturating_mul(4)
    }

    /// Lays the vectors into `memory` and starts at `x = 0`; `objective` is the member of the homotopy that is `f`.
    ///
    /// # Errors
    /// [`WrongLength`] when `memory` has not [`floats`](Self::floats)`(dimension)` numbers.
    pub fn new(problem: &'a mut P, memory: &'a mut [f32], objective: Level) -> Result<Self, WrongLength> {
        let n = problem.dimension();
        let (expected, found) = (Self::floats(n), memory.len());
        if expected != found {
            return Err(WrongLength { expected, found });
        }
        memory.fill(0.0);
        let ((x, gradient), (direction, previous)) = quarters(memory, n).ok_or(WrongLength { expected, found })?;
        Ok(Self { problem, objective, x, gradient, direction, previous, has_previous: false })
    }

    /// Goes on with saved [`vectors`](Self::vectors), for a solver that was saved at the same request.
    ///
    /// # Errors
    /// [`WrongLength`] when `memory` or one of the vectors does not suit the dimension of the problem.
    pub fn resume(
        problem: &'a mut P,
        memory: &'a mut [f32],
        objective: Level,
        saved: &Vectors<'_>,
    ) -> Result<Self, WrongLength> {
        let buffers = Self::new(problem, memory, objective)?;
        copy(saved.iterate, buffers.x)?;
        copy(saved.gradient, buffers.gradient)?;
        copy(saved.direction, buffers.direction)?;
        copy(saved.previous, buffers.previous)?;
        Ok(Self { has_previous: saved.has_previous, ..buffers })
    }

    /// What [`resume`](Self::resume) needs beside the solver's own state.
    #[must_use]
    pub fn vectors(&self) -> Vectors<'_> {
        Vectors {
            iterate: self.x,
            gradient: self.gradient,
            direction: self.direction,
            previous: self.previous,
            has_previous: self.has_previous,
        }
    }

    /// Sets the starting point.
    ///
    /// # Errors
    /// [`WrongLength`] when `x` has not the dimension of the problem.
    pub fn set_iterate(&mut self, x: &[f32]) -> Result<(), WrongLength> {
        copy(x, self.x)?;
        self.has_previous = false;
        Ok(())
    }

    /// The current iterate.
    #[must_use]
    pub fn iterate(&self) -> &[f32] {
        self.x
    }

    /// `<d', d' - d>` and `|d' - d|^2` for the direction `d'` of the last update.
    fn difference(&self) -> (f32, f32) {
        let (mut product, mut square) = (Sum::default(), Sum::default());
        if self.has_previous {
            for (previous, d) in self.previous.iter().zip(self.direction.iter()) {
                let difference = previous - d;
                product.add(previous * difference);
                square.add(difference * difference);
            }
        }
        (product.value(), square.value())
    }
}

impl<P: Problem> Evaluator for Buffers<'_, P> {
    type Error = P::Error;

    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, P::Error> {
        if new_iterate {
            self.problem.gradient(self.x, self.objective, self.gradient)?;
        }
        if level == self.objective {
            self.direction.iter_mut().zip(self.gradient.iter()).for_each(|(d, gradient)| *d = *gradient);
        } else {
            self.problem.gradient(self.x, level, self.direction)?;
        }
        self.direction.iter_mut().for_each(|d| *d *= -level.t);
        let (previous_dot_difference, difference_norm_sq) = self.difference();
        Ok(Directional {
            gradient_norm_sq: dot(self.gradient, self.gradient),
            slope: dot(self.gradient, self.direction),
            direction_norm_sq: dot(self.direction, self.direction),
            previous_dot_difference,
            difference_norm_sq,
        })
    }

    fn change(&mut self, step: f32) -> Result<f32, P::Error> {
        self.problem.change(self.x, self.direction, step, self.objective)
    }

    fn update(&mut self, step: f32) -> Result<(), P::Error> {
        self.x.iter_mut().zip(self.direction.iter()).for_each(|(x, d)| *x += step * d);
        core::mem::swap(&mut self.direction, &mut self.previous);
        self.has_previous = true;
        Ok(())
    }
}
