//! The preconditioned gradient-like method, and the mean of several of its runs.

use super::learned::{ended, start};
use super::{Measurement, Observer, Progress, ReconstructError, Reconstruction, Settings, TraceRow};
use crate::backend::choice::Opened;
use crate::backend::cpu::{CpuEvaluator, Network, PreconditionedCpuEvaluator};
use crate::backend::cuda::{CudaSlices, PreconditionedCudaSlices, Slice};
use crate::backend::{DeviceChoice, SliceEvaluator, View};
use crate::ct::Projector;
use crate::image::Image;
use crate::unet::Weights;
use gradus_core::{DriveError, Outcome, Preconditioned, PreconditionedEvaluator, Status, drive_preconditioned};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// One run, or the mean of `average` runs: the first from the start that `settings` name, the others from its result
/// under new noise. Each minimises `f` from another side; their mean is nearer to the posterior mean, which has the
/// least mean square error, than any of them.
pub(super) fn reconstruct(
    measurement: &Measurement,
    settings: &Settings,
    prior: &Weights,
    opened: Opened,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    let own = &settings.preconditioned;
    if own.average == 0 {
        return Err(ReconstructError::NoRuns);
    }
    let (alpha, solver) = solver(measurement, settings, prior)?;
    let objective = solver.objective();
    let (data, start) = (measurement.sinogram.clone(), start(measurement, settings)?);
    let weights = weights(measurement, settings);
    let job = Job { measurement, settings, prior, solver, alpha };
    let result = match opened {
        Opened::Cpu(warning) => {
            let (height, width) = (measurement.geometry.height, measurement.geometry.width);
            let network = Network::new(prior, height, width, CpuEvaluator::LANES)?;
            let problem =
                CpuEvaluator::new(Projector::new(measurement.geometry.clone())?, network, data, start, objective)?
                    .with_view(View::DriftFree);
            let problem = match weights {
                Some(weights) => problem.with_weights(weights)?,
                None => problem,
            };
            let evaluator = PreconditionedCpuEvaluator::new(problem).with_mirrors(own.mirrors);
            Reconstruction { warning, ..job.run(evaluator, observer)? }
        }
        Opened::Cuda(device) => {
            let (slice, precision) = ([Slice { data, start }], device.precision());
            let problem = CudaSlices::new(&device, measurement.geometry.clone(), prior, &slice, objective)?
                .with_view(View::DriftFree)
                .with_weights(&[weights])?;
            let evaluator = PreconditionedCudaSlices::new(problem)?.with_mirrors(own.mirrors);
            let device = DeviceChoice::Cuda(device.ordinal());
            Reconstruction { device, precision, ..job.run(evaluator, observer)? }
        }
    };
    Ok(Reconstruction { weight: Some(alpha), ..result })
}

/// `alpha` and the solver of the first run.
pub(super) fn solver(
    measurement: &Measurement,
    settings: &Settings,
    prior: &Weights,
) -> Result<(f64, Preconditioned), ReconstructError> {
    let own = &settings.preconditioned;
    let (alpha, kernel) = (settings.prior_weight(measurement), prior.perturbation_kernel());
    let solver = settings.preconditioned_solver((own.t_max, own.steps_with(prior)), kernel.for_solver(), alpha)?;
    Ok((alpha, solver))
}

/// Weights of the data term, where the settings want them and the scan has them.
pub(super) fn weights<'a>(measurement: &'a Measurement, settings: &Settings) -> Option<&'a [f32]> {
    measurement.weights.as_deref().filter(|_| settings.preconditioned.weighted)
}

/// What all runs have in common.
struct Job<'a> {
    measurement: &'a Measurement,
    settings: &'a Settings,
    prior: &'a Weights,
    solver: Preconditioned,
    alpha: f64,
}

