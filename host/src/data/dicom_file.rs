//! DICOM slices that come in: CT images in Hounsfield units, others in whatever they say.
use super::dicom_header::{self, Packing};
use super::dicom_pixels::{PixelData, Stored, stored};
use super::dicom_source::{DicomSource, text_of};
use super::dicom_values::{self, Meaning};
use super::file_error::ImageProblem;
use super::loaded_image::{LoadedImage, PixelUnit};
use super::units::{AIR_HU, StatedUnit};
use crate::image::Image;
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// Relative difference of row and column spacing below which pixels count as square.
const SQUARE_TOLERANCE: f64 = 1e-3;

/// Said of a file that holds no image.
pub(super) const NO_PIXELS: &str = "no pixel data";
/// Said of colour.
pub(super) const IN_GREY: &str = "export it in grey, as MONOCHROME2";

/// True if the bytes carry DICOM's mark.
pub(crate) fn has_mark(bytes: &[u8]) -> bool {
    dicom_header::has_mark(bytes)
}

/// True if the file is a directory of a medium (DICOMDIR), which holds no image.
pub(crate) fn is_directory(bytes: &[u8]) -> bool {
    let uid = uids::MEDIA_STORAGE_DIRECTORY_STORAGE.as_bytes();
    bytes[..bytes.len().min(1024)].windows(uid.len()).any(|window| window == uid)
}

/// A DICOM image whose frames are decoded one by one.
pub(super) struct Dicom {
    source: DicomSource,
    pixels: PixelData,
}

impl Dicom {
    /// Reads the attributes, and rejects what would be taken for something else.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ImageProblem> {
        let (object, packing) = dicom_header::read(bytes)?;
        Self::of(object, packing, bytes.len())
    }

    fn of(mut object: InMemDicomObject, packing: Packing, file_bytes: usize) -> Result<Self, ImageProblem> {
        let has = |tag| object.get(tag).is_some();
        if has(tags::FLOAT_PIXEL_DATA) || has(tags::DOUBLE_FLOAT_PIXEL_DATA) {
            let found = "pixels of floating point (a parametric map)";
            return Err(ImageProblem::unsupported(found, "save its pixel array by numpy.save"));
        }
        let pixels = object.take(tags::PIXEL_DATA);
        let source = DicomSource { object, frame: 0, is_hu: false };
        let pixels =
            pixels.ok_or_else(|| ImageProblem::unsupported(NO_PIXELS, "give an image, not a report or a directory"))?;
        // Which end of the values is shown as white does not change what they measure.
        let samples = source.integer(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let kind = source.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        if samples != 1 || !matches!(kind.as_str(), "MONOCHROME1" | "MONOCHROME2") {
            let found = format!("pixels of {samples} samples ({kind})");
            return Err(ImageProblem::unsupported(found, IN_GREY));
        }
        Ok(Self { source, pixels: PixelData { element: pixels, packing, file_bytes } })
    }

    /// Everything that the file says beside its pixels.
    pub(super) fn source(&self) -> &DicomSource {
        &self.source
    }

    /// Number of frames by the file's own words.
    pub(super) fn n_frames(&self) -> usize {
        let frames = self.source.integer(tags::NUMBER_OF_FRAMES).and_then(|n| usize::try_from(n).ok());
        frames.unwrap_or(1).max(1)
    }

    /// Decodes the only frame, or the one that is chosen. CT values become Hounsfield units, as do those that are
    /// stated to be; padding outside the field of view becomes air.
    pub(super) fn frame(&self, index: Option<usize>, stated: Option<StatedUnit>) -> Result<LoadedImage, ImageProblem> {
        let n_frames = self.n_frames();
        let index = match index {
            None if n_frames > 1 => {
                return Err(ImageProblem::Stack { what: format!("{n_frames} frames"), last: n_frames - 1 });
            }
            Some(index) if index >= n_frames => return Err(ImageProblem::NoSuchSlice { index, length: n_frames }),
            index => index.unwrap_or(0),
        };
        let mut source = DicomSource { frame: index, ..self.source.clone() };
        let Stored { height, width, values } = stored(&source, &self.pixels, (index, n_frames))?;
        let meaning = Meaning::of(&source)?;
        let mut pixels: Vec<f32> = values.iter().map(|&stored| meaning.apply(stored)).collect();
        let mut warnings = Vec::new();
        let verdict = dicom_values::unit(&source, &meaning, &pixels);
        let is_stated = verdict.unit == PixelUnit::Relative && stated == Some(StatedUnit::Hounsfield);
        if !is_stated {
            warnings.extend(verdict.doubt);
        }
        source.is_hu = verdict.unit == PixelUnit::HounsfieldUnits;
        if source.is_hu || is_stated {
            let padding = dicom_values::padding(&source);
            let is_padding = |stored: i32| padding.as_ref().is_some_and(|range| range.contains(&i64::from(stored)));
            let padded = pixels.iter_mut().zip(&values).filter(|(_, stored)| is_padding(**stored));
            padded.for_each(|(pixel, _)| *pixel = AIR_HU);
        }
        let (pixel_mm, of_pixel, doubt) = pixel_mm(&source)?;
        warnings.extend(doubt);
        let mut origins = vec![meaning.origin(), verdict.origin, of_pixel];
        if n_frames > 1 {
            origins.insert(0, format!("frame {index} of {n_frames}"));
        }
        let image = Image { height, width, pixels };
        let mut loaded =
            LoadedImage { image, unit: verdict.unit, pixel_mm, dicom: Some(Box::new(source)), warnings, origins };
        if loaded.unit == PixelUnit::HounsfieldUnits {
            loaded.clip_to_air();
        }
        Ok(loaded)
    }
}

