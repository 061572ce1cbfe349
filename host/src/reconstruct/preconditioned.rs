//! The preconditioned gradient-like method, and the mean of several of its runs.

use super::learned::start;
use super::{Measurement, Observer, Progress, ReconstructError, Reconstruction, Settings, TraceRow};
use crate::backend::View;
use crate::backend::cpu::{CpuEvaluator, Network, PreconditionedCpuEvaluator};
use crate::ct::Projector;
use crate::image::Image;
use crate::unet::Weights;
use gradus_core::{Approach, Certificate, DriveError, Evaluator, Preconditioned, Status, drive_preconditioned};
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
    let (height, width) = (measurement.geometry.height, measurement.geometry.width);
    settings.device()?;
    let own = &settings.preconditioned;
    let alpha = settings.prior_weight(measurement.noise_std);
    let kernel = prior.perturbation_kernel();
    let solver = |from: f64, steps: u32, approach: Approach| {
        settings.preconditioned_solver((from, steps), approach, kernel.for_solver(), alpha)
    };
    let approach = Approach { levels: own.approach_steps, solve_steps: own.approach_solve_steps };
    let descent = solver(own.t_max, own.steps, approach)?;
    let again = solver(own.restart_t, own.restart_steps, Approach { levels: 0, ..approach })?;
    let network = Network::new(prior, height, width, CpuEvaluator::LANES)?;
    let data = measurement.sinogram.clone();
    let problem = CpuEvaluator::new(projector, network, data, start(measurement, settings)?, descent.objective())?;
    let mut problem = problem.with_view(View::DriftFree);
    if let (true, Some(weights)) = (own.weighted, &measurement.weights) {
        problem = problem.with_weights(weights)?;
    }
    let restarts = own.average.saturating_sub(1);
    let total = own.total_steps().into();
    let mut run =
        Run { evaluator: PreconditionedCpuEvaluator::new(problem), trace: Vec::new(), total, done_before: 0, observer };
    let mut status = run.drive(descent)?;
    let first = run.evaluator.problem().iterate().to_vec();
    let objective = run.evaluator.problem().objective();
    let mut mean = Mean::of(&first);
    let at_restart = kernel.at(own.restart_t);
    let sigma = (at_restart.std / at_restart.mean_scale) as f32;
    let mut generator = ChaCha8Rng::seed_from_u64(settings.seed);
    for k in 0..restarts {
        if status == Status::Stopped {
            break;
        }
        // Stream 0 is that of the starting noise.
        generator.set_stream(u64::from(k) + 1);
        let noise = StandardNormal.sample_iter(&mut generator);
        let noisy: Vec<f32> = first.iter().zip(noise).map(|(x, z): (&f32, f32)| x + sigma * z).collect();
        run.evaluator.problem().restart(&noisy, again.objective())?;
        status = run.drive(again)?;
        if status != Status::Stopped {
            mean.add(run.evaluator.problem().iterate());
        }
    }
    let mut certificate = Certificate::default();
    run.trace.iter().for_each(|row| certificate.observe(&row.record));
    let counters = run.evaluator.problem().counters();
    // One gradient more, which is no part of the method's cost: the trace ends before the last step.
    let end = run.evaluator.problem().direction(descent.objective(), true)?;
    certificate.finish(end.gradient_norm_sq.sqrt());
    let image = |pixels| Image { height, width, pixels };
    Ok(Reconstruction {
        deviation: (mean.count > 1.0).then(|| image(mean.deviation())),
        status: Some(status),
        iterations: run.trace.len() as u64,
        certificate: Some(certificate),
        objective: Some(objective),
        weight: Some(alpha),
        counters,
        trace: run.trace,
        ..Reconstruction::of(image(mean.value()))
    })
}

struct Run<'a> {
    evaluator: PreconditionedCpuEvaluator,
    trace: Vec<TraceRow>,
    total: u64,
    done_before: u64,
    observer: Observer<'a>,
}

impl Run<'_> {
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
