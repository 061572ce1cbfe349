//! `gradus inspect`: what a file contains, and whether it is usable.

use crate::ending::{End, Failure};
use crate::problem;
use crate::terminal::Terminal;
use gradus::data::file_error::ImageProblem;
use gradus::data::image_files::{LoadedImage, PixelUnit, read_image, read_image_in};
use gradus::data::samples::Sample;
use gradus::data::scan::Scan;
use gradus::data::units::StatedUnit;
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
    /// The unit of an image whose file does not say it: hu, hu+1024, 1/mm, 1/cm or network
    #[arg(long)]
    unit: Option<StatedUnit>,
}

/// Runs the command; a file that cannot be used is an error that says why.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    let description = describe(&arguments.file, arguments.unit)?;
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

fn describe(name: &str, unit: Option<StatedUnit>) -> Result<Value, Failure> {
    let path = Path::new(name);
    if gradus::prior::embedded(name).is_some() || path.extension().is_some_and(|e| e == "safetensors") {
        return Ok(weights(problem::prior(name)?.weights()));
    }
    if let Some(sample) = Sample::parse(name) {
        let loaded = sample.load().into_diagnostic()?;
        let unit = if loaded.unit == PixelUnit::Relative { "network units" } else { problem::unit_name(loaded.unit) };
        return Ok(image("sample, an image", &loaded, unit, SCANNED_FIRST));
    }
    let raw = RawOptions::default();
    let is_raw = is_raw(path, &raw);
    if !is_raw && Scan::is_at(path).into_diagnostic()? {
        return Ok(scan(&Scan::read(path).into_diagnostic()?));
    }
    if is_raw {
        return Ok(scan(&read_raw(path, &raw).into_diagnostic()?));
    }
    match read_image_in(path, unit) {
        Ok(loaded) => Ok(image("image", &loaded, problem::unit_name(loaded.unit), SCANNED_FIRST)),
        // What it holds is shown all the same.
        Err(error) if matches!(error.problem, ImageProblem::Implausible { .. }) => {
            let loaded = read_image(path).into_diagnostic()?;
            let usable = format!("not as it is: it {}", error.problem);
            Ok(image("image", &loaded, problem::unit_name(loaded.unit), &usable))
        }
        Err(error) => Err(error).into_diagnostic(),
    }
}

const SCANNED_FIRST: &str = "gradus simulate, or gradus reconstruct, which scans it first";

fn image(what: &str, loaded: &LoadedImage, unit: &str, usable: &str) -> Value {
    let image = &loaded.image;
    let (low, high) = image.range();
    let mean = image.pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / image.pixels.len() as f64;
    let mut origins = loaded.origins.clone();
    if loaded.pixel_mm.is_none() && loaded.unit != PixelUnit::Relative {
        origins.push("1 mm is assumed for the size of a pixel".to_owned());
    }
    json!({
        "what": what,
        "height": image.height,
        "width": image.width,
        "pixel_mm": loaded.pixel_mm,
        "unit": unit,
        "least": low,
        "mean": mean,
        "largest": high,
        "taken_from": listed(&origins),
        "warnings": listed(&loaded.warnings),
        "use": usable,
    })
}

fn listed(lines: &[String]) -> String {
    if lines.is_empty() { "none".to_owned() } else { lines.join("; ") }
}

fn scan(scan: &Scan) -> Value {
    let geometry = &scan.geometry;
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (first, last) = range(&mut geometry.angles_rad.iter().copied());
    let (low, high) = range(&mut scan.sinogram.iter().map(|p| f64::from(*p)));
    json!({
        "what": format!("scan, {}", geometry.beam),
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
        "extrapolation": weights.extrapolation(),
        "image_sizes": format!("any, padded to multiples of {}", architecture.size_multiple()),
        "use": "gradus reconstruct --prior",
    })
}