/// Decodes an image of one frame.
pub(super) fn decode(bytes: &[u8]) -> Result<LoadedImage, ImageProblem> {
    Dicom::parse(bytes)?.frame(None, None)
}

/// Side of a pixel where the file says it, how it says so, and what is doubtful about it.
fn pixel_mm(source: &DicomSource) -> Result<(Option<f64>, String, Option<String>), ImageProblem> {
    // Of a slice; and of a projection: at the detector, which is farther away than the object.
    const SPACINGS: [(Tag, &str, bool); 3] = [
        (tags::PIXEL_SPACING, "Pixel Spacing", false),
        (tags::IMAGER_PIXEL_SPACING, "Imager Pixel Spacing", true),
        (tags::NOMINAL_SCANNED_PIXEL_SPACING, "Nominal Scanned Pixel Spacing", true),
    ];
    let not_square = |sides: [f64; 2], name: &str| {
        let found = format!("pixels of {} x {} ({name})", sides[0], sides[1]);
        ImageProblem::unsupported(found, "resample it to square pixels")
    };
    let is_square = |[rows, cols]: [f64; 2]| (rows - cols).abs() <= SQUARE_TOLERANCE * rows.abs();
    let sides = |element: Option<&InMemElement>| -> Option<[f64; 2]> {
        let sides: [f64; 2] = element?.to_multi_float64().ok()?.try_into().ok()?;
        sides.iter().all(|mm| mm.is_finite() && *mm > 0.0).then_some(sides)
    };
    for (tag, name, is_elsewhere) in SPACINGS {
        let Some(sides) = sides(source.of_frame(tags::PIXEL_MEASURES_SEQUENCE, tag)) else { continue };
        if !is_square(sides) {
            return Err(not_square(sides, &format!("mm by {name}")));
        }
        let doubt = is_elsewhere.then(|| format!("no Pixel Spacing: {} mm by {name} is assumed", sides[0]));
        return Ok((Some(sides[0]), format!("pixel_mm by {name}"), doubt));
    }
    match sides(source.element(tags::PIXEL_ASPECT_RATIO)) {
        Some(ratio) if !is_square(ratio) => Err(not_square(ratio, "Pixel Aspect Ratio")),
        _ => {
            let text = source.of_frame(tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING).and_then(text_of);
            let doubt = text.map(|text| format!("Pixel Spacing is {text:?}, no two lengths in mm: it is not used"));
            Ok((None, "no Pixel Spacing".to_owned(), doubt))
        }
    }
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
        Dicom::of(object, packing, 0)?.frame(None, None)
    }

    #[test]
    fn padding_becomes_air() {
        let value = (tags::PIXEL_PADDING_VALUE, VR::SS, Some(PrimitiveValue::from(175i16)));
        assert_eq!(with(std::slice::from_ref(&value)).unwrap().image.pixels[..3], [AIR_HU, -844.0, -858.0]);
        let limit = (tags::PIXEL_PADDING_RANGE_LIMIT, VR::SS, Some(PrimitiveValue::from(166i16)));
        assert_eq!(with(&[value.clone(), limit]).unwrap().image.pixels[..3], [AIR_HU, -844.0, AIR_HU]);
        // A negative value written as unsigned, and an unsigned one as negative.
        let stored: Vec<u16> = vec![63_536; 128 * 128];
        for (is_signed, vr, padding) in
            [(1u16, VR::US, PrimitiveValue::from(63_536u16)), (0, VR::SS, PrimitiveValue::from(-2000i16))]
        {
            let changes = [
                (tags::PIXEL_REPRESENTATION, VR::US, Some(PrimitiveValue::from(is_signed))),
                (tags::PIXEL_DATA, VR::OW, Some(PrimitiveValue::U16(stored.iter().copied().collect()))),
                (tags::PIXEL_PADDING_VALUE, vr, Some(padding)),
            ];
            assert!(with(&changes).unwrap().image.pixels.iter().all(|pixel| *pixel == AIR_HU));
        }
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
        assert_eq!(unit(&[(tags::MODALITY, VR::CS, Some("MR".into()))]), (PixelUnit::Relative, 1));
        let comma = with(&[(tags::RESCALE_SLOPE, VR::DS, Some(PrimitiveValue::from("0,5")))]).unwrap_err();
        assert!(comma.to_string().contains("\"0,5\" as Rescale Slope"), "{comma}");
    }
}
