//! Solvers of several slices side by side: whoever asks for the same thing is answered together.

use super::device::Traffic;
use super::error::DeviceError;
use super::preconditioned::PreconditionedCudaSlices;
use super::slices::CudaSlices;
use crate::backend::{Counters, SliceEvaluator};
use gradus_core::{
    Answer, AnswerError, Directional, Evaluator, Level, Preconditioned, PreconditionedAnswer, PreconditionedRequest,
    Record, Request, Solver, Status,
};

/// The only slice of one: for solvers that run alone.
impl Evaluator for CudaSlices {
    type Error = DeviceError;

    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, DeviceError> {
        Ok(self.directions(&[(0, level, new_iterate)])?.first().copied().unwrap_or_default())
    }

    fn change(&mut self, step: f32) -> Result<f32, DeviceError> {
        Ok(self.changes(&[(0, step)])?.first().copied().unwrap_or(f32::NAN))
    }

    fn update(&mut self, step: f32) -> Result<(), DeviceError> {
        self.updates(&[(0, step)])
    }
}

impl SliceEvaluator for CudaSlices {
    fn objective(&mut self) -> Result<f64, DeviceError> {
        Ok(self.objectives(&[0])?.first().copied().unwrap_or(f64::NAN))
    }

    fn copy_iterate(&self, image: &mut [f32]) -> Result<(), DeviceError> {
        self.iterate(0, image)
    }

    fn counters(&self) -> Counters {
        Self::counters(self, 0)
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(Self::traffic(self))
    }

    fn restart(&mut self, x: &[f32], objective: Level) -> Result<(), DeviceError> {
        Self::restart(self, 0, x, objective)
    }
}

/// How the run of one slice ended; an error where it was told a number that is not finite.
pub type End = Result<Status, AnswerError>;

/// Runs one solver per slice to their ends; returns how each ended.
///
/// In every round the requests are sorted by kind, and each kind is answered through one pass over all slices that ask:
/// slices that need more trials than others go on trying while the others wait. Every slice makes the steps that it would
/// make alone, and one that breaks off leaves the others alone. `observe` sees the iterations that a round completes,
/// `(slice, record)`, and names the slices whose runs are to end where they are.
///
/// # Errors
/// When the device fails.
///
/// # Panics
/// When there are not as many solvers as slices.
pub fn drive_in_lockstep<S: Solver>(
    solvers: &mut [S],
    slices: &mut CudaSlices,
    mut observe: impl FnMut(&[(usize, Record)], &mut CudaSlices) -> Vec<usize>,
) -> Result<Vec<End>, DeviceError> {
    assert_eq!(solvers.len(), slices.n_slices(), "one solver per slice");
    let mut ends = vec![None; solvers.len()];
    loop {
        let round = Round::of(solvers, &mut ends);
        if round.is_over() {
            return Ok(ends.into_iter().flatten().collect());
        }
        let mut completed = Vec::new();
        for (slice, answer) in round.answers(slices)? {
            match solvers[slice].answer(answer) {
                Ok(record) => completed.extend(record.map(|record| (slice, record))),
                Err(error) => ends[slice] = Some(Err(error)),
            }
        }
        if !completed.is_empty() {
            observe(&completed, slices).into_iter().for_each(|slice| solvers[slice].stop());
        }
    }
}

/// [`drive_in_lockstep`] for the preconditioned method: each step of the linear solves is one pass, too.
///
/// # Errors
/// When the device fails.
///
/// # Panics
/// When there are not as many solvers as slices.
pub fn drive_preconditioned_in_lockstep(
    solvers: &mut [Preconditioned],
    slices: &mut PreconditionedCudaSlices,
    mut observe: impl FnMut(&[(usize, Record)], &mut PreconditionedCudaSlices) -> Vec<usize>,
) -> Result<Vec<End>, DeviceError> {
    assert_eq!(solvers.len(), slices.n_slices(), "one solver per slice");
    let mut ends = vec![None; solvers.len()];
    loop {
        let round = SolveRound::of(solvers, &mut ends);
        let answers = round.answers(slices)?;
        if answers.is_empty() {
            return Ok(ends.into_iter().flatten().collect());
        }
        let mut completed = Vec::new();
        for (slice, answer) in answers {
            match solvers[slice].answer(answer) {
                Ok(record) => completed.extend(record.map(|record| (slice, record))),
                Err(error) => ends[slice] = Some(Err(error)),
            }
        }
        if !completed.is_empty() {
            observe(&completed, slices).into_iter().for_each(|slice| solvers[slice].stop());
        }
    }
}

/// What is asked for, by kind.
#[derive(Default)]
struct Round {
    directions: Vec<(usize, Level, bool)>,
    changes: Vec<(usize, f32)>,
    updates: Vec<(usize, f32)>,
}

