//! The plain evaluator: vectors in slices that the caller owns.

use crate::math::{dot, sum};
use crate::noise::Draw;
use crate::problem::{Evaluator, LinearModel, Problem};
use crate::schedule::Level;
use crate::solver::{Answer, ConjugateGradient, Directional, Effort, Krylov, Request, Solved};
use core::fmt;

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
    /// `grad f(x)`, where the solver has had it computed; what a [`Request::Denoise`] took from `x`.
    pub gradient: &'a [f32],
    /// `d`, likewise; at a [`Request::Solve`], `r`.
    pub direction: &'a [f32],
    /// `d'`, the direction of the last update, until a [`Request::Denoise`] that extrapolates.
    pub previous: &'a [f32],
    /// Set once there was an update.
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

/// Reasons for which [`Buffers`] cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BuffersError<E> {
    /// The problem failed.
    Problem(E),
    /// Its two terms are needed apart, and [`Problem::linear_model`] has none.
    NoLinearModel,
    /// A linear system is to be solved, and there is no memory for it: see [`Buffers::with_solve`].
    NoSolve,
}

impl<E: fmt::Display> fmt::Display for BuffersError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(error) => error.fmt(f),
            Self::NoLinearModel => {
                f.write_str("this method needs a problem that knows its data term and its prior apart")
            }
            Self::NoSolve => f.write_str("this method solves linear systems, for which no memory was given"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for BuffersError<E> {}

/// The plain evaluator.
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
    solve: Option<SolveVectors<'a>>,
}

/// Vectors of a linear solve beside the direction.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct SolveVectors<'a> {
    /// `r`.
    residual: &'a mut [f32],
    /// `p`.
    conjugate: &'a mut [f32],
    /// `A^T A p`.
    normal: &'a mut [f32],
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
        Ok(Self { problem, objective, x, gradient, direction, previous, has_previous: false, solve: None })
    }

    /// Number of floats that [`with_solve`](Self::with_solve) needs beside: three vectors.
    #[must_use]
    pub const fn solve_floats(dimension: usize) -> usize {
        dimension.saturating_mul(3)
    }

    /// The same vectors, with `memory` for linear systems. Nothing in it outlives a [`Request::Solve`].
    ///
    /// # Errors
    /// [`WrongLength`] when `memory` has not [`solve_floats`](Self::solve_floats)`(dimension)` numbers.
    pub fn with_solve(self, memory: &'a mut [f32]) -> Result<Self, WrongLength> {
        let n = self.x.len();
        let wrong = WrongLength { expected: Self::solve_floats(n), found: memory.len() };
        if wrong.expected != wrong.found {
            return Err(wrong);
        }
        let (residual, rest) = memory.split_at_mut_checked(n).ok_or(wrong)?;
        let (conjugate, normal) = rest.split_at_mut_checked(n).ok_or(wrong)?;
        Ok(Self { solve: Some(SolveVectors { residual, conjugate, normal }), ..self })
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

    /// The part that [`resume`](Self::resume) needs beside the solver's own state.
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
}

impl<P: Problem> Evaluator for Buffers<'_, P> {
    type Error = BuffersError<P::Error>;

    fn answer(&mut self, request: Request) -> Result<Answer, Self::Error> {
        match request {
            Request::Direction { level, new_iterate } => self.direction(level, new_iterate).map(Answer::Direction),
            Request::Denoise { level, variance, turn, extrapolation } => {
                self.denoise((level, variance, turn), extrapolation).map(|()| Answer::Ready)
            }
            Request::Gradient { level, new_iterate } => {
                self.negative_gradient(level, new_iterate).map(|()| Answer::Ready)
            }
            Request::Solve { damping, effort } => self.solve(damping, effort).map(Answer::Solved),
            Request::Diffuse { removed, taken, fresh, draw } => {
                self.diffuse(removed, taken, fresh, draw);
                Ok(Answer::Ready)
            }
            Request::Products => Ok(Answer::Direction(Directional::of(self.gradient, self.direction, None))),
            Request::Change { step } => {
                let change = self.problem.change(self.x, self.direction, step, self.objective);
                change.map(Answer::Change).map_err(BuffersError::Problem)
            }
            Request::Update { step } => {
                self.update(step);
                Ok(Answer::Ready)
            }
            Request::Done(_) => Ok(Answer::Ready),
        }
    }
}

type Refused<E> = Result<(), BuffersError<E>>;

