//! `gradus reconstruct --slices`: a series, slice by slice, resumable.

use super::arguments::{Arguments, Format};
use super::choice::choose;
use super::prepared::Prepared;
use crate::claim::Claim;
use crate::config::RunConfig;
use crate::ending::{End, Failure};
use crate::problem::{self, Problem};
use crate::terminal::{Terminal, stop_flag};
use gradus::data::samples::Sample;
use gradus::paper::tables::checksum;
use gradus::prior::Prior;
use gradus::ranks::Ranks;
use gradus::reconstruct::PlacedPrior;
use gradus::series::{SeriesFolder, SliceRange, Source, Volume};
use miette::{IntoDiagnostic, WrapErr, miette};
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;
use summary::Summary;
use toml::Table;
use work::{Work, slice_run};

/// Slices that are tried in place of the middle one.
const MOST_TRIED: usize = 16;

mod page;
mod summary;
mod work;

/// Runs the command.
pub fn run(
    arguments: &Arguments,
    (mut run, slices): (RunConfig, SliceRange),
    terminal: &Terminal,
    ranks: &Ranks,
) -> Result<End, Failure> {
    refuse(&run)?;
    let mut source = Source::open(&run.input, run.unit, &run.raw).into_diagnostic()?;
    if let (Some(flag), false) = (arguments.simulation.given(), matches!(source, Source::Images(_))) {
        miette::bail!("{flag} is for images, which are scanned first, and {} holds scans already", run.input);
    }
    let range = slices.within(source.n_slices()).into_diagnostic()?;
    source.doubts().iter().for_each(|doubt| terminal.warn(doubt));
    let asked = run.clone();
    let (prior, probe) = probe(&mut run, &mut source, &range)?;
    let placed = prior.as_ref().map(|prior| probe.place(prior, range.len())).transpose()?;
    placed.iter().filter_map(|placed| placed.opened.warning()).for_each(|warning| terminal.warn(warning));
    // Held to the end: of two runs in one folder, each would clear the other's claims.
    let claim = if ranks.is_first() { Some(claim(arguments.output.as_deref(), &probe)?) } else { None };
    let shown = claim.as_ref().map_or(Path::new(""), |claim| claim.shown());
    let shown = PathBuf::from(ranks.text_of_first(&shown.to_string_lossy()));
    let path = fs::canonicalize(&shown).into_diagnostic()?;
    let settings = settings(asked.seen_from(&path), &probe, placed.as_ref(), &source)?;
    let open = || open(&path, &settings, &probe, range.len());
    if ranks.is_first() {
        open()?.0.clear().into_diagnostic()?;
    }
    ranks.wait();
    let (folder, volume) = open()?;
    let of_series = toml::to_string(&settings).into_diagnostic()?;
    let mut work = Work { run, source, range, scale: probe.scale(), placed, folder, volume, of_series };
    let (begin, stop) = (Instant::now(), stop_flag()?);
    let most = work.at_once(&probe)?;
    work.all(most, (terminal, ranks), &|| stop.load(Ordering::SeqCst))?;
    ranks.wait();
    if !ranks.is_first() {
        return Ok(End::Done);
    }
    let summary = Summary::new(&work, &probe, &shown, begin.elapsed().as_secs_f64())?;
    if summary.is_complete() {
        work.volume.finish().into_diagnostic()?;
        if arguments.format == Some(Format::Nifti) {
            summary.write_nifti(&mut work, &probe)?;
            if !summary.is_even() {
                terminal.warn("slices are not evenly apart: volume.nii has no place in the patient's coordinates");
            }
        }
        page::write(&summary, &work, &probe)?;
    }
    summary.tell(terminal)?;
    Ok(if summary.reached_goal() { End::Done } else { End::Unfinished })
}

/// Refuses what is for one slice.
fn refuse(run: &RunConfig) -> Result<(), Failure> {
    if Sample::parse(&run.input).is_some() {
        return Err(miette!("{} is a single image; leave out --slices", run.input));
    }
    if run.truth.is_some() {
        return Err(miette!(
            "--truth is for one slice; images of a series are their own truth, and scans have a field"
        ));
    }
    Ok(())
}

