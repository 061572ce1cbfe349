//! Runs of learned methods side by side on a GPU, which one image alone leaves half idle.

use super::learned::{ended, start};
use super::preconditioned::{solver, weights};
use super::{Measurement, Method, ReconstructError, Reconstruction, Settings, TraceRow, completed, learned_on};
use crate::backend::choice::Opened;
use crate::backend::cuda::{
    CudaSlices, Device, End, PreconditionedCudaSlices, Slice, drive_in_lockstep, drive_preconditioned_in_lockstep,
};
use crate::backend::{DeviceChoice, View};
use crate::ct::Geometry;
use crate::image::Image;
use crate::unet::Weights;
use gradus_core::{Level, Outcome, Preconditioned, Record, Solver};
use std::ops::ControlFlow;
use std::rc::Rc;

/// Runs in a batch at most.
const MOST: usize = 32;

/// A measurement, and how to reconstruct it.
type Job<'a> = (&'a Measurement, Settings);

/// Runs on one image each, one result per run, or what keeps all of them from going on.
type Results = Result<Vec<Result<Reconstruction, ReconstructError>>, ReconstructError>;

/// How many images of this size fit into one batch on `device` as it is now: 1 to 32.
///
/// # Errors
/// When the size does not fit the prior, or the device fails.
pub fn at_once(device: &Device, geometry: &Geometry, prior: &Weights) -> Result<usize, ReconstructError> {
    Ok(CudaSlices::that_fit(device, geometry, prior)?.clamp(1, MOST))
}

