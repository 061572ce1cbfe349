//! The evaluator: vectors in static memory, projections by the accelerator, the prior by the processor.
//!
//! It is asked what the solver asks and answers when the accelerator is done. What it has computed for the current
//! iterate and direction it keeps; what it does not have it computes again, so that a run can be resumed from the
//! iterate, the one before and two directions.

use crate::accelerator::{Accelerator, Job};
use crate::linear_solve::{LinearSolve, SolveMemory, System};
use crate::patch_prior::PatchPrior;
use crate::projector::{N_BINS, N_PIXELS, N_RAYS, View};
use crate::scan::ScanError;
use core::task::{Poll, ready};
use gradus_core::math;
use gradus_core::{Answer, Directional, Draw, Level, Request};

/// All vectors of a reconstruction: 6 per image, 2 per sinogram, and those of the linear systems.
#[derive(Debug)]
pub struct Memory {
    /// The part that must survive when a run is to be resumed.
    pub kept: Kept,
    gradient: [f32; N_PIXELS],
    data_gradient: [f32; N_PIXELS],
    residual: [f32; N_RAYS],
    projected: [f32; N_RAYS],
    solve: SolveMemory,
}

/// The part that a resumed run needs beside the solver's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// `x`.
    pub iterate: [f32; N_PIXELS],
    /// `d`; before a linear solve, `r`.
    pub direction: [f32; N_PIXELS],
    /// `d'`, the direction of the last update.
    pub previous: [f32; N_PIXELS],
    /// The `x` that was denoised last.
    pub denoised: [f32; N_PIXELS],
    /// Set once there was an update.
    pub has_previous: bool,
}

