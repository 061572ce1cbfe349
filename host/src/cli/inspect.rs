//! `gradus inspect`: what a file contains, and whether it is usable.

use crate::ending::{End, Failure};
use crate::problem;
use crate::terminal::Terminal;
use gradus::data::image_files::read_image;
use gradus::data::samples::Sample;
use gradus::data::scan::Scan;
use gradus::image::Image;
use gradus::raw::{RawOptions, is_raw, read_raw};
use gradus::unet::Weights;
use miette::IntoDiagnostic;
use serde_json::{Value, json};
use std::path::Path;

/// The file to look at.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A scan, an image, a weights file, or the name of a sample or an embedded prior
    file: String,
}

/// Runs the command; a file that cannot be used is an error that says why.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    let description = describe(&arguments.file)?;
    terminal.report(&description)?;
    let lines: Vec<String> = description
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{:<30}{}", key.replace('_', " "), plain(value)))
        .collect();
    terminal.say(&lines.join("\n"))?;
    Ok(End::Done)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "not given".to_owned(),
        other => other.to_string(),
    }
}

fn describe(name: &str) -> Result<Value, Failure> {
    let path = Path::new(name);
    if gradus::prior::embedded(name).is_some() || path.extension().is_some_and(|e| e == "safetensors") {
        return Ok(weights(problem::prior(name)?.weights()));
    }
    if Sample::parse(name).is_some() {
        let subject = problem::subject(name, None)?;
        return Ok(image(
            "sample, an image",
            &subject.unit.express(&subject.image),
            subject.unit.name(),
            Some(subject.pixel_mm),
            &subject.warnings,
        ));
    }
    let raw = RawOptions::default();
    let is_raw = is_raw(path, &raw);
    if !is_raw && Scan::is_at(path).into_diagnostic()? {
        return Ok(scan(&Scan::read(path).into_diagnostic()?));
    }
    if is_raw {
        return Ok(scan(&read_raw(path, &raw).into_diagnostic()?));
    }
    let loaded = read_image(path).into_diagnostic()?;
    let (picture, unit, pixel_mm) = (loaded.image.clone(), problem::unit_name(loaded.unit), loaded.pixel_mm);
    let mut warnings = loaded.warnings.clone();
    match loaded.plausible() {
        Ok(loaded) => warnings = loaded.warnings,
        Err(problem) => warnings.push(problem.to_string()),
    }
    Ok(image("image", &picture, unit, pixel_mm, &warnings))
}

fn image(what: &str, image: &Image, unit: &str, pixel_mm: Option<f64>, warnings: &[String]) -> Value {
    let (low, high) = image.range();
    let mean = image.pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / image.pixels.len() as f64;
    json!({
        "what": what,
        "height": image.height,
        "width": image.width,
        "pixel_mm": pixel_mm,
        "unit": unit,
        "least": low,
        "mean": mean,
        "largest": high,
        "warnings": listed(warnings),
        "use": "gradus simulate, or gradus reconstruct, which scans it first",
    })
}

fn listed(warnings: &[String]) -> String {
    if warnings.is_empty() { "none".to_owned() } else { warnings.join("; ") }
}

fn scan(scan: &Scan) -> Value {
    let geometry = &scan.geometry;
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (first, last) = range(&mut geometry.angles_rad.iter().copied());
    let (low, high) = range(&mut scan.sinogram.iter().map(|p| f64::from(*p)));
    json!({
        "what": match geometry.fan() {
            None => "scan, parallel beam".to_owned(),
            Some(fan) => format!(
                "scan, fan beam, {} detector; source {} mm from the axis, {} mm from the detector",
                fan.detector.name(), fan.source_to_axis_mm, fan.source_to_detector_mm
            ),
        },
        "angles": geometry.angles_rad.len(),
        "angles_from_rad": first,
        "angles_to_rad": last,
        "bins": geometry.n_bins,
        "bin_width_mm": geometry.bin_width_mm,
        "detector_offset_mm": geometry.detector_offset_mm,
        "image": format!("{} x {} pixels of {} mm", geometry.height, geometry.width, geometry.pixel_mm),
        "least_line_integral": low,
        "largest_line_integral": high,
        "noise_std": scan.noise_std,
        "photons": scan.photons,
        "attenuation_per_unit_per_mm": scan.attenuation_per_unit_per_mm,
        "note": if scan.note.is_empty() { Value::Null } else { scan.note.clone().into() },
        "truth": if scan.truth.is_some() { "included" } else { "not included" },
        "warnings": listed(&scan.warnings),
        "use": "gradus reconstruct",
    })
}

fn weights(weights: &Weights) -> Value {
    let architecture = weights.architecture();
    let parameters: usize = weights.tensors().values().map(|tensor| tensor.data.len()).sum();
    json!({
        "what": "weights of an energy network",
        "parameters": parameters,
        "tensors": weights.tensors().len(),
        "architecture": serde_json::to_value(architecture).unwrap_or_default(),
        "parametrisation": serde_json::to_value(weights.parametrisation()).unwrap_or_default(),
        "perturbation_kernel": serde_json::to_value(weights.perturbation_kernel()).unwrap_or_default(),
        "provenance": weights.provenance(),
        "levels": weights.levels(),
        "image_sizes": format!("multiples of {}", architecture.size_multiple()),
        "use": "gradus reconstruct --prior",
    })
}
