//! The methods with a learned prior: a solver of `gradus-core` on the CPU backend.

use super::settings::LearnedSolver;
use super::{
    Measurement, Observer, Progress, ReconstructError, Reconstruction, Settings, Start, TraceRow,
    filtered_backprojection,
};
use crate::backend::cpu::{CpuEvaluator, Network};
use crate::ct::Projector;
use crate::image::Image;
use crate::unet::Weights;
use gradus_core::{Certificate, DriveError, Evaluator, Solver, Status, drive};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Runs the method of `settings` on `measurement` with the energy network `prior`.
pub(super) fn reconstruct(
    measurement: &Measurement,
    settings: &Settings,
    projector: Projector,
    prior: &Weights,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    let (height, width) = (measurement.geometry.height, measurement.geometry.width);
    let alpha = settings.prior_weight(measurement.noise_std);
    let solver = settings.solver(prior.perturbation_kernel().for_solver(), alpha)?;
    let objective = solver.objective();
    let network = Network::new(prior, height, width, CpuEvaluator::LANES)?;
    let start = start(measurement, settings)?;
    let data = measurement.sinogram.clone();
    let mut run = Run { trace: Vec::with_capacity(settings.steps as usize), total: settings.steps.into(), observer };
    let evaluator = |objective| CpuEvaluator::new(projector, network, data, start, objective);
    let (status, mut evaluator) = match solver {
        LearnedSolver::GradientLike(solver) => run.drive(solver, evaluator(objective)?.with_view(settings.view)),
        LearnedSolver::Flow(solver) => run.drive(solver, evaluator(objective)?.with_view(settings.view)),
    }?;
    let mut certificate = Certificate::default();
    run.trace.iter().for_each(|row| certificate.observe(&row.record));
    let counters = evaluator.counters();
    // One gradient more, which is no part of the method's cost: the trace ends before the last step.
    let end = evaluator.direction(objective, true)?;
    certificate.finish(end.gradient_norm_sq.sqrt());
    Ok(Reconstruction {
        image: Image { height, width, pixels: evaluator.iterate().to_vec() },
        status: Some(status),
        iterations: run.trace.len() as u64,
        trace: run.trace,
        certificate: Some(certificate),
        objective: Some(evaluator.objective()),
        weight: Some(alpha),
        deviation: None,
        counters,
    })
}

struct Run<'a> {
    trace: Vec<TraceRow>,
    total: u64,
    observer: Observer<'a>,
}

impl Run<'_> {
    fn drive(
        &mut self,
        mut solver: impl Solver,
        mut evaluator: CpuEvaluator,
    ) -> Result<(Status, CpuEvaluator), ReconstructError> {
        let driven = drive(&mut solver, &mut evaluator, |record, evaluator| {
            let row = TraceRow { record: *record, objective: evaluator.objective(), counters: evaluator.counters() };
            self.trace.push(row);
            let done = u64::from(record.iteration) + 1;
            (self.observer)(Progress { done, total: self.total, row: Some(&row), iterate: evaluator.iterate() })
        });
        match driven {
            Ok(status) => Ok((status, evaluator)),
            Err(DriveError::Evaluator(error)) => Err(error.into()),
            Err(DriveError::Answer(cause)) => Err(ReconstructError::Broke { iterations: self.trace.len(), cause }),
        }
    }
}

/// `x_1`.
pub(super) fn start(measurement: &Measurement, settings: &Settings) -> Result<Vec<f32>, ReconstructError> {
    let pixels = measurement.geometry.image_len();
    match settings.start {
        Start::Noise => {
            let generator = ChaCha8Rng::seed_from_u64(settings.seed);
            Ok(StandardNormal.sample_iter(generator).take(pixels).collect())
        }
        Start::Fbp => Ok(filtered_backprojection(measurement, settings.window)?.pixels),
        Start::Zeros => Ok(vec![0.0; pixels]),
    }
}
