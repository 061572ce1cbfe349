//! The subject of a command: a scan file, a sample, or an image that is scanned first.

use crate::config::RunConfig;
use crate::ending::Failure;
use crate::mended::mend;
use gradus::ct::{ATTENUATION_PER_UNIT, hu_to_network, network_to_hu};
use gradus::data::dicom_source::DicomSource;
use gradus::data::image_files::{LoadedImage, PixelUnit, read_image, read_image_in};
use gradus::data::samples::Sample;
use gradus::data::scan::Scan;
use gradus::data::units::StatedUnit;
use gradus::image::Image;
use gradus::prior::{self, Prior};
use gradus::raw::{Corrections, RawOptions, is_raw, read_raw, says_axis};
use gradus::series::Slice;
use gradus::simulate::{Simulation, simulate};
use miette::{IntoDiagnostic, WrapErr, miette};
use std::borrow::Cow;
use std::path::Path;

/// An image in network units, with what its file says about it.
#[derive(Debug)]
pub struct Subject {
    /// A short name, good for a folder.
    pub name: String,
    /// The image in network units.
    pub image: Image,
    /// Side of a pixel.
    pub pixel_mm: f64,
    /// The unit that results are written in.
    pub unit: Unit,
    /// The embedded prior that suits it.
    pub prior: &'static str,
    /// The DICOM file that a result goes back to.
    pub dicom: Option<Box<DicomSource>>,
    /// Assumptions, one sentence each.
    pub warnings: Vec<String>,
}

/// The unit of written images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    /// Network units, 0 to 1.
    Network,
    /// Hounsfield units.
    Hounsfield,
    /// Attenuation in 1/mm, given that of network unit 1.
    Attenuation(f64),
}

impl Unit {
    /// An image in this unit, from network units.
    pub fn express(self, image: &Image) -> Image {
        self.convert(image, network_to_hu, |value, per_unit| value * per_unit)
    }

    /// A difference of images in this unit, from network units: no offset.
    pub fn express_difference(self, difference: &Image) -> Image {
        let zero = self.convert(&Image { height: 1, width: 1, pixels: vec![0.0] }, network_to_hu, |_, _| 0.0).pixels[0];
        let mut expressed = self.express(difference);
        expressed.pixels.iter_mut().for_each(|value| *value -= zero);
        expressed
    }

    /// An image in network units, from this unit.
    pub fn to_network(self, image: &Image) -> Image {
        self.convert(image, hu_to_network, |value, per_unit| value / per_unit)
    }

    fn convert(self, image: &Image, hounsfield: fn(f32) -> f32, attenuation: fn(f64, f64) -> f64) -> Image {
        let convert = |value: &f32| match self {
            Self::Network => *value,
            Self::Hounsfield => hounsfield(*value),
            Self::Attenuation(per_unit) => attenuation((*value).into(), per_unit) as f32,
        };
        Image { pixels: image.pixels.iter().map(convert).collect(), ..*image }
    }

    /// The embedded prior for images in this unit.
    pub fn prior(self) -> &'static str {
        prior::suiting(match self {
            Self::Hounsfield => prior::Unit::Hounsfield,
            Self::Network | Self::Attenuation(_) => prior::Unit::Relative,
        })
        .name
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network units",
            Self::Hounsfield => "HU",
            Self::Attenuation(_) => "1/mm",
        }
    }
}

/// The name of the unit of a file.
pub fn unit_name(unit: PixelUnit) -> &'static str {
    match unit {
        PixelUnit::Relative => "not given; taken as network units, 0 to 1",
        said => gradus::data::units::name(said),
    }
}

/// An image to compare with, in network units; its values are in the unit of its file or, where that says none, of the
/// result.
pub fn truth(path: &Path, of_result: Unit) -> Result<Image, Failure> {
    let said = read_image(path).into_diagnostic()?.unit;
    let stated = match of_result {
        Unit::Network => StatedUnit::Network,
        Unit::Hounsfield => StatedUnit::Hounsfield,
        Unit::Attenuation(_) => StatedUnit::PerMm,
    };
    let stated = (said == PixelUnit::Relative).then_some(stated);
    let LoadedImage { image, unit, .. } = read_image_in(path, stated).into_diagnostic()?;
    let usual = Unit::Attenuation(ATTENUATION_PER_UNIT.into());
    Ok(match (unit, of_result) {
        // By way of 1/mm.
        (PixelUnit::HounsfieldUnits, Unit::Attenuation(_)) => {
            of_result.to_network(&usual.express(&Unit::Hounsfield.to_network(&image)))
        }
        (PixelUnit::HounsfieldUnits, _) => Unit::Hounsfield.to_network(&image),
        (PixelUnit::AttenuationPerMm, Unit::Attenuation(_)) => of_result.to_network(&image),
        (PixelUnit::AttenuationPerMm, _) => usual.to_network(&image),
        (PixelUnit::Relative, _) => image,
    })
}

/// A scan to reconstruct.
#[derive(Debug)]
pub struct Problem {
    /// A short name, good for a folder.
    pub name: String,
    /// The scan.
    pub scan: Scan,
    /// The unit that results are written in; `None` when the scan does not say its scale.
    pub unit: Option<Unit>,
    /// The DICOM file that a result goes back to.
    pub dicom: Option<Box<DicomSource>>,
    /// The scan was simulated here.
    pub simulated: bool,
    /// The scan is made of a raw measurement.
    pub raw: bool,
    /// The number in the scan as it is stored of each view that is left.
    pub views: Vec<usize>,
}

