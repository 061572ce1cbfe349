//! The reconstruction on this machine: that it is one, and that it can be stopped anywhere.
#![allow(missing_docs, clippy::unwrap_used)]

use firmware_problem::named_runs::{self, BAD, Buffers, GOOD};
use firmware_problem::projector::{N_PIXELS, N_RAYS, VIEWS};
use firmware_problem::run::{
    DEFAULT_KERNEL, N_DEFAULT_LEVELS, N_LEVELS, Observer, Reconstruction, Saved, default_solver, reconstruction_solver,
};
use firmware_problem::scan::{measure, phantom};
use firmware_problem::scanner::{Kept, Memory};
use gradus_core::{
    Backtracking, GradientLike, Homotopy, PerturbationKernel, Record, RegularisationWeight, Request, Schedule, Spacing,
    Status, StepCandidate,
};

const VP: PerturbationKernel = PerturbationKernel::VP;

#[derive(Default)]
struct Trace(Vec<Record>);

impl Observer for Trace {
    fn accepted(&mut self, _: &[u8], _: &[f32]) {}

    fn record(&mut self, record: &Record) {
        self.0.push(*record);
    }
}

fn scan() -> [f32; N_RAYS] {
    let mut measured = [0.0; N_RAYS];
    measure(&mut [0.0; N_PIXELS], &mut measured);
    measured
}

/// Answers `n_requests` requests in fresh memory; what the solver and [`Kept`] hold is all that goes in.
fn run<S: Saved>(
    kernel: PerturbationKernel,
    mut solver: S,
    kept: &Kept,
    n_requests: u32,
    trace: &mut Trace,
) -> (S, Kept) {
    let (measured, mut memory) = (scan(), Memory::new());
    memory.forget();
    memory.kept = kept.clone();
    let mut job = Reconstruction { kernel, ..Reconstruction::new(&VIEWS, &measured, &mut memory) };
    job.run(&mut solver, n_requests, trace).unwrap();
    while let Some(record) = job.ring.pop() {
        trace.record(&record);
    }
    (solver, memory.kept)
}

/// `|x - truth| / |truth|`.
fn error(x: &[f32; N_PIXELS]) -> f64 {
    let mut truth = [0.0; N_PIXELS];
    phantom(&mut truth);
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
    (square(&mut x.iter().zip(&truth).map(|(x, truth)| x - truth)) / square(&mut truth.into_iter())).sqrt()
}

#[test]
fn the_prior_brings_the_image_closer_than_the_data_alone() {
    let start = Memory::new().kept;
    let last = |found: Kept| error(&found.iterate);
    let found = last(run(VP, reconstruction_solver().unwrap(), &start, u32::MAX, &mut Trace::default()).1);
    let default = last(run(DEFAULT_KERNEL, default_solver().unwrap(), &start, u32::MAX, &mut Trace::default()).1);
    let schedule = Schedule::new(Spacing::Linear, 1.0, 1.0, N_LEVELS).unwrap();
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(0.0) };
    let candidate = StepCandidate::BarzilaiBorwein { first: 1e-3, factor: 1.0, least: 1e-6, most: 1e3 };
    let least_squares = GradientLike::new(homotopy, candidate, Backtracking::DEFAULT, 0.0).unwrap();
    let without = last(run(VP, least_squares, &start, u32::MAX, &mut Trace::default()).1);
    // The default method comes nearer to the minimiser of `f`, whose prior does not see across its patches.
    assert!(found < 0.125 && default < 0.14, "{found} {default}");
    assert!(without > 1.2 * found.max(default), "{without}");
}

/// Checks that a run ends with the same bits from wherever it was stopped; returns the number of its requests.
fn stopped_anywhere<S: Saved + Copy + PartialEq + std::fmt::Debug>(kernel: PerturbationKernel, new: S) -> u32 {
    let start = Memory::new().kept;
    let mut whole = Trace::default();
    let (end, found) = run(kernel, new, &start, u32::MAX, &mut whole);
    assert_eq!(end.request(), Request::Done(Status::ScheduleDone));
    let mut n_requests = 0;
    loop {
        let mut trace = Trace::default();
        let (stopped, kept) = run(kernel, new, &start, n_requests, &mut trace);
        if matches!(stopped.request(), Request::Done(_)) {
            return n_requests;
        }
        let (again, image) = run(kernel, stopped.resumed().unwrap(), &kept, u32::MAX, &mut trace);
        assert_eq!((again, image == found, trace.0), (end, true, whole.0.clone()), "request {n_requests}");
        n_requests += 1;
    }
}

#[test]
fn stopped_at_any_request_it_ends_with_the_same_bits() {
    assert!(stopped_anywhere(VP, reconstruction_solver().unwrap()) > 3 * N_LEVELS);
    assert!(stopped_anywhere(DEFAULT_KERNEL, default_solver().unwrap()) > 3 * N_DEFAULT_LEVELS);
}

#[test]
fn good_runs_end_well_and_bad_ones_name_their_fault() {
    for name in GOOD {
        let mut trace = Trace::default();
        assert_eq!(named_runs::run(name, &mut Buffers::new(), &mut trace), Ok(Status::ScheduleDone), "{name}");
        assert!(trace.0.len() >= if name.starts_with("default") { 24 } else { 60 }, "{name}");
    }
    for (name, fault) in BAD {
        let found = named_runs::run(name, &mut Buffers::new(), &mut Trace::default());
        assert_eq!(found.unwrap_err().name(), fault, "{name}");
    }
}
