//! The solvers against scripts of requests and answers, and against random answers.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use gradus_core::{
    Answer, AnswerError, Backtracking, Directional, FlowStep, GradientLike, GraduatedFlow, Homotopy, Outcome, Record,
    RegularisationWeight, Request, Schedule, SettingsError, Solver, Spacing, Status, StepCandidate,
};
use proptest::prelude::*;

fn homotopy(len: u32) -> Homotopy {
    let schedule = Schedule::new(Spacing::Linear, 1.0, 0.25, len).unwrap();
    Homotopy { schedule, weight: RegularisationWeight::Constant(2.0) }
}

fn gradient_like(len: u32) -> GradientLike {
    GradientLike::new(homotopy(len), StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT, 1e-3).unwrap()
}

fn descending() -> Directional {
    Directional { gradient_norm_sq: 4.0, slope: -1.0, direction_norm_sq: 1.0, ..Directional::default() }
}

fn tell(solver: &mut impl Solver, answer: Answer) -> Option<Record> {
    solver.answer(answer).unwrap()
}

#[test]
fn algorithm_2_follows_its_lines() {
    let mut solver = gradient_like(4);
    // i = 0: descends; the first trial fails, the second passes.
    assert!(matches!(solver.request(), Request::Direction { level, new_iterate: true } if level.t == 1.0));
    assert_eq!(tell(&mut solver, Answer::Direction(descending())), None);
    assert_eq!(solver.request(), Request::Change { step: 0.01 });
    assert_eq!(tell(&mut solver, Answer::Change(0.5)), None);
    assert_eq!(solver.request(), Request::Change { step: 0.005 });
    assert_eq!(tell(&mut solver, Answer::Change(-0.5)), None);
    assert_eq!(solver.request(), Request::Update { step: 0.005 });
    let record = tell(&mut solver, Answer::Ready).unwrap();
    assert_eq!((record.outcome, record.step, record.trials), (Outcome::Step, 0.005, 2));
    assert_eq!((record.change, record.gradient_norm, record.descent_cosine()), (Some(-0.5), 2.0, 0.5));
    // i = 1: not a descent direction: the level is left, grad f is still good.
    assert!(matches!(solver.request(), Request::Direction { level, new_iterate: true } if level.t == 0.75));
    let record = tell(&mut solver, Answer::Direction(Directional { slope: 0.1, ..descending() })).unwrap();
    assert_eq!((record.outcome, record.iteration), (Outcome::NotDescent, 1));
    // i = 2: Barzilai-Borwein: 4 * 0.005 * |<d', d' - d>| / |d' - d|^2.
    assert!(matches!(solver.request(), Request::Direction { level, new_iterate: false } if level.t == 0.5));
    let curved = Directional { previous_dot_difference: 3.0, difference_norm_sq: 0.5, ..descending() };
    assert_eq!(tell(&mut solver, Answer::Direction(curved)), None);
    assert_eq!(solver.request(), Request::Change { step: 4.0 * 0.005 * 6.0 });
    assert_eq!(tell(&mut solver, Answer::Change(-0.5)), None);
    assert!(tell(&mut solver, Answer::Ready).is_some());
    // i = 3: t_min, and stationary.
    assert!(matches!(solver.request(), Request::Direction { level, .. } if level == solver.objective()));
    assert_eq!(tell(&mut solver, Answer::Direction(Directional { gradient_norm_sq: 1e-7, ..descending() })), None);
    assert_eq!(solver.request(), Request::Done(Status::Stationary));
    assert_eq!(solver.answer(Answer::Ready), Err(AnswerError::NotAsked));
}

#[test]
fn a_failed_search_never_becomes_a_step() {
    let mut solver = gradient_like(2);
    for (t, end) in [(1.0, None), (0.25, Some(Status::NoStep))] {
        assert!(matches!(solver.request(), Request::Direction { level, .. } if level.t == t));
        tell(&mut solver, Answer::Direction(descending()));
        let record = loop {
            assert!(matches!(solver.request(), Request::Change { .. }));
            if let Some(record) = tell(&mut solver, Answer::Change(1.0)) {
                break record;
            }
        };
        assert_eq!((record.outcome, record.step, record.trials), (Outcome::NoTrialPassed, 0.0, 20));
        if let Some(status) = end {
            assert_eq!(solver.request(), Request::Done(status));
        }
    }
}

