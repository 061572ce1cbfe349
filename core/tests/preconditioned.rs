//! The preconditioned solver: its lines, its directions, descent, and its saved states.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss)]

use gradus_core::toy::{self, Toy};
use gradus_core::{
    AnswerError, Backtracking, Certificate, Directional, Evaluator, Homotopy, LinearModel, Outcome, PerturbationKernel,
    Preconditioned, PreconditionedAnswer as Tell, PreconditionedBuffers, PreconditionedEvaluator,
    PreconditionedRequest as Ask, Problem, RegularisationWeight, Schedule, SettingsError, Spacing, StateError, Status,
    drive_preconditioned,
};
use proptest::prelude::*;
use std::ops::ControlFlow;

const KERNEL: PerturbationKernel = PerturbationKernel::VarianceExploding { sigma: 10.0 };
const FLOATS: usize = PreconditionedBuffers::<Toy>::floats(2);

fn homotopy(t_max: f32, t_min: f32, len: u32) -> Homotopy {
    let schedule = Schedule::new(Spacing::Logarithmic, t_max, t_min, len).unwrap();
    Homotopy { schedule, weight: RegularisationWeight::Constant(0.05) }
}

fn solver(len: u32, solve_steps: u32) -> Preconditioned {
    Preconditioned::new(homotopy(1.0, toy::T_MIN, len), KERNEL, solve_steps, Backtracking::DEFAULT, 1e-6).unwrap()
}

fn descending() -> Directional {
    Directional { gradient_norm_sq: 4.0, slope: -1.0, direction_norm_sq: 1.0, ..Directional::default() }
}

#[test]
fn it_follows_its_lines() {
    let mut solver = solver(2, 2);
    let mut tell = |told, wanted: fn(Ask) -> bool| {
        let record = solver.answer(told).unwrap();
        assert!(wanted(solver.request()), "{:?}", solver.request());
        record
    };
    tell(Tell::ResidualSquare(8.0), |ask| matches!(ask, Ask::Curvature { momentum: 0.0, .. }));
    tell(Tell::Curvature(2.0), |ask| matches!(ask, Ask::Advance { length: 4.0, .. }));
    tell(Tell::ResidualSquare(2.0), |ask| matches!(ask, Ask::Curvature { momentum: 0.25, .. }));
    tell(Tell::Curvature(4.0), |ask| matches!(ask, Ask::Advance { length: 0.5, .. }));
    tell(Tell::ResidualSquare(1.0), |ask| ask == Ask::Products);
    tell(Tell::Direction(descending()), |ask| ask == Ask::Change { step: 1.0 });
    tell(Tell::Change(0.5), |ask| ask == Ask::Change { step: 0.5 });
    tell(Tell::Change(-0.5), |ask| ask == Ask::Update { step: 0.5 });
    let record = tell(Tell::Updated, |ask| matches!(ask, Ask::Gradient { new_iterate: true, .. })).unwrap();
    assert_eq!((record.outcome, record.step, record.trials), (Outcome::Step, 0.5, 2));
    // The residual is 0 at once: d = 0 does not descend, and below t_min there is no level.
    tell(Tell::ResidualSquare(0.0), |ask| ask == Ask::Products);
    let zero = Directional { gradient_norm_sq: 1.0, ..Directional::default() };
    let record = tell(Tell::Direction(zero), |ask| ask == Ask::Done(Status::NoStep)).unwrap();
    assert_eq!(record.outcome, Outcome::NotDescent);
}

/// The first two levels belong to the approach: no products, no trial. From the third on a level that ascends is left.
#[test]
fn the_approach_makes_no_claim_and_ends_after_its_levels() {
    let mut solver = solver(5, 1).with_approach(2);
    for turn in 0..2 {
        let Ask::Denoise { level, variance, turn: asked } = solver.request() else { panic!("{:?}", solver.request()) };
        assert_eq!((variance, asked), (KERNEL.variance(level.t), turn));
        for told in [Tell::ResidualSquare(8.0), Tell::Curvature(2.0), Tell::ResidualSquare(2.0)] {
            solver.answer(told).unwrap();
        }
        assert_eq!(Preconditioned::from_bytes(&solver.to_bytes()), Ok(solver));
        assert_eq!(solver.request(), Ask::Update { step: 1.0 });
        assert_eq!(solver.answer(Tell::Updated).unwrap().unwrap().outcome, Outcome::Approach);
    }
    assert!(matches!(solver.request(), Ask::Gradient { new_iterate: true, .. }));
    solver.answer(Tell::ResidualSquare(0.0)).unwrap();
    let record = solver.answer(Tell::Direction(Directional { slope: 1.0, ..descending() })).unwrap().unwrap();
    assert_eq!(record.outcome, Outcome::NotDescent);
}

