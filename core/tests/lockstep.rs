//! Rounds over a batch, without a device: each run is the one that it would be alone.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use gradus_core::toy::{self, Toy};
use gradus_core::{
    Answer, AnswerError, Backtracking, Batch, Buffers, BuffersError, Effort, End, Evaluator, GradientLike, Homotopy,
    Preconditioned, Record, RegularisationWeight, Request, Room, Run, Schedule, Solver, Spacing, Status, StepCandidate,
    drive, drive_in_lockstep,
};
use std::mem::discriminant;
use std::ops::ControlFlow;

const STARTS: [[f32; 2]; 6] = [[3.0, 7.0], [-9.0, 2.0], [0.5, 4.0], [-2.0, -4.0], [8.0, -8.0], [-4.0, 4.0]];

fn solvers() -> [Box<dyn Solver>; 6] {
    let schedule = Schedule::new(Spacing::Logarithmic, 1.0, toy::T_MIN, 12).unwrap();
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(toy::PRIOR_WEIGHT) };
    let solves = |shrink, approach| {
        let rule = Backtracking { shrink, ..Backtracking::DEFAULT };
        Preconditioned::new(homotopy, toy::KERNEL, Effort::fixed(2), rule, 0.0).unwrap().with_approach(approach)
    };
    let searches = |first| {
        let candidate = StepCandidate::Constant(first);
        GradientLike::new(homotopy, candidate, Backtracking::DEFAULT, 0.0).unwrap().with_max_iterations(30)
    };
    [
        Box::new(solves(0.5, 6)),
        Box::new(solves(0.9, 0)),
        Box::new(searches(1.0)),
        Box::new(searches(300.0)),
        Box::new(toy::graduated_flow(1.0, 40).unwrap()),
        Box::new(solves(0.9, 3)),
    ]
}

/// The traces of a run: its records, how it ended, its last iterate.
type Left = (Vec<Record>, Status, Vec<f32>);

fn alone(solver: &mut dyn Solver, start: [f32; 2]) -> Left {
    let (mut toy, mut memory, mut solve) = (Toy::new(), [0.0; 8], [0.0; 6]);
    let mut buffers = Buffers::new(&mut toy, &mut memory, solver.objective()).unwrap();
    buffers.set_iterate(&start).unwrap();
    let mut buffers = buffers.with_solve(&mut solve).unwrap();
    let mut records = Vec::new();
    let status = drive(solver, &mut buffers, |record, _| {
        records.push(*record);
        ControlFlow::Continue(())
    });
    (records, status.unwrap(), buffers.iterate().to_vec())
}

/// The same of a run in lockstep, which may have broken off.
type Found = (Vec<Record>, End, Vec<f32>);

/// The requests of a round.
type Asked = Vec<(usize, Request)>;

/// Toys side by side, and what they have been asked together.
struct Toys<'a> {
    slices: Vec<Buffers<'a, Toy>>,
    rounds: Vec<Asked>,
    /// A slice that comes to compute NaN, and after how many of its answers.
    breaks: Option<(usize, usize)>,
}

impl Batch for Toys<'_> {
    type Error = BuffersError<toy::NotPlanar>;

    fn answer(&mut self, requests: &[(usize, Request)], answers: &mut [Answer]) -> Result<(), Self::Error> {
        assert_eq!(requests.len(), answers.len());
        self.rounds.push(requests.to_vec());
        for ((slice, request), answer) in requests.iter().zip(answers) {
            *answer = self.slices[*slice].answer(*request)?;
            if let (Some((broken, after)), Answer::Change(change)) = (&mut self.breaks, answer)
                && slice == broken
            {
                *after -= 1;
                if *after == 0 {
                    *change = f32::NAN;
                }
            }
        }
        Ok(())
    }
}

