//! The slices of a series under way: prepared one by one, computed in batches, kept as they are done.

use super::super::files::dicom_words;
use super::super::finished::Finished;
use super::super::prepared::Prepared;
use crate::config::RunConfig;
use crate::ending::Failure;
use crate::problem;
use crate::terminal::Terminal;
use gradus::data::image_files::{Derivation, write_dicom};
use gradus::data::make_folder;
use gradus::memory;
use gradus::ranks::Ranks;
use gradus::reconstruct::{Job, PlacedPrior, Progress, ReconstructError, Reconstruction, reconstruct_all};
use gradus::series::{Record, SeriesFolder, Slice, Source, Volume};
use miette::{IntoDiagnostic, WrapErr};
use std::ops::{ControlFlow, Range};
use std::time::Instant;

/// The folder of DICOM slices.
const DICOM: &str = "dicom";
/// Shares of the memory that can be had that a batch may take.
const SHARES: u64 = 4;

/// A series under way.
pub struct Work<'a> {
    /// The run of every slice, but for its seeds.
    pub run: RunConfig,
    pub source: Source,
    pub range: Range<usize>,
    /// Attenuation in 1/mm of network unit 1, for scans that do not say it.
    pub scale: f64,
    pub placed: Option<PlacedPrior<'a>>,
    pub folder: SeriesFolder,
    pub volume: Volume,
    /// The settings of all slices: those of one run make one DICOM series.
    pub of_series: String,
}

/// The run of a slice: its seeds are those of the series and its number in the series, whatever it is made beside.
pub fn slice_run(run: &RunConfig, slice: usize) -> RunConfig {
    let mut own = run.clone();
    let number = slice as u64;
    own.simulation.seed = own.simulation.seed.wrapping_add(number);
    own.reconstruction.seed_mut().into_iter().for_each(|seed| *seed = seed.wrapping_add(number));
    own
}

