//! Whole runs of every method: CPU against CUDA, several slices against one, and what crosses meanwhile.

use crate::network::small;
use crate::support::assert_close;
use gradus::backend::cpu::CpuSlices;
use gradus::backend::cuda::{CudaSlices, Device};
use gradus::backend::{DeviceChoice, Drift, Precision, Slice, Slices, Traffic};
use gradus::ct::{Geometry, Projector};
use gradus::data::ellipses::ellipses;
use gradus::prior::Prior;
use gradus::reconstruct::{
    DdsSettings, DiffPirSettings, GradientLikeSettings, GraduatedSettings, Measurement, PlacedPrior, Reconstruction,
    Settings, SolvedSettings, reconstruct,
};
use gradus::simulate::{Simulation, simulate};
use gradus_core::{
    Backtracking, Effort, End, GradientLike, Homotopy, Level, Outcome, PerturbationKernel, Preconditioned, Record,
    RegularisationWeight, Room, Run, Schedule, Solver, Spacing, Status, StepCandidate, drive_in_lockstep,
};
use gradus_tests::fixtures::signed;
use std::fmt::Debug;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

const SIDE: usize = 32;
const LOCKSTEPS: u32 = 5;

/// The main job, smaller and with more noise: the embedded prior, ten levels, 32 x 32 pixels.
pub fn same_run(_: &Rc<Device>) {
    compare(&algorithm_2(Drift::Diffused, 10), 1.0, &even());
}

/// The default method on counted photons, with a mean of two runs; and Algorithm 2 without drift.
pub fn same_runs_without_drift(_: &Rc<Device>) {
    let simulation = Simulation { angles: 15, photons: Some(1e4), ..Simulation::default() };
    let solved = SolvedSettings {
        steps: Some(6),
        tested_steps: 3,
        extrapolation: Some(0.3),
        solve_steps: Some(5),
        average: 2,
        restart_steps: Some(2),
        ..SolvedSettings::default()
    };
    compare(&Settings::Solved(solved), 0.05, &simulation);
    compare(&algorithm_2(Drift::DriftFree, 2), 0.05, &simulation);
}

/// The rivals, whose noise is the same on both.
pub fn same_samples(_: &Rc<Device>) {
    let dds = DdsSettings { steps: 4, gamma: Some(0.1), ..DdsSettings::default() };
    compare(&Settings::Dds(dds), 1.0, &even());
    let diffpir = DiffPirSettings { steps: 4, solve_steps: 5, ..DiffPirSettings::default() };
    compare(&Settings::DiffPir(diffpir), 1.0, &even());
}

/// So much noise that 32 pixels are fine enough, and all rays count the same.
fn even() -> Simulation {
    Simulation { angles: 15, noise: 0.3, ..Simulation::default() }
}

fn algorithm_2(drift: Drift, steps: u32) -> Settings {
    let graduated = GraduatedSettings { drift, steps, ..GraduatedSettings::default() };
    Settings::GradientLike(GradientLikeSettings { graduated, ..GradientLikeSettings::default() })
}

