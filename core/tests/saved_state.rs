//! A run stopped at any request and resumed from bytes goes on with the same bits.
#![allow(missing_docs, clippy::unwrap_used)]

use gradus_core::{
    Answer, Backtracking, Buffers, Directional, Evaluator, FlowStep, GradientLike, GraduatedFlow, Homotopy,
    PerturbationKernel, Preconditioned, Record, RegularisationWeight, Request, Schedule, Solver, Spacing, StateError,
    StepCandidate, Vectors, toy,
};
use proptest::prelude::*;

/// The part of both solvers that is tested here.
trait Saved: Solver + Copy + PartialEq + core::fmt::Debug {
    fn bytes(&self) -> Vec<u8>;
    fn read(bytes: &[u8]) -> Result<Self, StateError>;
}

impl Saved for GradientLike {
    fn bytes(&self) -> Vec<u8> {
        self.to_bytes().to_vec()
    }
    fn read(bytes: &[u8]) -> Result<Self, StateError> {
        Self::from_bytes(bytes)
    }
}

impl Saved for GraduatedFlow {
    fn bytes(&self) -> Vec<u8> {
        self.to_bytes().to_vec()
    }
    fn read(bytes: &[u8]) -> Result<Self, StateError> {
        Self::from_bytes(bytes)
    }
}

/// The four vectors of [`Buffers`], written down.
struct Owned([Vec<f32>; 4], bool);

impl Owned {
    fn of(saved: Vectors<'_>) -> Self {
        let vectors = [saved.iterate, saved.gradient, saved.direction, saved.previous];
        Self(vectors.map(<[f32]>::to_vec), saved.has_previous)
    }

    fn lend(&self) -> Vectors<'_> {
        let [iterate, gradient, direction, previous] = &self.0;
        Vectors { iterate, gradient, direction, previous, has_previous: self.1 }
    }
}

/// Answers at most `requests` requests from where `solver` and `vectors` stand.
fn run<S: Saved>(mut solver: S, vectors: Owned, requests: usize, trace: &mut Vec<Record>) -> (S, Owned) {
    let mut problem = toy::Toy::new();
    let mut memory = [f32::NAN; 8];
    let mut buffers = Buffers::resume(&mut problem, &mut memory, solver.objective(), &vectors.lend()).unwrap();
    for _ in 0..requests {
        let request = solver.request();
        if matches!(request, Request::Done(_)) {
            break;
        }
        trace.extend(solver.answer(buffers.answer(request).unwrap()).unwrap());
    }
    (solver, Owned::of(buffers.vectors()))
}

fn start() -> Owned {
    Owned([vec![3.0, 7.0], vec![0.0; 2], vec![0.0; 2], vec![0.0; 2]], false)
}

/// Stops `solver` at each of its requests in turn; the rest of the run must not notice.
fn resumes_anywhere<S: Saved>(solver: S) {
    let mut whole = Vec::new();
    let (end, vectors) = run(solver, start(), usize::MAX, &mut whole);
    assert!(matches!(end.request(), Request::Done(_)) && whole.len() > 5);
    for stop in 0.. {
        let mut trace = Vec::new();
        let (stopped, kept) = run(solver, start(), stop, &mut trace);
        let resumed = S::read(&stopped.bytes()).unwrap();
        assert_eq!(resumed, stopped);
        let (resumed, found) = run(resumed, kept, usize::MAX, &mut trace);
        assert_eq!(bits(&found), bits(&vectors));
        assert_eq!((&trace, resumed), (&whole, end));
        if matches!(stopped.request(), Request::Done(_)) {
            assert!(stop > 10);
            return;
        }
    }
}

fn bits(vectors: &Owned) -> Vec<u32> {
    vectors.0.iter().flatten().map(|value| value.to_bits()).collect()
}

fn candidates() -> [StepCandidate; 2] {
    let bounded = StepCandidate::BarzilaiBorwein { first: 0.01, factor: 4.0, least: 1e-6, most: 10.0 };
    [StepCandidate::Constant(1.0), bounded]
}

#[test]
fn a_toy_run_stopped_at_any_request_ends_with_the_same_bits() {
    let schedule = Schedule::new(Spacing::Logarithmic, 1.0, toy::T_MIN, 60).unwrap();
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(0.05) };
    let rule = Backtracking { shrink: 0.9, max_trials: 10, ..Backtracking::DEFAULT };
    for candidate in candidates() {
        resumes_anywhere(GradientLike::new(homotopy, candidate, rule, 0.0).unwrap().with_max_iterations(80));
        resumes_anywhere(GraduatedFlow::new(homotopy, FlowStep::LineSearch(candidate, rule)).unwrap());
    }
    resumes_anywhere(GraduatedFlow::new(homotopy, FlowStep::Constant(1.0)).unwrap());
}