/// The middle slice, or the nearest to it that can be read, with its run.
fn nearest_the_middle(
    run: &RunConfig,
    source: &mut Source,
    range: &Range<usize>,
) -> Result<(RunConfig, Problem), Failure> {
    let middle = range.start + range.len() / 2;
    let mut by_distance: Vec<usize> = range.clone().collect();
    by_distance.sort_by_key(|slice| slice.abs_diff(middle));
    let mut of = |slice: usize| {
        let mut own = slice_run(run, slice);
        let problem = problem::problem_of(&mut own, source.read(slice).into_diagnostic()?)?;
        Ok((own, problem))
    };
    let first = of(middle);
    if first.is_ok() {
        return first;
    }
    let other = by_distance.into_iter().skip(1).take(MOST_TRIED).find_map(|slice| of(slice).ok());
    other.map_or_else(|| first.wrap_err_with(|| format!("slice {middle} and those beside it")), Ok)
}

/// The middle slice, ready to be computed: what all slices share is taken from it, and goes into `run`. That is the
/// prior, the rotation axis and the polynomial where they are to be found, and the size of the image.
fn probe(run: &mut RunConfig, source: &mut Source, range: &Range<usize>) -> Result<(Option<Prior>, Prepared), Failure> {
    let (own, problem) = nearest_the_middle(run, source, range)?;
    run.detector_offset_mm = own.detector_offset_mm;
    run.hardening.clone_from(&own.hardening);
    let prior = choose(run, &problem.scan, &mut |_| ControlFlow::Continue(()))?.prior;
    let prepared = Prepared::looked_at(own, problem, prior.as_ref())?;
    Ok((prior, prepared))
}

/// The folder of the series: the one that is named, new, empty or with a series to go on with, or else a new one.
fn claim(named: Option<&Path>, probe: &Prepared) -> Result<Claim, Failure> {
    match named {
        Some(path) if SeriesFolder::is_at(path) => Claim::resume(path),
        named => Claim::take(named, &format!("{}-{}", probe.problem.name, probe.run.reconstruction.method())),
    }
}

/// The series in its folder, with as much of it as is done.
fn open(path: &Path, settings: &Table, probe: &Prepared, n_slices: usize) -> Result<(SeriesFolder, Volume), Failure> {
    let folder = SeriesFolder::open(path, settings).into_diagnostic()?;
    let geometry = &probe.problem.scan.geometry;
    let is_begun = folder.is_begun().into_diagnostic()?;
    let volume = Volume::open(path, [n_slices, geometry.height, geometry.width], is_begun);
    Ok((folder, volume.into_diagnostic().wrap_err("cannot write the volume")?))
}

/// The checksum of a slice as it was read: another one in its place is another series.
fn contents(problem: &Problem) -> String {
    let truth = problem.scan.truth.iter().flat_map(|truth| &truth.pixels);
    let bytes: Vec<u8> = problem.scan.sinogram.iter().chain(truth).flat_map(|value| value.to_le_bytes()).collect();
    checksum(&bytes)
}

/// All that decides the bits of the slices.
fn settings(
    asked: RunConfig,
    probe: &Prepared,
    placed: Option<&PlacedPrior<'_>>,
    source: &Source,
) -> Result<Table, Failure> {
    let mut settings = Table::new();
    let geometry = &probe.problem.scan.geometry;
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    settings.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    settings.insert("kind".into(), source.kind().into());
    settings.insert("slices_there".into(), number(source.n_slices()).into());
    settings.insert("middle_slice_checksum".into(), contents(&probe.problem).into());
    settings.insert("size".into(), vec![number(geometry.height), number(geometry.width)].into());
    if let Some(placed) = placed {
        // Which GPU it is does not matter.
        let device = placed.opened.choice().to_string();
        let device = device.split(':').next().unwrap_or_default().to_owned();
        settings.insert("device".into(), device.into());
        settings.insert("precision".into(), placed.opened.precision().to_string().into());
        settings.insert("prior_checksum".into(), checksum(&problem::prior_bytes(placed.prior.name())?).into());
    }
    let run = RunConfig { device: None, precision: None, ..asked };
    settings.insert("run".into(), Table::try_from(&run).into_diagnostic()?.into());
    Ok(settings)
}
