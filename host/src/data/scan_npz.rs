//! Scans as npz archives.
use super::file_error::{Cause, ImageProblem};
use super::loaded_image::{LoadedImage, PixelUnit};
use super::npy::{Archive, ArchiveWriter, Array};
use super::scan::{Scan, ScanProblem, beam, positive};
use super::units::StatedUnit;
use crate::ct::{ATTENUATION_PER_UNIT, Beam, Geometry, hu_to_network};
use crate::image::Image;
use crate::limits::SIDE;
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::io::{Read, Seek};
use std::path::Path;

pub(super) const FIELDS: [&str; 17] = [
    "sinogram",
    "angles_rad",
    "height",
    "width",
    "pixel_mm",
    "bin_width_mm",
    "detector_offset_mm",
    "source_to_axis_mm",
    "source_to_detector_mm",
    "detector",
    "truth",
    "photons",
    "noise_std",
    "attenuation_per_unit_per_mm",
    "prior",
    "note",
    "unit",
];
/// Our names and those of other programs for the same thing.
pub(super) const ALIASES: [(&str, &str); 2] = [("sinogram", "sino"), ("angles_rad", "theta")];
/// The bin, counted from 0, in which the rotation axis is seen: another program's way to give the detector's offset.
pub(super) const AXIS_BIN: &str = "centre_px";
/// Bins by which two statements of the axis may differ.
const SAME_AXIS: f64 = 0.01;

/// The arrays of an archive by field, and what had to be assumed.
struct Fields<'a, R> {
    archive: &'a mut Archive<R>,
    names: Vec<String>,
    /// Images that have been read already, by field.
    planes: BTreeMap<&'static str, Image>,
    warnings: Vec<String>,
}

/// The name that a field has in an archive with these names.
pub(super) fn name_of(field: &'static str, names: &[String]) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(ours, _)| *ours == field).map(|(_, theirs)| *theirs);
    [Some(field), alias].into_iter().flatten().find(|&name| names.iter().any(|n| n == name))
}

impl<R: Read + Seek> Fields<'_, R> {
    fn array(&mut self, field: &'static str) -> Result<Option<Array>, ScanProblem> {
        let Some(name) = name_of(field, &self.names) else { return Ok(None) };
        self.archive.array(name).map_err(damaged)
    }

    fn scalar(&mut self, field: &'static str) -> Result<Option<f64>, ScanProblem> {
        let Some(array) = self.array(field)? else { return Ok(None) };
        match array.values().map_err(damaged)?.as_slice() {
            [value] => Ok(Some(*value)),
            _ => Err(ScanProblem::Shape { field, found: array.shape(), expected: "a single number".into() }),
        }
    }

    fn text(&mut self, field: &'static str) -> Result<Option<String>, ScanProblem> {
        let Some(array) = self.array(field)? else { return Ok(None) };
        array.text().map(Some).map_err(damaged)
    }

    /// The scalar, or `assumed` with a warning.
    fn scalar_or(&mut self, field: &'static str, assumed: f64) -> Result<f64, ScanProblem> {
        let value = self.scalar(field)?;
        if value.is_none() {
            self.warnings.push(format!("field {field} is missing: {assumed} is assumed"));
        }
        Ok(value.unwrap_or(assumed))
    }

    fn side(&mut self, field: &'static str, assumed: usize) -> Result<usize, ScanProblem> {
        let side = self.scalar_or(field, assumed as f64)?;
        if side.fract() == 0.0 && (1.0..=SIDE as f64).contains(&side) {
            return Ok(side as usize);
        }
        Err(ScanProblem::Value { field, value: side.to_string(), rule: "a whole number from 1 to 65536" })
    }

    fn plane(&mut self, field: &'static str) -> Result<Option<Image>, ScanProblem> {
        if let Some(image) = self.planes.remove(field) {
            return Ok(Some(image));
        }
        let Some(array) = self.array(field)? else { return Ok(None) };
        let &[height, width] = array.shape().as_slice() else {
            let expected = "two axes; of a stack, --slices all reconstructs every slice".into();
            return Err(ScanProblem::Shape { field, found: array.shape(), expected });
        };
        let pixels = array.pixels(0..height * width).map_err(damaged)?;
        Ok(Some(Image { height, width, pixels }))
    }

    fn beam(&mut self) -> Result<Beam, ScanProblem> {
        let detector = self.text("detector")?;
        beam(self.scalar("source_to_axis_mm")?, self.scalar("source_to_detector_mm")?, detector.as_deref())
    }

    /// The angles, which other programs give in degrees.
    fn radians(&mut self, angles: &Array) -> Result<Vec<f64>, ScanProblem> {
        let mut angles_rad = angles.values().map_err(damaged)?;
        if !self.names.iter().any(|name| name == "angles_rad") {
            let is_degrees = angles_rad.iter().any(|angle| angle.abs() > TAU);
            if is_degrees {
                angles_rad.iter_mut().for_each(|angle| *angle = angle.to_radians());
            }
            let unit = if is_degrees { "degrees" } else { "radians" };
            self.warnings.push(format!("theta is taken to be in {unit}; angles_rad would say it"));
        }
        Ok(angles_rad)
    }

    /// Bins and pixels that are not said are as wide as each other, and as many.
    fn geometry(&mut self, angles_rad: Vec<f64>, n_bins: usize) -> Result<Geometry, ScanProblem> {
        let bin_width_mm = self.scalar_or("bin_width_mm", 1.0)?;
        positive("bin_width_mm", bin_width_mm)?;
        Ok(Geometry {
            height: self.side("height", n_bins)?,
            width: self.side("width", n_bins)?,
            pixel_mm: self.scalar_or("pixel_mm", bin_width_mm)?,
            angles_rad,
            n_bins,
            bin_width_mm,
            detector_offset_mm: self.detector_offset_mm(n_bins, bin_width_mm)?,
            beam: self.beam()?,
        })
    }

    /// From `detector_offset_mm`, or from the axis' bin as (bin - (n_bins - 1)/2) * bin width.
    fn detector_offset_mm(&mut self, n_bins: usize, bin_width_mm: f64) -> Result<f64, ScanProblem> {
        let has = |name: &str| self.names.iter().any(|n| n == name);
        if !has(AXIS_BIN) {
            return self.scalar_or("detector_offset_mm", 0.0);
        }
        let axis_bin = self.scalar(AXIS_BIN)?.unwrap_or_default();
        let offset_mm = (axis_bin - (n_bins as f64 - 1.0) / 2.0) * bin_width_mm;
        match self.scalar("detector_offset_mm")? {
            Some(stated) if (stated - offset_mm).abs() > SAME_AXIS * bin_width_mm => Err(ScanProblem::Value {
                field: AXIS_BIN,
                value: axis_bin.to_string(),
                rule: "the axis that detector_offset_mm says, or left out",
            }),
            Some(stated) => Ok(stated),
            None => {
                self.warnings.push(format!("detector_offset_mm is by {AXIS_BIN}, {axis_bin}, counted from 0"));
                Ok(offset_mm)
            }
        }
    }
}

