//! DICOM slices that come in: CT images in Hounsfield units, others in whatever they say.
use super::dicom_header::{self, Packing};
use super::dicom_pixels::{Stored, stored};
use super::file_error::{ImageProblem, list};
use super::image_files::{LoadedImage, PixelUnit};
use crate::image::Image;
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use std::cmp::Ordering;
use std::ops::RangeInclusive;

const AIR_HU: f32 = -1000.0;
/// Below this nothing is measured: scanners mark by such values, often -2000 or -3024, what is outside the field of view.
const BELOW_AIR_HU: f32 = -1200.0;
/// Values that say of an image that it is in HU: so many of a hundred pixels are within these bounds.
const AIR_BOUNDS_HU: RangeInclusive<f32> = -1050.0..=-950.0;
const AIR_SHARE: f64 = 0.01;
/// Relative difference of row and column spacing below which pixels count as square.
const SQUARE_TOLERANCE: f64 = 1e-3;

/// A DICOM file without its pixels: patient, study, series, geometry.
#[derive(Debug, Clone)]
pub struct DicomSource {
    pub(super) object: InMemDicomObject,
    /// Whether its values are HU: the file says so, or the user.
    pub(super) is_hu: bool,
}

/// The attribute's text without padding; `None` if it is empty or no text.
fn text_of(element: &InMemElement) -> Option<String> {
    let text = element.to_str().ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

impl DicomSource {
    /// The attribute's text without padding; `None` if absent or empty.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        text_of(self.object.get(tag)?)
    }

    fn numbers<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
        let numbers = self.object.get(tag)?.to_multi_float64().ok()?;
        numbers.iter().all(|number| number.is_finite()).then_some(numbers)?.try_into().ok()
    }

    /// A whole number.
    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        self.object.get(tag)?.to_int().ok()
    }

    /// An attribute as it is.
    pub(super) fn element(&self, tag: Tag) -> Option<&InMemElement> {
        self.object.get(tag).map(|element| element as &InMemElement)
    }

    /// An attribute, or that of the first frame, which is in the first item of sequence `group` of the functional groups.
    pub(super) fn of_frame(&self, group: Tag, tag: Tag) -> Option<&InMemElement> {
        let in_groups = |groups: Tag| {
            let groups = self.object.get(groups)?.items()?.first()?;
            groups.get(group)?.items()?.first()?.get(tag)
        };
        let groups = [tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE];
        self.object.get(tag).or_else(|| groups.into_iter().find_map(in_groups))
    }

    /// Identifier of the series.
    #[must_use]
    pub fn series_uid(&self) -> String {
        self.text(tags::SERIES_INSTANCE_UID).unwrap_or_default()
    }

    /// Identifier of the patient.
    #[must_use]
    pub fn patient_id(&self) -> Option<String> {
        self.text(tags::PATIENT_ID)
    }

    /// Place of the slice along the normal of its plane in mm: Image Position times (row direction x column direction).
    pub(super) fn place_mm(&self) -> Option<f64> {
        let [x, y, z] = self.numbers(tags::IMAGE_POSITION_PATIENT)?;
        let [rx, ry, rz, cx, cy, cz] = self.numbers(tags::IMAGE_ORIENTATION_PATIENT)?;
        Some(x * (ry * cz - rz * cy) + y * (rz * cx - rx * cz) + z * (rx * cy - ry * cx))
    }
}

/// Whether the bytes carry DICOM's mark.
pub(crate) fn has_mark(bytes: &[u8]) -> bool {
    dicom_header::has_mark(bytes)
}

/// Whether the file is a directory of a medium (DICOMDIR), which holds no image.
pub(crate) fn is_directory(bytes: &[u8]) -> bool {
    let uid = uids::MEDIA_STORAGE_DIRECTORY_STORAGE.as_bytes();
    bytes[..bytes.len().min(1024)].windows(uid.len()).any(|window| window == uid)
}

/// Decodes a single-frame grey image. CT values become Hounsfield units; padding outside the field of view, air.
pub(crate) fn decode(bytes: &[u8]) -> Result<LoadedImage, ImageProblem> {
    let (object, packing) = dicom_header::read(bytes)?;
    decode_object(object, packing)
}

