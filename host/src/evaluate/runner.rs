//! Runs reconstructions, several at once, and keeps their results.

use super::bench::Bench;
use super::protocol::checksum;
use super::results::PROTOCOL;
use super::{Contender, Dataset, EvaluateError, Protocol, Results, TableKind, contender};
use crate::backend::cuda::Device;
use crate::ct::{Geometry, Projector};
use crate::data::hidden::{is_hidden, sweep};
use crate::data::write_once;
use crate::image::Image;
use crate::reconstruct::{Measurement, Observer, ReconstructError, Reconstruction, at_once, reconstruct};
use crate::unet::Weights;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
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
        if Self::protocol_in(folder)?.is_none() {
            let file = |source| EvaluateError::File { path: folder.join(PROTOCOL), source };
            std::fs::create_dir_all(folder).map_err(file)?;
            let text = toml::to_string(&protocol).unwrap_or_default();
            // Of two that begin at once, one writes its settings; the other must have the same.
            write_once(&folder.join(PROTOCOL), text.as_bytes()).map_err(file)?;
        }
        sweep(folder);
        match Self::protocol_in(folder)? {
            Some(there) if there != protocol => {
                let differences = protocol.differences(&there);
                return Err(EvaluateError::OtherSettings { folder: folder.to_owned(), differences });
            }
            _ => {}
        }
        let results = Results::read(folder)?;
        let image = dataset.swept_image(1);
        let geometry = Geometry::covering(image.height, image.width, protocol.views);
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
        // What another process is about to write, or has left, counts for nothing.
        let is_empty =
            std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().all(|entry| is_hidden(&entry.path())));
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

    /// [`run`](Self::run) with the learned methods on `device`: the others come first, on the CPU. Then the first job that is
    /// left is made together with the next ones of its contender, as many as fit into a batch, until none is left.
    /// `observe` is called for each job of a batch at the batch's end, and with `None` after its iterations.
    ///
    /// # Errors
    /// As for `run`, and when the device fails; rows of batches finished before are kept.
    pub fn run_on(
        &mut self,
        device: &Rc<Device>,
        jobs: &[Job],
        on_cpu_at_once: usize,
        observe: &(dyn Fn(Option<&Job>) -> ControlFlow<()> + Sync),
    ) -> Result<RunEnd, EvaluateError> {
        let (mut learned, others): (Vec<Job>, Vec<Job>) =
            self.pending(jobs).into_iter().partition(|job| job.contender.is_learned());
        if self.run(&others, on_cpu_at_once, observe)? == RunEnd::Stopped {
            return Ok(RunEnd::Stopped);
        }
        let Self { dataset, prior, protocol, results, projector_norm } = self;
        let bench = Bench { dataset, prior, protocol, projector_norm: *projector_norm };
        while let Some(first) = learned.first().copied() {
            let most = at_once(device, &bench.scanned(first.image)?.1.geometry, prior)?;
            let batch: Vec<Job> =
                learned.iter().filter(|job| job.contender.key == first.contender.key).take(most).copied().collect();
            let Some(rows) = bench.rows(&batch, device, &|| observe(None))? else { return Ok(RunEnd::Stopped) };
            rows.into_iter().try_for_each(|row| results.add(row))?;
            let names = |one: &Job| (one.contender.key, one.image, one.start);
            learned.retain(|job| !batch.iter().any(|done| names(done) == names(job)));
            // All of them are told, also when one answers that it is the end.
            let told: Vec<ControlFlow<()>> = batch.iter().map(|job| observe(Some(job))).collect();
            if told.contains(&ControlFlow::Break(())) {
                return Ok(RunEnd::Stopped);
            }
        }
        Ok(RunEnd::Done)
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

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
