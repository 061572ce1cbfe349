//! The runs of the image, seen through an [`Observer`]: the same on the Cortex-M and on the machine that checks it.

use crate::fault::Fault;
use crate::patch_prior::PatchPrior;
use crate::projector::View;
use crate::scanner::{Memory, Scanner};
use crate::trace_ring::TraceRing;
use core::ops::ControlFlow;
use core::task::Poll;
use gradus_core::{
    Backtracking, Effort, Buffers, GradientLike, Homotopy, PerturbationKernel, Preconditioned, Record, RegularisationWeight,
    Request, Schedule, Solver, Spacing, StateError, Status, StepCandidate, drive, toy,
};

/// A watcher of a run.
pub trait Observer {
    /// A step was taken to `iterate`; `state` are the bytes of the solver.
    fn accepted(&mut self, state: &[u8], iterate: &[f32]);
    /// A record came out of the ring.
    fn record(&mut self, record: &Record);
}

/// A solver whose state can be bytes.
pub trait Saved: Solver + Sized {
    /// Shows the bytes to `observer`, with the iterate to which a step was taken.
    fn accepted(&self, observer: &mut impl Observer, iterate: &[f32]);
    /// The solver that the bytes give.
    ///
    /// # Errors
    /// When they are refused.
    fn resumed(&self) -> Result<Self, StateError>;
}

macro_rules! saved {
    ($($solver:ty),+) => {
        $(impl Saved for $solver {
            fn accepted(&self, observer: &mut impl Observer, iterate: &[f32]) {
                observer.accepted(&self.to_bytes(), iterate);
            }

            fn resumed(&self) -> Result<Self, StateError> {
                Self::from_bytes(&self.to_bytes())
            }
        })+
    };
}
saved!(GradientLike, Preconditioned);

/// The toy trajectory by Algorithm 2 from (3, 7), through the plain driver.
///
/// # Errors
/// When settings or buffers are wrong, or a number is not finite.
pub fn toy_trajectory(observer: &mut impl Observer) -> Result<Status, Fault> {
    toy_by(toy::gradient_like(1.2, 1300)?, observer)
}

/// The same by the default method.
///
/// # Errors
/// When settings or buffers are wrong, or a number is not finite.
pub fn toy_by_default(observer: &mut impl Observer) -> Result<Status, Fault> {
    let homotopy = Homotopy {
        schedule: Schedule::new(Spacing::Logarithmic, 1.2, toy::T_MIN, 60)?,
        weight: RegularisationWeight::Constant(toy::PRIOR_WEIGHT),
    };
    let solver = Preconditioned::new(homotopy, toy::KERNEL, Effort::fixed(2), Backtracking::DEFAULT, 0.0)?;
    toy_by(solver.with_approach(20), observer)
}

fn toy_by(mut solver: impl Solver, observer: &mut impl Observer) -> Result<Status, Fault> {
    let mut problem = toy::Toy::new();
    let mut memory = [0.0; Buffers::<toy::Toy>::floats(2)];
    let mut solve = [0.0; Buffers::<toy::Toy>::solve_floats(2)];
    let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective())?.with_solve(&mut solve)?;
    buffers.set_iterate(&[3.0, 7.0])?;
    let status = drive(&mut solver, &mut buffers, |record, buffers| {
        observer.record(record);
        if record.step > 0.0 {
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

/// Levels of the reconstruction by the default method.
pub const N_DEFAULT_LEVELS: u32 = 24;

/// Noise without drift, as the default method takes it; at its last level it is that of Algorithm 2.
pub const DEFAULT_KERNEL: PerturbationKernel = PerturbationKernel::VarianceExploding { sigma: 2.0 };

/// The default method for the reconstruction.
///
/// # Errors
/// Never with these settings; the core checks them all the same.
pub fn default_solver() -> Result<Preconditioned, Fault> {
    let homotopy = Homotopy {
        schedule: Schedule::new(Spacing::Logarithmic, 0.6, 0.006, N_DEFAULT_LEVELS)?,
        weight: RegularisationWeight::NoiseToSignal { alpha: 2.0, early: 0.0, kernel: DEFAULT_KERNEL },
    };
    let solver = Preconditioned::new(homotopy, DEFAULT_KERNEL, Effort::fixed(4), Backtracking::DEFAULT, 0.0)?;
    Ok(solver.with_approach(16))
}

/// A reconstruction under way: everything that outlives a restart, and the ring.
#[derive(Debug)]
pub struct Reconstruction<'a> {
    /// Rays of each view.
    pub views: &'a [View],
    /// Sinogram `[view][bin]`.
    pub measured: &'a [f32],
    /// The diffusion of the prior.
    pub kernel: PerturbationKernel,
    /// Vectors.
    pub memory: &'a mut Memory,
    /// Records not yet drained.
    pub ring: TraceRing,
}

impl<'a> Reconstruction<'a> {
    /// Under the kernel of the trained models.
    pub fn new(views: &'a [View], measured: &'a [f32], memory: &'a mut Memory) -> Self {
        Self { views, measured, kernel: PerturbationKernel::VP, memory, ring: TraceRing::default() }
    }

    /// Answers at most `n_requests` requests of `solver`, and drains the ring whenever the accelerator is busy.
    ///
    /// Not inlined, so that the stack holds the prior of one run at a time.
    ///
    /// # Errors
    /// When the scan is wrong or a number is not finite.
    #[inline(never)]
    pub fn run(&mut self, solver: &mut impl Saved, n_requests: u32, observer: &mut impl Observer) -> Result<(), Fault> {
        let prior = PatchPrior::new(self.kernel)?;
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
                if record.step > 0.0 {
                    solver.accepted(observer, scanner.iterate());
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
    pub fn run_with_restarts<S: Saved>(&mut self, mut solver: S, observer: &mut impl Observer) -> Result<S, Fault> {
        while !matches!(solver.request(), Request::Done(_)) {
            let resumed = solver.resumed();
            self.memory.forget();
            solver = resumed?;
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
