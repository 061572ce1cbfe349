//! The preconditioned solver: its lines, its directions, descent, and its saved states.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss)]

use gradus_core::toy::{self, Toy};
use gradus_core::{
    Answer as Tell, AnswerError, Backtracking, Buffers, Certificate, Directional, Effort, Evaluator, Homotopy, Level,
    LinearModel, Outcome, PerturbationKernel, Preconditioned, Problem, RegularisationWeight, Request as Ask, Schedule,
    SettingsError, Solved, Solver, Spacing, StateError, Status, drive,
};
use proptest::prelude::*;
use std::ops::ControlFlow;

const KERNEL: PerturbationKernel = PerturbationKernel::VarianceExploding { sigma: 10.0 };

/// The toy and its vectors.
struct Plane {
    problem: Toy,
    memory: [f32; Buffers::<Toy>::floats(2)],
    solve: [f32; Buffers::<Toy>::solve_floats(2)],
}

impl Plane {
    fn new() -> Self {
        Self { problem: Toy::new(), memory: [f32::NAN; 8], solve: [f32::NAN; 6] }
    }

    fn at(&mut self, x: [f32; 2], objective: Level) -> Buffers<'_, Toy> {
        let mut buffers = Buffers::new(&mut self.problem, &mut self.memory, objective).unwrap();
        buffers.set_iterate(&x).unwrap();
        buffers.with_solve(&mut self.solve).unwrap()
    }
}

fn homotopy(t_max: f32, t_min: f32, len: u32) -> Homotopy {
    let schedule = Schedule::new(Spacing::Logarithmic, t_max, t_min, len).unwrap();
    Homotopy { schedule, weight: RegularisationWeight::Constant(0.05) }
}

fn solver(len: u32, solve_steps: u32) -> Preconditioned {
    Preconditioned::new(homotopy(1.0, toy::T_MIN, len), KERNEL, Effort::fixed(solve_steps), Backtracking::DEFAULT, 1e-6)
        .unwrap()
}

fn descending() -> Directional {
    Directional { gradient_norm_sq: 4.0, slope: -1.0, direction_norm_sq: 1.0, ..Directional::default() }
}

fn solved(residual_square: f32) -> Tell {
    Tell::Solved(Solved { initial_square: 8.0, residual_square })
}

#[test]
fn it_follows_its_lines() {
    let mut solver = solver(2, 2);
    let mut tell = |told, wanted: fn(Ask) -> bool| {
        let record = solver.answer(told).unwrap();
        assert!(wanted(solver.request()), "{:?}", solver.request());
        record
    };
    tell(Tell::Ready, |ask| matches!(ask, Ask::Solve { effort: Effort { most: 2, .. }, .. }));
    tell(solved(1.0), |ask| ask == Ask::Products);
    tell(Tell::Direction(descending()), |ask| ask == Ask::Change { step: 1.0 });
    tell(Tell::Change(0.5), |ask| ask == Ask::Change { step: 0.5 });
    tell(Tell::Change(-0.5), |ask| ask == Ask::Update { step: 0.5 });
    let record = tell(Tell::Ready, |ask| matches!(ask, Ask::Gradient { new_iterate: true, .. })).unwrap();
    assert_eq!((record.outcome, record.step, record.trials), (Outcome::Step, 0.5, 2));
    // d = 0 does not descend, and below t_min there is no level.
    tell(Tell::Ready, |ask| matches!(ask, Ask::Solve { .. }));
    tell(solved(0.0), |ask| ask == Ask::Products);
    let zero = Directional { gradient_norm_sq: 1.0, ..Directional::default() };
    let record = tell(Tell::Direction(zero), |ask| ask == Ask::Done(Status::NoStep)).unwrap();
    assert_eq!(record.outcome, Outcome::NotDescent);
}

/// The first three levels belong to the approach: no products, no trial. Later a level that ascends is left.
#[test]
fn the_approach_makes_no_claim_and_ends_after_its_levels() {
    let mut solver = solver(6, 1).with_approach(3).with_extrapolation(0.25).unwrap();
    for (turn, beta) in [(0, 0.0), (1, 0.0), (2, 0.25)] {
        let Ask::Denoise { level, variance, turn: asked, extrapolation } = solver.request() else {
            panic!("{:?}", solver.request())
        };
        assert_eq!((variance, asked, extrapolation), (KERNEL.variance(level.t), turn, beta));
        assert_eq!(solver.answer(Tell::Ready), Ok(None));
        let Ask::Solve { damping, .. } = solver.request() else { panic!("{:?}", solver.request()) };
        assert_eq!(damping, level.prior_weight / variance / (1.0 + beta));
        assert_eq!(solver.answer(solved(2.0)), Ok(None));
        assert_eq!(Preconditioned::from_bytes(&solver.to_bytes()), Ok(solver));
        assert_eq!(solver.request(), Ask::Update { step: 1.0 });
        assert_eq!(solver.answer(Tell::Ready).unwrap().unwrap().outcome, Outcome::Approach);
    }
    assert!(matches!(solver.request(), Ask::Gradient { new_iterate: true, .. }));
    solver.answer(Tell::Ready).unwrap();
    solver.answer(solved(0.0)).unwrap();
    let record = solver.answer(Tell::Direction(Directional { slope: 1.0, ..descending() })).unwrap().unwrap();
    assert_eq!(record.outcome, Outcome::NotDescent);
    assert!(matches!(solver.request(), Ask::Gradient { new_iterate: false, .. }));
}