impl Memory {
    /// Zeros: the start of a run.
    pub const fn new() -> Self {
        let zero = [0.0; N_PIXELS];
        Self {
            kept: Kept { iterate: zero, direction: zero, previous: zero, denoised: zero, has_previous: false },
            gradient: zero,
            data_gradient: zero,
            residual: [0.0; N_RAYS],
            projected: [0.0; N_RAYS],
            solve: SolveMemory::new(),
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
        self.solve.forget();
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
    has: Has,
    solve: LinearSolve,
}

/// The parts of the memory that belong to the current iterate and direction.
#[derive(Debug, Clone, Copy, Default)]
struct Has {
    /// The iterate is the denoised image that was asked for.
    denoised: bool,
    residual: bool,
    data_gradient: bool,
    gradient: bool,
    projected: bool,
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
        let (has, solve) = (Has::default(), LinearSolve::default());
        Ok(Self { accelerator, measured, prior, objective, memory, has, solve })
    }

    /// The current iterate `[row][col]`.
    pub fn iterate(&self) -> &[f32; N_PIXELS] {
        &self.memory.kept.iterate
    }

    /// Works on `request` until the accelerator has to be waited for, or the answer is there.
    pub fn poll(&mut self, request: Request) -> Poll<Answer> {
        Poll::Ready(match request {
            Request::Direction { level, .. } => {
                ready!(self.poll_gradient());
                Answer::Direction(self.direction(level))
            }
            Request::Denoise { level, variance, extrapolation, .. } => {
                ready!(self.poll_denoised(level, variance, extrapolation));
                Answer::Ready
            }
            Request::Gradient { level, .. } => {
                ready!(self.poll_gradient());
                self.set_direction(level, -1.0);
                Answer::Ready
            }
            Request::Solve { damping, effort } => {
                let system = System { damping, effort, n_rays: self.measured.len() };
                let Memory { kept, solve, .. } = &mut *self.memory;
                let solved = ready!(self.solve.poll(system, &mut self.accelerator, solve, &mut kept.direction));
                self.has.projected = false;
                Answer::Solved(solved)
            }
            Request::Diffuse { removed, taken, fresh, draw } => {
                self.diffuse(removed, taken, (fresh, draw));
                Answer::Ready
            }
            Request::Products => {
                ready!(self.poll_gradient());
                Answer::Direction(Directional::of(&self.memory.gradient, &self.memory.kept.direction, None))
            }
            Request::Change { step } => {
                ready!(self.poll_residual());
                ready!(self.poll_projected());
                Answer::Change(self.change(step))
            }
            Request::Update { step } => {
                self.update(step);
                Answer::Ready
            }
            // Nobody should ask after the end; the solver refuses this answer, and nothing waits for ever.
            Request::Done(_) => Answer::Ready,
        })
    }

    /// `r = A x - y`.
    fn poll_residual(&mut self) -> Poll<()> {
        if !self.has.residual {
            let (image, sinogram) = (&mut self.memory.kept.iterate, &mut self.memory.residual);
            ready!(self.accelerator.poll(Job::ForwardProject, image, sinogram));
            sinogram.iter_mut().zip(self.measured).for_each(|(r, y)| *r -= y);
            self.has.residual = true;
        }
        Poll::Ready(())
    }

    /// `A^T r`.
    fn poll_data_gradient(&mut self) -> Poll<()> {
        ready!(self.poll_residual());
        if !self.has.data_gradient {
            let Memory { data_gradient, residual, .. } = &mut *self.memory;
            ready!(self.accelerator.poll(Job::Adjoint, data_gradient, residual));
            self.has.data_gradient = true;
        }
        Poll::Ready(())
    }

    /// `grad f = A^T r + alpha grad R(x, t_min)`.
    fn poll_gradient(&mut self) -> Poll<()> {
        ready!(self.poll_data_gradient());
        if !self.has.gradient {
            let Memory { kept, gradient, data_gradient, .. } = &mut *self.memory;
            *gradient = *data_gradient;
            self.prior.add_gradient(&kept.iterate, self.objective, gradient);
            self.has.gradient = true;
        }
        Poll::Ready(())
    }

    /// `x <- x - (1 + beta) variance grad R(x, t) + beta (x - x')`, then `-A^T r` in the direction's place. The prior
    /// is the same in its mirrors.
    fn poll_denoised(&mut self, level: Level, variance: f32, beta: f32) -> Poll<()> {
        if !self.has.denoised {
            let Memory { kept: Kept { iterate, denoised, .. }, gradient: removed, .. } = &mut *self.memory;
            removed.fill(0.0);
            self.prior.add_gradient(iterate, Level { prior_weight: 1.0, ..level }, removed);
            for ((x, before), e) in iterate.iter_mut().zip(&mut *denoised).zip(&mut *removed) {
                *e = (1.0 + beta) * variance * *e - beta * (*x - *before);
                *before = *x;
                *x -= *e;
            }
            self.has = Has { denoised: true, ..Has::default() };
        }
        ready!(self.poll_data_gradient());
        let Memory { kept, data_gradient, .. } = &mut *self.memory;
        kept.direction.iter_mut().zip(&*data_gradient).for_each(|(r, gradient)| *r = -gradient);
        self.has.denoised = false;
        Poll::Ready(())
    }

    /// `A d`, once for all trials of a line search.
    fn poll_projected(&mut self) -> Poll<()> {
        if !self.has.projected {
            let (image, sinogram) = (&mut self.memory.kept.direction, &mut self.memory.projected);
            ready!(self.accelerator.poll(Job::ForwardProject, image, sinogram));
            self.has.projected = true;
        }
        Poll::Ready(())
    }

    /// `factor (A^T r + alpha_t grad R(x, t))` in the direction's place.
    fn set_direction(&mut self, level: Level, factor: f32) {
        let Memory { kept, gradient, data_gradient, .. } = &mut *self.memory;
        if level == self.objective {
            kept.direction = *gradient;
        } else {
            kept.direction = *data_gradient;
            self.prior.add_gradient(&kept.iterate, level, &mut kept.direction);
        }
        kept.direction.iter_mut().for_each(|d| *d *= factor);
        self.has.projected = false;
    }

    /// `d = -t (A^T r + alpha_t grad R(x, t))` and its products.
    fn direction(&mut self, level: Level) -> Directional {
        self.set_direction(level, -level.t);
        let Memory { kept, gradient, .. } = &*self.memory;
        Directional::of(gradient, &kept.direction, kept.has_previous.then_some(&kept.previous))
    }

    /// `f(x + step d) - f(x)`, its data term `<step A d, r + step/2 A d>`.
    fn change(&self, step: f32) -> f32 {
        let Memory { kept, residual, projected, .. } = &*self.memory;
        let rays = projected.iter().zip(residual).take(self.measured.len());
        let data = math::sum(rays.map(|(ad, r)| step * ad * (r + 0.5 * step * ad)));
        data + self.prior.change(&kept.iterate, &kept.direction, step, self.objective)
    }

    /// `x <- x + removed e + taken d' + fresh z`; what a denoising took from `x` stands in the place of `grad f`.
    fn diffuse(&mut self, removed: f32, taken: f32, (fresh, draw): (f32, Draw)) {
        let Memory { kept: Kept { iterate, previous, .. }, gradient, .. } = &mut *self.memory;
        for (factor, vector) in [(removed, &*gradient), (taken, &*previous)] {
            iterate.iter_mut().zip(vector).for_each(|(x, v)| *x += factor * v);
        }
        draw.add_to(fresh, 0, iterate);
        self.has = Has::default();
    }

    fn update(&mut self, step: f32) {
        let kept = &mut self.memory.kept;
        kept.iterate.iter_mut().zip(&kept.direction).for_each(|(x, d)| *x += step * d);
        kept.previous = kept.direction;
        kept.has_previous = true;
        self.has = Has::default();
    }
}