fn decode_object(object: InMemDicomObject, packing: Packing) -> Result<LoadedImage, ImageProblem> {
    let mut source = DicomSource { object, is_hu: false };
    check_layout(&source)?;
    let Stored { height, width, values } = stored(&source, packing)?;
    source.object.remove_element(tags::PIXEL_DATA);
    let rescale = Rescale::of(&source)?;
    let padding = padding(&source);
    let is_padding = |stored: i32| padding.as_ref().is_some_and(|range| range.contains(&i64::from(stored)));
    let mut pixels: Vec<f32> = values.iter().map(|&stored| rescale.apply(stored)).collect();
    let mut warnings = Vec::new();
    let (unit, doubt) = unit(&source, &rescale, &pixels);
    warnings.extend(doubt);
    source.is_hu = unit == PixelUnit::HounsfieldUnits;
    if unit == PixelUnit::HounsfieldUnits {
        let padded = pixels.iter_mut().zip(&values).filter(|(_, stored)| is_padding(**stored));
        padded.for_each(|(pixel, _)| *pixel = AIR_HU);
        warnings.extend(clip_to_air(&mut pixels));
    }
    let pixel_mm = pixel_mm(&source)?;
    let image = Image { height, width, pixels };
    Ok(LoadedImage { image, unit, pixel_mm, dicom: Some(Box::new(source)), warnings })
}

/// Rejects what would be taken for something else.
fn check_layout(source: &DicomSource) -> Result<(), ImageProblem> {
    let samples = source.integer(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
    let frames = source.integer(tags::NUMBER_OF_FRAMES).unwrap_or(1);
    if source.object.get(tags::PIXEL_DATA).is_none() {
        return Err(ImageProblem::unsupported("no pixel data", "give an image, not a report or a directory"));
    }
    // Which end of the values is shown as white does not change what they measure.
    let kind = source.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
    if samples != 1 || !matches!(kind.as_str(), "MONOCHROME1" | "MONOCHROME2") {
        let found = format!("pixels of {samples} samples ({kind})");
        return Err(ImageProblem::unsupported(found, "export it in grey, as MONOCHROME2"));
    }
    if frames != 1 {
        return Err(ImageProblem::unsupported(format!("{frames} frames"), "export it as one file a slice"));
    }
    if source.object.get(tags::MODALITY_LUT_SEQUENCE).is_some() {
        let found = "values that a table (Modality LUT) gives their meaning";
        return Err(ImageProblem::unsupported(found, "export it with Rescale Slope and Rescale Intercept"));
    }
    Ok(())
}

/// Side of a pixel, where the file says it.
fn pixel_mm(source: &DicomSource) -> Result<Option<f64>, ImageProblem> {
    let spacing = source.of_frame(tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING);
    let sides = spacing.and_then(|element| element.to_multi_float64().ok()).unwrap_or_default();
    match sides[..] {
        [rows_mm, cols_mm] if (rows_mm - cols_mm).abs() > SQUARE_TOLERANCE * rows_mm.abs() => {
            let found = format!("pixels of {rows_mm} x {cols_mm} mm");
            Err(ImageProblem::unsupported(found, "resample it to square pixels"))
        }
        [rows_mm, _] if rows_mm.is_finite() && rows_mm > 0.0 => Ok(Some(rows_mm)),
        _ => Ok(None),
    }
}

/// Value = slope * stored + intercept.
struct Rescale {
    slope: f64,
    intercept: f64,
    /// Whether the file says both.
    is_given: bool,
}

impl Rescale {
    fn of(source: &DicomSource) -> Result<Self, ImageProblem> {
        let number = |tag, name: &str| {
            let element = source.of_frame(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tag);
            let Some(text) = element.and_then(text_of) else { return Ok(None) };
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => {
                    let found = format!("{text:?} as {name}, which is no number");
                    Err(ImageProblem::unsupported(found, "mend it, or export the image again"))
                }
            }
        };
        let (slope, intercept) =
            (number(tags::RESCALE_SLOPE, "Rescale Slope")?, number(tags::RESCALE_INTERCEPT, "Rescale Intercept")?);
        let is_given = slope.is_some() && intercept.is_some();
        Ok(Self { slope: slope.unwrap_or(1.0), intercept: intercept.unwrap_or(0.0), is_given })
    }

    fn apply(&self, stored: i32) -> f32 {
        (self.slope * f64::from(stored) + self.intercept) as f32
    }
}