/// True if the file is an archive with a field that only scans have.
pub(super) fn holds_scan(path: &Path) -> bool {
    let names = Archive::open(path).map(|archive| archive.names()).unwrap_or_default();
    names.iter().any(|name| ALIASES.iter().any(|(ours, theirs)| name == ours || name == theirs))
}

pub(super) fn decode(bytes: Vec<u8>) -> Result<Scan, ScanProblem> {
    decode_fields(&mut Archive::parse(bytes).map_err(damaged)?, BTreeMap::new())
}

/// The scan of an archive, of which some images have been read already.
pub(super) fn decode_fields<R: Read + Seek>(
    archive: &mut Archive<R>,
    planes: BTreeMap<&'static str, Image>,
) -> Result<Scan, ScanProblem> {
    let names = archive.names();
    let mut fields = Fields { archive, names, planes, warnings: Vec::new() };
    let (Some(sinogram), Some(angles)) = (fields.plane("sinogram")?, fields.array("angles_rad")?) else {
        let known = |field: &str| fields.names.iter().any(|n| n == field || ALIASES.contains(&(field, n.as_str())));
        let needed = ["sinogram", "angles_rad"].into_iter().filter(|field| !known(field)).collect();
        return Err(ScanProblem::MissingFields { needed, found: fields.names });
    };
    check_views(&sinogram, &angles.shape())?;
    let angles_rad = fields.radians(&angles)?;
    let geometry = fields.geometry(angles_rad, sinogram.width)?;
    let prior = fields.text("prior")?;
    let note = fields.text("note")?.unwrap_or_default();
    let unit = fields.text("unit")?.map(|text| text.parse::<StatedUnit>());
    let unit = unit.transpose().map_err(|why| damaged(why.into()))?;
    let mut attenuation = fields.scalar("attenuation_per_unit_per_mm")?;
    let truth = fields.plane("truth")?;
    let truth = truth.map(|image| truth_in_network_units(LoadedImage::bare(image), unit, &mut attenuation));
    let scan = Scan {
        geometry,
        sinogram: sinogram.pixels,
        truth: truth.transpose()?,
        photons: fields.scalar("photons")?,
        noise_std: fields.scalar("noise_std")?,
        attenuation_per_unit_per_mm: attenuation,
        prior,
        note,
        warnings: with_unused(fields),
    };
    scan.checked()
}