impl<P: Problem> Buffers<'_, P> {
    /// `d <- -t grad F(x, t)`, and its products.
    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, BuffersError<P::Error>> {
        self.refresh_gradient(new_iterate)?;
        if level == self.objective {
            self.direction.iter_mut().zip(self.gradient.iter()).for_each(|(d, gradient)| *d = *gradient);
        } else {
            self.problem.gradient(self.x, level, self.direction).map_err(BuffersError::Problem)?;
        }
        self.direction.iter_mut().for_each(|d| *d *= -level.t);
        Ok(Directional::of(self.gradient, self.direction, self.has_previous.then_some(&*self.previous)))
    }

    /// `grad f(x)`, where `x` has changed.
    fn refresh_gradient(&mut self, new_iterate: bool) -> Refused<P::Error> {
        if new_iterate {
            self.problem.gradient(self.x, self.objective, self.gradient).map_err(BuffersError::Problem)?;
        }
        Ok(())
    }

    /// `x <- x - e` with `e` in the place of `grad f`: `variance grad R(x, t)`, less the extrapolation from `x'`, which
    /// is `x - d' + e'`; `r <- -A^T(A x - y)`, in the direction's place until the solve.
    fn denoise(&mut self, (level, variance, turn): (Level, f32, u32), extrapolation: f32) -> Refused<P::Error> {
        let model = self.problem.linear_model().ok_or(BuffersError::NoLinearModel)?;
        if extrapolation != 0.0 {
            // x - x' = d' - e'.
            self.previous.iter_mut().zip(self.gradient.iter()).for_each(|(d, e)| *d = extrapolation * (*d - e));
        }
        model.prior_gradient(self.x, level, turn, self.gradient).map_err(BuffersError::Problem)?;
        self.gradient.iter_mut().for_each(|e| *e *= (1.0 + extrapolation) * variance);
        if extrapolation != 0.0 {
            self.gradient.iter_mut().zip(self.previous.iter()).for_each(|(e, moved)| *e -= moved);
        }
        self.x.iter_mut().zip(self.gradient.iter()).for_each(|(x, e)| *x -= e);
        model.data_gradient(self.x, self.direction).map_err(BuffersError::Problem)?;
        self.direction.iter_mut().for_each(|r| *r = -*r);
        Ok(())
    }

    /// `r <- -grad F(x, t)`, likewise.
    fn negative_gradient(&mut self, level: Level, new_iterate: bool) -> Refused<P::Error> {
        self.refresh_gradient(new_iterate)?;
        self.problem.gradient(self.x, level, self.direction).map_err(BuffersError::Problem)?;
        self.direction.iter_mut().for_each(|r| *r = -*r);
        Ok(())
    }

    /// `(A^T A + damping I) d = r`.
    fn solve(&mut self, damping: f32, effort: Effort) -> Result<Solved, BuffersError<P::Error>> {
        let vectors = self.solve.as_mut().ok_or(BuffersError::NoSolve)?;
        let model = self.problem.linear_model().ok_or(BuffersError::NoLinearModel)?;
        vectors.residual.iter_mut().zip(self.direction.iter()).for_each(|(r, held)| *r = *held);
        vectors.conjugate.fill(0.0);
        self.direction.fill(0.0);
        let mut solve = ConjugateGradient::new(dot(vectors.residual, vectors.residual), effort);
        loop {
            solve.answer(match solve.request() {
                Krylov::Curvature { momentum } => {
                    vectors.curvature(model, momentum, damping).map_err(BuffersError::Problem)?
                }
                Krylov::Advance { length } => vectors.advance(self.direction, length, damping),
                Krylov::Done(solved) => return Ok(solved),
            });
        }
    }

    /// `x <- x + removed e + taken d' + fresh z`.
    fn diffuse(&mut self, removed: f32, taken: f32, fresh: f32, draw: Draw) {
        for (factor, vector) in [(removed, &*self.gradient), (taken, &*self.previous)] {
            if factor != 0.0 {
                self.x.iter_mut().zip(vector).for_each(|(x, v)| *x += factor * v);
            }
        }
        draw.add_to(fresh, 0, self.x);
    }

    /// `x <- x + step d`.
    fn update(&mut self, step: f32) {
        self.x.iter_mut().zip(self.direction.iter()).for_each(|(x, d)| *x += step * d);
        core::mem::swap(&mut self.direction, &mut self.previous);
        self.has_previous = true;
    }
}

impl SolveVectors<'_> {
    /// `p <- r + momentum p`; `<p, (A^T A + damping I) p>`.
    fn curvature<E>(&mut self, model: &mut dyn LinearModel<Error = E>, momentum: f32, damping: f32) -> Result<f32, E> {
        self.conjugate.iter_mut().zip(self.residual.iter()).for_each(|(p, r)| *p = r + momentum * *p);
        model.normal(self.conjugate, self.normal)?;
        let products = self.conjugate.iter().zip(self.normal.iter()).map(|(p, normal)| p * (normal + damping * p));
        Ok(sum(products))
    }

    /// `d <- d + length p`, `r <- r - length (A^T A + damping I) p`; `|r|^2`.
    fn advance(&mut self, direction: &mut [f32], length: f32, damping: f32) -> f32 {
        let solved = self.conjugate.iter().zip(self.normal.iter());
        for ((d, r), (p, normal)) in direction.iter_mut().zip(self.residual.iter_mut()).zip(solved) {
            *d += length * p;
            *r -= length * (normal + damping * p);
        }
        dot(self.residual, self.residual)
    }
}
