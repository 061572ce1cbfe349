//! The files of a run folder, and its summaries.

use super::*;
use gradus::data::write_atomically;
use gradus::reconstruct::NoiseSource;
use gradus::report::{Curve, Picture, Report, Section, Status as ReportStatus, picture_strip};
use gradus_core::Outcome;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Screen pixels a pixel in the strip of pictures.
const MAGNIFICATION: usize = 2;

/// Writes everything.
pub fn write(finished: &Finished, folder: &RunFolder) -> Result<(), Failure> {
    let image = finished.unit.express(&finished.result.image);
    let window = window(finished);
    write_npy(folder.file("image.npy"), &image).into_diagnostic()?;
    write_png16(folder.file("image.png"), &finished.result.image, window).into_diagnostic()?;
    if let Some(deviation) = &finished.result.deviation {
        write_npy(folder.file("deviation.npy"), &finished.unit.express_difference(deviation)).into_diagnostic()?;
    }
    if let Some(source) = &finished.problem.dicom {
        let derivation =
            format!("reconstructed by gradus {} ({})", env!("CARGO_PKG_VERSION"), finished.run.reconstruction.method);
        write_dicom(folder.file("image.dcm"), &image, source, &derivation).into_diagnostic()?;
    }
    if finished.problem.simulated {
        finished.problem.scan.write(folder.file("scan.npz")).into_diagnostic()?;
    }
    if !finished.result.trace.is_empty() {
        folder.write("trace.csv", &trace_csv(finished))?;
    }
    folder.write("run.toml", &finished.run.to_toml()?)?;
    let report = report(finished, window)?;
    report.write(folder.file("report.html")).into_diagnostic()?;
    let strip = picture_strip(&report.pictures, MAGNIFICATION).into_diagnostic()?;
    write_atomically(&folder.file("pictures.png"), &strip).into_diagnostic()
}

/// The grey window of every picture: that of the truth where it is known, else of the result.
fn window(finished: &Finished) -> GreyWindow {
    let (low, high) = finished.problem.scan.truth.as_ref().unwrap_or(&finished.result.image).range();
    GreyWindow::new(low, high)
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
            "{},{},{outcome},{},{},{},{},{},{},{change},{},{psnr},{},{},{}",
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
            c.projections
        );
    }
    csv
}

/// The object that `--json` prints.
pub fn summary_json(finished: &Finished, quality: Option<Quality>, folder: &Path) -> Value {
    let (result, counters) = (&finished.result, finished.result.counters);
    let hounsfield = quality.and_then(|quality| quality.hounsfield);
    json!({
        "status": finished.status(),
        "method": finished.run.reconstruction.method,
        "iterations": result.iterations,
        "psnr": quality.map(|quality| quality.psnr),
        "ssim": quality.map(|quality| quality.ssim),
        "nrmse": quality.map(|quality| quality.nrmse),
        "rmse_hu": hounsfield.map(|[rmse, _]| rmse),
        "soft_tissue_psnr": hounsfield.map(|[_, psnr]| psnr),
        "objective": result.objective,
        "gradient_norm": result.certificate().map(|certificate| certificate.gradient_norm),
        "certificate": result.certificate().map(certificate::json),
        "network_forwards": counters.network_forwards,
        "network_vjps": counters.network_vjps,
        "projections": counters.projections,
        "device": result.device,
        "precision": result.precision,
        "traffic": result.traffic,
        "seconds": finished.seconds,
        "output": folder.display().to_string(),
    })
}

/// The lines that people read.
pub fn summary_text(finished: &Finished, quality: Option<Quality>, folder: &Path) -> String {
    let method = finished.run.reconstruction.method;
    let mut text = format!(
        "{method} on {}: {} after {} iterations, {:.1} s",
        finished.run.input,
        finished.status(),
        finished.result.iterations,
        finished.seconds
    );
    if let (Some(result), Some(fbp)) = (quality, finished.quality(&finished.fbp)) {
        let line = |q: Quality| {
            let in_hu = |[rmse, psnr]: [f64; 2]| format!("; RMSE {rmse:.1} HU, PSNR {psnr:.1} dB in -160 to 240 HU");
            let in_hu = q.hounsfield.map_or_else(String::new, in_hu);
            format!("PSNR {:.2} dB, SSIM {:.3}, NRMSE {:.4}{in_hu}", q.psnr, q.ssim, q.nrmse)
        };
        let _ = write!(text, "\n  {}\n  {} by filtered backprojection", line(result), line(fbp));
    }
    if let Some(certificate) = finished.result.certificate() {
        let _ = write!(text, "\n  {}", certificate::text(certificate));
    }
    let _ = write!(text, "\n  report: {}", folder.join("report.html").display());
    text
}