/// After one level of approach the iterate solves `(A^T A + mu I) x = A^T y + mu D`, in the plane by two steps.
#[test]
fn a_step_of_approach_solves_for_the_data_near_the_denoised_image() {
    let (mut problem, mut memory) = (Toy::new(), [0.0; FLOATS]);
    let mut solver = solver(2, 2).with_approach(1);
    let level = homotopy(1.0, toy::T_MIN, 2).level(0);
    let mut buffers = PreconditionedBuffers::new(&mut problem, &mut memory, solver.objective()).unwrap();
    let x = [2.0, -1.5];
    buffers.set_iterate(&x).unwrap();
    drive_preconditioned(&mut solver, &mut buffers, |record, _| {
        assert_eq!((record.outcome, record.step), (Outcome::Approach, 1.0));
        ControlFlow::Break(())
    })
    .unwrap();
    let found: Vec<f32> = buffers.iterate().to_vec();
    let (mut toy, mut prior, mut data, mut off) = (Toy::new(), [0.0; 2], [0.0; 2], [0.0; 2]);
    let (variance, weight) = (KERNEL.variance(level.t), level.prior_weight);
    toy.prior_gradient(&x, level, 0, &mut prior).unwrap();
    let denoised: Vec<f32> = x.iter().zip(prior).map(|(x, gradient)| x - variance * gradient).collect();
    toy.data_gradient(&found, &mut data).unwrap();
    for i in 0..2 {
        off[i] = data[i] + weight / variance * (found[i] - denoised[i]);
    }
    assert!(off.iter().all(|g| g.abs() < 1e-6), "{off:?}");
    // The two terms are those of the gradient.
    let mut whole = [0.0; 2];
    toy.gradient(&x, level, &mut whole).unwrap();
    toy.data_gradient(&x, &mut data).unwrap();
    whole.iter().zip(data.iter().zip(prior)).for_each(|(w, (d, p))| assert!((w - d - weight * p).abs() < 1e-6));
}

#[test]
fn bad_settings_and_answers_are_refused() {
    let levels = homotopy(1.0, 0.1, 5);
    let built = |solve, tolerance| Preconditioned::new(levels, KERNEL, solve, Backtracking::DEFAULT, tolerance);
    assert_eq!(built(0, 0.0), Err(SettingsError::SolveSteps));
    assert_eq!(built(1, -1.0), Err(SettingsError::Tolerance));
    let mut solver = solver(3, 2);
    for (told, error) in [
        (Tell::Updated, AnswerError::NotAsked),
        (Tell::ResidualSquare(f32::NAN), AnswerError::NotFinite),
        (Tell::ResidualSquare(-1.0), AnswerError::NegativeSquare),
    ] {
        let before = solver;
        assert_eq!((solver.answer(told), solver), (Err(error), before));
    }
}

/// In the plane two steps solve the system: (A^T A + mu I) d = -grad F, with mu = alpha/sigma_t^2.
#[test]
fn two_conjugate_gradient_steps_solve_a_system_of_two_unknowns() {
    let (mut problem, mut memory) = (Toy::new(), [0.0; FLOATS]);
    let mut solver = Preconditioned::new(homotopy(1.0, 1.0, 1), KERNEL, 2, Backtracking::DEFAULT, 0.0).unwrap();
    let level = solver.objective();
    let mut buffers = PreconditionedBuffers::new(&mut problem, &mut memory, level).unwrap();
    let x = [2.0, -1.5];
    buffers.set_iterate(&x).unwrap();
    drive_preconditioned(&mut solver, &mut buffers, |record, _| {
        assert_eq!(record.step, 1.0);
        ControlFlow::Continue(())
    })
    .unwrap();
    let d: Vec<f32> = buffers.iterate().iter().zip(x).map(|(new, old)| new - old).collect();
    let (mut problem, mut gradient, mut normal) = (Toy::new(), [0.0; 2], [0.0; 2]);
    problem.gradient(&x, level, &mut gradient).unwrap();
    problem.normal(&d, &mut normal).unwrap();
    let damping = 0.05 / KERNEL.variance(1.0);
    for i in 0..2 {
        let left = normal[i] + damping * d[i];
        assert!((left + gradient[i]).abs() < 1e-5 * gradient[i].abs(), "{left} {}", gradient[i]);
    }
}

