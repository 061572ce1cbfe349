//! The files of a run folder, and its summaries.

use super::*;
use gradus::report::{Curve, Picture, Report, picture_strip};
use gradus_core::Outcome;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Writes everything; returns the folder.
pub fn write(finished: &Finished, folder: RunFolder) -> Result<PathBuf, Failure> {
    let image = finished.unit.from_network(&finished.result.image);
    let window = window(finished);
    write_npy(folder.file("image.npy"), &image).into_diagnostic()?;
    write_png16(folder.file("image.png"), &finished.result.image, window).into_diagnostic()?;
    if let Some(source) = &finished.problem.dicom {
        write_dicom(source, &image, folder.file("image.dcm")).into_diagnostic()?;
    }
    if finished.problem.simulated {
        write_scan(folder.file("scan.npz"), &finished.problem.scan).into_diagnostic()?;
    }
    if !finished.result.trace.is_empty() {
        folder.write("trace.csv", &trace_csv(finished))?;
    }
    folder.write("run.toml", &finished.run.to_toml()?)?;
    let report = report(finished, window)?;
    folder.write("report.html", &report.to_html().into_diagnostic()?)?;
    std::fs::write(folder.file("pictures.png"), picture_strip(&report.pictures).into_diagnostic()?).into_diagnostic()?;
    folder.finish()
}

/// The grey window of every picture: that of the truth where it is known, else of the result.
fn window(finished: &Finished) -> GreyWindow {
    let (low, high) = finished.problem.scan.truth.as_ref().unwrap_or(&finished.result.image).range();
    GreyWindow { low, high }
}

fn trace_csv(finished: &Finished) -> String {
    let mut csv = String::from(
        "iteration,t,outcome,step,trials,gradient_norm,direction_norm,slope,descent_cosine,change,objective,psnr,\
         network_forwards,network_vjps,projections\n",
    );
    for (k, row) in finished.result.trace.iter().enumerate() {
        let (r, c) = (&row.record, row.counters);
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let change = optional(r.change.map(f64::from));
        let psnr = optional(finished.psnrs.get(k).copied());
        let outcome = match r.outcome {
            Outcome::Step => "step",
            Outcome::NotDescent => "not-descent",
            Outcome::NoTrialPassed => "no-trial-passed",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            csv,
            "{},{},{outcome},{},{},{},{},{},{},{change},{},{psnr},{},{},{}",
            r.iteration,
            r.t,
            r.step,
            r.trials,
            r.gradient_norm,
            r.direction_norm,
            r.slope,
            r.descent_cosine(),
            row.objective,
            c.network_forwards,
            c.network_vjps,
            c.projections
        );
    }
    csv
}

/// The object that `--json` prints.
pub fn summary_json(finished: &Finished, quality: Option<(f64, f64)>, folder: &Path) -> Value {
    let (result, counters) = (&finished.result, finished.result.counters);
    json!({
        "status": finished.status(),
        "method": finished.run.reconstruction.method,
        "iterations": result.iterations,
        "psnr": quality.map(|(psnr, _)| psnr),
        "ssim": quality.map(|(_, ssim)| ssim),
        "objective": result.objective,
        "gradient_norm": result.trace.last().map(|row| row.record.gradient_norm),
        "network_forwards": counters.network_forwards,
        "network_vjps": counters.network_vjps,
        "projections": counters.projections,
        "seconds": finished.seconds,
        "output": folder,
    })
}

/// The lines that people read.
pub fn summary_text(finished: &Finished, quality: Option<(f64, f64)>, folder: &Path) -> Result<String, Failure> {
    let method = finished.run.reconstruction.method;
    let mut text = format!(
        "{method} on {}: {} after {} iterations, {:.1} s",
        finished.run.input,
        finished.status(),
        finished.result.iterations,
        finished.seconds
    );
    if let (Some((psnr, ssim)), Some((fbp, fbp_ssim))) = (quality, finished.quality(&finished.fbp)?) {
        let _ = write!(text, "\n  PSNR {psnr:.2} dB, SSIM {ssim:.3}  (FBP {fbp:.2} dB, {fbp_ssim:.3})");
    }
    if method.is_learned() {
        let c = &finished.result.certificate;
        let _ = write!(
            text,
            "\n  {} steps, {} of them ascending; {} levels left without a step, {} failed line searches",
            c.steps, c.ascending_steps, c.skipped_levels, c.failed_searches
        );
    }
    let _ = write!(text, "\n  report: {}", folder.join("report.html").display());
    Ok(text)
}
