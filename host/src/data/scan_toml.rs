//! Scans as folders: `scan.toml` and the files that it names.
use super::file_error::{AtPath, FileError, ImageError, ImageProblem};
use super::image_files::{read_image, read_stored};
use super::scan::{SCAN_TOML, Scan, ScanError, ScanProblem, beam, positive};
use super::scan_npz::{check_views, truth_in_network_units};
use super::units::StatedUnit;
use crate::ct::Geometry;
use crate::read::{read_description, read_file};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What a ray that counted no photon is taken to have counted.
const HALF_A_PHOTON: f64 = 0.5;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    sinogram: PathBuf,
    angles_rad: Angles,
    height: usize,
    width: usize,
    pixel_mm: f64,
    bin_width_mm: f64,
    #[serde(default)]
    detector_offset_mm: f64,
    source_to_axis_mm: Option<f64>,
    source_to_detector_mm: Option<f64>,
    detector: Option<String>,
    truth: Option<PathBuf>,
    /// That of `truth`, where its file does not say it.
    unit: Option<StatedUnit>,
    #[serde(default)]
    counts: bool,
    photons: Option<f64>,
    noise_std: Option<f64>,
    attenuation_per_unit_per_mm: Option<f64>,
    prior: Option<String>,
    #[serde(default)]
    note: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "angles_rad is a list of numbers, or the name of an npy file")]
enum Angles {
    List(Vec<f64>),
    File(PathBuf),
}

pub(super) fn read(folder: &Path) -> Result<Scan, ScanError> {
    let path = folder.join(SCAN_TOML);
    if folder.is_dir() && !path.exists() {
        return Err(ScanProblem::NoDescription).at(folder);
    }
    let text = read_description(&path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(&path)?;
    let description: Description = toml::from_str(&text).map_err(|e| ScanProblem::Toml(Box::new(e))).at(&path)?;
    let mut sinogram = read_stored(&folder.join(&description.sinogram)).map_err(of_scan)?;
    let angles_rad = match description.angles_rad {
        Angles::List(list) => list,
        Angles::File(name) => {
            let path = folder.join(name);
            let bytes = read_file(&path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(&path)?;
            let damaged = |cause| ScanProblem::from(ImageProblem::damaged("npy", cause));
            super::npy::Array::parse(bytes).and_then(|array| array.values()).map_err(damaged).at(&path)?
        }
    };
    check_views(&sinogram, &[angles_rad.len()]).at(&path)?;
    let mut warnings = Vec::new();
    if description.counts {
        let n_dark = line_integrals(&mut sinogram.pixels, description.photons).at(&path)?;
        if n_dark > 0 {
            warnings.push(format!("{n_dark} rays counted no photon: {HALF_A_PHOTON} is assumed"));
        }
    }
    let detector = description.detector.as_deref();
    let beam = beam(description.source_to_axis_mm, description.source_to_detector_mm, detector).at(&path)?;
    let mut attenuation = description.attenuation_per_unit_per_mm;
    let truth = |name: PathBuf| {
        let path = folder.join(name);
        let truth = read_image(&path).map_err(of_scan)?;
        truth_in_network_units(truth, description.unit, &mut attenuation).at(&path)
    };
    let truth = description.truth.map(truth).transpose()?;
    let mut scan = Scan {
        geometry: Geometry {
            height: description.height,
            width: description.width,
            pixel_mm: description.pixel_mm,
            angles_rad,
            n_bins: sinogram.width,
            bin_width_mm: description.bin_width_mm,
            detector_offset_mm: description.detector_offset_mm,
            beam,
        },
        sinogram: sinogram.pixels,
        truth,
        photons: description.photons,
        noise_std: description.noise_std,
        attenuation_per_unit_per_mm: attenuation,
        prior: description.prior,
        note: description.note,
        warnings,
    };
    scan.validate().at(&path)?;
    scan.warnings.extend(scan.doubts());
    Ok(scan)
}

/// -log(counts / photons) in place; returns the number of rays without a count.
fn line_integrals(counts: &mut [f32], photons: Option<f64>) -> Result<usize, ScanProblem> {
    let photons = photons.ok_or(ScanProblem::Value {
        field: "photons",
        value: "missing".into(),
        rule: "the photons of a free ray, because counts = true",
    })?;
    positive("photons", photons)?;
    let mut n_dark = 0;
    for count in counts {
        let seen = if *count > 0.0 { f64::from(*count) } else { HALF_A_PHOTON };
        n_dark += usize::from(*count <= 0.0);
        *count = -(seen / photons).ln() as f32;
    }
    Ok(n_dark)
}

fn of_scan(error: ImageError) -> ScanError {
    FileError { path: error.path, problem: error.problem.into() }
}
