//! The files of a run folder, and its summaries.

use super::finished::{Finished, Merits, Quality};
use super::{certificate, fit, page, parts, statements};
use crate::config::RunConfig;
use crate::ending::Failure;
use crate::run_folder::RunFolder;
use gradus::data::image_files::{Derivation, write_dicom, write_npy, write_png16};
use gradus::data::write_atomically;
use gradus::image::GreyWindow;
use gradus::report::picture_strip;
use gradus_core::Outcome;
use miette::IntoDiagnostic;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// The file of a run folder with what `--json` prints.
pub const SUMMARY: &str = "summary.json";
/// Screen pixels a pixel in the strip of pictures.
const MAGNIFICATION: usize = 2;

/// Writes everything; returns what is to be said about it.
pub fn write(finished: &Finished, merits: Merits, folder: &RunFolder) -> Result<Vec<String>, Failure> {
    let image = finished.unit.express(&finished.result.image);
    let window = window(finished);
    write_npy(folder.file("image.npy"), &image).into_diagnostic()?;
    write_png16(folder.file("image.png"), &finished.result.image, window).into_diagnostic()?;
    if let Some(deviation) = &finished.result.deviation {
        write_npy(folder.file("deviation.npy"), &finished.unit.express_difference(deviation)).into_diagnostic()?;
    }
    parts::write(finished, folder)?;
    let (words, run) = derivation(finished)?;
    let warning = match &finished.problem.dicom {
        Some(source) => {
            let own = Derivation { words: &words, run: &run, behind: 0 };
            let written = write_dicom(folder.file("image.dcm"), &image, source, own);
            // The image stands in other files, too: no run is thrown away for this one.
            written.unwrap_or_else(|error| Some(format!("there is no image.dcm: {error}")))
        }
        None => None,
    };
    if finished.problem.simulated {
        finished.problem.scan.write(folder.file("scan.npz")).into_diagnostic()?;
    }
    if !finished.result.trace.is_empty() {
        folder.write("trace.csv", &trace_csv(finished))?;
    }
    let toml = finished.run.clone().seen_from(folder.path()).to_toml()?;
    folder.write("run.toml", &toml)?;
    let summary = summary_json(finished, merits.result);
    folder.write(SUMMARY, &format!("{summary:#}\n"))?;
    let pictures = page::pictures(finished, merits, window);
    let strip = picture_strip(&pictures, MAGNIFICATION).into_diagnostic()?;
    write_atomically(&folder.file("pictures.png"), &strip).into_diagnostic()?;
    page::report(finished, merits.result, pictures, toml).write(folder.file("report.html")).into_diagnostic()?;
    let of_interval = statements::write(finished, folder, (&words, &run))?;
    Ok(warning.into_iter().chain(of_interval).collect())
}

/// The derivation of the image, for its DICOM file: in words, and all settings but the number of the slice.
fn derivation(finished: &Finished) -> Result<(String, String), Failure> {
    let of_series = RunConfig { input: String::new(), ..finished.run.clone() };
    Ok((dicom_words(finished), of_series.to_toml()?))
}

/// The origin of the image, in a few words.
pub fn dicom_words(finished: &Finished) -> String {
    let (run, simulation) = (&finished.run, &finished.run.simulation);
    let origin = match simulation.photons {
        _ if !finished.problem.simulated => String::new(),
        Some(photons) => format!("simulated, {photons:e} photons, "),
        None => format!("simulated, {:.3} % noise, ", 100.0 * simulation.noise),
    };
    let views = finished.problem.scan.geometry.angles_rad.len();
    format!("{origin}{views} views, {}", run.reconstruction.method())
}

/// The grey window of every picture: that of the truth where it is known, else of the result.
fn window(finished: &Finished) -> GreyWindow {
    let (low, high) = finished.problem.scan.truth.as_ref().unwrap_or(&finished.result.image).range();
    GreyWindow::new(low, high)
}

