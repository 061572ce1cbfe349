//! A scan: a measured sinogram with its geometry.
use super::file_error::{FileError, ImageProblem, list};
use super::loaded_image::check_image;
use crate::ct::{Beam, Detector, Fan, Geometry, GeometryError};
use crate::image::Image;
use crate::limits::{ATTENUATION_PER_MM, LINE_INTEGRAL, PHOTONS};
use std::f64::consts::PI;
use std::ops::RangeInclusive;

/// Largest angle of a view: two turns.
const LARGEST_ANGLE_RAD: f64 = 4.0 * PI;
/// Values that an image may have all along a ray: the densest metal, and a picture.
const DENSEST: f64 = 20.0;
const DENSEST_PICTURE: f64 = 4.0;
/// A ray of which a photon in 10^12 is left has 28; no ray through a body has more than this.
const LARGEST_OF_BODY: f64 = 50.0;
/// Bins of a detector whose ends are told from its middle.
const LEAST_BINS: usize = 32;

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
    /// Assumptions made in reading; not stored.
    pub warnings: Vec<String>,
}

/// A scan that cannot be read or written.
pub type ScanError = FileError<ScanProblem>;

/// A fault of a scan.
#[derive(Debug, thiserror::Error)]
pub enum ScanProblem {
    /// The file itself, or an image in it.
    #[error(transparent)]
    File(#[from] ImageProblem),
    /// The description is not TOML, or has wrong, missing or unknown fields.
    #[error("does not describe a scan; mend the field shown")]
    Toml(#[source] Box<toml::de::Error>),
    /// A folder without a description.
    #[error(
        "is a folder with no {SCAN_TOML} in it, so no scan; name one of its files to scan and reconstruct that image"
    )]
    NoDescription,
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
        /// The expectation and its reason.
        expected: String,
    },
    /// A field whose value makes no sense.
    #[error("field {field} is {value}, expected {rule}")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The expectation.
        rule: &'static str,
    },
    /// A field that a user states and nothing reads.
    #[error("needs no {field}, which is given as {value}: {why}; leave it out")]
    NotNeeded {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The reason for not reading it.
        why: &'static str,
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
    /// A value of the sinogram that no line integral has.
    #[error(
        "field sinogram is {value:e} at view {view}, bin {bin}, and a line integral here is at most {limit:e}: of \
         counts take -ln(counts / photons), and mask dead bins; of an image in other units, state \
         attenuation_per_unit_per_mm"
    )]
    NoLineIntegral {
        /// Row of the sinogram.
        view: usize,
        /// Column of the sinogram.
        bin: usize,
        /// The value there.
        value: f32,
        /// The largest that is plausible.
        limit: f32,
    },
    /// Angles beyond two turns.
    #[error(
        "field angles_rad is {value} at view {index}, more than two turns: these look like degrees; give radians \
         (numpy.deg2rad), within one turn"
    )]
    Degrees {
        /// The first such view.
        index: usize,
        /// Its angle.
        value: f64,
    },
    /// The geometry makes no sense.
    #[error("has an impossible geometry")]
    Geometry(#[from] GeometryError),
}

impl Scan {
    /// The sinogram as an image: one row a view.
    #[must_use]
    pub fn sinogram_image(&self) -> Image {
        let (height, width) = (self.geometry.angles_rad.len(), self.geometry.n_bins);
        Image { height, width, pixels: self.sinogram.clone() }
    }

    /// The scan, once it is valid, with what is doubtful about it among its warnings.
    pub(super) fn checked(mut self) -> Result<Self, ScanProblem> {
        self.validate()?;
        self.warnings.extend(self.doubts());
        Ok(self)
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
        self.check_line_integrals()?;
        if let Some(index) = self.geometry.angles_rad.iter().position(|angle| angle.abs() > LARGEST_ANGLE_RAD) {
            return Err(ScanProblem::Degrees { index, value: self.geometry.angles_rad[index] });
        }
        if let Some(truth) = &self.truth {
            check_image(truth)?;
            let (height, width) = (self.geometry.height, self.geometry.width);
            if (truth.height, truth.width) != (height, width) {
                let expected = format!("[{height}, {width}] like the image grid");
                return Err(ScanProblem::Shape { field: "truth", found: vec![truth.height, truth.width], expected });
            }
        }
        let (per_mm, largest) = (ATTENUATION_PER_MM, f64::from(LINE_INTEGRAL));
        within("photons", self.photons, f64::MIN_POSITIVE..=PHOTONS, "a positive number up to 1e18")?;
        within("attenuation_per_unit_per_mm", self.attenuation_per_unit_per_mm, per_mm, "from 1e-6 to 1e4 1/mm")?;
        within("noise_std", self.noise_std, 0.0..=largest, "zero or a positive number up to 1e6")
    }
}

impl Scan {
    /// Looks for values that no line integral has in this geometry: counts have them.
    fn check_line_integrals(&self) -> Result<(), ScanProblem> {
        let g = &self.geometry;
        let diagonal_mm = (g.height as f64).hypot(g.width as f64) * g.pixel_mm;
        // Without a scale, that of a picture whose pixels are summed up.
        let densest = match self.attenuation_per_unit_per_mm {
            Some(per_mm) => DENSEST * per_mm * diagonal_mm,
            None => DENSEST_PICTURE * diagonal_mm / g.pixel_mm,
        };
        let limit = densest.clamp(LARGEST_OF_BODY, LINE_INTEGRAL.into()) as f32;
        match self.sinogram.iter().position(|value| value.abs() > limit) {
            None => Ok(()),
            Some(at) => {
                let (view, bin) = (at / g.n_bins, at % g.n_bins);
                Err(ScanProblem::NoLineIntegral { view, bin, value: self.sinogram[at], limit })
            }
        }
    }

    /// Other doubts, for a reader to look at: rays at the detector's ends that are much larger than those
    /// through the middle, where an object is thickest, are counts or transmissions.
    fn doubts(&self) -> Option<String> {
        let n = self.geometry.n_bins;
        if n < LEAST_BINS {
            return None;
        }
        let mean = |bins: &dyn Fn(usize) -> bool| {
            let values =
                self.sinogram.iter().enumerate().filter(|(at, _)| bins(at % n)).map(|(_, value)| f64::from(*value));
            let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
            sum / count
        };
        // Of a displaced detector, only the end that is far from the axis sees past the object.
        let axis = self.geometry.bin_at(0.0);
        let is_near = |bin: usize| (bin as f64 - axis).abs() < 0.25 * n as f64;
        let is_end = |bin: usize| (bin < n / 16 || bin >= n - n / 16) && !is_near(bin);
        let middle = axis.clamp(0.0, n as f64);
        let (ends, middle) = (mean(&is_end), mean(&|bin| (bin as f64 - middle).abs() < 0.125 * n as f64));
        (middle >= 0.0 && ends > 0.1 && ends > 1.5 * middle).then(|| {
            format!(
                "line integrals are {ends:.3} at the detector's ends and {middle:.3} in its middle: these look like \
                 counts or transmissions, of which -ln is to be taken first"
            )
        })
    }
}

/// A field that is in its range, or not given.
fn within(
    field: &'static str,
    value: Option<f64>,
    range: RangeInclusive<f64>,
    rule: &'static str,
) -> Result<(), ScanProblem> {
    match value {
        Some(value) if !range.contains(&value) => Err(ScanProblem::Value { field, value: format!("{value:?}"), rule }),
        _ => Ok(()),
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
mod tests;