impl Work<'_> {
    /// The number of slices that are well made together.
    pub fn at_once(&self, probe: &Prepared) -> Result<usize, Failure> {
        let Some(placed) = &self.placed else { return Ok(1) };
        let geometry = &probe.job().measurement.geometry;
        let most = placed.at_once(geometry).into_diagnostic()?;
        let of_one = memory::of_prior(placed.prior, geometry.image_len() as u64).max(1);
        let fitting = memory::available().map_or(most, |bytes| (bytes / SHARES / of_one) as usize);
        Ok(most.min(fitting).max(1))
    }

    /// Makes all slices that have not been made, `most` at a time, until `is_stopped`. Ranks take from the same heap.
    pub fn all(
        &mut self,
        most: usize,
        (terminal, ranks): (&Terminal, &Ranks),
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let bar = terminal.progress(self.range.len() as u64, "slices");
        let done = self.folder.records(self.range.clone()).into_diagnostic()?;
        // What failed may have had its reason outside of the series.
        let done: Vec<usize> = done.iter().filter(|record| !record.failed).map(|record| record.slice).collect();
        let mut pending = self.range.clone().filter(|slice| done.binary_search(slice).is_err());
        bar.set_position(done.len() as u64);
        bar.reset_eta();
        loop {
            let batch = self.next(&mut pending, most, ranks)?;
            if batch.is_empty() || is_stopped() {
                break;
            }
            let told = self.batch(&batch, is_stopped)?;
            bar.inc(batch.len() as u64);
            bar.set_message(told);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The next slices that nobody works on.
    fn next(
        &self,
        pending: &mut dyn Iterator<Item = usize>,
        most: usize,
        ranks: &Ranks,
    ) -> Result<Vec<usize>, Failure> {
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(slice) = pending.next()
        {
            if ranks.count() == 1 || self.folder.claim(slice).into_diagnostic()? {
                batch.push(slice);
            }
        }
        Ok(batch)
    }

    /// Makes some slices together; what is to be said about them. Of those that were stopped nothing is kept.
    fn batch(&mut self, slices: &[usize], is_stopped: &dyn Fn() -> bool) -> Result<String, Failure> {
        let mut prepared = Vec::new();
        for &slice in slices {
            match self.prepare(slice) {
                Ok(ready) => prepared.push((slice, ready)),
                Err(failure) => self.fail(slice, &failure)?,
            }
        }
        let jobs: Vec<Job<'_>> = prepared.iter().map(|(_, ready)| ready.job()).collect();
        let go_on = || if is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let begin = Instant::now();
        let results = reconstruct_all(&jobs, self.placed.as_ref(), &mut |_: Progress<'_>| go_on()).into_diagnostic()?;
        let seconds = begin.elapsed().as_secs_f64() / slices.len() as f64;
        if !is_stopped() {
            for ((slice, ready), result) in prepared.into_iter().zip(results) {
                self.keep_or_fail(slice, ready, result, seconds)?;
            }
        }
        Ok(format!("{seconds:.2} s a slice"))
    }

    /// A slice before it is computed.
    fn prepare(&mut self, slice: usize) -> Result<Prepared, Failure> {
        let mut run = slice_run(&self.run, slice);
        let mut read = self.source.read(slice).into_diagnostic()?;
        if let Slice::Scan(scan) = &mut read {
            scan.attenuation_per_unit_per_mm.get_or_insert(self.scale);
        }
        let problem = problem::problem_of(&mut run, read)?;
        let ([_, height, width], geometry) = (self.volume.shape(), &problem.scan.geometry);
        if (geometry.height, geometry.width) != (height, width) {
            let (rows, cols) = (geometry.height, geometry.width);
            miette::bail!("the slice has {rows} x {cols} pixels, others {height} x {width}");
        }
        Prepared::looked_at(run, problem, self.placed.as_ref().map(|placed| placed.prior))
    }

    fn keep_or_fail(
        &self,
        slice: usize,
        ready: Prepared,
        result: Result<Reconstruction, ReconstructError>,
        seconds: f64,
    ) -> Result<(), Failure> {
        match result {
            // The device may be there again when the same command is given again.
            Err(error @ (ReconstructError::Device(_) | ReconstructError::Cuda(_))) => Err(error).into_diagnostic(),
            Err(error) => self.fail(slice, &Failure::from_err(error)),
            Ok(result) => {
                let prior = self.placed.as_ref().map(|placed| placed.prior);
                self.keep(slice, &ready.finish((result, None), prior, Vec::new(), seconds)?)
            }
        }
    }

    /// Keeps an image, and then the record that says that it is there.
    fn keep(&self, slice: usize, finished: &Finished) -> Result<(), Failure> {
        let image = finished.unit.express(&finished.result.image);
        let written = self.volume.write(slice - self.range.start, Some(&image));
        written.into_diagnostic().wrap_err_with(|| format!("cannot write slice {slice} of the volume"))?;
        let mut warnings = finished.problem.scan.warnings.clone();
        warnings.extend(finished.own_warnings());
        if let Some(source) = &finished.problem.dicom {
            let path = self.folder.path().join(DICOM).join(format!("{slice:05}.dcm"));
            if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
                make_folder(folder)
                    .map(drop)
                    .or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })
                    .into_diagnostic()?;
            }
            let words = dicom_words(finished);
            let written =
                write_dicom(path, &image, source, Derivation { words: &words, run: &self.of_series, behind: 0 });
            warnings.extend(written.unwrap_or_else(|error| Some(format!("there is no DICOM file: {error}"))));
        }
        self.folder.keep(&record(slice, finished, warnings)).into_diagnostic()
    }

    /// Keeps the record of a slice that cannot be made.
    fn fail(&self, slice: usize, failure: &Failure) -> Result<(), Failure> {
        let status = failure.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        self.volume.write(slice - self.range.start, None).into_diagnostic()?;
        self.folder.keep(&Record { slice, status, failed: true, ..Record::default() }).into_diagnostic()
    }
}

/// The record of a slice.
fn record(slice: usize, finished: &Finished, warnings: Vec<String>) -> Record {
    let (result, quality) = (&finished.result, finished.quality(&finished.result.image));
    let counters = result.counters;
    let number = |value: Option<f64>| value.filter(|value| value.is_finite());
    Record {
        slice,
        status: finished.status(),
        reached_goal: finished.reached_goal(),
        failed: false,
        psnr: number(quality.map(|quality| quality.psnr)),
        ssim: number(quality.map(|quality| quality.ssim)),
        nrmse: number(quality.map(|quality| quality.nrmse)),
        chi_squared: number(result.residual.as_ref().map(|residual| residual.chi_squared())),
        iterations: result.iterations,
        network_forwards: counters.network_forwards,
        network_vjps: counters.network_vjps,
        projections: counters.projections,
        place_mm: finished.problem.dicom.as_ref().and_then(|source| source.place_mm()),
        warnings,
    }
}
