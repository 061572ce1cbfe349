//! The runs by name, good and bad: what the image is asked for on its command line.

use crate::fault::Fault;
use crate::projector::{N_RAYS, VIEWS, View};
use crate::run::{
    DEFAULT_KERNEL, Observer, Reconstruction, default_solver, reconstruction_solver, toy_by_default, toy_trajectory,
};
use crate::scan::measure;
use crate::scanner::Memory;
use gradus_core::{GradientLike, Request, Solver, Status};

/// All buffers of every run; they live in statics of the image.
#[derive(Debug)]
pub struct Buffers {
    /// The vectors of a reconstruction.
    pub memory: Memory,
    /// Sinogram `[view][bin]`.
    pub measured: [f32; N_RAYS],
}

impl Buffers {
    /// Zeros.
    pub const fn new() -> Self {
        Self { memory: Memory::new(), measured: [0.0; N_RAYS] }
    }
}

impl Buffers {
    /// Makes the scan, and starts at `x = 0`.
    fn scan(&mut self) {
        measure(&mut self.memory.kept.iterate, &mut self.measured);
        self.memory.kept.iterate.fill(0.0);
    }

    /// The run `reconstruct`, with a stack of its own.
    ///
    /// # Errors
    /// Never: it ends well.
    #[inline(never)]
    pub fn reconstruct(&mut self, observer: &mut impl Observer) -> Result<Status, Fault> {
        self.scan();
        reconstruct(&VIEWS, &self.measured, &mut self.memory, observer)
    }

    /// The run `default`, likewise.
    ///
    /// # Errors
    /// Never: it ends well.
    #[inline(never)]
    pub fn reconstruct_by_default(&mut self, observer: &mut impl Observer) -> Result<Status, Fault> {
        self.scan();
        by_default(&self.measured, &mut self.memory, observer)
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs that end well.
pub const GOOD: [&str; 6] = ["toy", "reconstruct", "restarts", "default-toy", "default", "default-restarts"];

/// Runs that must fail, and the fault that each must name.
pub const BAD: [(&str, &str); 8] = [
    ("no-views", "scan/no-views"),
    ("short-sinogram", "scan/wrong-length"),
    ("long-sinogram", "scan/wrong-length"),
    ("nan-sinogram", "scan/not-finite"),
    ("overflow", "answer/not-finite"),
    ("default-overflow", "answer/not-finite"),
    ("short-state", "state/wrong-length"),
    ("no-such-run", "no-such-run"),
];

/// Does what `name` says. Not inlined, so that the stack holds one run at a time.
///
/// # Errors
/// For the [`BAD`] runs, each with its own.
#[inline(never)]
pub fn run(name: &str, buffers: &mut Buffers, observer: &mut impl Observer) -> Result<Status, Fault> {
    buffers.scan();
    let Buffers { memory, measured } = buffers;
    let all = VIEWS.as_slice();
    match name {
        "toy" => toy_trajectory(observer),
        "default-toy" => toy_by_default(observer),
        "reconstruct" => reconstruct(all, measured, memory, observer),
        "restarts" => {
            let solver = reconstruction_solver()?;
            status(&Reconstruction::new(all, measured, memory).run_with_restarts(solver, observer)?)
        }
        "default" => by_default(measured, memory, observer),
        "default-restarts" => {
            let solver = default_solver()?;
            status(&default_job(measured, memory).run_with_restarts(solver, observer)?)
        }
        "no-views" => reconstruct(&[], &[], memory, observer),
        "short-sinogram" => reconstruct(all, measured.get(1..).unwrap_or_default(), memory, observer),
        "long-sinogram" => reconstruct(all.get(1..).unwrap_or_default(), measured, memory, observer),
        "nan-sinogram" => {
            measured.iter_mut().last().into_iter().for_each(|last| *last = f32::NAN);
            reconstruct(all, measured, memory, observer)
        }
        // Finite, but its square is not: the NaN or infinity appears in the computation.
        "overflow" => {
            measured.iter_mut().for_each(|value| *value *= 1e30);
            reconstruct(all, measured, memory, observer)
        }
        "default-overflow" => {
            measured.iter_mut().for_each(|value| *value *= 1e30);
            by_default(measured, memory, observer)
        }
        "short-state" => {
            let bytes = reconstruction_solver()?.to_bytes();
            status(&GradientLike::from_bytes(bytes.get(1..).unwrap_or_default())?)
        }
        _ => Err(Fault::NoSuchRun),
    }
}

/// The reconstruction by Algorithm 2.
fn reconstruct(
    views: &[View],
    measured: &[f32],
    memory: &mut Memory,
    observer: &mut impl Observer,
) -> Result<Status, Fault> {
    let mut solver = reconstruction_solver()?;
    Reconstruction::new(views, measured, memory).run(&mut solver, u32::MAX, observer)?;
    status(&solver)
}

/// The same by the default method.
fn by_default(measured: &[f32], memory: &mut Memory, observer: &mut impl Observer) -> Result<Status, Fault> {
    let mut solver = default_solver()?;
    default_job(measured, memory).run(&mut solver, u32::MAX, observer)?;
    status(&solver)
}

fn default_job<'a>(measured: &'a [f32], memory: &'a mut Memory) -> Reconstruction<'a> {
    Reconstruction { kernel: DEFAULT_KERNEL, ..Reconstruction::new(&VIEWS, measured, memory) }
}

/// The end of the run; one that waits for an answer has none.
fn status(solver: &impl Solver) -> Result<Status, Fault> {
    if let Request::Done(status) = solver.request() { Ok(status) } else { Err(Fault::Unfinished) }
}

/// The name of a status for a log without formatting code.
pub const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Stationary => "stationary",
        Status::ScheduleDone => "schedule-done",
        Status::NoStep => "no-step",
        Status::Stopped => "stopped",
    }
}
