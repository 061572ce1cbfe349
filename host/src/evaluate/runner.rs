//! Runs reconstructions, several at once, and keeps their results.

use super::protocol::checksum;
use super::{Contender, Dataset, EvaluateError, Protocol, Results, Row, TableKind, contender};
use crate::ct::{HU_PER_UNIT, ParallelBeam, Projector, network_to_hu};
use crate::data::write_atomically;
use crate::image::Image;
use crate::metrics::{psnr, rmse, ssim_uniform};
use crate::reconstruct::{Measurement, Observer, ReconstructError, Reconstruction, Settings, reconstruct};
use crate::simulate::{Simulation, simulate};
use crate::unet::Weights;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Iterations of the estimate of `|A|`.
const NORM_ITERATIONS: usize = 100;

/// One reconstruction to be made.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The method.
    pub contender: &'static Contender,
    /// Test image, counted from 1.
    pub image: usize,
    /// Start, counted from 1.
    pub start: usize,
}

/// The reconstructions of a table, image by image, so that the images done when it ends early are complete.
#[must_use]
pub fn jobs_of(table: &TableKind, images: usize, starts: usize) -> Vec<Job> {
    let contenders: Vec<&Contender> = table.rows.iter().filter_map(|(key, _, _)| contender(key)).collect();
    let mut jobs = Vec::new();
    for image in 1..=images {
        for contender in &contenders {
            let starts = if contender.has_starts { starts } else { 1 };
            jobs.extend((1..=starts).map(|start| Job { contender, image, start }));
        }
    }
    jobs
}

/// How a batch of jobs ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All are done.
    Done,
    /// The observer ended it.
    Stopped,
}

/// An evaluation in its folder.
#[derive(Debug)]
pub struct Evaluation {
    dataset: Dataset,
    prior: Weights,
    protocol: Protocol,
    results: Results,
    /// `|A|`, for the step of the flow that is constant.
    projector_norm: f64,
}

/// Name of the file of the settings.
const PROTOCOL: &str = "evaluation.toml";

impl Evaluation {
    /// Begins an evaluation in `folder`, or goes on with the one that is there. `bytes` is the file of the prior.
    ///
    /// # Errors
    /// [`EvaluateError::OtherSettings`] when the folder's evaluation has other settings, and [`EvaluateError`] in general.
    pub fn open(
        folder: &Path,
        protocol: Protocol,
        dataset: Dataset,
        prior: Weights,
        bytes: &[u8],
    ) -> Result<Self, EvaluateError> {
        let protocol = Protocol { prior_checksum: checksum(bytes), slices: dataset.n_slices(), ..protocol };
        match Self::protocol_in(folder)? {
            Some(there) if there != protocol => {
                let differences = protocol.differences(&there);
                return Err(EvaluateError::OtherSettings { folder: folder.to_owned(), differences });
            }
            Some(_) => {}
            None => {
                let file = |source| EvaluateError::File { path: folder.join(PROTOCOL), source };
                std::fs::create_dir_all(folder).map_err(file)?;
                let text = toml::to_string(&protocol).unwrap_or_default();
                write_atomically(&folder.join(PROTOCOL), text.as_bytes()).map_err(file)?;
            }
        }
        let results = Results::read(&folder.join("results.csv"))?;
        let image = dataset.swept_image(1);
        let geometry = ParallelBeam::covering(image.height, image.width, protocol.views);
        let projector_norm = Projector::new(geometry).map_err(ReconstructError::from)?.norm(NORM_ITERATIONS);
        Ok(Self { dataset, prior, protocol, results, projector_norm })
    }

    /// The settings of the evaluation in `folder`; `None` when there is no such folder, or nothing in it.
    ///
    /// # Errors
    /// [`EvaluateError::NotAnEvaluation`], [`EvaluateError::Damaged`].
    pub fn protocol_in(folder: &Path) -> Result<Option<Protocol>, EvaluateError> {
        let path = folder.join(PROTOCOL);
        if let Ok(text) = std::fs::read_to_string(&path) {
            let damaged = |error: toml::de::Error| EvaluateError::Damaged {
                path: path.clone(),
                what: error.message().to_owned(),
            };
            return toml::from_str(&text).map(Some).map_err(damaged);
        }
        let is_empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if folder.exists() && !is_empty { Err(EvaluateError::NotAnEvaluation(folder.to_owned())) } else { Ok(None) }
    }

    /// What has been computed.
    #[must_use]
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// The settings.
    #[must_use]
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The images.
    #[must_use]
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Those of `jobs` that have not been done.
    #[must_use]
    pub fn pending(&self, jobs: &[Job]) -> Vec<Job> {
        let is_done = |job: &Job| self.results.get(job.image, job.start, job.contender.key).is_some();
        jobs.iter().filter(|job| !is_done(job)).copied().collect()
    }

