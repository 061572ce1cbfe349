//! CT data in MATLAB files as the University of Helsinki writes them: the Helsinki Tomography Challenge 2022, FIPS.
//!
//! A struct has a `sinogram`, views x bins of line integrals, and `parameters`: `angles` in degrees, the distances of a
//! fan with a flat detector, and the width of its bins (`pixelSizePost`, after binning).
use super::matlab::{self, Array, Value};
use crate::ct::{Beam, Detector, Fan, Geometry};
use crate::data::check_views;
use crate::data::file_error::{AtPath, FileError};
use crate::data::scan::{Scan, ScanError, ScanProblem};
use crate::image::Image;
use std::path::Path;

/// The challenge's structs, and the side of its images.
const CHALLENGE: [&str; 2] = ["CtDataFull", "CtDataLimited"];
const CHALLENGE_SIDE: usize = 512;
/// A view so many degrees after the first is the first again.
const TURN_DEG: f64 = 360.0;

/// The scan in a MATLAB file.
///
/// Angles are taken as they are stored, and the last view is left out where it is the first again. The image is a
/// square of pixels of a bin's width at the axis: 512 x 512 in files of the challenge, else as wide as the detector.
///
/// # Errors
/// [`ScanError`] names file and field.
pub fn read(path: impl AsRef<Path>) -> Result<Scan, ScanError> {
    let path = path.as_ref();
    let file = matlab::read(path).map_err(|error| FileError { path: error.path, problem: error.problem.into() })?;
    scan(&file).at(path)
}

/// The scan that the variables of a file make.
pub(super) fn scan(file: &Value) -> Result<Scan, ScanProblem> {
    let (name, data) = data(file)?;
    let parameters = Parameters(field(data, "parameters")?);
    let Views { sinogram, angles_deg, is_a_turn } = Views::of(data, &parameters)?;
    let mut warnings = vec![format!("{name}: angles are taken to be in degrees and the detector to be flat")];
    if is_a_turn {
        let n_views = angles_deg.len() + 1;
        warnings.push(format!("the last of {n_views} views is a turn after the first and left out"));
    }
    let n_bins = sinogram.width;
    let (bin_width_mm, beam, magnification) = parameters.detector()?;
    let side = if CHALLENGE.contains(&name) { CHALLENGE_SIDE } else { n_bins };
    let scan = Scan {
        geometry: Geometry {
            height: side,
            width: side,
            pixel_mm: bin_width_mm / magnification,
            angles_rad: angles_deg.into_iter().map(f64::to_radians).collect(),
            n_bins,
            bin_width_mm,
            detector_offset_mm: 0.0,
            beam,
        },
        sinogram: sinogram.pixels,
        truth: None,
        photons: None,
        noise_std: None,
        attenuation_per_unit_per_mm: None,
        prior: None,
        note: parameters.text("projectName").unwrap_or_default().trim_matches('_').to_owned(),
        warnings,
    };
    scan.validate()?;
    Ok(scan)
}

/// The measured views. A last one that is the first again is left out, and said.
struct Views {
    sinogram: Image,
    angles_deg: Vec<f64>,
    is_a_turn: bool,
}

impl Views {
    fn of(data: &Value, parameters: &Parameters) -> Result<Self, ScanProblem> {
        let array = field(data, "sinogram")?.array();
        let Some(mut sinogram) = array.and_then(Array::image) else {
            let found = array.map(|array| array.shape.clone()).unwrap_or_default();
            return Err(ScanProblem::Shape { field: "sinogram", found, expected: "views x bins".into() });
        };
        let angles = parameters.array("angles")?;
        check_views(&sinogram, &[angles.shape.iter().product()])?;
        let mut angles_deg = angles.values();
        let is_a_turn = match angles_deg[..] {
            [first, .., last] => (last - first).abs() >= TURN_DEG,
            _ => false,
        };
        if is_a_turn {
            angles_deg.pop();
            sinogram.height = angles_deg.len();
            sinogram.pixels.truncate(sinogram.height * sinogram.width);
        }
        Ok(Self { sinogram, angles_deg, is_a_turn })
    }
}

/// Name and value of the first variable that holds such data.
fn data(file: &Value) -> Result<(&str, &Value), ScanProblem> {
    let is_data = |value: &Value| value.field("sinogram").or(value.field("parameters")).is_some();
    let names = file.names();
    let mut variables = names.iter().filter_map(|name| Some((*name, file.field(name)?)));
    variables.find(|(_, value)| is_data(value)).ok_or_else(|| ScanProblem::MissingFields {
        needed: vec!["a struct with sinogram and parameters"],
        found: names.iter().map(ToString::to_string).collect(),
    })
}

