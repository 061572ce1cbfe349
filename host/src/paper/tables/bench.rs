//! From a job to its row: the scan, the run, the comparison with the truth.

use super::{Dataset, EvaluateError, Job, Protocol, Row};
use crate::image::Image;
use crate::metrics::{MetricError, psnr, rmse_hu, soft_tissue_psnr, ssim_uniform};
use crate::reconstruct::{self, Measurement, PlacedPrior, ReconstructError, Reconstruction, Settings, reconstruct_all};
use crate::simulate::{Simulation, simulate};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Everything that a job reads.
pub(super) struct Bench<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) protocol: &'a Protocol,
}

impl Bench<'_> {
    /// Test image `k` and its measurement; the seed of the noise is `k`.
    pub(super) fn scanned(&self, k: usize) -> Result<(Image, Measurement), EvaluateError> {
        let truth = self.dataset.image(k);
        let measurement = scanned(&truth, self.protocol, k as u64)?;
        Ok((truth, measurement))
    }

    /// The settings of a job: those of the protocol, with the weight that is in proportion to the noise, and the start.
    pub(super) fn settings(&self, job: &Job, measurement: &Measurement) -> Result<Settings, EvaluateError> {
        let key = job.contender.key;
        let mut settings =
            self.protocol.methods.get(key).cloned().ok_or_else(|| EvaluateError::NoSettings(key.to_owned()))?;
        settings.set_seed(job.start as u64);
        if let Some(graduated) = settings.graduated_mut() {
            graduated.alpha = Some(self.protocol.alpha_per_std * measurement.noise_std);
        }
        Ok(settings)
    }

    /// The rows of jobs that are made together; `None` when `go_on` ended them.
    pub(super) fn rows(
        &self,
        jobs: &[Job],
        prior: &PlacedPrior<'_>,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<Row>>, EvaluateError> {
        let scanned: Vec<(Image, Measurement)> =
            jobs.par_iter().map(|job| self.scanned(job.image)).collect::<Result<_, _>>()?;
        let of_jobs = jobs.iter().zip(&scanned);
        let settings: Vec<Settings> =
            of_jobs.map(|(job, (_, measurement))| self.settings(job, measurement)).collect::<Result<_, _>>()?;
        let of_jobs = scanned.iter().zip(&settings);
        let of_jobs: Vec<_> =
            of_jobs.map(|((_, measurement), settings)| reconstruct::Job { measurement, settings }).collect();
        let mut is_stopped = false;
        let results = reconstruct_all(&of_jobs, Some(prior), &mut |_| {
            let flow = go_on();
            is_stopped |= flow.is_break();
            flow
        })?;
        if is_stopped {
            return Ok(None);
        }
        let ended = jobs.iter().zip(&scanned).zip(results);
        ended.map(|((job, (truth, _)), run)| self.judged(job, truth, run)).collect::<Result<_, _>>().map(Some)
    }

    /// The row of a run that has ended. One that met a number that is not finite is a row, too.
    fn judged(
        &self,
        job: &Job,
        truth: &Image,
        run: Result<Reconstruction, ReconstructError>,
    ) -> Result<Row, EvaluateError> {
        let result = match run {
            Ok(result) => Some(result),
            Err(ReconstructError::Broke { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let image = result.as_ref().map(|result| &result.image);
        let measured = |metric: &dyn Fn(&Image) -> Result<f64, MetricError>| image.map_or(Ok(f64::NAN), metric);
        let slices = self.dataset.has_hounsfield_units();
        let certificate = result.as_ref().and_then(|result| result.certificate);
        Ok(Row {
            image: job.image,
            start: job.start,
            method: job.contender.key.to_owned(),
            psnr_db: measured(&|image| psnr(truth, image, 1.0))?,
            ssim: measured(&|image| ssim_uniform(truth, image, 1.0))?,
            rmse_hu: slices.then(|| measured(&|image| rmse_hu(truth, image))).transpose()?,
            window_psnr_db: slices.then(|| measured(&|image| soft_tissue_psnr(truth, image))).transpose()?,
            status: result.as_ref().map_or("broke".to_owned(), |result| {
                result.status.map_or_else(|| "done".to_owned(), |status| status.to_string())
            }),
            objective: result.as_ref().and_then(|result| result.objective),
            gradient_norm: certificate.map(|c| c.gradient_norm),
            skipped_levels: certificate.map(|c| c.skipped_levels),
            failed_searches: certificate.map(|c| c.failed_searches),
        })
    }
}

/// The measurement of an image by the evaluation's scanner.
pub(super) fn scanned(truth: &Image, protocol: &Protocol, seed: u64) -> Result<Measurement, EvaluateError> {
    let simulation = Simulation { angles: protocol.views, noise: protocol.noise, seed, ..Simulation::default() };
    Ok(Measurement::new(&simulate(truth, 1.0, &simulation)?)?)
}
