//! The runs by name, good and bad: what the image is asked for on its command line.

use crate::fault::Fault;
use crate::projector::{N_RAYS, VIEWS, View};
use crate::run::{Observer, Reconstruction, reconstruction_solver, toy_trajectory};
use crate::scan::measure;
use crate::scanner::Memory;
use crate::trace_ring::TraceRing;
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

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs that end well.
pub const GOOD: [&str; 3] = ["toy", "reconstruct", "restarts"];

/// Runs that must fail, and the fault that each must name.
pub const BAD: [(&str, &str); 7] = [
    ("no-views", "scan/no-views"),
    ("short-sinogram", "scan/wrong-length"),
    ("long-sinogram", "scan/wrong-length"),
    ("nan-sinogram", "scan/not-finite"),
    ("overflow", "answer/not-finite"),
    ("short-state", "state/wrong-length"),
    ("no-such-run", "no-such-run"),
];

/// Does what `name` says.
///
/// # Errors
/// For the [`BAD`] runs, each with its own.
pub fn run(name: &str, buffers: &mut Buffers, observer: &mut impl Observer) -> Result<Status, Fault> {
    let Buffers { memory, measured } = buffers;
    measure(&mut memory.kept.iterate, measured);
    memory.kept.iterate.fill(0.0);
    let all = VIEWS.as_slice();
    match name {
        "toy" => toy_trajectory(observer),
        "reconstruct" => reconstruct(all, measured, memory, observer),
        "restarts" => {
            let mut job = Reconstruction { views: all, measured, memory, ring: TraceRing::default() };
            let solver = job.run_with_restarts(reconstruction_solver()?, observer)?;
            status(&solver)
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
        "short-state" => {
            let bytes = reconstruction_solver()?.to_bytes();
            status(&GradientLike::from_bytes(bytes.get(1..).unwrap_or_default())?)
        }
        _ => Err(Fault::NoSuchRun),
    }
}

fn reconstruct(
    views: &[View],
    measured: &[f32],
    memory: &mut Memory,
    observer: &mut impl Observer,
) -> Result<Status, Fault> {
    let mut solver = reconstruction_solver()?;
    Reconstruction { views, measured, memory, ring: TraceRing::default() }.run(&mut solver, u32::MAX, observer)?;
    status(&solver)
}

/// How the run ended; one that waits for an answer has not.
fn status(solver: &GradientLike) -> Result<Status, Fault> {
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
