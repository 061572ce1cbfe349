//! `gradus reconstruct`: the main job.

use crate::config::RunConfig;
use crate::ending::{End, Failure};
use crate::problem::{self, Problem, Unit};
use crate::run_folder::RunFolder;
use crate::terminal::{Terminal, stop_flag};
pub use arguments::Arguments;
use choice::{Choice, choose};
pub use files::SUMMARY;
use finished::Finished;
use gradus::ct::Geometry;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::ranks::Ranks;
use gradus::reconstruct::{Job, Progress, cut_to, field_of, reconstruct};
use gradus::trust::Field;
use miette::IntoDiagnostic;
use prepared::Prepared;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

mod arguments;
mod belief;
mod causes;
mod certificate;
mod choice;
mod evidence;
mod files;
mod findings;
mod finished;
mod fit;
mod judgement;
mod page;
mod parts;
mod prepared;
mod series;
mod settings;
mod statements;

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal, ranks: &Ranks) -> Result<End, Failure> {
    let mut run = arguments.run_config()?;
    run.check()?;
    if let Some(slices) = run.slices {
        return series::run(arguments, (run, slices), terminal, ranks);
    }
    if ranks.count() > 1 {
        miette::bail!("a single slice is made by one process; start it without mpirun, or give a series with --slices");
    }
    let mut problem = problem::problem(&mut run)?;
    if let Some(flag) = arguments.simulation.given().filter(|_| !problem.simulated) {
        let (input, instead) = (&run.input, "--every-view N takes every N-th of its views");
        miette::bail!("{flag} is for images, which are scanned first, and {input} is a scan already; {instead}");
    }
    let field = field_of(&problem.scan).into_diagnostic()?;
    problem.scan.warnings.extend(field.warnings());
    problem.scan.warnings.iter().for_each(|warning| terminal.warn(warning));
    let name = format!("{}-{}", problem.name, run.reconstruction.method());
    let folder = RunFolder::claim(arguments.output.as_deref(), &name)?;
    let finished = compute(run, problem, field, terminal)?;
    finished.own_warnings().for_each(|warning| terminal.warn(&warning));
    let merits = finished.merits();
    let folder = match files::write(&finished, merits, &folder) {
        Ok(warnings) => {
            warnings.iter().for_each(|warning| terminal.warn(warning));
            folder.finish()?
        }
        Err(failure) => {
            return Err(match folder.keep("image.npy") {
                Some(kept) => failure.wrap_err(format!("not all can be written; the image is in {}", kept.display())),
                None => failure,
            });
        }
    };
    let mut summary = files::summary_json(&finished, merits.result);
    summary["output"] = folder.display().to_string().into();
    terminal.report(&summary)?;
    terminal.say(&files::summary_text(&finished, merits, &folder))?;
    Ok(if finished.reached_goal() { End::Done } else { End::Unfinished })
}

/// The image to compare with that a run names.
fn read_truth(path: &Path, unit: Unit, geometry: &Geometry) -> Result<Image, Failure> {
    let truth = problem::truth(path, unit)?;
    if (truth.height, truth.width) != (geometry.height, geometry.width) {
        let (path, height, width) = (path.display(), geometry.height, geometry.width);
        miette::bail!("{path} is {} x {}, the result {height} x {width} pixels", truth.height, truth.width);
    }
    Ok(truth)
}

fn compute(mut run: RunConfig, problem: Problem, field: Field, terminal: &Terminal) -> Result<Finished, Failure> {
    let stop = stop_flag()?;
    let go_on = || if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let Choice { prior, tried } = choose(&mut run, &problem.scan, &mut |_| go_on())?;
    let mut prepared = Prepared::new(run, problem, field, prior.as_ref())?;
    prepared.tried = tried;
    let unit = prepared.unit;
    if let Some(path) = &prepared.run.truth {
        prepared.problem.scan.truth = Some(read_truth(path, unit, &prepared.problem.scan.geometry)?);
    }
    let settings = &prepared.run.reconstruction;
    let bar = terminal.progress(0, &settings.method().to_string());
    let truth = prepared.problem.scan.truth.as_ref();
    let (mut psnrs, mut iterate) = (Vec::new(), prepared.blank());
    let mut observe = |progress: Progress<'_>| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        if let Some(truth) = truth {
            (progress.copy_iterate)(&mut iterate.pixels);
            let value = psnr(truth, &cut_to(&iterate, truth.height, truth.width), finished::range(truth, unit))
                .unwrap_or(f64::NAN);
            bar.set_message(format!("PSNR {value:.2} dB"));
            psnrs.push(value);
        }
        go_on()
    };
    let begin = Instant::now();
    let placed = prior.as_ref().map(|prior| prepared.place(prior, 1)).transpose()?;
    let Job { measurement, settings } = prepared.job();
    let result = reconstruct(measurement, settings, placed.as_ref(), &mut observe).into_diagnostic()?;
    let seconds = begin.elapsed().as_secs_f64();
    let reduced = prepared.reduced(&result, placed.as_ref(), &mut |_| go_on())?;
    bar.finish_and_clear();
    prepared.finish((result, reduced), prior.as_ref(), psnrs, seconds)
}
