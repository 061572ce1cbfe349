//! The runs of the image, seen through an [`Observer`]: the same on the Cortex-M and on the machine that checks it.

use crate::fault::Fault;
use crate::patch_prior::PatchPrior;
use crate::projector::View;
use crate::scanner::{Memory, Scanner};
use crate::trace_ring::TraceRing;
use core::ops::ControlFlow;
use core::task::Poll;
use gradus_core::{
    Backtracking, Buffers, GradientLike, Homotopy, Outcome, PerturbationKernel, Record, RegularisationWeight, Request,
    Schedule, Solver, Spacing, Status, StepCandidate, drive, toy,
};

/// Whoever watches a run.
pub trait Observer {
    /// A step was taken to `iterate`; `state` are the bytes of the solver.
    fn accepted(&mut self, state: &[u8], iterate: &[f32]);
    /// A record came out of the ring.
    fn record(&mut self, record: &Record);
}

/// The toy trajectory by Algorithm 2 from (3, 7), through the plain driver.
///
/// # Errors
/// When settings or buffers are wrong, or a number is not finite.
pub fn toy_trajectory(observer: &mut impl Observer) -> Result<Status, Fault> {
    let mut solver = toy::gradient_like(1.2, 1300)?;
    let mut problem = toy::Toy::new();
    let mut memory = [0.0; Buffers::<toy::Toy>::floats(2)];
    let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective())?;
    buffers.set_iterate(&[3.0, 7.0])?;
    let status = drive(&mut solver, &mut buffers, |record, buffers| {
        observer.record(record);
        if record.outcome == Outcome::Step {
            observer.accepted(&[], buffers.iterate());
        }
        ControlFlow::Continue(())
    })?;
    Ok(status)
}

/// Levels of the reconstruction, one iteration each.
pub const N_LEVELS: u32 = 60;

/// Algorithm 2 for the reconstruction.
///
/// # Errors
/// Never with these settings; the core checks them all the same.
pub fn reconstruction_solver() -> Result<GradientLike, Fault> {
    let kernel = PerturbationKernel::VP;
    let homotopy = Homotopy {
        schedule: Schedule::new(Spacing::Logarithmic, 0.6, 0.02, N_LEVELS)?,
        weight: RegularisationWeight::NoiseToSignal { alpha: 2.0, early: 0.0, kernel },
    };
    let candidate = StepCandidate::BarzilaiBorwein { first: 1e-3, factor: 4.0, least: 1e-6, most: 1e3 };
    Ok(GradientLike::new(homotopy, candidate, Backtracking::DEFAULT, 0.0)?)
}

/// A reconstruction under way: everything that outlives a restart, and the ring.
#[derive(Debug)]
pub struct Reconstruction<'a> {
    /// Rays of each view.
    pub views: &'a [View],
    /// Sinogram `[view][bin]`.
    pub measured: &'a [f32],
    /// Vectors.
    pub memory: &'a mut Memory,
    /// Records not yet drained.
    pub ring: TraceRing,
}

impl Reconstruction<'_> {
    /// Answers at most `n_requests` requests of `solver`, and drains the ring whenever the accelerator is busy.
    ///
    /// # Errors
    /// When the scan is wrong or a number is not finite.
    pub fn run(
        &mut self,
        solver: &mut GradientLike,
        n_requests: u32,
        observer: &mut impl Observer,
    ) -> Result<(), Fault> {
        let prior = PatchPrior::new()?;
        let mut scanner = Scanner::new(self.views, self.measured, &prior, solver.objective(), self.memory)?;
        for _ in 0..n_requests {
            let request = solver.request();
            if matches!(request, Request::Done(_)) {
                break;
            }
            let answer = loop {
                match scanner.poll(request) {
                    Poll::Ready(answer) => break answer,
                    Poll::Pending => drain(&mut self.ring, observer),
                }
            };
            if let Some(record) = solver.answer(answer)? {
                self.ring.push(record);
                if record.outcome == Outcome::Step {
                    observer.accepted(&solver.to_bytes(), scanner.iterate());
                }
            }
        }
        if matches!(solver.request(), Request::Done(_)) {
            drain(&mut self.ring, observer);
        }
        Ok(())
    }

    /// The whole run, stopped at every request: the solver is rebuilt from its bytes, the scanner from the vectors
    /// that [`crate::scanner::Kept`] names, and all other memory is NaN.
    ///
    /// # Errors
    /// As [`run`](Self::run), and when the bytes are refused.
    pub fn run_with_restarts(
        &mut self,
        mut solver: GradientLike,
        observer: &mut impl Observer,
    ) -> Result<GradientLike, Fault> {
        while !matches!(solver.request(), Request::Done(_)) {
            let bytes = solver.to_bytes();
            self.memory.forget();
            solver = GradientLike::from_bytes(&bytes)?;
            self.run(&mut solver, 1, observer)?;
        }
        Ok(solver)
    }
}

fn drain(ring: &mut TraceRing, observer: &mut impl Observer) {
    while let Some(record) = ring.pop() {
        observer.record(&record);
    }
}
