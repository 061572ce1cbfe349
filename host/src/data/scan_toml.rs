//! Scans as folders: `scan.toml` and the files that it names.
use super::file_error::{AtPath, FileError, ImageError, ImageProblem};
use super::image_files::{read_image, read_stored};
use super::npy::Array;
use super::scan::{SCAN_TOML, Scan, ScanError, ScanProblem, beam, positive};
use super::scan_npz::{check_views, truth_in_network_units};
use super::units::StatedUnit;
use crate::ct::Geometry;
use crate::image::Image;
use crate::read::{read_description, read_file};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The count, in photons, of a ray that counted none.
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
    let mut description = Description::read(folder, &path)?;
    let mut sinogram = read_stored(&folder.join(&description.sinogram)).map_err(of_scan)?;
    let angles_rad = description.angles_rad.read(folder)?;
    check_views(&sinogram, &[angles_rad.len()]).at(&path)?;
    let warnings = description.take_logarithm(&mut sinogram.pixels).at(&path)?;
    // Sets the attenuation of a unit, where nothing else does.
    let truth = description.read_truth(folder)?;
    let geometry = description.geometry(angles_rad, sinogram.width).at(&path)?;
    let Description { photons, noise_std, attenuation_per_unit_per_mm, prior, note, .. } = description;
    let sinogram = sinogram.pixels;
    let scan =
        Scan { geometry, sinogram, truth, photons, noise_std, attenuation_per_unit_per_mm, prior, note, warnings };
    scan.checked().at(&path)
}

impl Description {
    fn read(folder: &Path, path: &Path) -> Result<Self, ScanError> {
        if folder.is_dir() && !path.exists() {
            return Err(ScanProblem::NoDescription).at(folder);
        }
        let text = read_description(path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(path)?;
        toml::from_str(&text).map_err(|e| ScanProblem::Toml(Box::new(e))).at(path)
    }

    /// Makes line integrals of counts, where these are counts.
    fn take_logarithm(&self, sinogram: &mut [f32]) -> Result<Vec<String>, ScanProblem> {
        let n_dark = if self.counts { line_integrals(sinogram, self.photons)? } else { 0 };
        let warning = format!("{n_dark} rays counted no photon: {HALF_A_PHOTON} is assumed");
        Ok((n_dark > 0).then_some(warning).into_iter().collect())
    }

    /// The truth in the units of the image, whose attenuation is set where the truth says it first.
    fn read_truth(&mut self, folder: &Path) -> Result<Option<Image>, ScanError> {
        let Some(name) = &self.truth else { return Ok(None) };
        let path = folder.join(name);
        let truth = read_image(&path).map_err(of_scan)?;
        truth_in_network_units(truth, self.unit, &mut self.attenuation_per_unit_per_mm).map(Some).at(&path)
    }

    fn geometry(&self, angles_rad: Vec<f64>, n_bins: usize) -> Result<Geometry, ScanProblem> {
        Ok(Geometry {
            height: self.height,
            width: self.width,
            pixel_mm: self.pixel_mm,
            angles_rad,
            n_bins,
            bin_width_mm: self.bin_width_mm,
            detector_offset_mm: self.detector_offset_mm,
            beam: beam(self.source_to_axis_mm, self.source_to_detector_mm, self.detector.as_deref())?,
        })
    }
}

impl Angles {
    fn read(&mut self, folder: &Path) -> Result<Vec<f64>, ScanError> {
        let name = match self {
            Self::List(list) => return Ok(std::mem::take(list)),
            Self::File(name) => name,
        };
        let path = folder.join(name);
        let bytes = read_file(&path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(&path)?;
        let damaged = |cause| ScanProblem::from(ImageProblem::damaged("npy", cause));
        Array::parse(bytes).and_then(|array| array.values()).map_err(damaged).at(&path)
    }
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