    /// Does those of `jobs` that have not been done, `at_once` at a time, each on its share of the threads. `observe` is
    /// called after each, and with `None` while one is under way; breaking ends all at their next
    /// iterate, and what was not finished is not kept.
    ///
    /// # Errors
    /// The first error of any job; rows finished before are kept.
    pub fn run(
        &mut self,
        jobs: &[Job],
        at_once: usize,
        observe: &(dyn Fn(Option<&Job>) -> ControlFlow<()> + Sync),
    ) -> Result<RunEnd, EvaluateError> {
        let pending = self.pending(jobs);
        let at_once = at_once.clamp(1, pending.len().max(1));
        let threads = (rayon::current_num_threads() / at_once).max(1);
        let pools: Vec<rayon::ThreadPool> = (0..at_once)
            .map(|_| rayon::ThreadPoolBuilder::new().num_threads(threads).build())
            .collect::<Result<_, _>>()?;
        let (next, (sender, receiver)) = (AtomicUsize::new(0), mpsc::channel());
        let Self { dataset, prior, protocol, results, projector_norm } = self;
        let bench = Bench { dataset, prior, protocol, projector_norm: *projector_norm };
        thread::scope(|scope| {
            for pool in &pools {
                let (sender, next, pending, bench) = (sender.clone(), &next, &pending, &bench);
                scope.spawn(move || {
                    while let Some(job) = pending.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let ended = pool.install(|| bench.row(job, &|| observe(None)));
                        let is_last = !matches!(ended, Ok(Some(_)));
                        // Nobody listens any more when another job has failed.
                        if sender.send((job, ended)).is_err() || is_last {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let mut end = RunEnd::Done;
            for (job, ended) in receiver {
                match ended.inspect_err(|_| next.store(pending.len(), Ordering::SeqCst))? {
                    Some(row) => results.add(row)?,
                    None => end = RunEnd::Stopped,
                }
                if end == RunEnd::Stopped || observe(Some(job)).is_break() {
                    next.store(pending.len(), Ordering::SeqCst);
                    end = RunEnd::Stopped;
                }
            }
            Ok(end)
        })
    }

    /// One reconstruction with its course, for figures: truth, measurement, settings, result.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn reconstruct(
        &self,
        job: &Job,
        observer: Observer<'_>,
    ) -> Result<(Image, Measurement, Reconstruction), EvaluateError> {
        let Self { dataset, prior, protocol, projector_norm, .. } = self;
        let bench = Bench { dataset, prior, protocol, projector_norm: *projector_norm };
        let (truth, measurement) = bench.scanned(job.image)?;
        let settings = bench.settings(job, &measurement);
        let result = reconstruct(&measurement, &settings, Some(prior), observer)?;
        Ok((truth, measurement, result))
    }
}

/// What a job reads.
struct Bench<'a> {
    dataset: &'a Dataset,
    prior: &'a Weights,
    protocol: &'a Protocol,
    projector_norm: f64,
}

impl Bench<'_> {
    /// Test image `k` and its measurement; the seed of the noise is `k`.
    fn scanned(&self, k: usize) -> Result<(Image, Measurement), EvaluateError> {
        let truth = self.dataset.image(k);
        let measurement = scanned(&truth, self.protocol, k as u64)?;
        Ok((truth, measurement))
    }

    fn settings(&self, job: &Job, measurement: &Measurement) -> Settings {
        let alpha = Some(self.protocol.alpha_per_std * measurement.noise_std);
        let base = Settings { alpha, seed: job.start as u64, ..self.protocol.reconstruction.clone() };
        job.contender.settings(&base, self.projector_norm)
    }

    /// The row of a job; `None` when `go_on` ended it. A run that meets a number that is not finite is a row, too.
    fn row(&self, job: &Job, go_on: &dyn Fn() -> ControlFlow<()>) -> Result<Option<Row>, EvaluateError> {
        let (truth, measurement) = self.scanned(job.image)?;
        let settings = self.settings(job, &measurement);
        let mut is_stopped = false;
        let run = reconstruct(&measurement, &settings, Some(self.prior), &mut |_| {
            let flow = go_on();
            is_stopped = flow.is_break();
            flow
        });
        let result = match run {
            Ok(_) if is_stopped => return Ok(None),
            Ok(result) => Some(result),
            Err(ReconstructError::Broke { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let image = result.as_ref().map(|result| &result.image);
        let measured =
            |metric: &dyn Fn(&Image) -> Result<f64, crate::metrics::MetricError>| image.map_or(Ok(f64::NAN), metric);
        let slices = self.dataset.has_hounsfield_units();
        let certificate = result.as_ref().and_then(Reconstruction::certificate);
        Ok(Some(Row {
            image: job.image,
            start: job.start,
            method: job.contender.key.to_owned(),
            psnr_db: measured(&|image| psnr(&truth, image, 1.0))?,
            ssim: measured(&|image| ssim_uniform(&truth, image, 1.0))?,
            rmse_hu: if slices {
                Some(measured(&|image| Ok(rmse(&truth, image)? * f64::from(HU_PER_UNIT)))?)
            } else {
                None
            },
            window_psnr_db: if slices { Some(measured(&|image| window_psnr(&truth, image))?) } else { None },
            status: result.as_ref().map_or("broke".to_owned(), |result| {
                result.status.map_or_else(|| "done".to_owned(), |status| status.to_string())
            }),
            objective: result.as_ref().and_then(|result| result.objective),
            gradient_norm: certificate.map(|c| c.gradient_norm),
            skipped_levels: certificate.map(|c| c.skipped_levels),
            failed_searches: certificate.map(|c| c.failed_searches),
        }))
    }
}

/// The measurement of an image by the evaluation's scanner.
pub(super) fn scanned(truth: &Image, protocol: &Protocol, seed: u64) -> Result<Measurement, EvaluateError> {
    let simulation = Simulation { angles: protocol.views, noise: protocol.noise, photons: None, seed };
    Ok(Measurement::new(&simulate(truth, 1.0, &simulation)?)?)
}

/// PSNR in dB of images cut to the window of soft tissue, -160 to 240 HU; the data range is its width.
fn window_psnr(truth: &Image, image: &Image) -> Result<f64, crate::metrics::MetricError> {
    const WINDOW: (f32, f32) = (-160.0, 240.0);
    let cut = |image: &Image| {
        let pixels = image.pixels.iter().map(|pixel| network_to_hu(*pixel).clamp(WINDOW.0, WINDOW.1)).collect();
        Image { pixels, ..*image }
    };
    psnr(&cut(truth), &cut(image), f64::from(WINDOW.1 - WINDOW.0))
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