impl Job<'_> {
    fn run<E: SliceEvaluator + PreconditionedEvaluator>(
        self,
        evaluator: E,
        observer: Observer<'_>,
    ) -> Result<Reconstruction, ReconstructError>
    where
        ReconstructError: From<E::Error>,
    {
        let Self { measurement, settings, prior, solver, alpha } = self;
        let (own, kernel) = (&settings.preconditioned, prior.perturbation_kernel());
        let (total, pixels) = (own.total_steps(prior).into(), measurement.geometry.image_len());
        let mut run = Run { evaluator, pixels, trace: Vec::new(), total, done_before: 0, observer };
        let mut status = run.drive(solver)?;
        let mut mean = Mean::of(&run.iterate()?);
        if own.average > 1 && status != Status::Stopped {
            let levels = (own.restart_t, own.restart_steps);
            let again = settings.preconditioned_solver(levels, kernel.for_solver(), alpha)?;
            let noise = kernel.at(own.restart_t);
            status = run.restarts(again, (noise.std / noise.mean_scale) as f32, settings, &mut mean)?;
        }
        let single = mean.count == 1.0;
        let objective = if single { Some(run.evaluator.objective()?) } else { None };
        // Counted before the one gradient more for the certificate, which is that of all runs: the trace ends before the last step.
        let (counters, traffic) = (run.evaluator.counters(), run.evaluator.traffic());
        let gradient_norm = run.evaluator.direction(solver.objective(), true)?.gradient_norm_sq.sqrt();
        let image = |pixels| Image { height: measurement.geometry.height, width: measurement.geometry.width, pixels };
        let deviation = (!single).then(|| image(mean.deviation()));
        let ended = ended(image(mean.value()), status, run.trace, gradient_norm);
        Ok(Reconstruction { deviation, objective, counters, traffic, ..ended })
    }
}

struct Run<'a, E> {
    evaluator: E,
    pixels: usize,
    trace: Vec<TraceRow>,
    total: u64,
    done_before: u64,
    observer: Observer<'a>,
}

impl<E: SliceEvaluator + PreconditionedEvaluator> Run<'_, E>
where
    ReconstructError: From<E::Error>,
{
    fn iterate(&self) -> Result<Vec<f32>, ReconstructError> {
        let mut image = vec![0.0; self.pixels];
        self.evaluator.copy_iterate(&mut image)?;
        Ok(image)
    }

    /// Runs `solver` from the first result under noise of standard deviation `sigma`, again and again.
    fn restarts(
        &mut self,
        solver: Preconditioned,
        sigma: f32,
        settings: &Settings,
        mean: &mut Mean,
    ) -> Result<Status, ReconstructError> {
        let first = self.iterate()?;
        let (mut generator, mut status) = (ChaCha8Rng::seed_from_u64(settings.seed), Status::ScheduleDone);
        for k in 1..settings.preconditioned.average {
            // Stream 0 is that of the starting noise.
            generator.set_stream(k.into());
            let noise = StandardNormal.sample_iter(&mut generator);
            let noisy: Vec<f32> = first.iter().zip(noise).map(|(x, z): (&f32, f32)| x + sigma * z).collect();
            self.evaluator.restart(&noisy, solver.objective())?;
            status = self.drive(solver)?;
            if status == Status::Stopped {
                break;
            }
            mean.add(&self.iterate()?);
        }
        Ok(status)
    }

    fn drive(&mut self, mut solver: Preconditioned) -> Result<Status, ReconstructError> {
        let driven = drive_preconditioned(&mut solver, &mut self.evaluator, |record, evaluator| {
            // A device that fails here fails at the next request, which reports it. The approach does not look at f.
            let tested = record.outcome != Outcome::Approach;
            let objective = if tested { evaluator.objective().ok() } else { None };
            let row = TraceRow { record: *record, objective, counters: evaluator.counters() };
            self.trace.push(row);
            let done = self.done_before + u64::from(record.iteration) + 1;
            let copy_iterate: &dyn Fn(&mut [f32]) = &|to| drop(evaluator.copy_iterate(to));
            (self.observer)(Progress { done, total: self.total, row: Some(&row), copy_iterate })
        });
        self.done_before = self.trace.len() as u64;
        match driven {
            Ok(status) => Ok(status),
            Err(DriveError::Evaluator(error)) => Err(error.into()),
            Err(DriveError::Answer(cause)) => Err(ReconstructError::Broke { iterations: self.trace.len(), cause }),
        }
    }
}

/// Mean and standard deviation of images, pixel by pixel, by Welford's recurrence.
struct Mean {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Mean {
    fn of(first: &[f32]) -> Self {
        Self { count: 1.0, mean: first.iter().map(|x| f64::from(*x)).collect(), squares: vec![0.0; first.len()] }
    }

    fn add(&mut self, image: &[f32]) {
        self.count += 1.0;
        for ((mean, square), x) in self.mean.iter_mut().zip(&mut self.squares).zip(image) {
            let difference = f64::from(*x) - *mean;
            *mean += difference / self.count;
            *square += difference * (f64::from(*x) - *mean);
        }
    }

    fn value(&self) -> Vec<f32> {
        self.mean.iter().map(|mean| *mean as f32).collect()
    }

    /// Of the sample, with `count - 1`.
    fn deviation(&self) -> Vec<f32> {
        self.squares.iter().map(|square| (square / (self.count - 1.0)).sqrt() as f32).collect()
    }
}
