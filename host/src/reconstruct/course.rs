//! Learned methods under way: runs of one or more tasks side by side, each task with its trace and its certificate.

use super::placed::MOST;
use super::recipe::Recipe;
use super::task::Task;
use super::{Observer, Progress, ReconstructError, Reconstruction, TraceRow};
use crate::backend::{Counters, Slices};
use crate::image::Image;
use gradus_core::{Answer, End, Level, Outcome, Record, Request, Room, Run, Solver, Status, drive_in_lockstep};
use std::ops::ControlFlow;

/// One result per run, or the error that keeps all of them from going on.
pub(super) type Results = Result<Vec<Result<Reconstruction, ReconstructError>>, ReconstructError>;

/// Tasks under way, in lanes: lane `l` of the slices has task `l` modulo their number.
pub(super) struct Course<'a, B> {
    pub(super) tasks: &'a [Task<'a>],
    pub(super) slices: B,
    /// The ends of the tasks' runs so far.
    pub(super) ends: Vec<End>,
    /// The lanes that had the tasks' last runs.
    last: Vec<usize>,
    traces: Vec<Vec<TraceRow>>,
    /// The cost of the tasks' runs so far, and what each lane had cost when it was last added to them.
    costs: Vec<Counters>,
    counted: Vec<Counters>,
    observer: Observer<'a>,
}