#[test]
fn algorithm_1_steps_whether_or_not_the_direction_descends() {
    let mut solver = GraduatedFlow::new(homotopy(2), FlowStep::Constant(0.5)).unwrap();
    for slope in [-1.0, 1.0] {
        tell(&mut solver, Answer::Direction(Directional { slope, ..descending() }));
        assert_eq!(solver.request(), Request::Update { step: 0.5 });
        let record = tell(&mut solver, Answer::Ready).unwrap();
        assert_eq!((record.descends(), record.change), (slope < 0.0, None));
    }
    assert_eq!(solver.request(), Request::Done(Status::ScheduleDone));
}

/// Armijo's bound on a direction that ascends would let `f` rise; the bound is that of the opposite slope.
#[test]
fn algorithm_1_searches_for_descent_along_any_direction() {
    let rule = FlowStep::LineSearch(StepCandidate::Constant(1.0), Backtracking::DEFAULT);
    for slope in [-1.0, 1.0] {
        let mut solver = GraduatedFlow::new(homotopy(2), rule).unwrap();
        tell(&mut solver, Answer::Direction(Directional { slope, ..descending() }));
        for (step, change) in [(1.0, 0.9e-3), (0.5, -0.4e-3), (0.25, -0.26e-3)] {
            assert_eq!(solver.request(), Request::Change { step }, "{slope}");
            tell(&mut solver, Answer::Change(change));
        }
        assert_eq!(solver.request(), Request::Update { step: 0.25 }, "{slope}");
    }
}

#[test]
fn algorithm_1_makes_a_step_at_each_level_the_last_included() {
    let mut solver = GraduatedFlow::new(homotopy(4), FlowStep::Constant(0.5)).unwrap();
    let mut levels = Vec::new();
    while let Request::Direction { level, .. } = solver.request() {
        tell(&mut solver, Answer::Direction(descending()));
        levels.push(level.t);
        tell(&mut solver, Answer::Ready);
    }
    assert_eq!((levels, solver.request()), (vec![1.0, 0.75, 0.5, 0.25], Request::Done(Status::ScheduleDone)));
}

#[test]
fn what_is_not_finite_or_not_asked_for_leaves_the_state() {
    let mut solver = gradient_like(3);
    let before = solver;
    let bad = |slope, gradient_norm_sq| Answer::Direction(Directional { slope, gradient_norm_sq, ..descending() });
    assert_eq!(solver.answer(bad(f32::NAN, 1.0)), Err(AnswerError::NotFinite));
    assert_eq!(solver.answer(bad(-1.0, f32::INFINITY)), Err(AnswerError::NotFinite));
    assert_eq!(solver.answer(bad(-1.0, -1.0)), Err(AnswerError::NegativeSquare));
    assert_eq!(solver.answer(Answer::Change(-1.0)), Err(AnswerError::NotAsked));
    assert_eq!(solver, before);
    tell(&mut solver, Answer::Direction(descending()));
    let before = solver;
    assert_eq!(solver.answer(Answer::Change(f32::NEG_INFINITY)), Err(AnswerError::NotFinite));
    assert_eq!(solver, before);
    solver.stop();
    assert_eq!(solver.request(), Request::Done(Status::Stopped));
}

#[test]
fn senseless_settings_are_refused() {
    let new = |candidate, backtracking, tolerance| GradientLike::new(homotopy(2), candidate, backtracking, tolerance);
    let (bb, armijo) = (StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT);
    assert_eq!(new(StepCandidate::Constant(0.0), armijo, 0.0), Err(SettingsError::StepCandidate));
    assert_eq!(new(bb, Backtracking { shrink: 1.0, ..armijo }, 0.0), Err(SettingsError::Backtracking));
    assert_eq!(new(bb, Backtracking { max_trials: 0, ..armijo }, 0.0), Err(SettingsError::Backtracking));
    assert_eq!(new(bb, armijo, f32::NAN), Err(SettingsError::Tolerance));
    let negative = Homotopy { weight: RegularisationWeight::Constant(-1.0), ..homotopy(2) };
    assert_eq!(GradientLike::new(negative, bb, armijo, 0.0), Err(SettingsError::PriorWeight));
    assert_eq!(GraduatedFlow::new(homotopy(2), FlowStep::Constant(-1.0)), Err(SettingsError::StepCandidate));
}

