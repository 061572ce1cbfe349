//! A scan: a measured sinogram with its geometry.
use super::atomic::write_atomically;
use super::file_error::{AtPath, FileError, ImageProblem, list};
use super::{scan_npz, scan_toml};
use crate::ct::{Beam, Detector, Fan, Geometry, GeometryError};
use crate::image::Image;
use std::fs;
use std::path::Path;

/// Name of the description in a folder that holds a scan.
pub const SCAN_TOML: &str = "scan.toml";

/// A measured sinogram, its geometry and what is known about the measurement.
///
/// For an image x in network units, `sinogram` = `attenuation_per_unit_per_mm` * (integrals of x along rays in mm)
/// plus noise; the line integrals have no unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Image grid, views and detector.
    pub geometry: Geometry,
    /// Line integrals, `[angle][bin]`.
    pub sinogram: Vec<f32>,
    /// The true image in network units, where it is known.
    pub truth: Option<Image>,
    /// Photons a ray without object would count: the noise is Poisson's.
    pub photons: Option<f64>,
    /// Standard deviation of Gaussian noise on the line integrals.
    pub noise_std: Option<f64>,
    /// Attenuation in 1/mm of a pixel whose value is 1 in network units; `None` where the file does not say.
    pub attenuation_per_unit_per_mm: Option<f64>,
    /// The embedded prior that suits the object, where it is known.
    pub prior: Option<String>,
    /// Free text: where the data come from.
    pub note: String,
    /// What had to be assumed in reading; not stored.
    pub warnings: Vec<String>,
}

/// A scan that cannot be read or written.
pub type ScanError = FileError<ScanProblem>;

