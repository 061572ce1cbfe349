//! Solvers of several slices side by side: whoever asks for the same thing is answered together.

use super::device::Traffic;
use super::error::DeviceError;
use super::slices::CudaSlices;
use crate::backend::{Counters, SliceEvaluator};
use gradus_core::{Answer, Directional, DriveError, Evaluator, Level, Record, Request, Solver, Status};
use std::ops::ControlFlow;

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
        Self::objective(self, 0)
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
}

/// Runs one solver per slice to their ends; returns how each ended.
///
/// In every round the requests are sorted by kind, and each kind is answered through one pass over all slices that ask:
/// slices that need more trials than others go on trying while the others wait. Every slice makes the steps that it would
/// make alone. `observe` sees each completed iteration of each slice; it may end that slice's run there.
///
/// # Errors
/// When the device fails, or when it computes a number that is not finite.
///
/// # Panics
/// When there are not as many solvers as slices.
pub fn drive_in_lockstep<S: Solver>(
    solvers: &mut [S],
    slices: &mut CudaSlices,
    mut observe: impl FnMut(usize, &Record, &mut CudaSlices) -> ControlFlow<()>,
) -> Result<Vec<Status>, DriveError<DeviceError>> {
    assert_eq!(solvers.len(), slices.n_slices(), "one solver per slice");
    loop {
        let round = Round::of(solvers);
        if round.is_over() {
            let ends = solvers.iter().filter_map(|solver| match solver.request() {
                Request::Done(status) => Some(status),
                _ => None,
            });
            return Ok(ends.collect());
        }
        for (slice, answer) in round.answers(slices).map_err(DriveError::Evaluator)? {
            let record = solvers[slice].answer(answer).map_err(DriveError::Answer)?;
            if record.is_some_and(|record| observe(slice, &record, slices).is_break()) {
                solvers[slice].stop();
            }
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
    fn of<S: Solver>(solvers: &[S]) -> Self {
        let mut round = Self::default();
        for (slice, solver) in solvers.iter().enumerate() {
            match solver.request() {
                Request::Direction { level, new_iterate } => round.directions.push((slice, level, new_iterate)),
                Request::Change { step } => round.changes.push((slice, step)),
                Request::Update { step } => round.updates.push((slice, step)),
                Request::Done(_) => {}
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