impl Round {
    /// The requests of the runs that have not ended.
    fn of<S: Solver>(solvers: &[S], ends: &mut [Option<End>]) -> Self {
        let mut round = Self::default();
        for (slice, (solver, end)) in solvers.iter().zip(ends).enumerate() {
            if end.is_some() {
                continue;
            }
            match solver.request() {
                Request::Direction { level, new_iterate } => round.directions.push((slice, level, new_iterate)),
                Request::Change { step } => round.changes.push((slice, step)),
                Request::Update { step } => round.updates.push((slice, step)),
                Request::Done(status) => *end = Some(Ok(status)),
            }
        }
        round
    }

    fn is_over(&self) -> bool {
        self.directions.is_empty() && self.changes.is_empty() && self.updates.is_empty()
    }

    /// The answers to one kind: trials first, because whoever is ahead of a line search waits for it, so that all come
    /// to their next direction together.
    fn answers(&self, slices: &mut CudaSlices) -> Result<Vec<(usize, Answer)>, DeviceError> {
        if !self.changes.is_empty() {
            let changes = slices.changes(&self.changes)?;
            return Ok(self.changes.iter().zip(changes).map(|(ask, change)| (ask.0, Answer::Change(change))).collect());
        }
        if !self.updates.is_empty() {
            slices.updates(&self.updates)?;
            return Ok(self.updates.iter().map(|ask| (ask.0, Answer::Updated)).collect());
        }
        let directions = slices.directions(&self.directions)?;
        Ok(self.directions.iter().zip(directions).map(|(ask, d)| (ask.0, Answer::Direction(d))).collect())
    }
}

/// What preconditioned solvers ask for, by kind.
#[derive(Default)]
struct SolveRound {
    denoises: Vec<(usize, Level, f32, u32)>,
    gradients: Vec<(usize, Level, bool)>,
    curvatures: Vec<(usize, f32, f32)>,
    advances: Vec<(usize, f32, f32)>,
    products: Vec<usize>,
    changes: Vec<(usize, f32)>,
    updates: Vec<(usize, f32)>,
}

impl SolveRound {
    /// The requests of the runs that have not ended.
    fn of(solvers: &[Preconditioned], ends: &mut [Option<End>]) -> Self {
        use PreconditionedRequest as Asked;
        let mut round = Self::default();
        for (slice, (solver, end)) in solvers.iter().zip(ends).enumerate() {
            if end.is_some() {
                continue;
            }
            match solver.request() {
                Asked::Denoise { level, variance, turn } => round.denoises.push((slice, level, variance, turn)),
                Asked::Gradient { level, new_iterate } => round.gradients.push((slice, level, new_iterate)),
                Asked::Curvature { momentum, damping } => round.curvatures.push((slice, momentum, damping)),
                Asked::Advance { length, damping } => round.advances.push((slice, length, damping)),
                Asked::Products => round.products.push(slice),
                Asked::Change { step } => round.changes.push((slice, step)),
                Asked::Update { step } => round.updates.push((slice, step)),
                Asked::Done(status) => *end = Some(Ok(status)),
            }
        }
        round
    }

    /// The answers to one kind, the later parts of an iteration first, as in [`Round::answers`]; none when nobody asks.
    fn answers(
        &self,
        slices: &mut PreconditionedCudaSlices,
    ) -> Result<Vec<(usize, PreconditionedAnswer)>, DeviceError> {
        use PreconditionedAnswer as Tell;
        fn told<R, T>(asked: &[R], slice: fn(&R) -> usize, told: Vec<T>, tell: fn(T) -> Tell) -> Vec<(usize, Tell)> {
            asked.iter().map(slice).zip(told.into_iter().map(tell)).collect()
        }
        Ok(if !self.changes.is_empty() {
            told(&self.changes, |ask| ask.0, slices.problem().changes(&self.changes)?, Tell::Change)
        } else if !self.updates.is_empty() {
            slices.problem().updates(&self.updates)?;
            self.updates.iter().map(|ask| (ask.0, Tell::Updated)).collect()
        } else if !self.advances.is_empty() {
            told(&self.advances, |ask| ask.0, slices.advances(&self.advances)?, Tell::ResidualSquare)
        } else if !self.curvatures.is_empty() {
            told(&self.curvatures, |ask| ask.0, slices.curvatures(&self.curvatures)?, Tell::Curvature)
        } else if !self.products.is_empty() {
            told(&self.products, |ask| *ask, slices.products(&self.products)?, Tell::Direction)
        } else if !self.gradients.is_empty() {
            told(&self.gradients, |ask| ask.0, slices.begin_solves(&self.gradients)?, Tell::ResidualSquare)
        } else if !self.denoises.is_empty() {
            told(&self.denoises, |ask| ask.0, slices.denoises(&self.denoises)?, Tell::ResidualSquare)
        } else {
            Vec::new()
        })
    }
}