/// What is wrong with a scan.
#[derive(Debug, thiserror::Error)]
pub enum ScanProblem {
    /// The file itself, or an image in it.
    #[error(transparent)]
    File(#[from] ImageProblem),
    /// The description is not TOML, or has wrong, missing or unknown fields.
    #[error("does not describe a scan; mend the field shown")]
    Toml(#[source] Box<toml::de::Error>),
    /// Fields that no scan can do without.
    #[error("is no scan: it needs {}, and has {}", list(.needed), list(.found))]
    MissingFields {
        /// Fields that are needed and missing.
        needed: Vec<&'static str>,
        /// All fields there are.
        found: Vec<String>,
    },
    /// A field of wrong shape or length.
    #[error("field {field} has shape {found:?}, expected {expected}")]
    Shape {
        /// The field.
        field: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// What is expected and why.
        expected: String,
    },
    /// A field whose value makes no sense.
    #[error("field {field} is {value}, expected {rule}")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is expected.
        rule: &'static str,
    },
    /// A value of the sinogram that is NaN or infinite.
    #[error("field sinogram is {value} at view {view}, bin {bin}; mask or interpolate dead bins first")]
    NotFinite {
        /// Row of the sinogram.
        view: usize,
        /// Column of the sinogram.
        bin: usize,
        /// The value there.
        value: f32,
    },
    /// The geometry makes no sense.
    #[error("has an impossible geometry")]
    Geometry(#[from] GeometryError),
}

impl Scan {
    /// Reads a scan from an npz file, or from a folder with a `scan.toml`.
    ///
    /// An npz has the fields of [`Scan`] and [`Geometry`] by name. `sinogram` `[angle][bin]` and `angles_rad`
    /// are needed; whatever else is missing is assumed and said so in [`Scan::warnings`]. Names of other programs are
    /// understood for three fields: `sino`, `theta`, and `centre_px` (the bin in which the rotation axis is seen).
    ///
    /// With `source_to_axis_mm` and `source_to_detector_mm` the scan is a fan's, and `detector` is `flat` (assumed) or
    /// `curved`.
    ///
    /// A `scan.toml` has the same fields; `sinogram` and `truth` name files beside it (`angles_rad` may, too). With
    /// `counts = true` the sinogram's file holds photon counts, of which -log(counts / photons) is taken.
    ///
    /// # Errors
    /// [`ScanError`] names file and field.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ScanError> {
        let path = path.as_ref();
        if path.is_dir() {
            return scan_toml::read(path);
        }
        if path.file_name().is_some_and(|name| name == SCAN_TOML) {
            return scan_toml::read(path.parent().unwrap_or(Path::new("")));
        }
        let bytes = fs::read(path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(path)?;
        scan_npz::decode(bytes).at(path)
    }

    /// Writes the scan as an npz file. Reading it back gives the same bits; the warnings are not kept.
    ///
    /// # Errors
    /// Those of [`Scan::validate`] and of the file system; then no file is left behind.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ScanError> {
        let path = path.as_ref();
        self.validate().at(path)?;
        let bytes = scan_npz::encode(self).at(path)?;
        write_atomically(path, &bytes).map_err(|e| ScanProblem::from(ImageProblem::Write(e))).at(path)
    }

    /// Whether `path` is a folder, a `scan.toml`, or an npz archive with a sinogram or angles in it; an archive without
    /// either is an image, and so is an array of one that is named by `FILE.npz:NAME`.
    ///
    /// # Errors
    /// [`ScanError`] when the file cannot be read.
    pub fn is_at(path: impl AsRef<Path>) -> Result<bool, ScanError> {
        let path = path.as_ref();
        if path.is_dir() || path.file_name().is_some_and(|name| name == SCAN_TOML) {
            return Ok(true);
        }
        if !path.exists() {
            return Ok(false);
        }
        let bytes = fs::read(path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(path)?;
        Ok(scan_npz::holds_scan(bytes))
    }

    /// The sinogram as an image: one row a view.
    #[must_use]
    pub fn sinogram_image(&self) -> Image {
        let (height, width) = (self.geometry.angles_rad.len(), self.geometry.n_bins);
        Image { height, width, pixels: self.sinogram.clone() }
    }

    /// Checks that lengths agree, values are finite and quantities positive where they must be.
    ///
    /// # Errors
    /// The first problem found.
    pub fn validate(&self) -> Result<(), ScanProblem> {
        self.geometry.validate()?;
        let (n_views, n_bins) = (self.geometry.angles_rad.len(), self.geometry.n_bins);
        if n_views.checked_mul(n_bins) != Some(self.sinogram.len()) {
            let expected = format!("{n_views} views of {n_bins} bins");
            return Err(ScanProblem::Shape { field: "sinogram", found: vec![self.sinogram.len()], expected });
        }
        if let Some(at) = self.sinogram.iter().position(|value| !value.is_finite()) {
            return Err(ScanProblem::NotFinite { view: at / n_bins, bin: at % n_bins, value: self.sinogram[at] });
        }
        if let Some(truth) = &self.truth {
            super::image_files::check_image(truth)?;
            let (height, width) = (self.geometry.height, self.geometry.width);
            if (truth.height, truth.width) != (height, width) {
                let expected = format!("[{height}, {width}] like the image grid");
                return Err(ScanProblem::Shape { field: "truth", found: vec![truth.height, truth.width], expected });
            }
        }
        positive("photons", self.photons.unwrap_or(1.0))?;
        positive("attenuation_per_unit_per_mm", self.attenuation_per_unit_per_mm.unwrap_or(1.0))?;
        match self.noise_std {
            Some(std) if !(std.is_finite() && std >= 0.0) => Err(ScanProblem::Value {
                field: "noise_std",
                value: std.to_string(),
                rule: "zero or a positive number",
            }),
            _ => Ok(()),
        }
    }
}

/// The beam that the fields of a scan describe: a fan where the source is given, flat where nothing is said of the
/// detector's shape.
pub(super) fn beam(
    source_to_axis_mm: Option<f64>,
    source_to_detector_mm: Option<f64>,
    detector: Option<&str>,
) -> Result<Beam, ScanProblem> {
    let missing = |field| {
        let rule = "a length in mm: a fan needs source_to_axis_mm and source_to_detector_mm";
        ScanProblem::Value { field, value: "missing".into(), rule }
    };
    if source_to_axis_mm.or(source_to_detector_mm).is_none() && detector.is_none() {
        return Ok(Beam::Parallel);
    }
    let name = detector.unwrap_or(Detector::Flat.name());
    let shape = Detector::ALL.iter().find(|(_, known)| *known == name);
    let &(detector, _) =
        shape.ok_or(ScanProblem::Value { field: "detector", value: name.to_owned(), rule: "flat or curved" })?;
    Ok(Beam::Fan(Fan {
        detector,
        source_to_axis_mm: source_to_axis_mm.ok_or_else(|| missing("source_to_axis_mm"))?,
        source_to_detector_mm: source_to_detector_mm.ok_or_else(|| missing("source_to_detector_mm"))?,
    }))
}

pub(super) fn positive(field: &'static str, value: f64) -> Result<(), ScanProblem> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(ScanProblem::Value { field, value: value.to_string(), rule: "a positive number" })
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
