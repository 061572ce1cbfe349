//! The linear solves of the preconditioned method, on the CPU.

use super::CpuEvaluator;
use crate::backend::cpu::vector::{add_scaled, dot};
use crate::backend::cuda::Traffic;
use crate::backend::{Counters, Mirror, SliceEvaluator};
use crate::ct::ProjectionError;
use gradus_core::{Directional, Evaluator, Level, PreconditionedEvaluator};

/// A [`CpuEvaluator`] with the vectors of the conjugate gradient method.
///
/// `A d` is gathered from the `A p` of the solve, so the line search needs no projection of its own.
pub struct PreconditionedCpuEvaluator {
    problem: CpuEvaluator,
    /// `r`.
    residual: Vec<f32>,
    /// `p`.
    conjugate: Vec<f32>,
    /// `A p`.
    projected: Vec<f32>,
    /// `A^T A p`.
    normal: Vec<f32>,
    mirrors: bool,
}

impl PreconditionedCpuEvaluator {
    /// The same problem, at the same iterate.
    #[must_use]
    pub fn new(problem: CpuEvaluator) -> Self {
        let image = || vec![0.0; problem.iterate.len()];
        let projected = vec![0.0; problem.residual.len()];
        Self { residual: image(), conjugate: image(), normal: image(), projected, mirrors: true, problem }
    }

    /// The same evaluator, which mirrors the image from turn to turn of the approach or does not; by default it does.
    #[must_use]
    pub fn with_mirrors(self, mirrors: bool) -> Self {
        Self { mirrors, ..self }
    }

    /// The problem at the current iterate.
    #[must_use]
    pub fn problem(&mut self) -> &mut CpuEvaluator {
        &mut self.problem
    }
}

impl Evaluator for PreconditionedCpuEvaluator {
    type Error = ProjectionError;

    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, ProjectionError> {
        self.problem.direction(level, new_iterate)
    }

    fn change(&mut self, step: f32) -> Result<f32, ProjectionError> {
        self.problem.change(step)
    }

    fn update(&mut self, step: f32) -> Result<(), ProjectionError> {
        self.problem.update(step)
    }
}

impl SliceEvaluator for PreconditionedCpuEvaluator {
    fn objective(&mut self) -> Result<f64, ProjectionError> {
        Ok(self.problem.objective())
    }

    fn copy_iterate(&self, image: &mut [f32]) -> Result<(), ProjectionError> {
        self.problem.copy_iterate(image)
    }

    fn restart(&mut self, x: &[f32], objective: Level) -> Result<(), ProjectionError> {
        self.problem.restart(x, objective)
    }

    fn counters(&self) -> Counters {
        self.problem.counters()
    }

    fn traffic(&self) -> Option<Traffic> {
        None
    }
}

impl PreconditionedCpuEvaluator {
    /// The problem's direction holds the gradient `g`: `r <- -g`, `p <- 0`, `d <- 0`; returns `|r|^2`.
    fn solve_for_direction(&mut self) -> f32 {
        let problem = &mut self.problem;
        self.residual.iter_mut().zip(&problem.direction).for_each(|(r, gradient)| *r = -gradient);
        self.conjugate.fill(0.0);
        problem.direction.fill(0.0);
        problem.projected.fill(0.0);
        problem.has_projected = true;
        dot(&self.residual, &self.residual) as f32
    }
}

impl PreconditionedEvaluator for PreconditionedCpuEvaluator {
    fn denoise(&mut self, level: Level, variance: f32, turn: u32) -> Result<f32, ProjectionError> {
        self.problem.denoise(level, variance, Mirror::of_turn(if self.mirrors { turn } else { 0 }))?;
        Ok(self.solve_for_direction())
    }

    fn begin_solve(&mut self, level: Level, new_iterate: bool) -> Result<f32, ProjectionError> {
        self.problem.gradients(level, new_iterate)?;
        Ok(self.solve_for_direction())
    }

    fn curvature(&mut self, momentum: f32, damping: f32) -> Result<f32, ProjectionError> {
        self.conjugate.iter_mut().zip(&self.residual).for_each(|(p, r)| *p = r + momentum * *p);
        self.problem.data_term.forward_project(&self.conjugate, &mut self.projected)?;
        self.problem.counters.projections += 1;
        let square = dot(&self.projected, &self.projected);
        Ok((square + f64::from(damping) * dot(&self.conjugate, &self.conjugate)) as f32)
    }

    fn advance(&mut self, length: f32, damping: f32) -> Result<f32, ProjectionError> {
        let problem = &mut self.problem;
        problem.data_term.adjoint(&self.projected, &mut self.normal)?;
        problem.counters.projections += 1;
        add_scaled(&mut problem.direction, length, &self.conjugate);
        add_scaled(&mut problem.projected, length, &self.projected);
        add_scaled(&mut self.residual, -length, &self.normal);
        add_scaled(&mut self.residual, -length * damping, &self.conjugate);
        Ok(dot(&self.residual, &self.residual) as f32)
    }

    fn products(&mut self) -> Result<Directional, ProjectionError> {
        let CpuEvaluator { gradient, direction, .. } = &self.problem;
        Ok(Directional {
            gradient_norm_sq: dot(gradient, gradient) as f32,
            slope: dot(gradient, direction) as f32,
            direction_norm_sq: dot(direction, direction) as f32,
            ..Directional::default()
        })
    }
}