/// The image that `input` names: a sample or a file, whose unit is stated where it cannot say it.
pub fn subject(input: &str, stated: Option<StatedUnit>) -> Result<Subject, Failure> {
    if let Some(sample) = Sample::parse(input) {
        let subject = from_loaded(input.replace(':', "-"), sample.load().into_diagnostic()?);
        return Ok(Subject { prior: sample.prior().unwrap_or(subject.prior), ..subject });
    }
    let loaded = read_image_in(input, stated).into_diagnostic()?;
    Ok(from_loaded(stem(input), loaded))
}

fn from_loaded(name: String, loaded: LoadedImage) -> Subject {
    let unit = match loaded.unit {
        PixelUnit::HounsfieldUnits => Unit::Hounsfield,
        PixelUnit::AttenuationPerMm => Unit::Attenuation(ATTENUATION_PER_UNIT.into()),
        PixelUnit::Relative => Unit::Network,
    };
    let mut warnings = loaded.warnings;
    if loaded.pixel_mm.is_none() && unit != Unit::Network {
        warnings.push("the file says no size of a pixel: 1 mm is assumed".to_owned());
    }
    Subject {
        name,
        image: unit.to_network(&loaded.image),
        pixel_mm: loaded.pixel_mm.unwrap_or(1.0),
        unit,
        prior: unit.prior(),
        dicom: loaded.dicom,
        warnings,
    }
}

/// The scan that a run names: a scan file, or a sample or image that is scanned first; less views left out.
///
/// What is found from the data takes the place of `auto` in `run`.
pub fn problem(run: &mut RunConfig) -> Result<Problem, Failure> {
    let whole = whole_problem(run)?;
    corrected(run, whole)
}

/// The scan of a slice of the series that a run names, made in the same way.
pub fn problem_of(run: &mut RunConfig, slice: Slice) -> Result<Problem, Failure> {
    let name = stem(&run.input);
    let whole = match slice {
        Slice::Image(loaded) => of_image(from_loaded(name, *loaded), run)?,
        Slice::Scan(scan) => of_scan(name, *scan, is_raw(&run.input, &run.raw)),
    };
    corrected(run, whole)
}

/// The scan with less views, rings, the axis and beam hardening put right.
fn corrected(run: &mut RunConfig, mut problem: Problem) -> Result<Problem, Failure> {
    problem.views = mend(run, &mut problem.scan)?;
    let scan = &mut problem.scan;
    let mut corrections = Corrections {
        rings: run.rings,
        detector_offset_mm: run.detector_offset_mm,
        axis_is_open: problem.raw && !says_axis(&run.input),
        hardening: run.hardening.take(),
    };
    corrections.apply(scan).into_diagnostic()?;
    run.detector_offset_mm = corrections.detector_offset_mm;
    run.hardening = corrections.hardening;
    Ok(problem)
}

fn whole_problem(run: &RunConfig) -> Result<Problem, Failure> {
    let RunConfig { input, unit: stated, raw, .. } = run;
    let stated = *stated;
    let is_sample = Sample::parse(input).is_some();
    let is_raw = !is_sample && is_raw(input, raw);
    if !is_raw && *raw != RawOptions::default() {
        return Err(miette!(
            "--row, --turn-deg and --bin-width-mm are for raw files, and {input} is none; a TIFF file needs --turn-deg"
        ));
    }
    if is_raw || !is_sample && Scan::is_at(input).into_diagnostic()? {
        if let Some(stated) = stated {
            return Err(miette!(
                "--unit {stated} is for images, and {input} is a scan: its `unit` field is that of its truth"
            ));
        }
        let scan = if is_raw { read_raw(input, raw) } else { Scan::read(input) }.into_diagnostic()?;
        return Ok(of_scan(stem(input), scan, is_raw));
    }
    of_image(subject(input, stated)?, run)
}

fn of_scan(name: String, scan: Scan, raw: bool) -> Problem {
    let unit = scan.attenuation_per_unit_per_mm.map(Unit::Attenuation);
    Problem { name, scan, unit, dicom: None, simulated: false, raw, views: Vec::new() }
}

fn of_image(subject: Subject, run: &RunConfig) -> Result<Problem, Failure> {
    let scan = scanned(&subject, &run.simulation).wrap_err_with(|| format!("cannot scan {}", run.input))?;
    let Subject { name, unit, dicom, .. } = subject;
    Ok(Problem { name, scan, unit: Some(unit), dicom, simulated: true, raw: false, views: Vec::new() })
}

/// A scan of the subject, which says what prior suits it.
pub fn scanned(subject: &Subject, simulation: &Simulation) -> Result<Scan, Failure> {
    let scan = simulate(&subject.image, subject.pixel_mm, simulation).into_diagnostic()?;
    Ok(Scan { prior: Some(subject.prior.to_owned()), warnings: subject.warnings.clone(), ..scan })
}

/// The prior of this name, embedded or in a file.
pub fn prior(name: &str) -> Result<Prior, Failure> {
    Prior::named(name).into_diagnostic()
}

/// The file of the prior of this name.
pub fn prior_bytes(name: &str) -> Result<Cow<'static, [u8]>, Failure> {
    Prior::bytes(name).into_diagnostic()
}

fn stem(path: &str) -> String {
    // A slice is chosen behind the last colon.
    let path = path.rsplit_once(':').filter(|(_, chosen)| chosen.ends_with(']')).map_or(path, |(path, _)| path);
    Path::new(path).file_stem().map_or_else(|| "scan".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
