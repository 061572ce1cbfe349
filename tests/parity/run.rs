//! Whole runs of Algorithm 2: CPU against CUDA, several slices against one, and what crosses meanwhile.

use crate::network::small;
use crate::support::{assert_close, signed};
use gradus::backend::DeviceChoice;
use gradus::backend::cuda::{CudaSlices, Device, Slice, drive_in_lockstep};
use gradus::ct::{Geometry, Projector};
use gradus::data::ellipses::ellipses;
use gradus::reconstruct::{Measurement, Method, Reconstruction, Settings, reconstruct};
use gradus::simulate::{Simulation, simulate};
use gradus::unet::Weights;
use gradus_core::{
    Backtracking, GradientLike, Homotopy, PerturbationKernel, RegularisationWeight, Schedule, Solver, Spacing, Status,
    StepCandidate, drive,
};
use std::ops::ControlFlow;
use std::rc::Rc;

const SIDE: usize = 32;
const STEPS: u32 = 10;
const LOCKSTEPS: u32 = 5;

/// The main job, smaller: the embedded prior, ten levels, 32 x 32 pixels. The same steps are accepted after the same
/// trials, and the images agree to 1e-4.
pub fn same_run(_: &Rc<Device>) {
    let weights = Weights::from_bytes(gradus::prior::embedded("ellipses").unwrap().bytes).unwrap();
    let scan = simulate(&ellipses(3, SIDE), 1.0, &Simulation { angles: 15, ..Simulation::default() }).unwrap();
    let measurement = Measurement::new(&scan).unwrap();
    let on = |device: DeviceChoice| -> Reconstruction {
        let settings = Settings { method: Method::GradientLike, steps: STEPS, device, ..Settings::default() };
        reconstruct(&measurement, &settings, Some(&weights), &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let (here, there) = (on(DeviceChoice::Cpu), on(DeviceChoice::Cuda(0)));
    assert_eq!(there.device, DeviceChoice::Cuda(0));
    assert_eq!(here.status, there.status);
    assert_eq!(here.trace.len(), there.trace.len());
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
}

fn solver(steps: u32) -> GradientLike {
    let schedule = Schedule::new(Spacing::Logarithmic, 1.0, 1e-3, steps).unwrap();
    let weight = RegularisationWeight::NoiseToSignal { alpha: 1.0, early: 0.0, kernel: PerturbationKernel::VP };
    let homotopy = Homotopy { schedule, weight };
    GradientLike::new(homotopy, StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT, 0.0).unwrap()
}

pub fn slice(geometry: &Geometry, seed: u64) -> Slice {
    let mut data = vec![0.0; geometry.sinogram_len()];
    let truth: Vec<f32> =
        signed(geometry.image_len(), seed).iter().map(|v| (1 + seed) as f32 * (0.5 + 0.5 * v)).collect();
    Projector::new(geometry.clone()).unwrap().forward_project(&truth, &mut data).unwrap();
    Slice { data, start: signed(geometry.image_len(), 100 + seed) }
}

/// Slices in lockstep end where each ends alone, bit for bit, and in an iteration only scalars cross.
pub fn lockstep(device: &Rc<Device>) {
    let (geometry, weights) = (Geometry::covering(12, 20, 7), small());
    let slices: Vec<Slice> = (0..3).map(|seed| slice(&geometry, seed)).collect();
    let objective = solver(LOCKSTEPS).objective();

    let mut together = CudaSlices::new(device, geometry.clone(), &weights, &slices, objective).unwrap();
    let (mut solvers, mut trials) = (vec![solver(LOCKSTEPS); slices.len()], vec![0; slices.len()]);
    let before = device.traffic();
    let ends = drive_in_lockstep(&mut solvers, &mut together, |completed, _| {
        completed.iter().for_each(|(slice, record)| trials[*slice] += record.trials);
        // One slice stops early; the others go on.
        let stopped = completed.iter().filter(|(slice, record)| *slice == 1 && record.iteration == 2);
        stopped.map(|(slice, _)| *slice).collect()
    });
    let after = device.traffic();
    assert_eq!(ends.unwrap()[1], Ok(Status::Stopped));
    assert!(trials.iter().any(|n| *n != trials[0]), "the slices should differ in their trials: {trials:?}");

    // An image has 960 bytes, and all its slices take about two dozen transfers an iteration.
    let bytes = (after.bytes_to_host - before.bytes_to_host) + (after.bytes_to_device - before.bytes_to_device);
    let largest = bytes as f64 / (after.transfers - before.transfers) as f64;
    assert!(largest < 64.0, "{largest} bytes a transfer");

    for (number, slice) in slices.into_iter().enumerate() {
        let mut alone = CudaSlices::new(device, geometry.clone(), &weights, &[slice], objective).unwrap();
        let last = if number == 1 { 2 } else { u32::MAX };
        drive(&mut solver(LOCKSTEPS), &mut alone, |record, _| {
            if record.iteration == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        let (mut found, mut wanted) = (vec![0.0; geometry.image_len()], vec![0.0; geometry.image_len()]);
        together.iterate(number, &mut found).unwrap();
        alone.iterate(0, &mut wanted).unwrap();
        assert_eq!(found, wanted, "slice {number}");
        assert_eq!(together.counters(number), alone.counters(0));
    }
}