#[test]
fn other_bytes_are_refused() {
    let good = toy::gradient_like(1.0, 10).unwrap().bytes();
    assert_eq!(GradientLike::from_bytes(&good[1..]), Err(StateError::WrongLength));
    assert_eq!(GradientLike::from_bytes(&[]), Err(StateError::WrongLength));
    assert_eq!(GraduatedFlow::from_bytes(&good), Err(StateError::WrongLength));
    let longer = [&good[..], &[0; Preconditioned::BYTES]].concat();
    assert_eq!(Preconditioned::from_bytes(&longer[..Preconditioned::BYTES]), Err(StateError::WrongTag));
    let with = |word: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
        GradientLike::from_bytes(&bytes)
    };
    assert_eq!(with(1, 9), Err(StateError::Corrupt), "no such spacing");
    assert_eq!(with(2, f32::NAN.to_bits()), Err(StateError::Corrupt));
    assert!(matches!(with(4, 0), Err(StateError::Settings(_))), "a schedule without levels");
    assert_eq!(with(36, 1), Err(StateError::Corrupt), "something behind the state");
    assert!(with(36, 0).is_ok());
}

fn kernels() -> impl Strategy<Value = PerturbationKernel> {
    prop_oneof![
        Just(PerturbationKernel::VP),
        (1.5_f32..50.0).prop_map(|sigma| PerturbationKernel::VarianceExploding { sigma })
    ]
}

fn weights() -> impl Strategy<Value = RegularisationWeight> {
    prop_oneof![
        (0.0_f32..10.0).prop_map(RegularisationWeight::Constant),
        (0.0_f32..10.0, 0.0_f32..9.0, kernels())
            .prop_map(|(alpha, early, kernel)| RegularisationWeight::NoiseToSignal { alpha, early, kernel })
    ]
}

fn homotopies() -> impl Strategy<Value = Homotopy> {
    (any::<bool>(), 1e-3_f32..0.5, 1.01_f32..2.0, 2_u32..40, weights()).prop_map(|(log, t_min, span, len, weight)| {
        let spacing = if log { Spacing::Logarithmic } else { Spacing::Linear };
        Homotopy { schedule: Schedule::new(spacing, t_min * span, t_min, len).unwrap(), weight }
    })
}

/// Answers random scalars; saves and reads the solver before each answer.
fn survives_saving<S: Saved>(mut solver: S, answers: &[(f32, f32)]) {
    for &(a, b) in answers {
        let resumed = S::read(&solver.bytes()).unwrap();
        assert_eq!((resumed, resumed.request()), (solver, solver.request()));
        let directional = Directional {
            gradient_norm_sq: a.abs(),
            slope: b,
            direction_norm_sq: b.abs(),
            previous_dot_difference: a,
            difference_norm_sq: b * b,
        };
        let answer = match solver.request() {
            Request::Direction { .. } => Answer::Direction(directional),
            Request::Change { .. } => Answer::Change(a),
            Request::Update { .. } => Answer::Ready,
            _ => return,
        };
        solver = resumed;
        solver.answer(answer).unwrap();
    }
}

proptest! {
    #[test]
    fn every_state_survives(
        homotopy in homotopies(),
        bb in any::<bool>(),
        tolerance in prop_oneof![0.0_f32..0.1, Just(f32::INFINITY)],
        answers in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..0.2), 1..200),
    ) {
        let (candidate, rule) = (candidates()[usize::from(bb)], Backtracking::DEFAULT);
        survives_saving(GradientLike::new(homotopy, candidate, rule, tolerance).unwrap(), &answers);
        survives_saving(GraduatedFlow::new(homotopy, FlowStep::LineSearch(candidate, rule)).unwrap(), &answers);
        survives_saving(GraduatedFlow::new(homotopy, FlowStep::Constant(0.1)).unwrap(), &answers);
    }

    /// Damaged bytes are refused, or are a state that can be written down again and runs without a panic.
    #[test]
    fn damaged_bytes_are_an_error_or_a_state(
        answers in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..0.2), 1..40),
        word in 0_usize..35, value in any::<u32>(),
    ) {
        let mut solver = toy::gradient_like(1.0, 30).unwrap();
        for &(a, b) in &answers {
            let answer = match solver.request() {
                Request::Direction { .. } => {
                    Answer::Direction(Directional { slope: b, gradient_norm_sq: 1.0, ..Directional::default() })
                }
                Request::Change { .. } => Answer::Change(a),
                _ => Answer::Ready,
            };
            if solver.answer(answer).is_err() {
                break;
            }
        }
        let mut bytes = solver.bytes();
        bytes[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
        if let Ok(mut read) = GradientLike::from_bytes(&bytes) {
            prop_assert_eq!(read.bytes(), bytes);
            let _ = read.answer(Answer::Change(-1.0));
            let _ = read.answer(Answer::Ready);
        }
    }
}