/// The truth of a scan in the units of its image: those of the network, 1 being the attenuation that the scan says.
/// Where it does not, and the truth has a unit, 1 is the attenuation of 3071 HU from here on.
pub(super) fn truth_in_network_units(
    truth: LoadedImage,
    unit: Option<StatedUnit>,
    attenuation_per_unit_per_mm: &mut Option<f64>,
) -> Result<Image, ScanProblem> {
    let LoadedImage { mut image, unit, .. } = truth.stated(unit)?.plausible()?;
    if unit == PixelUnit::Relative {
        return Ok(image);
    }
    let per_mm = *attenuation_per_unit_per_mm.get_or_insert(ATTENUATION_PER_UNIT.into());
    // HU go to 1/mm and from there to what is 1 here.
    let in_units = |hu: f32| (f64::from(hu_to_network(hu)) * f64::from(ATTENUATION_PER_UNIT) / per_mm) as f32;
    match unit {
        PixelUnit::HounsfieldUnits => image.pixels.iter_mut().for_each(|pixel| *pixel = in_units(*pixel)),
        PixelUnit::AttenuationPerMm => {
            image.pixels.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) / per_mm) as f32);
        }
        PixelUnit::Relative => {}
    }
    Ok(image)
}

/// The warnings, and one for each field that nothing here reads: most often a misspelt name.
fn with_unused<R>(fields: Fields<'_, R>) -> Vec<String> {
    let mut warnings = fields.warnings;
    for name in fields.names {
        let known = FIELDS.contains(&name.as_str()) || ALIASES.iter().any(|(_, theirs)| *theirs == name);
        if !known && name != AXIS_BIN {
            warnings.push(format!("field {name} is unknown and not used"));
        }
    }
    warnings
}

/// One row of the sinogram for each angle.
pub(crate) fn check_views(sinogram: &Image, angles_shape: &[usize]) -> Result<(), ScanProblem> {
    let &[n_angles] = angles_shape else {
        let expected = "one angle for each row of the sinogram".to_owned();
        return Err(ScanProblem::Shape { field: "angles_rad", found: angles_shape.to_vec(), expected });
    };
    if sinogram.height == n_angles {
        return Ok(());
    }
    let hint = if sinogram.width == n_angles { "; transpose it" } else { "" };
    Err(ScanProblem::Shape {
        field: "sinogram",
        found: vec![sinogram.height, sinogram.width],
        expected: format!("a row for each of the {n_angles} angles in angles_rad and a column for each bin{hint}"),
    })
}

pub(super) fn encode(scan: &Scan) -> Result<Vec<u8>, ScanProblem> {
    encode_fields(scan).map_err(|cause| ImageProblem::Write(std::io::Error::other(cause)).into())
}

fn encode_fields(scan: &Scan) -> Result<Vec<u8>, Cause> {
    let geometry = &scan.geometry;
    let fan = geometry.fan();
    let mut writer = ArchiveWriter::new();
    writer.numbers("sinogram", &[geometry.angles_rad.len(), geometry.n_bins], &scan.sinogram)?;
    writer.numbers("angles_rad", &[geometry.angles_rad.len()], &geometry.angles_rad)?;
    for (name, side) in [("height", geometry.height), ("width", geometry.width)] {
        writer.numbers(name, &[], &[side as i64])?;
    }
    for (name, value) in [
        ("pixel_mm", Some(geometry.pixel_mm)),
        ("bin_width_mm", Some(geometry.bin_width_mm)),
        ("detector_offset_mm", Some(geometry.detector_offset_mm)),
        ("source_to_axis_mm", fan.map(|fan| fan.source_to_axis_mm)),
        ("source_to_detector_mm", fan.map(|fan| fan.source_to_detector_mm)),
        ("attenuation_per_unit_per_mm", scan.attenuation_per_unit_per_mm),
        ("photons", scan.photons),
        ("noise_std", scan.noise_std),
    ] {
        if let Some(value) = value {
            writer.numbers(name, &[], &[value])?;
        }
    }
    if let Some(fan) = fan {
        writer.text("detector", fan.detector.name())?;
    }
    if let Some(truth) = &scan.truth {
        writer.numbers("truth", &[truth.height, truth.width], &truth.pixels)?;
    }
    if let Some(prior) = &scan.prior {
        writer.text("prior", prior)?;
    }
    writer.text("note", &scan.note)?;
    writer.finish()
}

pub(super) fn damaged(cause: Cause) -> ScanProblem {
    ImageProblem::damaged("npz", cause).into()
}