/// Whether the values are in HU, and what is doubtful about it. A CT says so by its Rescale Type, or by none; where it says
/// something else, or nothing at all, air near -1000 does.
fn unit(source: &DicomSource, rescale: &Rescale, values: &[f32]) -> (PixelUnit, Option<String>) {
    let class = source.text(tags::SOP_CLASS_UID).unwrap_or_default();
    let is_ct_class = [uids::CT_IMAGE_STORAGE, uids::ENHANCED_CT_IMAGE_STORAGE].contains(&class.as_str());
    let modality = source.text(tags::MODALITY);
    let is_ct = modality.as_deref().map_or(is_ct_class, |modality| modality == "CT");
    let is_other = modality.is_some() && !is_ct;
    let kind = source.of_frame(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_TYPE).and_then(text_of);
    let letters: String = kind.iter().flat_map(|kind| kind.chars()).filter(|c| c.is_alphabetic()).collect();
    let says_hu = matches!(letters.to_uppercase().as_str(), "HU" | "HOUNSFIELD" | "HOUNSFIELDUNIT" | "HOUNSFIELDUNITS");
    if is_other {
        return (PixelUnit::Relative, None);
    }
    let doubt = match &kind {
        _ if says_hu && rescale.is_given => return (PixelUnit::HounsfieldUnits, None),
        None if is_ct && rescale.is_given => return (PixelUnit::HounsfieldUnits, None),
        _ if is_ct && !rescale.is_given => "a CT without Rescale Slope and Rescale Intercept".to_owned(),
        Some(kind) => format!("values of type {kind:?} (Rescale Type)"),
        None => "an image of no modality".to_owned(),
    };
    let air = values.iter().filter(|value| AIR_BOUNDS_HU.contains(*value)).count();
    if air as f64 >= AIR_SHARE * values.len() as f64 {
        (PixelUnit::HounsfieldUnits, Some(format!("{doubt}: taken as HU, because air lies near -1000")))
    } else {
        (PixelUnit::Relative, Some(format!("{doubt}: nothing in it says that its values are HU")))
    }
}

/// Makes air of what is below all air, and says so.
fn clip_to_air(pixels: &mut [f32]) -> Option<String> {
    let below = pixels.iter_mut().filter(|pixel| **pixel < BELOW_AIR_HU);
    let n = below.map(|pixel| *pixel = AIR_HU).count();
    (n > 0).then(|| format!("{n} pixels below {BELOW_AIR_HU} HU, outside the field of view, are taken as air"))
}