fn field<'a>(value: &'a Value, name: &'static str) -> Result<&'a Value, ScanProblem> {
    let found = || value.names().into_iter().map(str::to_owned).collect();
    value.field(name).ok_or_else(|| ScanProblem::MissingFields { needed: vec![name], found: found() })
}

/// Settings of the scanner.
struct Parameters<'a>(&'a Value);

impl Parameters<'_> {
    fn array(&self, name: &'static str) -> Result<&Array, ScanProblem> {
        let rule = "an array of numbers";
        field(self.0, name)?.array().ok_or(ScanProblem::Value { field: name, value: "something else".into(), rule })
    }

    fn number(&self, name: &'static str) -> Result<f64, ScanProblem> {
        let rule = "a single number";
        field(self.0, name)?.number().ok_or(ScanProblem::Value { field: name, value: "something else".into(), rule })
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.0.field(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Width of a bin, the beam, and how much wider the beam is at the detector than at the axis.
    fn detector(&self) -> Result<(f64, Beam, f64), ScanProblem> {
        if let Some(unit) = self.text("distanceUnit").filter(|unit| unit != "mm") {
            return Err(ScanProblem::Value { field: "distanceUnit", value: unit, rule: "mm" });
        }
        let bin_width_mm = match self.0.field("pixelSizePost") {
            Some(_) => self.number("pixelSizePost")?,
            None => self.number("pixelSize")?,
        };
        if self.text("geometryType").is_some_and(|kind| kind.eq_ignore_ascii_case("parallel")) {
            return Ok((bin_width_mm, Beam::Parallel, 1.0));
        }
        let (source_to_axis_mm, source_to_detector_mm) =
            (self.number("distanceSourceOrigin")?, self.number("distanceSourceDetector")?);
        let fan = Fan { detector: Detector::Flat, source_to_axis_mm, source_to_detector_mm };
        Ok((bin_width_mm, Beam::Fan(fan), source_to_detector_mm / source_to_axis_mm))
    }
}

#[cfg(test)]
mod tests {
    use super::super::matlab::parse;
    use super::super::matlab::tests::{chars, doubles, file, packed, structure};
    use super::*;

    fn ct_data(name: &str, angles: &[f64]) -> Value {
        let n_views = angles.len() as u32;
        let parameters = structure(
            "",
            &[
                ("distanceSourceOrigin", doubles("", [1, 1], &[400.0])),
                ("distanceSourceDetector", doubles("", [1, 1], &[600.0])),
                ("distanceUnit", chars("", "mm")),
                ("pixelSizePost", doubles("", [1, 1], &[0.3])),
                ("angles", doubles("", [1, n_views], angles)),
            ],
        );
        let sinogram: Vec<f64> = (0..4 * n_views).map(|k| f64::from(k) / 10.0).collect();
        let fields = [("sinogram", doubles("", [n_views, 4], &sinogram)), ("parameters", parameters)];
        parse(&file(&[packed(&structure(name, &fields))])).unwrap()
    }

    #[test]
    fn a_scan_is_made_of_the_struct() {
        let scan = scan(&ct_data("CtData", &[30.0, 90.0, 150.0])).unwrap();
        let g = &scan.geometry;
        assert_eq!((g.height, g.width, g.n_bins, g.bin_width_mm), (4, 4, 4, 0.3));
        assert!((g.pixel_mm - 0.2).abs() < 1e-15);
        assert_eq!(g.angles_rad, [30f64, 90.0, 150.0].map(f64::to_radians));
        assert_eq!(scan.sinogram[4..8], [0.4, 0.5, 0.6, 0.7]);
        assert_eq!(g.fan().unwrap().source_to_detector_mm, 600.0);
    }

    #[test]
    fn a_view_that_comes_again_is_left_out() {
        let scan = scan(&ct_data("CtDataFull", &[0.0, 120.0, 240.0, 360.0])).unwrap();
        assert_eq!((scan.geometry.angles_rad.len(), scan.sinogram.len(), scan.geometry.height), (3, 12, 512));
        assert!(scan.warnings.iter().any(|warning| warning.contains("left out")));
    }

    #[test]
    fn what_lacks_is_named() {
        let of = |variable| scan(&parse(&file(&[variable])).unwrap()).unwrap_err().to_string();
        assert!(of(doubles("x", [1, 1], &[1.0])).contains("has x"));
        let bare = structure("CtData", &[("sinogram", doubles("", [1, 1], &[1.0]))]);
        assert!(of(bare).contains("needs parameters"));
    }
}