fn trace_csv(finished: &Finished) -> String {
    let mut csv = String::from(
        "iteration,t,outcome,step,trials,gradient_norm,direction_norm,slope,descent_cosine,change,objective,psnr,\
         network_forwards,network_vjps,projections,unsolved\n",
    );
    for (k, row) in finished.result.trace.iter().enumerate() {
        let (r, c) = (&row.record, row.counters);
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let change = optional(r.change.map(f64::from));
        let psnr = optional(finished.psnrs.get(k).copied());
        // The approach does not look at f, nor at its gradient.
        let of_f = |value: f32| optional((r.outcome != Outcome::Approach).then_some(value.into()));
        let outcome = match r.outcome {
            Outcome::Step => "step",
            Outcome::NotDescent => "not-descent",
            Outcome::NoTrialPassed => "no-trial-passed",
            Outcome::Approach => "approach",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            csv,
            "{},{},{outcome},{},{},{},{},{},{},{change},{},{psnr},{},{},{},{}",
            r.iteration,
            r.t,
            r.step,
            r.trials,
            of_f(r.gradient_norm),
            of_f(r.direction_norm),
            of_f(r.slope),
            of_f(r.descent_cosine()),
            optional(row.objective),
            c.network_forwards,
            c.network_vjps,
            c.projections,
            r.unsolved
        );
    }
    csv
}

/// The object that `--json` prints, but for the folder.
pub fn summary_json(finished: &Finished, quality: Option<Quality>) -> Value {
    let (result, counters) = (&finished.result, finished.result.counters);
    let hounsfield = quality.and_then(|quality| quality.hounsfield);
    let [interval, training] = statements::json(finished);
    json!({
        "status": finished.status(),
        "method": finished.run.reconstruction.method(),
        "input": finished.run.input,
        "prior": finished.run.prior,
        "unit": finished.unit.name(),
        "pixel_mm": finished.problem.scan.geometry.pixel_mm,
        "iterations": result.iterations,
        "psnr": quality.map(|quality| quality.psnr),
        "ssim": quality.map(|quality| quality.ssim),
        "data_range": quality.map(|quality| quality.range),
        "nrmse": quality.map(|quality| quality.nrmse),
        "rmse_hu": hounsfield.map(|[rmse, _]| rmse),
        "soft_tissue_psnr": hounsfield.map(|[_, psnr]| psnr),
        "fit": fit::json(finished),
        "held_out": fit::held_out_json(finished),
        "priors_tried": fit::tried_json(finished),
        "parts": parts::json(finished),
        "field": {
            "beyond_detector": finished.field.beyond_detector,
            "grid": finished.field.wider,
            "dead_bins": finished.field.dead_bins,
            "dark_rays": finished.field.dark_rays.len(),
        },
        "interval": interval,
        "training": training,
        "objective": result.objective,
        "gradient_norm": result.certificate.map(|certificate| certificate.gradient_norm),
        "certificate": result.certificate.as_ref().map(certificate::json),
        "network_forwards": counters.network_forwards,
        "network_vjps": counters.network_vjps,
        "projections": counters.projections,
        "device": result.device,
        "precision": result.precision,
        "traffic": result.traffic,
        "seconds": finished.seconds,
    })
}

/// The lines that people read.
pub fn summary_text(finished: &Finished, merits: Merits, folder: &Path) -> String {
    let method = finished.run.reconstruction.method();
    let mut text = format!(
        "{method} on {}: {} after {} iterations, {:.1} s",
        finished.run.input,
        finished.status(),
        finished.result.iterations,
        finished.seconds
    );
    if let (Some(result), Some(fbp)) = (merits.result, merits.fbp) {
        let line = |q: Quality| {
            let in_hu = |[rmse, psnr]: [f64; 2]| format!("; RMSE {rmse:.1} HU, PSNR {psnr:.1} dB in -160 to 240 HU");
            let in_hu = q.hounsfield.map_or_else(String::new, in_hu);
            let range = q.range_in(finished.unit);
            format!("PSNR {:.2} dB, SSIM {:.3} (range {range}), NRMSE {:.4}{in_hu}", q.psnr, q.ssim, q.nrmse)
        };
        let _ = write!(text, "\n  {}\n  {} by filtered backprojection", line(result), line(fbp));
    }
    let of_fit = [
        Some(fit::text(finished)),
        fit::reduced_text(finished),
        fit::held_out_text(finished),
        fit::tried_text(finished),
    ];
    for line in of_fit.iter().chain(&[parts::text(finished)]).flatten() {
        let _ = write!(text, "\n  {line}");
    }
    statements::text(finished).iter().for_each(|line| text.extend(["\n  ", line]));
    if let Some(certificate) = &finished.result.certificate {
        let _ = write!(text, "\n  {}", certificate::text(certificate));
    }
    let _ = write!(text, "\n  report: {}", folder.join("report.html").display());
    text
}
