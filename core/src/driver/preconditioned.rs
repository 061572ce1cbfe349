//! The loop of the preconditioned solver, and its evaluator over fixed buffers.

use super::{Buffers, DriveError, WrongLength};
use crate::math::{Sum, dot};
use crate::problem::{Evaluator, LinearModel, PreconditionedEvaluator};
use crate::schedule::Level;
use crate::solver::{Directional, Preconditioned, PreconditionedAnswer, PreconditionedRequest, Status};
use crate::trace::Record;
use core::ops::ControlFlow;

/// Runs `solver` to its end on `evaluator`, as [`crate::drive`] does for the other solvers.
///
/// # Errors
/// When the evaluator fails, or when it computes a number that is not finite; the last iterate stays in the evaluator.
pub fn drive_preconditioned<E: PreconditionedEvaluator>(
    solver: &mut Preconditioned,
    evaluator: &mut E,
    mut observe: impl FnMut(&Record, &mut E) -> ControlFlow<()>,
) -> Result<Status, DriveError<E::Error>> {
    use PreconditionedAnswer as Tell;
    use PreconditionedRequest as Asked;
    loop {
        let answer = match solver.request() {
            Asked::Denoise { level, variance, turn } => {
                evaluator.denoise(level, variance, turn).map(Tell::ResidualSquare)
            }
            Asked::Gradient { level, new_iterate } => {
                evaluator.begin_solve(level, new_iterate).map(Tell::ResidualSquare)
            }
            Asked::Curvature { momentum, damping } => evaluator.curvature(momentum, damping).map(Tell::Curvature),
            Asked::Advance { length, damping } => evaluator.advance(length, damping).map(Tell::ResidualSquare),
            Asked::Products => evaluator.products().map(Tell::Direction),
            Asked::Change { step } => evaluator.change(step).map(Tell::Change),
            Asked::Update { step } => evaluator.update(step).map(|()| Tell::Updated),
            Asked::Done(status) => return Ok(status),
        };
        let record = solver.answer(answer.map_err(DriveError::Evaluator)?).map_err(DriveError::Answer)?;
        if record.is_some_and(|record| observe(&record, evaluator).is_break()) {
            solver.stop();
        }
    }
}

/// The plain evaluator for [`Preconditioned`]: [`Buffers`], and three vectors of the linear solve.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PreconditionedBuffers<'a, P> {
    buffers: Buffers<'a, P>,
    /// `r`.
    residual: &'a mut [f32],
    /// `p`.
    conjugate: &'a mut [f32],
    /// `A^T A p`.
    normal: &'a mut [f32],
}

impl<'a, P: LinearModel> PreconditionedBuffers<'a, P> {
    /// Number of floats that [`new`](Self::new) needs for a problem of this dimension: seven vectors.
    #[must_use]
    pub const fn floats(dimension: usize) -> usize {
        dimension.saturating_mul(7)
    }

    /// Lays the vectors into `memory` and starts at `x = 0`; `objective` is the member of the homotopy that is `f`.
    ///
    /// # Errors
    /// [`WrongLength`] when `memory` has not [`floats`](Self::floats)`(dimension)` numbers.
    pub fn new(problem: &'a mut P, memory: &'a mut [f32], objective: Level) -> Result<Self, WrongLength> {
        let n = problem.dimension();
        let wrong = WrongLength { expected: Self::floats(n), found: memory.len() };
        if wrong.expected != wrong.found {
            return Err(wrong);
        }
        let (plain, solve) = memory.split_at_mut_checked(Buffers::<P>::floats(n)).ok_or(wrong)?;
        solve.fill(0.0);
        let (residual, rest) = solve.split_at_mut_checked(n).ok_or(wrong)?;
        let (conjugate, normal) = rest.split_at_mut_checked(n).ok_or(wrong)?;
        Ok(Self { buffers: Buffers::new(problem, plain, objective)?, residual, conjugate, normal })
    }

    /// Sets the starting point.
    ///
    /// # Errors
    /// [`WrongLength`] when `x` has not the dimension of the problem.
    pub fn set_iterate(&mut self, x: &[f32]) -> Result<(), WrongLength> {
        self.buffers.set_iterate(x)
    }

    /// The current iterate.
    #[must_use]
    pub fn iterate(&self) -> &[f32] {
        self.buffers.iterate()
    }
}

impl<P: LinearModel> PreconditionedBuffers<'_, P> {
    /// `r` holds the gradient `g`: `r <- -g`, `p <- 0`, `d <- 0`; returns `|r|^2`.
    fn solve_for_residual(&mut self) -> f32 {
        self.residual.iter_mut().for_each(|r| *r = -*r);
        self.conjugate.fill(0.0);
        self.buffers.direction.fill(0.0);
        dot(self.residual, self.residual)
    }
}

impl<P: LinearModel> Evaluator for PreconditionedBuffers<'_, P> {
    type Error = P::Error;

    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, P::Error> {
        self.buffers.direction(level, new_iterate)
    }

    fn change(&mut self, step: f32) -> Result<f32, P::Error> {
        self.buffers.change(step)
    }

    fn update(&mut self, step: f32) -> Result<(), P::Error> {
        self.buffers.update(step)
    }
}

impl<P: LinearModel> PreconditionedEvaluator for PreconditionedBuffers<'_, P> {
    fn denoise(&mut self, level: Level, variance: f32, turn: u32) -> Result<f32, P::Error> {
        let Buffers { problem, x, .. } = &mut self.buffers;
        problem.prior_gradient(x, level, turn, self.residual)?;
        x.iter_mut().zip(self.residual.iter()).for_each(|(x, gradient)| *x -= variance * gradient);
        problem.data_gradient(x, self.residual)?;
        Ok(self.solve_for_residual())
    }

    fn begin_solve(&mut self, level: Level, new_iterate: bool) -> Result<f32, P::Error> {
        let Buffers { problem, objective, x, gradient, .. } = &mut self.buffers;
        if new_iterate {
            problem.gradient(x, *objective, gradient)?;
        }
        problem.gradient(x, level, self.residual)?;
        Ok(self.solve_for_residual())
    }

    fn curvature(&mut self, momentum: f32, damping: f32) -> Result<f32, P::Error> {
        self.conjugate.iter_mut().zip(self.residual.iter()).for_each(|(p, r)| *p = r + momentum * *p);
        self.buffers.problem.normal(self.conjugate, self.normal)?;
        let mut curvature = Sum::default();
        for (p, normal) in self.conjugate.iter().zip(self.normal.iter()) {
            curvature.add(p * (normal + damping * p));
        }
        Ok(curvature.value())
    }

    fn advance(&mut self, length: f32, damping: f32) -> Result<f32, P::Error> {
        let solved = self.conjugate.iter().zip(self.normal.iter());
        let vectors = self.buffers.direction.iter_mut().zip(self.residual.iter_mut());
        for ((d, r), (p, normal)) in vectors.zip(solved) {
            *d += length * p;
            *r -= length * (normal + damping * p);
        }
        Ok(dot(self.residual, self.residual))
    }

    fn products(&mut self) -> Result<Directional, P::Error> {
        let Buffers { gradient, direction, .. } = &self.buffers;
        Ok(Directional {
            gradient_norm_sq: dot(gradient, gradient),
            slope: dot(gradient, direction),
            direction_norm_sq: dot(direction, direction),
            ..Directional::default()
        })
    }
}
