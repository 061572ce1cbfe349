//! The linear systems of the default method: conjugate gradients whose projections the accelerator makes.

use crate::accelerator::{Accelerator, Job};
use crate::projector::{N_PIXELS, N_RAYS};
use core::task::{Poll, ready};
use gradus_core::math::dot;
use gradus_core::{ConjugateGradient, Effort, Krylov, Solved};

/// Vectors of a linear solve: 3 per image, 1 per sinogram.
#[derive(Debug)]
pub struct SolveMemory {
    residual: [f32; N_PIXELS],
    conjugate: [f32; N_PIXELS],
    normal: [f32; N_PIXELS],
    projected: [f32; N_RAYS],
}

impl SolveMemory {
    /// Zeros.
    pub const fn new() -> Self {
        let zero = [0.0; N_PIXELS];
        Self { residual: zero, conjugate: zero, normal: zero, projected: [0.0; N_RAYS] }
    }

    /// Loses everything.
    pub fn forget(&mut self) {
        for vector in [&mut self.residual, &mut self.conjugate, &mut self.normal] {
            vector.fill(f32::NAN);
        }
        self.projected.fill(f32::NAN);
    }
}

impl Default for SolveMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// A solve under way, or none.
#[derive(Debug, Default)]
pub struct LinearSolve {
    machine: Option<ConjugateGradient>,
    has_conjugate: bool,
}

/// `(A^T A + damping I) d = r`, to be solved by conjugate gradients.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// `mu`.
    pub damping: f32,
    /// The iterations that it is worth.
    pub effort: Effort,
    /// Rays of the scan.
    pub n_rays: usize,
}

impl LinearSolve {
    /// Works on the `system` until the accelerator has to be waited for, or it is solved. `d` holds `r` at first.
    pub fn poll(
        &mut self,
        system: System,
        accelerator: &mut Accelerator<'_>,
        memory: &mut SolveMemory,
        d: &mut [f32; N_PIXELS],
    ) -> Poll<Solved> {
        let SolveMemory { residual, conjugate, normal, projected } = memory;
        let machine = self.machine.get_or_insert_with(|| {
            *residual = *d;
            conjugate.fill(0.0);
            d.fill(0.0);
            ConjugateGradient::new(dot(residual, residual), system.effort)
        });
        loop {
            match machine.request() {
                Krylov::Curvature { momentum } => {
                    if !self.has_conjugate {
                        conjugate.iter_mut().zip(&*residual).for_each(|(p, r)| *p = r + momentum * *p);
                        self.has_conjugate = true;
                    }
                    ready!(accelerator.poll(Job::ForwardProject, conjugate, projected));
                    let rays = projected.get(..system.n_rays).unwrap_or_default();
                    machine.answer(dot(rays, rays) + system.damping * dot(conjugate, conjugate));
                }
                Krylov::Advance { length } => {
                    ready!(accelerator.poll(Job::Adjoint, normal, projected));
                    let solved = conjugate.iter().zip(&*normal);
                    for ((d, r), (p, normal)) in d.iter_mut().zip(&mut *residual).zip(solved) {
                        *d += length * p;
                        *r -= length * (normal + system.damping * p);
                    }
                    self.has_conjugate = false;
                    machine.answer(dot(residual, residual));
                }
                Krylov::Done(solved) => {
                    *self = Self::default();
                    return Poll::Ready(solved);
                }
            }
        }
    }
}