impl<'a, B: Slices> Course<'a, B>
where
    ReconstructError: From<B::Error>,
{
    /// Before the first iteration, with so many lanes for each task.
    pub(super) fn new(tasks: &'a [Task<'a>], slices: B, lanes_a_task: usize, observer: Observer<'a>) -> Self {
        let n = tasks.len();
        Self {
            tasks,
            slices,
            ends: vec![Ok(Status::ScheduleDone); n],
            last: (0..n).collect(),
            traces: vec![Vec::new(); n],
            costs: vec![Counters::default(); n],
            counted: vec![Counters::default(); n * lanes_a_task],
            observer,
        }
    }

    /// The lanes that each task has.
    pub(super) fn lanes_a_task(&self) -> usize {
        self.counted.len() / self.tasks.len().max(1)
    }

    /// Goes on in a lane from the image `x` on another objective.
    pub(super) fn restart(&mut self, lane: usize, x: &[f32], objective: Level) -> Result<(), ReconstructError> {
        self.counted[lane] = self.slices.counters(lane);
        Ok(self.slices.restart(lane, x, objective)?)
    }

    /// Makes as many runs of each task side by side, each in a lane, but for tasks that broke before; their rows stand
    /// in the traces one run after the other. A `solver` is made of the recipe and the place among these runs.
    pub(super) fn drive(
        &mut self,
        runs_a_task: usize,
        solver: impl Fn(&Recipe, usize) -> Box<dyn Solver>,
    ) -> Result<(), ReconstructError> {
        let n = self.tasks.len();
        let mut solvers: Vec<Box<dyn Solver>> =
            (0..n * runs_a_task).map(|lane| solver(&self.tasks[lane % n].recipe, lane / n)).collect();
        let broken = solvers.iter_mut().enumerate().filter(|(lane, _)| self.ends[lane % n].is_err());
        broken.for_each(|(_, solver)| solver.stop());
        let mut runs: Vec<Run<&mut dyn Solver>> = solvers.iter_mut().map(|solver| Run::new(&mut **solver)).collect();
        let mut done: Vec<u64> = self.traces.iter().map(|trace| trace.len() as u64).collect();
        let mut rows: Vec<Vec<TraceRow>> = vec![Vec::new(); runs.len()];
        let Self { tasks, slices, observer, counted, .. } = self;
        drive_in_lockstep(&mut runs, slices, &mut Room::<MOST>::new(), |completed, slices| {
            add_rows(completed, slices, counted, &mut rows);
            let mut flow = ControlFlow::Continue(());
            for &(lane, _) in completed {
                let Task { job, recipe, .. } = &tasks[lane % n];
                let copy_iterate: &dyn Fn(&mut [f32]) = &|to| drop(slices.copy_iterate(lane, to));
                done[lane % n] += 1;
                let (done, total, row) = (done[lane % n], recipe.total_steps(), rows[lane].last());
                let told = observer(Progress { job: *job, done, total, row, copy_iterate });
                flow = if told.is_break() { told } else { flow };
            }
            0..if flow.is_break() { rows.len() } else { 0 }
        })?;
        let ends: Vec<Option<End>> = runs.iter().map(Run::end).collect();
        for (lane, (rows, end)) in rows.into_iter().zip(ends).enumerate() {
            let task = lane % n;
            self.ends[task] = self.ends[task].and(end.unwrap_or(Ok(Status::Stopped)));
            self.last[task] = lane;
            let before = self.costs[task];
            self.traces[task]
                .extend(rows.into_iter().map(|row| TraceRow { counters: before.plus(&row.counters), ..row }));
            self.count(lane);
        }
        Ok(())
    }

    /// Adds what a lane has cost since to its task.
    fn count(&mut self, lane: usize) {
        let (task, counters) = (lane % self.tasks.len(), self.slices.counters(lane));
        self.costs[task] = self.costs[task].plus(&counters.since(&self.counted[lane]));
        self.counted[lane] = counters;
    }

    /// The current iterate of a lane.
    pub(super) fn iterate(&self, lane: usize) -> Result<Image, ReconstructError> {
        let geometry = &self.tasks[lane % self.tasks.len()].measurement.geometry;
        let mut image = Image::zeros(geometry.height, geometry.width);
        self.slices.copy_iterate(lane, &mut image.pixels)?;
        Ok(image)
    }

    /// The result of each task; its image is that of the last run.
    pub(super) fn finish(mut self) -> Results {
        let whole: Vec<usize> = (0..self.ends.len()).filter(|&task| self.ends[task].is_ok()).collect();
        let lanes: Vec<usize> = whole.iter().map(|&task| self.last[task]).collect();
        let mut objectives = vec![f64::NAN; lanes.len()];
        self.slices.objectives(&lanes, &mut objectives)?;
        self.last.clone().into_iter().for_each(|lane| self.count(lane));
        let traffic = self.slices.traffic();
        // One gradient more, which is no part of the method's cost: the traces end before the last steps.
        let level = |task: usize| (self.tasks[task].recipe.solver)(0).objective();
        let direction = |task: usize| (self.last[task], Request::Direction { level: level(task), new_iterate: true });
        let requests: Vec<_> = whole.iter().copied().map(direction).collect();
        let mut gradients = vec![Answer::Ready; requests.len()];
        self.slices.answer(&requests, &mut gradients)?;
        let mut known = objectives.into_iter().zip(gradients);
        let traces = std::mem::take(&mut self.traces).into_iter().enumerate();
        let result = |(task, trace): (usize, Vec<TraceRow>)| {
            let status = match self.ends[task] {
                Ok(status) => status,
                Err(cause) => return Ok(Err(ReconstructError::Broke { iterations: trace.len(), cause })),
            };
            let (objective, gradient) = known.next().unzip();
            let gradient_norm = gradient.and_then(gradient_norm).unwrap_or(f32::NAN);
            let ended = Reconstruction::ended(self.iterate(self.last[task])?, status, trace, gradient_norm);
            let certificate = ended.certificate.filter(|_| self.tasks[task].recipe.claims);
            Ok(Ok(Reconstruction { objective, certificate, counters: self.costs[task], traffic, ..ended }))
        };
        traces.map(result).collect()
    }
}

/// `|grad f|` of an answer.
fn gradient_norm(answer: Answer) -> Option<f32> {
    if let Answer::Direction(products) = answer { Some(products.gradient_norm_sq.sqrt()) } else { None }
}

/// Adds completed iterations to the rows of their lanes, with what the runs have cost. An untested step does not look
/// at `f`.
fn add_rows<B: Slices>(completed: &[(usize, Record)], slices: &mut B, before: &[Counters], rows: &mut [Vec<TraceRow>]) {
    let tested = completed.iter().filter(|(_, record)| record.outcome != Outcome::Approach);
    let lanes: Vec<usize> = tested.map(|(lane, _)| *lane).collect();
    let mut objectives = vec![f64::NAN; lanes.len()];
    // A device that fails here fails at the next request, which reports it.
    let are_known = slices.objectives(&lanes, &mut objectives).is_ok();
    for &(lane, record) in completed {
        let place = lanes.iter().position(|tested| *tested == lane).filter(|_| are_known);
        let counters = slices.counters(lane).since(&before[lane]);
        rows[lane].push(TraceRow { record, objective: place.map(|place| objectives[place]), counters });
    }
}