/// All runs in lockstep, in rounds of at most `N` requests; `observe` names runs to be stopped.
fn together<const N: usize>(
    breaks: Option<(usize, usize)>,
    mut observe: impl FnMut(&[(usize, Record)]) -> Vec<usize>,
) -> (Vec<Found>, Vec<Asked>) {
    let mut solvers = solvers();
    let mut memory: Vec<(Toy, [f32; 8], [f32; 6])> = STARTS.map(|_| (Toy::new(), [0.0; 8], [0.0; 6])).into();
    let lent = memory.iter_mut().zip(&solvers).zip(STARTS).map(|(((toy, memory, solve), solver), start)| {
        let mut buffers = Buffers::new(toy, memory, solver.objective()).unwrap();
        buffers.set_iterate(&start).unwrap();
        buffers.with_solve(solve).unwrap()
    });
    let mut toys = Toys { slices: lent.collect(), rounds: Vec::new(), breaks };
    let mut runs: Vec<_> = solvers.iter_mut().map(|solver| Run::new(solver.as_mut())).collect();
    let mut records = vec![Vec::new(); runs.len()];
    drive_in_lockstep(&mut runs, &mut toys, &mut Room::<N>::new(), |completed, _| {
        completed.iter().for_each(|(slice, record)| records[*slice].push(*record));
        observe(completed)
    })
    .unwrap();
    let ends = runs.iter().map(|run| run.end().unwrap());
    let iterates = toys.slices.iter().map(|slice| slice.iterate().to_vec());
    (records.into_iter().zip(ends).zip(iterates).map(|((a, b), c)| (a, b, c)).collect(), toys.rounds)
}

fn each_alone() -> Vec<Left> {
    solvers().iter_mut().zip(STARTS).map(|(solver, start)| alone(solver.as_mut(), start)).collect()
}

#[test]
fn every_run_makes_the_steps_that_it_makes_alone() {
    let wanted = each_alone();
    for (found, rounds) in [together::<8>(None, |_| Vec::new()), together::<2>(None, |_| Vec::new())] {
        for (slice, ((records, end, iterate), wanted)) in found.into_iter().zip(&wanted).enumerate() {
            assert_eq!((records, end.unwrap(), iterate), wanted.clone(), "{slice}");
        }
        for round in &rounds {
            assert!(round.windows(2).all(|pair| pair[0].0 < pair[1].0), "{round:?}");
            assert!(round.iter().all(|(_, ask)| discriminant(ask) == discriminant(&round[0].1)), "{round:?}");
        }
    }
    let trials = |left: &Left| left.0.iter().map(|record| record.trials).max().unwrap();
    assert_eq!((trials(&wanted[2]), trials(&wanted[3])), (1, 3), "one waits for the other");
}

#[test]
fn rounds_are_shared_and_bounded() {
    let (_, rounds) = together::<8>(None, |_| Vec::new());
    let longest = |rounds: &[Vec<_>]| rounds.iter().map(Vec::len).max().unwrap();
    assert_eq!(longest(&rounds), 3, "the three solves, together");
    let (_, narrow) = together::<2>(None, |_| Vec::new());
    assert_eq!(longest(&narrow), 2);
    let requests = |rounds: &[Vec<_>]| rounds.iter().map(Vec::len).sum::<usize>();
    assert_eq!(requests(&rounds), requests(&narrow));
}

#[test]
fn a_run_that_breaks_off_leaves_the_others_alone() {
    let wanted = each_alone();
    let (found, rounds) = together::<8>(Some((1, 3)), |_| Vec::new());
    for (slice, ((records, end, iterate), wanted)) in found.into_iter().zip(wanted).enumerate() {
        if slice == 1 {
            assert_eq!(end, Err(AnswerError::NotFinite));
            assert!(records.len() < wanted.0.len() && records == wanted.0[..records.len()]);
        } else {
            assert_eq!((records, end.unwrap(), iterate), wanted, "{slice}");
        }
    }
    let after = rounds.iter().flatten().filter(|(slice, ask)| *slice == 1 && matches!(ask, Request::Change { .. }));
    assert_eq!(after.count(), 3, "who has broken off is not asked again");
}

#[test]
fn a_run_that_is_stopped_ends_where_it_is() {
    let wanted = each_alone();
    let mut n = 0;
    let (found, _) = together::<8>(None, |completed| {
        n += completed.iter().filter(|(slice, _)| *slice == 2).count();
        if n == 4 { vec![2, 99] } else { Vec::new() }
    });
    for (slice, ((records, end, iterate), wanted)) in found.into_iter().zip(wanted).enumerate() {
        if slice == 2 {
            assert_eq!((records, end), (wanted.0[..4].to_vec(), Ok(Status::Stopped)));
        } else {
            assert_eq!((records, end.unwrap(), iterate), wanted, "{slice}");
        }
    }
}

#[test]
fn no_runs_are_no_rounds() {
    let mut toys = Toys { slices: Vec::new(), rounds: Vec::new(), breaks: None };
    let runs: &mut [Run<Preconditioned>] = &mut [];
    drive_in_lockstep(runs, &mut toys, &mut Room::<1>::new(), |_, _| None).unwrap();
    assert!(toys.rounds.is_empty());
}
