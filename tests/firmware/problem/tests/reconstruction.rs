//! The reconstruction on this machine: that it is one, and that it can be stopped anywhere.
#![allow(missing_docs, clippy::unwrap_used)]

use firmware_problem::named_runs::{self, BAD, Buffers, GOOD};
use firmware_problem::projector::{N_PIXELS, N_RAYS, VIEWS};
use firmware_problem::run::{N_LEVELS, Observer, Reconstruction, reconstruction_solver};
use firmware_problem::scan::{measure, phantom};
use firmware_problem::scanner::{Kept, Memory};
use firmware_problem::trace_ring::TraceRing;
use gradus_core::{
    Backtracking, GradientLike, Homotopy, Record, RegularisationWeight, Request, Schedule, Solver, Spacing, Status,
    StepCandidate,
};

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
fn run(solver: GradientLike, kept: &Kept, n_requests: u32, trace: &mut Trace) -> (GradientLike, Kept) {
    let (measured, mut memory, mut solver) = (scan(), Memory::new(), solver);
    memory.forget();
    memory.kept = kept.clone();
    let mut job =
        Reconstruction { views: &VIEWS, measured: &measured, memory: &mut memory, ring: TraceRing::default() };
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
    let (_, found) = run(reconstruction_solver().unwrap(), &Memory::new().kept, u32::MAX, &mut Trace::default());
    let schedule = Schedule::new(Spacing::Linear, 1.0, 1.0, N_LEVELS).unwrap();
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(0.0) };
    let candidate = StepCandidate::BarzilaiBorwein { first: 1e-3, factor: 1.0, least: 1e-6, most: 1e3 };
    let least_squares = GradientLike::new(homotopy, candidate, Backtracking::DEFAULT, 0.0).unwrap();
    let (_, without) = run(least_squares, &Memory::new().kept, u32::MAX, &mut Trace::default());
    assert!(error(&found.iterate) < 0.125, "{}", error(&found.iterate));
    assert!(error(&without.iterate) > 1.2 * error(&found.iterate), "{}", error(&without.iterate));
}

#[test]
fn stopped_at_any_request_it_ends_with_the_same_bits() {
    let (start, new) = (Memory::new().kept, reconstruction_solver().unwrap());
    let mut whole = Trace::default();
    let (end, found) = run(new, &start, u32::MAX, &mut whole);
    assert_eq!(end.request(), Request::Done(Status::ScheduleDone));
    let mut n_requests = 0;
    loop {
        let mut trace = Trace::default();
        let (stopped, kept) = run(new, &start, n_requests, &mut trace);
        if matches!(stopped.request(), Request::Done(_)) {
            break;
        }
        let resumed = GradientLike::from_bytes(&stopped.to_bytes()).unwrap();
        let (again, image) = run(resumed, &kept, u32::MAX, &mut trace);
        assert_eq!((again, image == found, trace.0), (end, true, whole.0.clone()), "request {n_requests}");
        n_requests += 1;
    }
    assert!(n_requests > 3 * N_LEVELS, "{n_requests}");
}

#[test]
fn good_runs_end_well_and_bad_ones_name_their_fault() {
    for name in GOOD {
        let mut trace = Trace::default();
        assert_eq!(named_runs::run(name, &mut Buffers::new(), &mut trace), Ok(Status::ScheduleDone), "{name}");
        assert!(trace.0.len() >= 60, "{name}");
    }
    for (name, fault) in BAD {
        let found = named_runs::run(name, &mut Buffers::new(), &mut Trace::default());
        assert_eq!(found.unwrap_err().name(), fault, "{name}");
    }
}
