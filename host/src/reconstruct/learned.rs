//! The methods with a learned prior: a solver of `gradus-core` on a backend.

use super::settings::LearnedSolver;
use super::{
    Measurement, Observer, Progress, ReconstructError, Reconstruction, Settings, Start, TraceRow,
    filtered_backprojection,
};
use crate::backend::choice::Opened;
use crate::backend::cpu::{CpuEvaluator, Network};
use crate::backend::cuda::{CudaSlices, Device, Slice};
use crate::backend::{DeviceChoice, SliceEvaluator};
use crate::ct::Projector;
use crate::doctor;
use crate::image::Image;
use crate::unet::Weights;
use gradus_core::{Certificate, DriveError, Solver, Status, drive};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::rc::Rc;

/// Runs the method of `settings` on `measurement` with the energy network `prior`.
pub(super) fn reconstruct(
    measurement: &Measurement,
    settings: &Settings,
    prior: &Weights,
    opened: Opened,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    let alpha = settings.prior_weight(measurement);
    let solver = settings.solver(prior.perturbation_kernel().for_solver(), alpha)?;
    let objective = solver.objective();
    let (data, start) = (measurement.sinogram.clone(), start(measurement, settings)?);
    let run = Run { trace: Vec::with_capacity(settings.steps as usize), total: settings.steps.into(), observer };
    let result = match opened {
        Opened::Cpu(warning) => {
            let (height, width) = (measurement.geometry.height, measurement.geometry.width);
            let network = Network::new(prior, height, width, CpuEvaluator::LANES)?;
            let evaluator =
                CpuEvaluator::new(Projector::new(measurement.geometry.clone())?, network, data, start, objective)?
                    .with_view(settings.view);
            Reconstruction { warning, ..run.reconstruct(measurement, solver, evaluator)? }
        }
        Opened::Cuda(opened) => {
            let slice = [Slice { data, start }];
            let geometry = measurement.geometry.clone();
            let evaluator = CudaSlices::new(&opened, geometry, prior, &slice, objective)?.with_view(settings.view);
            let device = DeviceChoice::Cuda(opened.ordinal());
            Reconstruction { device, precision: opened.precision(), ..run.reconstruct(measurement, solver, evaluator)? }
        }
    };
    Ok(Reconstruction { weight: Some(alpha), ..result })
}

/// What a run has come to that left this image and this trace, with `|grad f|` at its end.
pub(super) fn ended(image: Image, status: Status, trace: Vec<TraceRow>, gradient_norm: f32) -> Reconstruction {
    let mut certificate = Certificate::default();
    trace.iter().for_each(|row| certificate.observe(&row.record));
    certificate.finish(gradient_norm);
    Reconstruction {
        status: Some(status),
        iterations: trace.len() as u64,
        trace,
        certificate: Some(certificate),
        ..Reconstruction::of(image)
    }
}

/// What keeps a device from being trusted: a check that it does not pass.
pub(super) fn distrust(device: &Rc<Device>, prior: &Weights) -> Option<String> {
    match doctor::cuda::checks(device, prior) {
        Ok(checks) => {
            checks.iter().find(|check| !check.passed()).map(|check| format!("fails a check ({})", check.what))
        }
        Err(error) => Some(format!("cannot be checked ({error})")),
    }
}

struct Run<'a> {
    trace: Vec<TraceRow>,
    total: u64,
    observer: Observer<'a>,
}

impl Run<'_> {
    fn reconstruct<E: SliceEvaluator>(
        mut self,
        measurement: &Measurement,
        solver: LearnedSolver,
        mut evaluator: E,
    ) -> Result<Reconstruction, ReconstructError>
    where
        ReconstructError: From<E::Error>,
    {
        let (objective, status) = (solver.objective(), self.drive(solver, &mut evaluator)?);
        let mut image = Image::zeros(measurement.geometry.height, measurement.geometry.width);
        evaluator.copy_iterate(&mut image.pixels)?;
        let (f, counters, traffic) = (evaluator.objective()?, evaluator.counters(), evaluator.traffic());
        // One gradient more, which is no part of the method's cost: the trace ends before the last step.
        let gradient_norm = evaluator.direction(objective, true)?.gradient_norm_sq.sqrt();
        Ok(Reconstruction { objective: Some(f), counters, traffic, ..ended(image, status, self.trace, gradient_norm) })
    }

    fn drive<E: SliceEvaluator>(
        &mut self,
        mut solver: impl Solver,
        evaluator: &mut E,
    ) -> Result<Status, ReconstructError>
    where
        ReconstructError: From<E::Error>,
    {
        let driven = drive(&mut solver, evaluator, |record, evaluator| {
            // A device that fails here fails at the next request, which reports it.
            let objective = evaluator.objective().ok();
            let row = TraceRow { record: *record, objective, counters: evaluator.counters() };
            self.trace.push(row);
            let done = u64::from(record.iteration) + 1;
            let copy_iterate: &dyn Fn(&mut [f32]) = &|to| drop(evaluator.copy_iterate(to));
            (self.observer)(Progress { done, total: self.total, row: Some(&row), copy_iterate })
        });
        match driven {
            Ok(status) => Ok(status),
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

#[cfg(test)]
mod tests {
    use super::super::{Method, reconstruct};
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::metrics::rmse;
    use crate::simulate::{Simulation, simulate};
    use std::ops::ControlFlow;

    /// Root mean square between the results of Algorithm 2 from two starts.
    fn between_starts(early_weight: f64) -> f64 {
        let prior = Weights::from_bytes(crate::prior::embedded("ellipses").unwrap().bytes).unwrap();
        let measurement = Measurement::new(&simulate(&ellipses(3, 64), 1.0, &Simulation::default()).unwrap()).unwrap();
        let base = Settings { method: Method::GradientLike, device: DeviceChoice::Cpu, ..Settings::default() };
        let run = |seed| {
            let settings = Settings { seed, early_weight, steps: 100, ..base.clone() };
            reconstruct(&measurement, &settings, Some(&prior), &mut |_| ControlFlow::Continue(())).unwrap().image
        };
        rmse(&run(1), &run(2)).unwrap()
    }

    #[test]
    fn a_prior_that_weighs_more_at_first_forgets_the_start() {
        let (with, without) = (between_starts(8.0), between_starts(0.0));
        assert!(4.0 * with < without, "{with} {without}");
    }
}
