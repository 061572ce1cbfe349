//! Learned methods under way: one or more slices side by side, each with its trace and its certificate.

use super::placed::MOST;
use super::recipe::Recipe;
use super::task::Task;
use super::{Observer, Progress, ReconstructError, Reconstruction, TraceRow};
use crate::backend::Slices;
use crate::image::Image;
use gradus_core::{Answer, End, Outcome, Record, Request, Room, Run, Solver, Status, drive_in_lockstep};
use std::ops::ControlFlow;

/// One result per run, or the error that keeps all of them from going on.
pub(super) type Results = Result<Vec<Result<Reconstruction, ReconstructError>>, ReconstructError>;

/// Tasks under way, each on the slice of its number.
pub(super) struct Course<'a, B> {
    pub(super) tasks: &'a [Task<'a>],
    pub(super) slices: B,
    /// The ends of the runs so far.
    pub(super) ends: Vec<End>,
    traces: Vec<Vec<TraceRow>>,
    observer: Observer<'a>,
}

impl<'a, B: Slices> Course<'a, B>
where
    ReconstructError: From<B::Error>,
{
    /// Before the first iteration.
    pub(super) fn new(tasks: &'a [Task<'a>], slices: B, observer: Observer<'a>) -> Self {
        let (ends, traces) = (vec![Ok(Status::ScheduleDone); tasks.len()], vec![Vec::new(); tasks.len()]);
        Self { tasks, slices, ends, traces, observer }
    }

    /// Runs a solver on each slice to its end, but for those that broke before.
    pub(super) fn drive(&mut self, solver: impl Fn(&Recipe) -> Box<dyn Solver>) -> Result<(), ReconstructError> {
        let mut solvers: Vec<Box<dyn Solver>> = self.tasks.iter().map(|task| solver(&task.recipe)).collect();
        let broken = solvers.iter_mut().zip(&self.ends).filter(|(_, end)| end.is_err());
        broken.for_each(|(solver, _)| solver.stop());
        let mut runs: Vec<Run<&mut dyn Solver>> = solvers.iter_mut().map(|solver| Run::new(&mut **solver)).collect();
        let done: Vec<u64> = self.traces.iter().map(|trace| trace.len() as u64).collect();
        let Self { tasks, slices, traces, observer, .. } = self;
        drive_in_lockstep(&mut runs, slices, &mut Room::<MOST>::new(), |completed, slices| {
            add_rows(completed, slices, traces);
            let mut flow = ControlFlow::Continue(());
            for &(slice, record) in completed {
                let Task { job, recipe, .. } = &tasks[slice];
                let copy_iterate: &dyn Fn(&mut [f32]) = &|to| drop(slices.copy_iterate(slice, to));
                let (done, total) = (done[slice] + u64::from(record.iteration) + 1, recipe.total_steps());
                let told = observer(Progress { job: *job, done, total, row: traces[slice].last(), copy_iterate });
                flow = if told.is_break() { told } else { flow };
            }
            0..if flow.is_break() { tasks.len() } else { 0 }
        })?;
        for (end, run) in self.ends.iter_mut().zip(&runs) {
            *end = end.and(run.end().unwrap_or(Ok(Status::Stopped)));
        }
        Ok(())
    }

    /// The current iterate of a slice.
    pub(super) fn iterate(&self, slice: usize) -> Result<Image, ReconstructError> {
        let geometry = &self.tasks[slice].measurement.geometry;
        let mut image = Image::zeros(geometry.height, geometry.width);
        self.slices.copy_iterate(slice, &mut image.pixels)?;
        Ok(image)
    }

    /// The result of each run.
    pub(super) fn finish(mut self) -> Results {
        let whole: Vec<usize> = (0..self.ends.len()).filter(|&slice| self.ends[slice].is_ok()).collect();
        let mut objectives = vec![f64::NAN; whole.len()];
        self.slices.objectives(&whole, &mut objectives)?;
        let counters: Vec<_> = (0..self.tasks.len()).map(|slice| self.slices.counters(slice)).collect();
        let traffic = self.slices.traffic();
        // One gradient more, which is no part of the method's cost: the traces end before the last steps.
        let level = |slice: usize| (self.tasks[slice].recipe.solver)().objective();
        let direction = |slice| (slice, Request::Direction { level: level(slice), new_iterate: true });
        let requests: Vec<_> = whole.iter().copied().map(direction).collect();
        let mut gradients = vec![Answer::Ready; requests.len()];
        self.slices.answer(&requests, &mut gradients)?;
        let mut known = objectives.into_iter().zip(gradients);
        let traces = std::mem::take(&mut self.traces).into_iter().enumerate();
        let result = |(slice, trace): (usize, Vec<TraceRow>)| {
            let status = match self.ends[slice] {
                Ok(status) => status,
                Err(cause) => return Ok(Err(ReconstructError::Broke { iterations: trace.len(), cause })),
            };
            let (objective, gradient) = known.next().unzip();
            let gradient_norm = gradient.and_then(gradient_norm).unwrap_or(f32::NAN);
            let ended = Reconstruction::ended(self.iterate(slice)?, status, trace, gradient_norm);
            let certificate = ended.certificate.filter(|_| self.tasks[slice].recipe.claims);
            Ok(Ok(Reconstruction { objective, certificate, counters: counters[slice], traffic, ..ended }))
        };
        traces.map(result).collect()
    }
}

/// `|grad f|` of an answer.
fn gradient_norm(answer: Answer) -> Option<f32> {
    if let Answer::Direction(products) = answer { Some(products.gradient_norm_sq.sqrt()) } else { None }
}

/// Adds completed iterations to the traces. An untested step does not look at `f`.
fn add_rows<B: Slices>(completed: &[(usize, Record)], slices: &mut B, traces: &mut [Vec<TraceRow>]) {
    let tested = completed.iter().filter(|(_, record)| record.outcome != Outcome::Approach);
    let numbers: Vec<usize> = tested.map(|(slice, _)| *slice).collect();
    let mut objectives = vec![f64::NAN; numbers.len()];
    // A device that fails here fails at the next request, which reports it.
    let are_known = slices.objectives(&numbers, &mut objectives).is_ok();
    for &(slice, record) in completed {
        let place = numbers.iter().position(|number| *number == slice).filter(|_| are_known);
        let (objective, counters) = (place.map(|place| objectives[place]), slices.counters(slice));
        traces[slice].push(TraceRow { record, objective, counters });
    }
}