/// Any `f32`, the awkward ones often.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -2.0_f32..2.0,
        2 => any::<f32>(),
        1 => prop::sample::select(vec![0.0, -0.0, f32::NAN, f32::INFINITY, f32::MIN, f32::MAX, 1e-40]),
    ]
}

fn answers() -> impl Strategy<Value = Vec<(u8, [f32; 5])>> {
    prop::collection::vec((0_u8..8, [number(), number(), number(), number(), number()]), 0..400)
}

/// Feeds random answers, most of the kind asked for; checks every accepted step against Armijo's test.
fn survives(mut solver: impl Solver, answers: &[(u8, [f32; 5])], c: f32, most_requests: usize) {
    let (mut slope, mut accepted, mut asked) = (0.0, None, 0);
    for (kind, [a, b, d, e, g]) in answers.iter().cycle().take(20 * most_requests) {
        let directional = Directional {
            gradient_norm_sq: *a,
            slope: *b,
            direction_norm_sq: *d,
            previous_dot_difference: *e,
            difference_norm_sq: *g,
        };
        let request = solver.request();
        let answer = match (kind, request) {
            (0, _) => Answer::Ready,
            (1, _) => Answer::Change(*a),
            (_, Request::Direction { .. }) => Answer::Direction(directional),
            (_, Request::Change { .. }) => Answer::Change(*a),
            (_, Request::Update { .. }) => Answer::Ready,
            (_, Request::Done(_)) => return,
            (_, request) => panic!("no such line: {request:?}"),
        };
        if let (Request::Update { step }, Some((length, change))) = (request, accepted) {
            assert_eq!(step, length, "the step taken is the one tested last");
            assert!(change < 0.0 && change <= -c * step * f32::abs(slope), "a step without descent");
        }
        match (solver.answer(answer), answer) {
            (Err(_), _) => assert_eq!(solver.request(), request),
            (Ok(_), Answer::Direction(directional)) => (slope, accepted) = (directional.slope, None),
            (Ok(_), Answer::Change(change)) => {
                if let Request::Change { step } = request {
                    accepted = Some((step, change));
                }
            }
            (Ok(record), Answer::Ready) => assert!(record.is_some()),
            (Ok(_), Answer::Solved(_)) => panic!("nothing was to be solved"),
        }
        asked += usize::from(solver.request() != request);
    }
    assert!(asked <= most_requests, "{asked} requests");
}

proptest! {
    #[test]
    fn random_answers_never_break_a_solver(answers in answers(), len in 2_u32..12) {
        prop_assume!(!answers.is_empty());
        let most = 12 * 22;
        survives(gradient_like(len), &answers, 1e-3, most);
        let rule = FlowStep::LineSearch(StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT);
        survives(GraduatedFlow::new(homotopy(len), rule).unwrap(), &answers, 1e-3, most);
        survives(GraduatedFlow::new(homotopy(len), FlowStep::Constant(0.1)).unwrap(), &answers, 1e-3, most);
    }

    /// A run with valid answers ends after at most (trials + 2) requests an iteration.
    #[test]
    fn every_run_ends(answers in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..50), len in 2_u32..40) {
        let mut solver = gradient_like(len);
        let mut answers = answers.iter().cycle();
        let mut requests = 0;
        loop {
            let (a, b) = answers.next().unwrap();
            let answer = match solver.request() {
                Request::Direction { .. } => Answer::Direction(Directional { slope: *a, ..descending() }),
                Request::Change { .. } => Answer::Change(*b),
                Request::Update { .. } => Answer::Ready,
                Request::Done(_) => break,
                request => panic!("no such line: {request:?}"),
            };
            solver.answer(answer).unwrap();
            requests += 1;
            prop_assert!(requests <= 22 * len);
        }
    }
}