/// Every accepted step lowers `f`, and descends by the certificate.
#[test]
fn every_step_descends_from_anywhere() {
    for start in 0..100 {
        let x = [-9.0 + 2.0 * (start % 10) as f32, -9.0 + 2.0 * (start / 10) as f32];
        let (mut problem, mut memory, mut solver) = (Toy::new(), [0.0; FLOATS], solver(40, 2).with_approach(20));
        let mut buffers = PreconditionedBuffers::new(&mut problem, &mut memory, solver.objective()).unwrap();
        buffers.set_iterate(&x).unwrap();
        let (mut certificate, mut least) = (Certificate::default(), Toy::new().objective(&x));
        drive_preconditioned(&mut solver, &mut buffers, |record, buffers| {
            certificate.observe(record);
            let objective = Toy::new().objective(buffers.iterate().try_into().unwrap());
            if record.outcome == Outcome::Approach {
                least = objective;
            }
            assert!(objective <= least + 1e-5 * least.abs(), "{objective} after {least} from {x:?}");
            least = objective;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(certificate.every_step_descended() && certificate.steps > 0, "{certificate:?}");
    }
}

fn run(solver: &mut Preconditioned, buffers: &mut PreconditionedBuffers<'_, Toy>, requests: usize) {
    for _ in 0..requests {
        let answer = match solver.request() {
            Ask::Denoise { level, variance, turn } => {
                Tell::ResidualSquare(buffers.denoise(level, variance, turn).unwrap())
            }
            Ask::Gradient { level, new_iterate } => {
                Tell::ResidualSquare(buffers.begin_solve(level, new_iterate).unwrap())
            }
            Ask::Curvature { momentum, damping } => Tell::Curvature(buffers.curvature(momentum, damping).unwrap()),
            Ask::Advance { length, damping } => Tell::ResidualSquare(buffers.advance(length, damping).unwrap()),
            Ask::Products => Tell::Direction(buffers.products().unwrap()),
            Ask::Change { step } => Tell::Change(buffers.change(step).unwrap()),
            Ask::Update { step } => buffers.update(step).map(|()| Tell::Updated).unwrap(),
            Ask::Done(_) => return,
        };
        solver.answer(answer).unwrap();
    }
}

#[test]
fn a_run_saved_at_any_request_ends_with_the_same_bits() {
    let end = |stop: usize| {
        let (mut problem, mut memory, mut solver) = (Toy::new(), [0.0; FLOATS], solver(12, 2).with_approach(4));
        let mut buffers = PreconditionedBuffers::new(&mut problem, &mut memory, solver.objective()).unwrap();
        buffers.set_iterate(&[3.0, 7.0]).unwrap();
        run(&mut solver, &mut buffers, stop);
        let mut resumed = Preconditioned::from_bytes(&solver.to_bytes()).unwrap();
        assert_eq!(resumed, solver);
        run(&mut resumed, &mut buffers, usize::MAX);
        (resumed, buffers.iterate().iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    let whole = end(0);
    assert!(matches!(whole.0.request(), Ask::Done(_)));
    (1..150).for_each(|stop| assert_eq!(end(stop), whole, "stopped at {stop}"));
}

#[test]
fn other_bytes_are_refused() {
    let good = solver(3, 2).to_bytes();
    assert_eq!(Preconditioned::from_bytes(&good[1..]), Err(StateError::WrongLength));
    let damaged = |word: usize, value: u32| {
        let mut bytes = good;
        bytes[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
        Preconditioned::from_bytes(&bytes)
    };
    assert_eq!(damaged(0, 1), Err(StateError::WrongTag));
    assert_eq!(damaged(2, f32::NAN.to_bits()), Err(StateError::Corrupt));
    assert_eq!(damaged(31, 1), Err(StateError::Corrupt));
    assert!(damaged(31, 0).is_ok());
}

proptest! {
    /// Whatever it is told, it does not panic, asks for finite steps only, and can be saved.
    #[test]
    fn any_answers_leave_a_state(answers in prop::collection::vec((0_u8..5, -1.0_f32..1e3), 1..200)) {
        let mut solver = solver(6, 3).with_approach(2);
        for (kind, value) in answers {
            let direction = Directional { slope: -value, gradient_norm_sq: 1.0, ..Directional::default() };
            let told = [
                Tell::ResidualSquare(value), Tell::Curvature(value), Tell::Direction(direction), Tell::Change(-value),
                Tell::Updated,
            ];
            let _ = solver.answer(told[usize::from(kind)]);
            if let Ask::Advance { length, .. } = solver.request() {
                prop_assert!(length.is_finite());
            }
            prop_assert_eq!(Preconditioned::from_bytes(&solver.to_bytes()), Ok(solver));
        }
    }
}