/// The page of a run.
fn report(finished: &Finished, window: GreyWindow) -> Result<Report, Failure> {
    let method = finished.run.reconstruction.method;
    let quality = finished.quality(&finished.result.image);
    let mut highlights = Vec::new();
    if let Some(Quality { psnr, ssim, .. }) = quality {
        highlights.push(("PSNR".to_owned(), format!("{psnr:.2} dB")));
        highlights.push(("SSIM".to_owned(), format!("{ssim:.3}")));
    }
    highlights.push(("Iterations".to_owned(), finished.result.iterations.to_string()));
    highlights.push(("Seconds".to_owned(), format!("{:.1}", finished.seconds)));
    Ok(Report {
        title: format!("{} by {method}", finished.run.input),
        method: method.to_string(),
        status: ReportStatus { text: finished.status(), reached_goal: finished.reached_goal() },
        highlights,
        warnings: finished.warnings(),
        pictures: pictures(finished, window),
        curves: curves(finished),
        settings: vec![
            scan_section(finished),
            method_section(finished),
            certificate::section(finished.result.certificate()),
        ],
        toml: finished.run.to_toml()?,
        versions: vec![("gradus".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        ..Report::default()
    })
}

fn pictures(finished: &Finished, window: GreyWindow) -> Vec<Picture> {
    let truth = finished.problem.scan.truth.as_ref();
    let ends = finished.unit.express(&Image { height: 1, width: 2, pixels: vec![window.lo, window.hi] });
    let show = |caption: &str, image: &Image| {
        let shown = finished.unit.express(image);
        let picture = Picture::new(caption, shown, GreyWindow::of(&ends));
        // Figures of merit are those of network units, data range 1, whatever unit is shown.
        let quality = finished.quality(image).filter(|_| caption != TRUTH);
        Picture {
            unit: finished.unit.name().to_owned(),
            psnr_db: quality.map(|quality| quality.psnr),
            ssim: quality.map(|quality| quality.ssim),
            ..picture
        }
    };
    let mut pictures: Vec<Picture> = truth.iter().map(|truth| show(TRUTH, truth)).collect();
    if finished.run.reconstruction.method != Method::Fbp {
        pictures.push(show("Filtered backprojection", &finished.fbp));
    }
    pictures.push(show(&finished.run.reconstruction.method.to_string(), &finished.result.image));
    pictures.extend(truth.and_then(|truth| Picture::error_of(&finished.result.image, truth)));
    pictures.extend(finished.result.deviation.as_ref().map(|deviation| {
        let shown = finished.unit.express_difference(deviation);
        let window = GreyWindow::of(&shown);
        let picture = Picture::new("Deviation between runs", shown, window);
        Picture { unit: finished.unit.name().to_owned(), ..picture }
    }));
    pictures
}

const TRUTH: &str = "Truth";

/// The four curves of Fig. 2 of the paper.
fn curves(finished: &Finished) -> Vec<Curve> {
    let trace = &finished.result.trace;
    if trace.is_empty() {
        return Vec::new();
    }
    let curve = |name: &str, y_label: &str, log_axis, value: &dyn Fn(usize) -> f64| Curve {
        name: name.to_owned(),
        y_label: y_label.to_owned(),
        log_axis,
        points: (0..trace.len()).map(|k| ((k + 1) as f64, value(k))).collect(),
    };
    let is_tested = |k: usize| trace[k].record.outcome != Outcome::Approach;
    let mut curves = vec![
        curve("Objective", "f(x), without the prior's constant", true, &|k| trace[k].objective.unwrap_or(f64::NAN)),
        curve("Descent condition", "cosine between -grad f and d", false, &|k| {
            if is_tested(k) { trace[k].record.descent_cosine().into() } else { f64::NAN }
        }),
        curve("Step size", "length along d", true, &|k| trace[k].record.step.into()),
    ];
    if !finished.psnrs.is_empty() {
        curves.insert(0, curve("PSNR", "dB", false, &|k| finished.psnrs.get(k).copied().unwrap_or(f64::NAN)));
    }
    curves
}

pub fn section(title: &str, rows: &[(&str, String)]) -> Section {
    let rows = rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Section { title: title.to_owned(), rows }
}

fn scan_section(finished: &Finished) -> Section {
    let (g, scan, m) = (&finished.problem.scan.geometry, &finished.problem.scan, &finished.measurement);
    let source = match m.noise_source {
        NoiseSource::Scan => "from the scan",
        NoiseSource::Photons => "from the photon counts",
        NoiseSource::Estimated => "estimated from the sinogram",
    };
    section(
        "Scan",
        &[
            ("Origin", if finished.problem.simulated { "simulated here".into() } else { finished.run.input.clone() }),
            ("Views", g.angles_rad.len().to_string()),
            ("Detector", format!("{} bins of {:.4} mm, offset {} mm", g.n_bins, g.bin_width_mm, g.detector_offset_mm)),
            ("Image", format!("{} x {} pixels of {} mm", g.height, g.width, g.pixel_mm)),
            ("Photons a bin", scan.photons.map_or_else(|| "not given".into(), |photons| photons.to_string())),
            (
                "Noise of a line integral",
                format!("{:.4e} ({source})", m.noise_std * m.attenuation_per_unit * g.pixel_mm),
            ),
            ("Network unit 1", format!("{:.6} 1/mm", m.attenuation_per_unit)),
        ],
    )
}

fn method_section(finished: &Finished) -> Section {
    let (result, c) = (&finished.result, finished.result.counters);
    let optional = |value: Option<f64>| value.map_or_else(|| "none".into(), |value| format!("{value:.6}"));
    section(
        "Method",
        &[
            ("Weight of the prior", optional(result.weight)),
            ("Objective", optional(result.objective)),
            ("Network forward passes", c.network_forwards.to_string()),
            ("Network products", c.network_vjps.to_string()),
            ("Projections and adjoints", c.projections.to_string()),
            ("Device", format!("{}, {} precision", result.device, result.precision)),
            ("Threads", rayon::current_num_threads().to_string()),
        ],
    )
}
