//! `gradus reconstruct`: the main job.

use crate::config::RunConfig;
use crate::ending::{End, Failure};
use crate::problem::{self, Problem, Unit};
use crate::run_folder::RunFolder;
use crate::terminal::{Terminal, stop_flag};
pub use arguments::Arguments;
use finished::Finished;
use gradus::ct::{Geometry, Window};
use gradus::data::scan::Scan;
use gradus::image::Image;
use gradus::memory;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, PlacedPrior, Progress, Settings, cut_to, in_field, reconstruct, rival};
use gradus::trust::Field;
use miette::IntoDiagnostic;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

mod arguments;
mod certificate;
mod files;
mod finished;
mod fit;
mod judgement;
mod page;
mod settings;

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    let mut run = arguments.run_config()?;
    run.check()?;
    let mut problem = problem::problem(&mut run)?;
    if let Some(flag) = arguments.simulation.given().filter(|_| !problem.simulated) {
        let (input, instead) = (&run.input, "--every-view N takes every N-th of its views");
        miette::bail!("{flag} is for images, which are scanned first, and {input} is a scan already; {instead}");
    }
    let field = Field::of(&problem.scan.geometry, &problem.scan.sinogram, problem.scan.photons).into_diagnostic()?;
    problem.scan.warnings.extend(field.warnings());
    problem.scan.warnings.iter().for_each(|warning| terminal.warn(warning));
    let name = format!("{}-{}", problem.name, run.reconstruction.method());
    let folder = RunFolder::claim(arguments.output.as_deref(), &name)?;
    let finished = compute(run, problem, field, terminal)?;
    finished.own_warnings().for_each(|warning| terminal.warn(&warning));
    let folder = match files::write(&finished, &folder) {
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
    let quality = finished.quality(&finished.result.image);
    terminal.report(&files::summary_json(&finished, quality, &folder))?;
    terminal.say(&files::summary_text(&finished, quality, &folder))?;
    Ok(if finished.reached_goal() { End::Done } else { End::Unfinished })
}

/// The prior of a learned method, named in `run` from then on.
fn prior(run: &mut RunConfig, scan: &Scan) -> Result<Option<Prior>, Failure> {
    if !run.reconstruction.method().is_learned() {
        return Ok(None);
    }
    // A scan that does not say what suits it is taken to be of a body.
    let named = run.prior.take().or_else(|| scan.prior.clone());
    let prior = problem::prior(run.prior.insert(named.unwrap_or_else(|| Unit::Hounsfield.prior().to_owned())))?;
    let bytes = memory::of_prior(&prior, scan.geometry.image_len() as u64);
    memory::check("this prior on an image of this size", bytes, "take a smaller image, or --method tv or fbp")
        .into_diagnostic()?;
    Ok(Some(prior))
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

fn measured(scan: &Scan, prior: Option<&Prior>) -> Result<Measurement, Failure> {
    memory::check("this scan", memory::of_scan(&scan.geometry), "take a coarser image").into_diagnostic()?;
    prior.map_or_else(|| Measurement::new(scan), |prior| Measurement::suiting(scan, prior)).into_diagnostic()
}

fn compute(mut run: RunConfig, mut problem: Problem, field: Field, terminal: &Terminal) -> Result<Finished, Failure> {
    let scan = in_field(&problem.scan, &field);
    let prior = prior(&mut run, &scan)?;
    let measurement = measured(&scan, prior.as_ref())?.within(&field);
    if let Some(prior) = &prior {
        run.reconstruction = run.reconstruction.clone().suiting(prior, &measurement);
    }
    let settings = &run.reconstruction;
    let unit = problem.unit.unwrap_or(Unit::Attenuation(measurement.attenuation_per_unit));
    let window = if let Settings::Fbp(own) = settings { own.window } else { Window::Hann };
    let fbp = measurement.filtered_backprojection(window).into_diagnostic()?;
    if let Some(path) = &run.truth {
        problem.scan.truth = Some(read_truth(path, unit, &problem.scan.geometry)?);
    }
    let (bar, stop) = (terminal.progress(0, &settings.method().to_string()), stop_flag()?);
    let truth = problem.scan.truth.as_ref();
    let (mut psnrs, mut iterate) = (Vec::new(), Image::zeros(fbp.height, fbp.width));
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
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let begin = Instant::now();
    let (device, precision) = (run.device.unwrap_or_default(), run.precision.unwrap_or_default());
    let open = |prior| PlacedPrior::open_for(&measurement.geometry, prior, device, precision);
    let placed = prior.as_ref().map(open).transpose().into_diagnostic()?;
    let result = reconstruct(&measurement, settings, placed.as_ref(), &mut observe).into_diagnostic()?;
    bar.finish_and_clear();
    let seconds = begin.elapsed().as_secs_f64();
    let rival = rival(&measurement, settings.method(), &result, &fbp).into_diagnostic()?;
    if prior.is_some() {
        // So that the file of the run repeats it on the same device, with the same factors.
        (run.device, run.precision) = (Some(result.device), Some(result.precision));
    }
    Ok(Finished { run, problem, measurement, unit, result, rival, field, psnrs, fbp, seconds }.cut())
}