/// The same steps are accepted after the same trials, and the images agree to 1e-4.
fn compare(settings: &Settings, pixel_mm: f64, simulation: &Simulation) {
    let ellipses_prior = Prior::named("ellipses").unwrap();
    let measurement = Measurement::new(&simulate(&ellipses(3, SIDE), pixel_mm, simulation).unwrap()).unwrap();
    assert_eq!(measurement.weights.is_some(), simulation.photons.is_some());
    let on = |device: DeviceChoice| -> Reconstruction {
        let prior = PlacedPrior::open(&ellipses_prior, device, Precision::Full).unwrap();
        reconstruct(&measurement, settings, Some(&prior), &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let (here, there) = (on(DeviceChoice::Cpu), on(DeviceChoice::Cuda(0)));
    assert_eq!(there.device, DeviceChoice::Cuda(0));
    assert_eq!((here.status, here.trace.len()), (there.status, there.trace.len()));
    for (here, there) in here.trace.iter().zip(&there.trace) {
        let (a, b) = (here.record, there.record);
        assert_eq!((a.iteration, a.t, a.outcome, a.trials), (b.iteration, b.t, b.outcome, b.trials));
        assert!((a.step - b.step).abs() <= 1e-3 * a.step, "{a:?} and {b:?}");
        assert_eq!(here.counters, there.counters);
        assert_eq!(here.objective.is_some(), there.objective.is_some());
        let objectives = here.objective.zip(there.objective);
        assert!(objectives.is_none_or(|(here, there)| (here - there).abs() <= 1e-4 * here.abs()));
    }
    assert_close("image", &there.image.pixels, &here.image.pixels, 1e-4);
    let deviations = here.deviation.iter().zip(&there.deviation);
    deviations.for_each(|(here, there)| assert_close("deviation", &there.pixels, &here.pixels, 1e-3));
    assert_eq!(here.deviation.is_some(), there.deviation.is_some());
}

fn gradient_like(_: usize) -> GradientLike {
    let schedule = Schedule::new(Spacing::Logarithmic, 1.0, 1e-3, LOCKSTEPS).unwrap();
    let weight = RegularisationWeight::NoiseToSignal { alpha: 1.0, early: 0.0, kernel: PerturbationKernel::VP };
    let homotopy = Homotopy { schedule, weight };
    GradientLike::new(homotopy, StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT, 0.0).unwrap()
}

/// Solvers whose weights of the prior differ, as those of scans with other noise do.
fn preconditioned(slice: usize) -> Preconditioned {
    let schedule = Schedule::new(Spacing::Logarithmic, 0.5, 1e-3, 4).unwrap();
    let weight = RegularisationWeight::Constant(0.5 / (1 + slice) as f32);
    let homotopy = Homotopy { schedule, weight };
    let effort = Effort::fixed(4);
    let solver = Preconditioned::new(homotopy, PerturbationKernel::VP, effort, Backtracking::DEFAULT, 0.0).unwrap();
    solver.with_approach(2 + slice as u32).with_extrapolation(0.1 * slice as f32).unwrap()
}

/// A slice whose size of the data depends on the seed.
pub fn slice(geometry: &Geometry, seed: u64, objective: Level) -> Slice {
    let mut data = vec![0.0; geometry.sinogram_len()];
    let truth: Vec<f32> =
        signed(geometry.image_len(), seed).iter().map(|v| (1 + seed) as f32 * (0.5 + 0.5 * v)).collect();
    Projector::new(geometry.clone()).unwrap().forward_project(&truth, &mut data).unwrap();
    Slice { data, start: signed(geometry.image_len(), 100 + seed), objective }
}

/// Three slices of 12 x 20 pixels, two of which count photons where there is no drift.
struct Scans {
    geometry: Geometry,
    prior: Prior,
    drift: Drift,
    counts: Vec<f32>,
}

impl Scans {
    fn new(drift: Drift) -> Self {
        let geometry = Geometry::covering(12, 20, 7);
        let counts = (0..geometry.sinogram_len()).map(|i| 0.5 + (i % 3) as f32).collect();
        Self { geometry, prior: small(), drift, counts }
    }

    fn slices<S: Solver>(&self, numbers: Range<usize>, solver: fn(usize) -> S) -> Vec<Slice> {
        numbers.map(|number| slice(&self.geometry, number as u64, solver(number).objective())).collect()
    }

    fn weights(&self, numbers: Range<usize>) -> Vec<Option<&[f32]>> {
        let counts = |number| (self.drift == Drift::DriftFree && number != 1).then_some(self.counts.as_slice());
        numbers.map(counts).collect()
    }

    fn on_cpu<S: Solver>(&self, numbers: Range<usize>, solver: fn(usize) -> S) -> CpuSlices {
        let slices = self.slices(numbers.clone(), solver);
        let slices = CpuSlices::new(self.geometry.clone(), &self.prior, slices).unwrap();
        slices.with_drift(self.drift).with_weights(&self.weights(numbers)).unwrap()
    }

    fn on_gpu<S: Solver>(&self, device: &Rc<Device>, numbers: Range<usize>, solver: fn(usize) -> S) -> CudaSlices {
        let slices = self.slices(numbers.clone(), solver);
        let slices = CudaSlices::new(device, self.geometry.clone(), &self.prior, &slices).unwrap();
        slices.with_drift(self.drift).with_weights(&self.weights(numbers)).unwrap()
    }
}

/// The host waits once for a level: its solve brings along what the first trial of the line search is asked. Trials
/// after that wait once each.
pub fn waits(device: &Rc<Device>) {
    let scans = Scans::new(Drift::DriftFree);
    let mut slices = scans.on_gpu(device, 0..1, preconditioned);
    let mut runs = [Run::new(preconditioned(0))];
    let (mut before, mut outcomes) = (device.traffic().waits, Vec::new());
    drive_in_lockstep(&mut runs, &mut slices, &mut Room::<1>::new(), |completed, _| {
        let waits = device.traffic().waits - before;
        before += waits;
        outcomes.extend(completed.iter().map(|(_, record)| (record.outcome, record.trials, waits)));
        None
    })
    .unwrap();
    let approach = outcomes.iter().filter(|(outcome, ..)| *outcome == Outcome::Approach).count();
    assert!(approach > 0 && approach < outcomes.len(), "{outcomes:?}");
    for (outcome, trials, waits) in outcomes {
        assert_eq!(waits, 1 + u64::from(trials.saturating_sub(1)), "{outcome:?} after {trials} trials");
    }
}

/// All buffers of a slice have their places in one piece of memory, from construction to the end of its run, and hold
/// what they would hold apart; nothing is waited for before the first request.
pub fn start(device: &Rc<Device>) {
    let (scans, apart) = (Scans::new(Drift::DriftFree), Device::open(0).unwrap());
    apart.keep_buffers_apart();
    let ends = [device, &apart].map(|device| {
        let before = device.traffic().waits;
        let mut slices = scans.on_gpu(device, 0..1, preconditioned);
        assert_eq!(device.traffic().waits, before);
        let mut runs = [Run::new(preconditioned(0))];
        drive_in_lockstep(&mut runs, &mut slices, &mut Room::<1>::new(), |_, _| None).unwrap();
        let mut iterate = vec![0.0; scans.geometry.image_len()];
        slices.copy_iterate(0, &mut iterate).unwrap();
        iterate
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(device.allocations(), 1);
    assert!(apart.allocations() > 100, "{}", apart.allocations());
}

/// Slices in lockstep end where each ends alone, bit for bit, on either backend; convolutions are on tensor cores.
pub fn lockstep(device: &Rc<Device>) {
    device.pretend((8, 0));
    let scans = Scans::new(Drift::Diffused);
    same_bits(gradient_like, |numbers| scans.on_cpu(numbers, gradient_like));
    same_bits(gradient_like, |numbers| scans.on_gpu(device, numbers, gradient_like));
}

/// The same for the default method.
pub fn solves_in_lockstep(device: &Rc<Device>) {
    let scans = Scans::new(Drift::DriftFree);
    same_bits(preconditioned, |numbers| scans.on_cpu(numbers, preconditioned));
    same_bits(preconditioned, |numbers| scans.on_gpu(device, numbers, preconditioned));
}

/// All slices together and each alone; one stops early, the others go on. In an iteration only scalars cross to a
/// device.
fn same_bits<S: Solver, B: Slices>(solver: fn(usize) -> S, place: impl Fn(Range<usize>) -> B)
where
    B::Error: Debug,
{
    let mut together = place(0..3);
    let before = together.traffic();
    let (ends, trials) = run(0..3, solver, &mut together);
    assert_eq!(ends[1], Ok(Status::Stopped));
    assert!(trials.iter().any(|n| *n != trials[0]), "the slices should differ in their trials: {trials:?}");
    if let Some((before, after)) = before.zip(together.traffic()) {
        assert_few_bytes(&before, &after);
    }
    for (number, end) in ends.into_iter().enumerate() {
        let mut alone = place(number..number + 1);
        assert_eq!(run(number..number + 1, solver, &mut alone), (vec![end], vec![trials[number]]));
        let iterate = |slices: &B, slice| {
            let mut image = vec![0.0; 12 * 20];
            slices.copy_iterate(slice, &mut image).unwrap();
            image
        };
        assert_eq!(iterate(&together, number), iterate(&alone, 0), "slice {number}");
        assert_eq!(together.counters(number), alone.counters(0));
    }
}

/// Runs slices of these numbers; number 1 is stopped after its third iteration. Their ends, and the trials of each.
fn run<S: Solver, B: Slices>(numbers: Range<usize>, solver: fn(usize) -> S, slices: &mut B) -> (Vec<End>, Vec<u32>)
where
    B::Error: Debug,
{
    let mut runs: Vec<Run<S>> = numbers.clone().map(|number| Run::new(solver(number))).collect();
    let mut trials = vec![0; runs.len()];
    drive_in_lockstep(&mut runs, slices, &mut Room::<3>::new(), |completed, _| {
        completed.iter().for_each(|(slice, record)| trials[*slice] += record.trials);
        let is_last = |(slice, record): &&(usize, Record)| numbers.start + slice == 1 && record.iteration == 2;
        completed.iter().find(is_last).map(|(slice, _)| *slice)
    })
    .unwrap();
    (runs.iter().map(|run| run.end().unwrap()).collect(), trials)
}

/// An image has 960 bytes; what crosses at a time are the scalars of three slices.
fn assert_few_bytes(before: &Traffic, after: &Traffic) {
    let bytes = (after.bytes_to_host - before.bytes_to_host) + (after.bytes_to_device - before.bytes_to_device);
    let mean = bytes as f64 / (after.transfers - before.transfers) as f64;
    assert!(mean < 160.0, "{mean} bytes a transfer");
}
