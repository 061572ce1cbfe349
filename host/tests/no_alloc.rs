//! Passes of a network and iterations of a solver allocate nothing once all is made.

#![allow(clippy::unwrap_used)]

use gradus::backend::cpu::{CpuSlices, Network, TrainingBatch, TrainingNetwork};
use gradus::backend::{Drift, Slice, Slices};
use gradus::ct::Geometry;
use gradus::prior::Prior;
use gradus::unet::Weights;
use gradus_core::{
    Backtracking, Effort, GradientLike, Homotopy, PerturbationKernel, Preconditioned, RegularisationWeight, Room, Run,
    Schedule, Solver, Spacing, StepCandidate, drive_in_lockstep,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Set in the threads of the pool; those of the test harness print, and so allocate, when they like.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

#[allow(unsafe_code)]
// SAFETY: every call goes to the system allocator unchanged; counting touches no memory of the allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.try_with(Cell::get).unwrap_or(false) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_once_all_is_made() {
    let prior = Prior::named("ellipses").unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).start_handler(|_| COUNTED.set(true)).build().unwrap();
    pool.install(|| {
        let (size, lanes) = (32, 2);
        let mut network = Network::new(&prior, size, size, lanes).unwrap();
        let x = vec![0.25; lanes * size * size];
        let mut out = x.clone();
        let mut passes = || {
            network.forward(0..lanes, &x, &[0.1, 0.5]);
            network.vjp(0..lanes, &x, &mut out);
            network.forward(1..2, &x[..size * size], &[0.2]);
            network.vjp(1..2, &x[..size * size], &mut out[..size * size]);
        };
        // The pool's own queues grow once.
        passes();
        assert!(ALLOCATIONS.load(Ordering::Relaxed) > 0, "the network's own memory is counted");
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..5 {
            passes();
        }
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(after - before, 0, "allocations in 20 passes");
        iterations_allocate_nothing(&prior, algorithm_2(), Drift::Diffused);
        iterations_allocate_nothing(&prior, preconditioned(), Drift::DriftFree);
        training_steps_allocate_nothing(prior.weights());
    });
}

/// The first two iterations may fill what is made once.
fn iterations_allocate_nothing<S: Solver + Copy>(prior: &Prior, solver: S, drift: Drift) {
    let (size, n_slices) = (32, 2);
    let geometry = Geometry::covering(size, size, 12);
    let slice = Slice {
        data: vec![3.0; geometry.sinogram_len()],
        start: vec![0.5; size * size],
        objective: solver.objective(),
    };
    let mut slices = CpuSlices::new(geometry, prior, vec![slice; n_slices]).unwrap().with_drift(drift);
    let (mut counts, mut room) = (Vec::with_capacity(60), Room::<2>::new());
    let mut runs = [Run::new(solver), Run::new(solver)];
    drive_in_lockstep(&mut runs, &mut slices, &mut room, |completed, slices| {
        let (mut numbers, mut values) = ([0; 2], [0.0; 2]);
        numbers.iter_mut().zip(completed).for_each(|(number, (slice, _))| *number = *slice);
        slices.objectives(&numbers[..completed.len()], &mut values).unwrap();
        std::hint::black_box(values);
        counts.push(ALLOCATIONS.load(Ordering::Relaxed));
        None::<usize>
    })
    .unwrap();
    assert!(counts.len() > 8);
    assert_eq!(counts.last().unwrap() - counts[2], 0, "allocations in {} iterations", counts.len() - 3);
}

fn algorithm_2() -> GradientLike {
    let schedule = Schedule::new(Spacing::Logarithmic, 1.0, 1e-3, 60).unwrap();
    let weight = RegularisationWeight::NoiseToSignal { alpha: 1.0, early: 0.0, kernel: PerturbationKernel::VP };
    let homotopy = Homotopy { schedule, weight };
    GradientLike::new(homotopy, StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT, 0.0).unwrap()
}

fn preconditioned() -> Preconditioned {
    let schedule = Schedule::new(Spacing::Logarithmic, 0.5, 2e-3, 12).unwrap();
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(1.0) };
    Preconditioned::new(homotopy, PerturbationKernel::VP, Effort::fixed(5), Backtracking::DEFAULT, 0.0).unwrap()
}

/// Both losses; the first step may grow the pool's queues.
fn training_steps_allocate_nothing(weights: &Weights) {
    let (size, lanes) = (32, 3);
    let parameters = weights.parameters();
    let mut network = TrainingNetwork::new(weights.description(), size, size, lanes).unwrap();
    let (x, z, t) = (vec![0.25; lanes * size * size], vec![0.5; lanes * size * size], [0.1, 0.5, 0.9]);
    let batch = TrainingBatch { x_t: &x, z: &z, t: &t, weights: &[1.0; 3] };
    let mut gradient = vec![0.0; parameters.len()];
    let mut step = || {
        network.score_matching_loss(&parameters, batch, &mut gradient);
        network.denoising_loss(&parameters, batch, &mut gradient);
    };
    step();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..5 {
        step();
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations in 10 training steps");
}