/// Stored values that mark pixels outside the field of view. Some files write a negative one as unsigned.
fn padding(source: &DicomSource) -> Option<RangeInclusive<i64>> {
    let signed = source.integer(tags::PIXEL_REPRESENTATION) == Some(1);
    let value = |tag| {
        let stored = source.integer(tag)?;
        Some(if signed && stored > i64::from(i16::MAX) { stored - (1 << 16) } else { stored })
    };
    let first = value(tags::PIXEL_PADDING_VALUE)?;
    let last = value(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(first);
    Some(first.min(last)..=first.max(last))
}

/// Sorts slices of one series by their place, or by their number where places are missing.
pub(crate) fn in_order(mut slices: Vec<LoadedImage>) -> Result<Vec<LoadedImage>, ImageProblem> {
    let source = |slice: &LoadedImage| slice.dicom.clone();
    let mut series: Vec<String> = slices.iter().filter_map(source).map(|s| s.series_uid()).collect();
    series.sort_unstable();
    series.dedup();
    if series.len() != 1 {
        let found = format!("{} DICOM series ({})", series.len(), list(&series));
        return Err(ImageProblem::unsupported(found, "give a folder with the slices of exactly one series"));
    }
    let place = |slice: &LoadedImage| slice.dicom.as_ref().and_then(|s| s.place_mm());
    let number = |slice: &LoadedImage| slice.dicom.as_ref().and_then(|s| s.integer(tags::INSTANCE_NUMBER));
    if slices.iter().all(|slice| place(slice).is_some()) {
        slices.sort_by(|a, b| place(a).partial_cmp(&place(b)).unwrap_or(Ordering::Equal));
    } else {
        slices.sort_by_key(number);
    }
    Ok(slices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::{DataElement, PrimitiveValue, VR};

    const SPINE: &[u8] = include_bytes!("../../samples/spine.dcm");

    fn spine() -> LoadedImage {
        decode(SPINE).unwrap()
    }

    #[test]
    fn reads_hounsfield_units_and_spacing() {
        let slice = spine();
        // Stored 175, 180, 166, 143 with intercept -1024, as pydicom reads them.
        assert_eq!(slice.image.pixels[..4], [-849.0, -844.0, -858.0, -881.0]);
        assert_eq!((slice.image.height, slice.image.width), (128, 128));
        assert_eq!((slice.unit, slice.pixel_mm), (PixelUnit::HounsfieldUnits, Some(0.661468)));
    }

    /// The spine with attributes put in or, where there is no value, taken out.
    fn with(changes: &[(Tag, VR, Option<PrimitiveValue>)]) -> Result<LoadedImage, ImageProblem> {
        let (mut object, packing) = dicom_header::read(SPINE).unwrap();
        for (tag, vr, value) in changes {
            match value {
                Some(value) => drop(object.put(DataElement::new(*tag, *vr, value.clone()))),
                None => drop(object.remove_element(*tag)),
            }
        }
        decode_object(object, packing)
    }

    #[test]
    fn padding_becomes_air() {
        let value = (tags::PIXEL_PADDING_VALUE, VR::SS, Some(PrimitiveValue::from(175i16)));
        assert_eq!(with(std::slice::from_ref(&value)).unwrap().image.pixels[..3], [AIR_HU, -844.0, -858.0]);
        let limit = (tags::PIXEL_PADDING_RANGE_LIMIT, VR::SS, Some(PrimitiveValue::from(166i16)));
        assert_eq!(with(&[value.clone(), limit]).unwrap().image.pixels[..3], [AIR_HU, -844.0, AIR_HU]);
        let pet = (tags::MODALITY, VR::CS, Some("PT".into()));
        assert_eq!(with(&[value, pet]).unwrap().image.pixels[0], -849.0);
    }

    #[test]
    fn unusual_layouts_are_refused() {
        for (tag, value) in
            [(tags::SAMPLES_PER_PIXEL, 3u16), (tags::BITS_STORED, 0), (tags::BITS_ALLOCATED, 32), (tags::HIGH_BIT, 16)]
        {
            assert!(with(&[(tag, VR::US, Some(PrimitiveValue::from(value)))]).is_err(), "{tag}");
        }
        let (rows, large) = ((tags::ROWS, VR::US), PrimitiveValue::from(65_535u16));
        let problem = with(&[(rows.0, rows.1, Some(large))]).unwrap_err();
        assert!(matches!(problem, ImageProblem::Damaged { .. }), "{problem}");
    }

    #[test]
    fn hounsfield_units_are_said_or_seen() {
        let unit = |changes: &[(Tag, VR, Option<PrimitiveValue>)]| {
            let loaded = with(changes).unwrap();
            (loaded.unit, loaded.warnings.len())
        };
        let kind = |text: &str| (tags::RESCALE_TYPE, VR::LO, Some(PrimitiveValue::from(text)));
        assert_eq!(unit(&[kind("Hounsfield Units")]), (PixelUnit::HounsfieldUnits, 0));
        // The spine fills the picture: no air.
        assert_eq!(unit(&[kind("US")]), (PixelUnit::Relative, 1));
        assert_eq!(unit(&[(tags::RESCALE_SLOPE, VR::DS, None)]), (PixelUnit::Relative, 1));
        let air = (tags::RESCALE_INTERCEPT, VR::DS, Some(PrimitiveValue::from("-1160")));
        assert_eq!(unit(&[kind("US"), air]), (PixelUnit::HounsfieldUnits, 1));
        assert_eq!(unit(&[(tags::MODALITY, VR::CS, Some("MR".into()))]), (PixelUnit::Relative, 0));
        let comma = with(&[(tags::RESCALE_SLOPE, VR::DS, Some(PrimitiveValue::from("0,5")))]).unwrap_err();
        assert!(comma.to_string().contains("\"0,5\" as Rescale Slope"), "{comma}");
    }

    #[test]
    fn slices_are_ordered_along_the_normal() {
        let slice_at = |z: f64| {
            let mut slice = spine();
            let source = slice.dicom.as_mut().unwrap();
            let place = PrimitiveValue::Strs(["0", "0", &z.to_string()].map(str::to_owned).into_iter().collect());
            source.object.put(DataElement::new(tags::IMAGE_POSITION_PATIENT, VR::DS, place));
            slice
        };
        let ordered = in_order(vec![slice_at(5.0), slice_at(-2.5), slice_at(0.0)]).unwrap();
        let places: Vec<_> = ordered.iter().map(|s| s.dicom.as_ref().unwrap().place_mm().unwrap()).collect();
        assert_eq!(places, [-2.5, 0.0, 5.0]);
        let mut other = spine();
        other.dicom.as_mut().unwrap().object.put_str(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3");
        assert!(in_order(vec![spine(), other]).is_err());
        assert!(in_order(Vec::new()).is_err());
    }
}
