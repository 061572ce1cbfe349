//! The evaluator: vectors in static memory, projections by the accelerator, the prior by the processor.
//!
//! It is asked what the solver asks and answers when the accelerator is done. What it has computed for the current
//! iterate and direction it keeps; what it does not have it computes again, so that a run can be resumed from the
//! iterate and two directions.

use crate::accelerator::{Accelerator, Job};
use crate::patch_prior::PatchPrior;
use crate::projector::{N_BINS, N_PIXELS, N_RAYS, View};
use crate::scan::ScanError;
use core::task::{Poll, ready};
use gradus_core::math::{self, Sum, dot};
use gradus_core::{Answer, Directional, Level, Request};

/// All vectors of a reconstruction: 5 per image, 2 per sinogram.
#[derive(Debug)]
pub struct Memory {
    /// The part that must survive when a run is to be resumed.
    pub kept: Kept,
    gradient: [f32; N_PIXELS],
    data_gradient: [f32; N_PIXELS],
    residual: [f32; N_RAYS],
    projected: [f32; N_RAYS],
}

/// What a resumed run needs beside the solver's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// `x`.
    pub iterate: [f32; N_PIXELS],
    /// `d`.
    pub direction: [f32; N_PIXELS],
    /// `d'`, the direction of the last update.
    pub previous: [f32; N_PIXELS],
    /// Whether there was an update.
    pub has_previous: bool,
}

impl Memory {
    /// Zeros: the start of a run.
    pub const fn new() -> Self {
        let zero = [0.0; N_PIXELS];
        Self {
            kept: Kept { iterate: zero, direction: zero, previous: zero, has_previous: false },
            gradient: zero,
            data_gradient: zero,
            residual: [0.0; N_RAYS],
            projected: [0.0; N_RAYS],
        }
    }

    /// Loses everything but [`Kept`], as when the power fails.
    pub fn forget(&mut self) {
        for vector in [&mut self.gradient, &mut self.data_gradient] {
            vector.fill(f32::NAN);
        }
        for vector in [&mut self.residual, &mut self.projected] {
            vector.fill(f32::NAN);
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// The evaluator.
#[derive(Debug)]
pub struct Scanner<'a> {
    accelerator: Accelerator<'a>,
    measured: &'a [f32],
    prior: &'a PatchPrior,
    objective: Level,
    memory: &'a mut Memory,
    has_residual: bool,
    has_gradient: bool,
    has_projected: bool,
}

impl<'a> Scanner<'a> {
    /// Goes on from what `memory` keeps; `measured` is `[view][bin]`, `objective` the member that is `f`.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub fn new(
        views: &'a [View],
        measured: &'a [f32],
        prior: &'a PatchPrior,
        objective: Level,
        memory: &'a mut Memory,
    ) -> Result<Self, ScanError> {
        if views.is_empty() {
            return Err(ScanError::NoViews);
        }
        if measured.len() != views.len().saturating_mul(N_BINS) || measured.len() > N_RAYS {
            return Err(ScanError::WrongLength);
        }
        if !measured.iter().all(|value| value.is_finite()) {
            return Err(ScanError::NotFinite);
        }
        let accelerator = Accelerator::new(views);
        let (has_residual, has_gradient, has_projected) = (false, false, false);
        Ok(Self { accelerator, measured, prior, objective, memory, has_residual, has_gradient, has_projected })
    }

    /// The current iterate `[row][col]`.
    pub fn iterate(&self) -> &[f32; N_PIXELS] {
        &self.memory.kept.iterate
    }

    /// Works on `request` until the accelerator has to be waited for, or the answer is there.
    pub fn poll(&mut self, request: Request) -> Poll<Answer> {
        match request {
            Request::Direction { level, .. } => {
                ready!(self.poll_gradient());
                Poll::Ready(Answer::Direction(self.direction(level)))
            }
            Request::Change { step } => {
                ready!(self.poll_residual());
                ready!(self.poll_projected());
                Poll::Ready(Answer::Change(self.change(step)))
            }
            Request::Update { step } => {
                self.update(step);
                Poll::Ready(Answer::Updated)
            }
            // Nobody should ask after the end; the solver refuses this answer, and nothing waits for ever.
            Request::Done(_) => Poll::Ready(Answer::Updated),
        }
    }

    /// `r = A x - y`.
    fn poll_residual(&mut self) -> Poll<()> {
        if !self.has_residual {
            let (image, sinogram) = (&mut self.memory.kept.iterate, &mut self.memory.residual);
            ready!(self.accelerator.poll(Job::ForwardProject, image, sinogram));
            sinogram.iter_mut().zip(self.measured).for_each(|(r, y)| *r -= y);
            self.has_residual = true;
        }
        Poll::Ready(())
    }

    /// `A^T r`, and `grad f = A^T r + alpha grad R(x, t_min)`.
    fn poll_gradient(&mut self) -> Poll<()> {
        ready!(self.poll_residual());
        if !self.has_gradient {
            let Memory { kept, gradient, data_gradient, residual, .. } = &mut *self.memory;
            ready!(self.accelerator.poll(Job::Adjoint, data_gradient, residual));
            *gradient = *data_gradient;
            self.prior.add_gradient(&kept.iterate, self.objective, gradient);
            self.has_gradient = true;
        }
        Poll::Ready(())
    }

    /// `A d`, once for all trials of a line search.
    fn poll_projected(&mut self) -> Poll<()> {
        if !self.has_projected {
            let (image, sinogram) = (&mut self.memory.kept.direction, &mut self.memory.projected);
            ready!(self.accelerator.poll(Job::ForwardProject, image, sinogram));
            self.has_projected = true;
        }
        Poll::Ready(())
    }

    /// `d = -t (A^T r + alpha_t grad R(x, t))` and its products.
    fn direction(&mut self, level: Level) -> Directional {
        let Memory { kept, gradient, data_gradient, .. } = &mut *self.memory;
        if level == self.objective {
            kept.direction = *gradient;
        } else {
            kept.direction = *data_gradient;
            self.prior.add_gradient(&kept.iterate, level, &mut kept.direction);
        }
        kept.direction.iter_mut().for_each(|d| *d *= -level.t);
        self.has_projected = false;
        let (mut product, mut square) = (Sum::default(), Sum::default());
        if kept.has_previous {
            for (previous, d) in kept.previous.iter().zip(&kept.direction) {
                product.add(previous * (previous - d));
                square.add((previous - d) * (previous - d));
            }
        }
        Directional {
            gradient_norm_sq: dot(gradient, gradient),
            slope: dot(gradient, &kept.direction),
            direction_norm_sq: dot(&kept.direction, &kept.direction),
            previous_dot_difference: product.value(),
            difference_norm_sq: square.value(),
        }
    }

    /// `f(x + step d) - f(x)`, its data term `<step A d, r + step/2 A d>`.
    fn change(&self, step: f32) -> f32 {
        let Memory { kept, residual, projected, .. } = &*self.memory;
        let rays = projected.iter().zip(residual).take(self.measured.len());
        let data = math::sum(rays.map(|(ad, r)| step * ad * (r + 0.5 * step * ad)));
        data + self.prior.change(&kept.iterate, &kept.direction, step, self.objective)
    }

    fn update(&mut self, step: f32) {
        let kept = &mut self.memory.kept;
        kept.iterate.iter_mut().zip(&kept.direction).for_each(|(x, d)| *x += step * d);
        kept.previous = kept.direction;
        kept.has_previous = true;
        (self.has_residual, self.has_gradient, self.has_projected) = (false, false, false);
    }
}
