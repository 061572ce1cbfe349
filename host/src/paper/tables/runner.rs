//! Makes reconstructions in batches, and keeps their results.

use super::bench::Bench;
use super::protocol::checksum;
use super::results::PROTOCOL;
use super::{Dataset, EvaluateError, Job, Protocol, Results};
use crate::backend::choice::Opened;
use crate::data::folder_error::FolderError;
use crate::data::hidden::{is_hidden, sweep};
use crate::data::write_once;
use crate::image::Image;
use crate::prior::Prior;
use crate::reconstruct::{Measurement, Observer, PlacedPrior, Reconstruction, reconstruct};
use std::ops::ControlFlow;
use std::path::Path;

/// Reconstructions that a GPU makes before their rows are kept.
const MOST_ON_GPU: usize = 32;

/// The end of a batch of jobs.
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
    prior: Prior,
    opened: Opened,
    protocol: Protocol,
    results: Results,
}

impl Evaluation {
    /// Begins an evaluation in `folder`, or goes on with the one that is there. `bytes` is the file of the prior,
    /// `opened` what it is computed on.
    ///
    /// # Errors
    /// [`EvaluateError::OtherSettings`] when the folder's evaluation has other settings, and [`EvaluateError`] in
    /// general.
    pub fn open(
        folder: &Path,
        protocol: Protocol,
        dataset: Dataset,
        (prior, bytes): (Prior, &[u8]),
        opened: Opened,
    ) -> Result<Self, EvaluateError> {
        let protocol = Protocol { prior_checksum: checksum(bytes), slices: dataset.n_slices(), ..protocol };
        if Self::protocol_in(folder)?.is_none() {
            let path = folder.join(PROTOCOL);
            std::fs::create_dir_all(folder).map_err(FolderError::file(&path))?;
            let text = toml::to_string(&protocol).unwrap_or_default();
            // Of two that begin at once, one writes its settings; the other must have the same.
            write_once(&path, text.as_bytes()).map_err(FolderError::file(&path))?;
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
        Ok(Self { dataset, prior, opened, protocol, results })
    }

    /// The settings of the evaluation in `folder`; `None` when there is no such folder, or nothing in it.
    ///
    /// # Errors
    /// [`EvaluateError::NotAnEvaluation`], [`EvaluateError::Folder`].
    pub fn protocol_in(folder: &Path) -> Result<Option<Protocol>, EvaluateError> {
        if let Some(there) = Self::protocol_at(&folder.join(PROTOCOL))? {
            return Ok(Some(there));
        }
        // What another process is about to write, or has left, counts for nothing.
        let is_empty =
            std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().all(|entry| is_hidden(&entry.path())));
        if is_empty || !folder.exists() {
            return Ok(None);
        }
        // Another process may have begun since it was looked for.
        let there = Self::protocol_at(&folder.join(PROTOCOL))?;
        there.map(Some).ok_or_else(|| EvaluateError::NotAnEvaluation { folder: folder.to_owned(), file: PROTOCOL })
    }

    fn protocol_at(path: &Path) -> Result<Option<Protocol>, EvaluateError> {
        let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
        Ok(toml::from_str(&text).map_err(|error| FolderError::damaged(path)(error.message())).map(Some)?)
    }

    /// The finished reconstructions.
    #[must_use]
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Takes in what other processes have finished.
    ///
    /// # Errors
    /// [`EvaluateError::Folder`].
    pub fn refresh(&mut self) -> Result<(), EvaluateError> {
        self.results = self.results.again()?;
        Ok(())
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

    /// Does those of `jobs` that have not been done. The first that is left is made together with the next ones of its
    /// contender, `at_once` on the CPU and as many as fit on a GPU, until none is left. `observe` is called for each
    /// job at the end of its batch, and with `None` while one is under way; breaking ends all at their next iterates,
    /// and what was not finished is not kept.
    ///
    /// # Errors
    /// The first error of any job, or of the device; rows of batches finished before are kept.
    pub fn run(
        &mut self,
        jobs: &[Job],
        at_once: usize,
        observe: &mut dyn FnMut(Option<&Job>) -> ControlFlow<()>,
    ) -> Result<RunEnd, EvaluateError> {
        let mut pending = self.pending(jobs);
        let most = if matches!(self.opened, Opened::Cuda(_)) { MOST_ON_GPU } else { at_once.max(1) };
        while let Some(first) = pending.first().copied() {
            let suits = |job: &Job| job.contender.key == first.contender.key;
            let (mut batch, mut rest) = (Vec::new(), Vec::new());
            for job in pending {
                if batch.len() < most && suits(&job) { batch.push(job) } else { rest.push(job) }
            }
            // Rows of other processes came in with the last ones that were kept.
            pending = self.pending(&rest);
            let batch = self.pending(&batch);
            if batch.is_empty() {
                continue;
            }
            let Some(rows) = self.bench().rows(&batch, &self.prior(), &mut || observe(None))? else {
                return Ok(RunEnd::Stopped);
            };
            rows.into_iter().try_for_each(|row| self.results.add(row))?;
            // All of them are told, also when one answers that it is the end.
            let told: Vec<ControlFlow<()>> = batch.iter().map(|job| observe(Some(job))).collect();
            if told.contains(&ControlFlow::Break(())) {
                return Ok(RunEnd::Stopped);
            }
        }
        Ok(RunEnd::Done)
    }

    fn bench(&self) -> Bench<'_> {
        Bench { dataset: &self.dataset, protocol: &self.protocol }
    }

    fn prior(&self) -> PlacedPrior<'_> {
        PlacedPrior { prior: &self.prior, opened: self.opened.clone() }
    }

    /// One reconstruction with its course, for figures: truth, measurement, settings, result.
    ///
    /// # Errors
    /// [`EvaluateError`] says which image, start or file.
    pub fn reconstruct(
        &self,
        job: &Job,
        observer: Observer<'_>,
    ) -> Result<(Image, Measurement, Reconstruction), EvaluateError> {
        let (truth, measurement) = self.bench().scanned(job.image)?;
        let settings = self.bench().settings(job, &measurement)?;
        let result = reconstruct(&measurement, &settings, Some(&self.prior()), observer)?;
        Ok((truth, measurement, result))
    }
}

#[cfg(test)]
mod tests;