/// Makes each of `jobs` by the learned method of its settings on `device`, whatever device these name. Those of one kind
/// and size run in lockstep, [`at_once`] at a time, and each has the result that it would have alone, but that its
/// `traffic` is that of the device. Means of several runs are made one by one. `go_on` is asked after every iteration of
/// a batch; breaking ends all runs at their next iterates.
///
/// # Errors
/// When settings make no sense, or the device fails. A run that meets a number that is not finite is an error of its own.
pub fn reconstruct_together(
    jobs: &[Job<'_>],
    prior: &Weights,
    device: &Rc<Device>,
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Results {
    let mut results: Vec<Option<Result<Reconstruction, ReconstructError>>> = jobs.iter().map(|_| None).collect();
    while let Some(first) = results.iter().position(Option::is_none) {
        let (measurement, settings) = &jobs[first];
        if is_mean(settings) {
            let opened = Opened::Cuda(Rc::clone(device));
            results[first] = Some(learned_on(opened, measurement, settings, prior, &mut |_| go_on()));
            continue;
        }
        let suits = |&k: &usize| results[k].is_none() && is_alike(&jobs[first], &jobs[k]);
        let most = at_once(device, &measurement.geometry, prior)?;
        let batch: Vec<usize> = (first..jobs.len()).filter(suits).take(most).collect();
        let of_batch: Vec<&Job<'_>> = batch.iter().map(|&k| &jobs[k]).collect();
        let made = Batch { jobs: &of_batch, prior, device }.run(go_on)?;
        batch.into_iter().zip(made).for_each(|(k, result)| results[k] = Some(result));
    }
    Ok(results.into_iter().flatten().collect())
}

/// Whether a run restarts or searches, which no batch does; a mean of no runs is refused there, too.
fn is_mean(settings: &Settings) -> bool {
    settings.method == Method::Preconditioned && (settings.preconditioned.average != 1 || settings.searches_weight())
}

/// Whether two jobs can be in one batch.
fn is_alike((one, a): &Job<'_>, (other, b): &Job<'_>) -> bool {
    let kind = |settings: &Settings| match settings.method {
        Method::Preconditioned => (true, settings.preconditioned.mirrors, View::DriftFree),
        _ => (false, false, settings.view),
    };
    !is_mean(b) && kind(a) == kind(b) && one.geometry == other.geometry
}

/// Jobs of one kind and size.
struct Batch<'a> {
    jobs: &'a [&'a Job<'a>],
    prior: &'a Weights,
    device: &'a Rc<Device>,
}

impl Batch<'_> {
    fn run(&self, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Results {
        let traces = Traces { rows: vec![Vec::new(); self.jobs.len()], go_on };
        match self.jobs {
            [(_, settings), ..] if settings.method == Method::Preconditioned => self.preconditioned(traces),
            _ => self.plain(traces),
        }
    }

    fn plain(&self, mut traces: Traces<'_>) -> Results {
        let kernel = self.prior.perturbation_kernel().for_solver();
        let solver = |(measurement, settings): &&Job<'_>| settings.solver(kernel, settings.prior_weight(measurement));
        let mut solvers = self.jobs.iter().map(solver).collect::<Result<Vec<_>, _>>()?;
        let objectives: Vec<Level> = solvers.iter().map(Solver::objective).collect();
        let view = self.jobs.first().map_or(View::Diffused, |(_, settings)| settings.view);
        let mut slices = self.slices(&objectives)?.with_view(view);
        let ends = drive_in_lockstep(&mut solvers, &mut slices, |completed, slices| traces.add(completed, slices))?;
        self.results(ends, &objectives, traces.rows, &mut slices)
    }

    fn preconditioned(&self, mut traces: Traces<'_>) -> Results {
        let solver = |(measurement, settings): &&Job<'_>| solver(measurement, settings, self.prior).map(|made| made.1);
        let mut solvers = self.jobs.iter().map(solver).collect::<Result<Vec<_>, _>>()?;
        let objectives: Vec<Level> = solvers.iter().map(Preconditioned::objective).collect();
        let weights: Vec<_> = self.jobs.iter().map(|(measurement, settings)| weights(measurement, settings)).collect();
        let problem = self.slices(&objectives)?.with_view(View::DriftFree).with_weights(&weights)?;
        let mirrors = self.jobs.first().is_some_and(|(_, settings)| settings.preconditioned.mirrors);
        let mut slices = PreconditionedCudaSlices::new(problem)?.with_mirrors(mirrors);
        let ends = drive_preconditioned_in_lockstep(&mut solvers, &mut slices, |completed, slices| {
            traces.add(completed, slices.problem())
        })?;
        self.results(ends, &objectives, traces.rows, slices.problem())
    }

    fn slices(&self, objectives: &[Level]) -> Result<CudaSlices, ReconstructError> {
        let slice = |(measurement, settings): &&Job<'_>| {
            Ok(Slice { data: measurement.sinogram.clone(), start: start(measurement, settings)? })
        };
        let slices = self.jobs.iter().map(slice).collect::<Result<Vec<_>, ReconstructError>>()?;
        let geometry = self.jobs[0].0.geometry.clone();
        Ok(CudaSlices::new(self.device, geometry, self.prior, &slices, objectives[0])?.with_objectives(objectives))
    }

    fn results(
        &self,
        ends: Vec<End>,
        objectives: &[Level],
        rows: Vec<Vec<TraceRow>>,
        slices: &mut CudaSlices,
    ) -> Results {
        let whole: Vec<usize> = (0..ends.len()).filter(|&slice| ends[slice].is_ok()).collect();
        let mut values = slices.objectives(&whole)?.into_iter();
        let counters: Vec<_> = (0..ends.len()).map(|slice| slices.counters(slice)).collect();
        let traffic = Some(slices.traffic());
        // One gradient more, which is no part of the method's cost: the traces end before the last steps.
        let requests: Vec<_> = whole.iter().map(|&slice| (slice, objectives[slice], true)).collect();
        let mut gradients = slices.directions(&requests)?.into_iter();
        let mut results = Vec::with_capacity(ends.len());
        for (slice, (end, trace)) in ends.into_iter().zip(rows).enumerate() {
            let (measurement, settings) = self.jobs[slice];
            let status = match end {
                Ok(status) => status,
                Err(cause) => {
                    results.push(Err(ReconstructError::Broke { iterations: trace.len(), cause }));
                    continue;
                }
            };
            let mut image = Image::zeros(measurement.geometry.height, measurement.geometry.width);
            slices.iterate(slice, &mut image.pixels)?;
            let gradient_norm = gradients.next().unwrap_or_default().gradient_norm_sq.sqrt();
            let result = Reconstruction {
                objective: values.next(),
                weight: Some(settings.prior_weight(measurement)),
                counters: counters[slice],
                device: DeviceChoice::Cuda(self.device.ordinal()),
                precision: self.device.precision(),
                traffic,
                ..ended(image, status, trace, gradient_norm)
            };
            results.push(completed(result, settings, self.prior));
        }
        Ok(results)
    }
}

/// The traces of all slices of a batch, and whoever may end it.
struct Traces<'a> {
    rows: Vec<Vec<TraceRow>>,
    go_on: &'a mut dyn FnMut() -> ControlFlow<()>,
}

impl Traces<'_> {
    /// Adds completed iterations; names the slices whose runs are to end.
    fn add(&mut self, completed: &[(usize, Record)], slices: &mut CudaSlices) -> Vec<usize> {
        let tested = |(_, record): &&(usize, Record)| record.outcome != Outcome::Approach;
        let numbers: Vec<usize> = completed.iter().filter(tested).map(|(slice, _)| *slice).collect();
        // A device that fails here fails at the next request, which reports it.
        let objectives = slices.objectives(&numbers).unwrap_or_default();
        for &(slice, record) in completed {
            let known = numbers.iter().position(|number| *number == slice);
            let objective = known.and_then(|place| objectives.get(place)).copied();
            self.rows[slice].push(TraceRow { record, objective, counters: slices.counters(slice) });
        }
        if (self.go_on)().is_break() { (0..self.rows.len()).collect() } else { Vec::new() }
    }
}