/// After a level of approach the iterate solves `(A^T A + mu I) x = A^T y + mu z`, in the plane by two iterations, with
/// `z` the denoised image, from the third level on extrapolated from the iterate before.
#[test]
fn a_step_of_approach_solves_for_the_data_near_the_denoised_image() {
    let beta = 0.25;
    let (mut plane, mut solver) = (Plane::new(), solver(5, 2).with_approach(4).with_extrapolation(beta).unwrap());
    let x = [2.0, -1.5];
    let (mut toy, mut prior, mut data) = (Toy::new(), [0.0; 2], [0.0; 2]);
    let (mut i, mut before, mut last) = (0, x, x);
    let mut buffers = plane.at(x, solver.objective());
    drive(&mut solver, &mut buffers, |record, buffers| {
        if record.outcome != Outcome::Approach {
            return ControlFlow::Break(());
        }
        assert_eq!(record.step, 1.0);
        let level = homotopy(1.0, toy::T_MIN, 5).level(i);
        let (variance, weight) = (KERNEL.variance(level.t), level.prior_weight);
        toy.prior_gradient(&last, level, 0, &mut prior).unwrap();
        let found: [f32; 2] = buffers.iterate().try_into().unwrap();
        toy.data_gradient(&found, &mut data).unwrap();
        for k in 0..2 {
            let denoised = last[k] - variance * prior[k];
            let beta = if i < 2 { 0.0 } else { beta };
            let anchor = denoised + beta * (denoised - before[k]);
            let off = data[k] + weight / variance / (1.0 + beta) * (found[k] - anchor);
            assert!(off.abs() < 1e-5, "{off} at level {i}");
        }
        (i, before, last) = (i + 1, last, found);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(i, 4);
    // The two terms are those of the gradient.
    let (level, mut whole) = (homotopy(1.0, toy::T_MIN, 2).level(0), [0.0; 2]);
    let weight = level.prior_weight;
    toy.prior_gradient(&x, level, 0, &mut prior).unwrap();
    toy.gradient(&x, level, &mut whole).unwrap();
    toy.data_gradient(&x, &mut data).unwrap();
    whole.iter().zip(data.iter().zip(prior)).for_each(|(w, (d, p))| assert!((w - d - weight * p).abs() < 1e-6));
}

/// A solve that ended too early is told by its record, and counted.
#[test]
fn a_system_that_is_not_solved_is_said() {
    let effort = Effort { least: 1, most: 2, tolerance: 0.25 };
    let levels = homotopy(1.0, toy::T_MIN, 2);
    for (residual_square, unsolved) in [(8.0, 4.0), (0.5, 1.0), (0.0, 0.0)] {
        let mut solver = Preconditioned::new(levels, KERNEL, effort, Backtracking::DEFAULT, 0.0).unwrap();
        for told in [Tell::Ready, solved(residual_square), Tell::Direction(descending()), Tell::Change(-0.5)] {
            assert_eq!(solver.answer(told), Ok(None));
            assert_eq!(Preconditioned::from_bytes(&solver.to_bytes()), Ok(solver));
        }
        let record = solver.answer(Tell::Ready).unwrap().unwrap();
        assert_eq!(record.unsolved, unsolved);
        let mut certificate = Certificate::default();
        certificate.observe(&record);
        assert_eq!(certificate.unsolved_systems, u32::from(unsolved > 1.0));
    }
}

#[test]
fn bad_settings_and_answers_are_refused() {
    let levels = homotopy(1.0, 0.1, 5);
    let built = |effort, tolerance| Preconditioned::new(levels, KERNEL, effort, Backtracking::DEFAULT, tolerance);
    for effort in [
        Effort::fixed(0),
        Effort { least: 3, ..Effort::fixed(2) },
        Effort { tolerance: 0.0, ..Effort::fixed(2) },
        Effort { tolerance: f32::NAN, ..Effort::fixed(2) },
    ] {
        assert_eq!(built(effort, 0.0), Err(SettingsError::SolveIterations));
    }
    assert_eq!(built(Effort::fixed(1), -1.0), Err(SettingsError::Tolerance));
    let mut solver = solver(3, 2);
    for (told, error) in [
        (Tell::Change(-1.0), AnswerError::NotAsked),
        (solved(1.0), AnswerError::NotAsked),
        (Tell::Direction(descending()), AnswerError::NotAsked),
    ] {
        let before = solver;
        assert_eq!((solver.answer(told), solver), (Err(error), before));
    }
    solver.answer(Tell::Ready).unwrap();
    let from = |initial_square| Tell::Solved(Solved { initial_square, residual_square: 1.0 });
    for (told, error) in [
        (Tell::Ready, AnswerError::NotAsked),
        (solved(f32::NAN), AnswerError::NotFinite),
        (from(f32::INFINITY), AnswerError::NotFinite),
        (solved(-1.0), AnswerError::NegativeSquare),
    ] {
        let before = solver;
        assert_eq!((solver.answer(told), solver), (Err(error), before));
    }
}

/// In the plane two iterations solve the system: (A^T A + mu I) d = -grad F, with mu = alpha/sigma_t^2.
#[test]
fn two_conjugate_gradient_iterations_solve_a_system_of_two_unknowns() {
    let mut plane = Plane::new();
    let mut solver =
        Preconditioned::new(homotopy(1.0, 1.0, 1), KERNEL, Effort::fixed(2), Backtracking::DEFAULT, 0.0).unwrap();
    let level = solver.objective();
    let x = [2.0, -1.5];
    let mut buffers = plane.at(x, level);
    drive(&mut solver, &mut buffers, |record, _| {
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
        let (mut plane, mut solver) = (Plane::new(), solver(40, 2).with_approach(20));
        let mut buffers = plane.at(x, solver.objective());
        let (mut certificate, mut least) = (Certificate::default(), Toy::new().objective(&x));
        drive(&mut solver, &mut buffers, |record, buffers| {
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

fn run(solver: &mut Preconditioned, buffers: &mut Buffers<'_, Toy>, requests: usize) {
    for _ in 0..requests {
        let request = solver.request();
        if matches!(request, Ask::Done(_)) {
            return;
        }
        solver.answer(buffers.answer(request).unwrap()).unwrap();
    }
}

#[test]
fn a_run_saved_at_any_request_ends_with_the_same_bits() {
    let end = |stop: usize| {
        let (mut plane, solver) = (Plane::new(), solver(12, 2).with_approach(4));
        let mut solver = solver.with_extrapolation(0.3).unwrap();
        let mut buffers = plane.at([3.0, 7.0], solver.objective());
        run(&mut solver, &mut buffers, stop);
        let mut resumed = Preconditioned::from_bytes(&solver.to_bytes()).unwrap();
        assert_eq!(resumed, solver);
        let mut memory = [f32::NAN; 8];
        let mut problem = Toy::new();
        let buffers = Buffers::resume(&mut problem, &mut memory, solver.objective(), &buffers.vectors()).unwrap();
        plane.solve.fill(f32::NAN);
        let mut buffers = buffers.with_solve(&mut plane.solve).unwrap();
        run(&mut resumed, &mut buffers, usize::MAX);
        (resumed, buffers.iterate().iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    let whole = end(0);
    assert!(matches!(whole.0.request(), Ask::Done(_)));
    (1..80).for_each(|stop| assert_eq!(end(stop), whole, "stopped at {stop}"));
}

/// Iterates as bits, known from a solver that asked for each iteration of its linear systems itself.
#[test]
fn runs_end_at_bits_that_are_known() {
    for (approach, wanted) in
        [(0, [0x3f80_0001, 0x3f7f_fbe1]), (5, [0x3f80_0002, 0x3f7f_fbdd]), (29, [0x3f80_0001, 0x3f7f_fbde])]
    {
        let (rule, effort) = (Backtracking::DEFAULT, Effort::fixed(2));
        let solver = Preconditioned::new(homotopy(1.0, toy::T_MIN, 30), KERNEL, effort, rule, 0.0).unwrap();
        let (mut plane, mut solver) = (Plane::new(), solver.with_approach(approach));
        let mut buffers = plane.at([0.0, -3.157_049_2], solver.objective());
        let status = drive(&mut solver, &mut buffers, |_, _| ControlFlow::Continue(()));
        assert_eq!(status, Ok(Status::ScheduleDone));
        assert_eq!(buffers.iterate().iter().map(|x| x.to_bits()).collect::<Vec<_>>(), wanted, "{approach}");
    }
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
    assert_eq!(damaged(40, 1), Err(StateError::Corrupt));
    assert!(damaged(40, 0).is_ok());
    let [beta, making, line] = [17, 18, 24];
    let refused = Err(StateError::Settings(SettingsError::Extrapolation));
    assert_eq!(damaged(beta, 1.0_f32.to_bits()), refused);
    assert!(damaged(making, 1).is_ok(), "a solve under way");
    let mut bytes = good;
    bytes[4 * making] = 1;
    bytes[4 * line] = 3;
    assert_eq!(Preconditioned::from_bytes(&bytes), Err(StateError::Corrupt), "a solve after the end");
}

proptest! {
    /// Whatever it is told, it does not panic, and can be saved.
    #[test]
    fn any_answers_leave_a_state(answers in prop::collection::vec((0_u8..4, -1.0_f32..1e3), 1..200)) {
        let mut solver = solver(6, 3).with_approach(2);
        for (kind, value) in answers {
            let direction = Directional { slope: -value, gradient_norm_sq: 1.0, ..Directional::default() };
            let told = [solved(value), Tell::Direction(direction), Tell::Change(-value), Tell::Ready];
            let _ = solver.answer(told[usize::from(kind)]);
            prop_assert_eq!(Preconditioned::from_bytes(&solver.to_bytes()), Ok(solver));
        }
    }
}
