//! Whole runs of the preconditioned method, and of Algorithm 2 under the drift-free view: CPU against CUDA, several
//! slices against one, and what crosses meanwhile.

use crate::network::small;
use crate::run::slice;
use crate::support::assert_close;
use gradus::backend::cuda::{CudaSlices, Device, PreconditionedCudaSlices, Slice, drive_preconditioned_in_lockstep};
use gradus::backend::{DeviceChoice, View};
use gradus::ct::Geometry;
use gradus::data::ellipses::ellipses;
use gradus::reconstruct::{Measurement, Method, PreconditionedSettings, Reconstruction, Settings, reconstruct};
use gradus::simulate::{Simulation, simulate};
use gradus::unet::Weights;
use gradus_core::{
    Backtracking, Homotopy, Level, PerturbationKernel, Preconditioned, RegularisationWeight, Schedule, Spacing,
    drive_preconditioned,
};
use std::ops::ControlFlow;
use std::rc::Rc;

const SIDE: usize = 32;

/// The default method on counted photons, with a mean of two runs; and Algorithm 2 under the drift-free view. The same
/// steps are accepted after the same trials, and the images agree to 1e-4.
pub fn same_runs(_: &Rc<Device>) {
    let own = PreconditionedSettings {
        steps: Some(5),
        tested_steps: 3,
        solve_steps: 5,
        average: 2,
        restart_steps: 2,
        ..PreconditionedSettings::default()
    };
    let preconditioned = Settings { preconditioned: own, ..Settings::default() };
    let (method, view) = (Method::GradientLike, View::DriftFree);
    compare(&preconditioned);
    compare(&Settings { method, view, steps: 2, ..Settings::default() });
}

fn compare(settings: &Settings) {
    let weights = Weights::from_bytes(gradus::prior::embedded("ellipses").unwrap().bytes).unwrap();
    let simulation = Simulation { angles: 15, photons: Some(1e4), ..Simulation::default() };
    let measurement = Measurement::new(&simulate(&ellipses(3, SIDE), 0.05, &simulation).unwrap()).unwrap();
    assert!(measurement.weights.is_some());
    let on = |device: DeviceChoice| -> Reconstruction {
        let settings = Settings { device, ..settings.clone() };
        reconstruct(&measurement, &settings, Some(&weights), &mut |_| ControlFlow::Continue(())).unwrap()
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

/// Solvers whose weights of the prior differ, as those of scans with other noise do.
fn solver(slice: usize) -> Preconditioned {
    let schedule = Schedule::new(Spacing::Logarithmic, 0.5, 1e-3, 4).unwrap();
    let weight = RegularisationWeight::Constant(0.5 / (1 + slice) as f32);
    let homotopy = Homotopy { schedule, weight };
    let solver = Preconditioned::new(homotopy, PerturbationKernel::VP, 4, Backtracking::DEFAULT, 0.0).unwrap();
    solver.with_approach(1 + slice as u32)
}

/// Slices in lockstep end where each ends alone, bit for bit, and in an iteration only scalars cross.
pub fn lockstep(device: &Rc<Device>) {
    let (geometry, weights) = (Geometry::covering(12, 20, 7), small());
    let slices: Vec<Slice> = (0..3).map(|seed| slice(&geometry, seed)).collect();
    let counts: Vec<f32> = (0..geometry.sinogram_len()).map(|i| 0.5 + (i % 3) as f32).collect();
    let weighted = |number: usize| (number != 1).then_some(counts.as_slice());
    let place = |numbers: std::ops::Range<usize>| {
        let objectives: Vec<Level> = numbers.clone().map(|number| solver(number).objective()).collect();
        let of_slices: Vec<_> = numbers.clone().map(weighted).collect();
        let problem = CudaSlices::new(device, geometry.clone(), &weights, &slices[numbers], objectives[0]).unwrap();
        let problem = problem.with_view(View::DriftFree).with_objectives(&objectives);
        PreconditionedCudaSlices::new(problem.with_weights(&of_slices).unwrap()).unwrap()
    };
    let mut together = place(0..3);
    let before = device.traffic();
    let mut solvers: Vec<Preconditioned> = (0..3).map(solver).collect();
    let ends = drive_preconditioned_in_lockstep(&mut solvers, &mut together, |_, _| Vec::new()).unwrap();
    let after = device.traffic();
    // An image has 960 bytes.
    let bytes = (after.bytes_to_host - before.bytes_to_host) + (after.bytes_to_device - before.bytes_to_device);
    let mean = bytes as f64 / (after.transfers - before.transfers) as f64;
    assert!(mean < 64.0, "{mean} bytes a transfer");

    for (number, together_end) in ends.into_iter().enumerate() {
        let mut alone = place(number..number + 1);
        let end = drive_preconditioned(&mut solver(number), &mut alone, |_, _| ControlFlow::Continue(()));
        assert_eq!(Ok(end.unwrap()), together_end);
        let (mut found, mut wanted) = (vec![0.0; geometry.image_len()], vec![0.0; geometry.image_len()]);
        together.problem().iterate(number, &mut found).unwrap();
        alone.problem().iterate(0, &mut wanted).unwrap();
        assert_eq!(found, wanted, "slice {number}");
        assert_eq!(together.problem().counters(number), alone.problem().counters(0));
    }
}
