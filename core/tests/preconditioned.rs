//! The preconditioned solver: its lines, its directions, descent, and its saved states.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

use gradus_core::toy::{self, Toy};
use gradus_core::{
    AnswerError, Approach, Backtracking, Certificate, Directional, Evaluator, Homotopy, LinearModel, Outcome,
    PerturbationKernel, Preconditioned, PreconditionedAnswer as Tell, PreconditionedBuffers, PreconditionedEvaluator,
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

/// The first level belongs to the approach; the second, too, because it ascends; the third descends and is tested.
#[test]
fn the_approach_ends_with_the_first_descent_after_its_levels() {
    let mut solver = solver(5, 1).with_approach(Approach { levels: 1, solve_steps: 2 }).unwrap();
    let mut iterate = |solve_steps: u32, slope: f32| {
        for told in [Tell::Curvature(2.0), Tell::ResidualSquare(2.0)].repeat(solve_steps as usize) {
            if matches!(solver.request(), Ask::Gradient { .. }) {
                solver.answer(Tell::ResidualSquare(8.0)).unwrap();
            }
            solver.answer(told).unwrap();
        }
        solver.answer(Tell::Direction(Directional { slope, ..descending() })).unwrap();
        let tested = matches!(solver.request(), Ask::Change { .. });
        if tested {
            solver.answer(Tell::Change(-1.0)).unwrap();
        }
        assert_eq!(Preconditioned::from_bytes(&solver.to_bytes()), Ok(solver));
        assert_eq!(solver.request(), Ask::Update { step: 1.0 });
        (tested, solver.answer(Tell::Updated).unwrap().unwrap().outcome)
    };
    assert_eq!(iterate(2, -1.0), (false, Outcome::Approach));
    assert_eq!(iterate(1, 1.0), (false, Outcome::Approach));
    assert_eq!(iterate(1, -1.0), (true, Outcome::Step));
    // From now on a level that ascends is left.
    solver.answer(Tell::ResidualSquare(0.0)).unwrap();
    let record = solver.answer(Tell::Direction(Directional { slope: 1.0, ..descending() })).unwrap().unwrap();
    assert_eq!(record.outcome, Outcome::NotDescent);
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
        let (mut problem, mut memory, mut solver) = (Toy::new(), [0.0; FLOATS], solver(40, 2));
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
        let (mut problem, mut memory, mut solver) = (Toy::new(), [0.0; FLOATS], solver(12, 2));
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
    assert_eq!(damaged(33, 1), Err(StateError::Corrupt));
    assert!(damaged(33, 0).is_ok());
}

proptest! {
    /// Whatever it is told, it does not panic, asks for finite steps only, and can be saved.
    #[test]
    fn any_answers_leave_a_state(answers in prop::collection::vec((0_u8..5, -1.0_f32..1e3), 1..200)) {
        let mut solver = solver(6, 3);
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
