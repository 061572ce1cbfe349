//! The preconditioned gradient-like method, and the mean of several of its runs.

use super::learned::start;
use super::{Measurement, Observer, Progress, ReconstructError, Reconstruction, Settings, TraceRow};
use crate::backend::View;
use crate::backend::cpu::{CpuEvaluator, Network, PreconditionedCpuEvaluator};
use crate::ct::Projector;
use crate::image::Image;
use crate::unet::Weights;
use gradus_core::{Approach, Certificate, DriveError, Evaluator, Level, Preconditioned, Status, drive_preconditioned};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// One run, or the mean of `average` runs: the first from the start that `settings` name, the others from its result
/// under new noise. Each minimises `f` from another side; their mean is nearer to the posterior mean, which has the
/// least mean square error, than any of them.
pub(super) fn reconstruct(
    measurement: &Measurement,
    settings: &Settings,
    projector: Projector,
    prior: &Weights,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    settings.device()?;
    let own = &settings.preconditioned;
    if own.average == 0 {
        return Err(ReconstructError::NoRuns);
    }
    let (alpha, kernel) = (settings.prior_weight(measurement.noise_std), prior.perturbation_kernel());
    let approach = Approach { levels: own.approach_steps, solve_steps: own.approach_solve_steps };
    let solver = settings.preconditioned_solver((own.t_max, own.steps), approach, kernel.for_solver(), alpha)?;
    let evaluator = evaluator(measurement, settings, projector, prior, solver.objective())?;
    let mut run = Run { evaluator, trace: Vec::new(), total: own.total_steps().into(), done_before: 0, observer };
    let mut status = run.drive(solver)?;
    let mut mean = Mean::of(run.evaluator.problem().iterate());
    if own.average > 1 && status != Status::Stopped {
        let levels = (own.restart_t, own.restart_steps);
        let again =
            settings.preconditioned_solver(levels, Approach { levels: 0, ..approach }, kernel.for_solver(), alpha)?;
        let noise = kernel.at(own.restart_t);
        status = run.restarts(again, (noise.std / noise.mean_scale) as f32, settings, &mut mean)?;
    }
    let single = mean.count == 1.0;
    let objective = single.then(|| run.evaluator.problem().objective());
    // Counted before the one gradient more that the certificate takes: the trace ends before the last step.
    let counters = run.evaluator.problem().counters();
    let certificate = run.certificate(solver.objective())?;
    let image = |pixels| Image { height: measurement.geometry.height, width: measurement.geometry.width, pixels };
    Ok(Reconstruction {
        deviation: (!single).then(|| image(mean.deviation())),
        status: Some(status),
        iterations: run.trace.len() as u64,
        certificate: Some(certificate),
        objective,
        weight: Some(alpha),
        counters,
        trace: run.trace,
        ..Reconstruction::of(image(mean.value()))
    })
}

fn evaluator(
    measurement: &Measurement,
    settings: &Settings,
    projector: Projector,
    prior: &Weights,
    objective: Level,
) -> Result<PreconditionedCpuEvaluator, ReconstructError> {
    let network = Network::new(prior, measurement.geometry.height, measurement.geometry.width, CpuEvaluator::LANES)?;
    let (data, start) = (measurement.sinogram.clone(), start(measurement, settings)?);
    let problem = CpuEvaluator::new(projector, network, data, start, objective)?.with_view(View::DriftFree);
    Ok(PreconditionedCpuEvaluator::new(match &measurement.weights {
        Some(weights) if settings.preconditioned.weighted => problem.with_weights(weights)?,
        _ => problem,
    }))
}

struct Run<'a> {
    evaluator: PreconditionedCpuEvaluator,
    trace: Vec<TraceRow>,
    total: u64,
    done_before: u64,
    observer: Observer<'a>,
}

impl Run<'_> {
    /// Runs `solver` from the first result under noise of standard deviation `sigma`, again and again.
    fn restarts(
        &mut self,
        solver: Preconditioned,
        sigma: f32,
        settings: &Settings,
        mean: &mut Mean,
    ) -> Result<Status, ReconstructError> {
        let first = self.evaluator.problem().iterate().to_vec();
        let (mut generator, mut status) = (ChaCha8Rng::seed_from_u64(settings.seed), Status::ScheduleDone);
        for k in 1..settings.preconditioned.average {
            // Stream 0 is that of the starting noise.
            generator.set_stream(k.into());
            let noise = StandardNormal.sample_iter(&mut generator);
            let noisy: Vec<f32> = first.iter().zip(noise).map(|(x, z): (&f32, f32)| x + sigma * z).collect();
            self.evaluator.problem().restart(&noisy, solver.objective())?;
            status = self.drive(solver)?;
            if status == Status::Stopped {
                break;
            }
            mean.add(self.evaluator.problem().iterate());
        }
        Ok(status)
    }

    /// That of all runs; `|grad f|` at the end of the last one.
    fn certificate(&mut self, objective: Level) -> Result<Certificate, ReconstructError> {
        let mut certificate = Certificate::default();
        self.trace.iter().for_each(|row| certificate.observe(&row.record));
        certificate.finish(self.evaluator.problem().direction(objective, true)?.gradient_norm_sq.sqrt());
        Ok(certificate)
    }

    fn drive(&mut self, mut solver: Preconditioned) -> Result<Status, ReconstructError> {
        let driven = drive_preconditioned(&mut solver, &mut self.evaluator, |record, evaluator| {
            let problem = evaluator.problem();
            let row = TraceRow { record: *record, objective: problem.objective(), counters: problem.counters() };
            self.trace.push(row);
            let done = self.done_before + u64::from(record.iteration) + 1;
            let copy_iterate: &dyn Fn(&mut [f32]) = &|to| to.copy_from_slice(problem.iterate());
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
