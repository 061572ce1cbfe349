//! DICOM slices that go out: an image in the place of the one that it was made from.
use super::dicom_file::decode;
use super::dicom_source::{DicomSource, text_of};
use super::file_error::ImageProblem;
use super::loaded_image::check_image;
use crate::image::Image;
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use std::ops::RangeInclusive;

/// Significant digits of Rescale slopes, and their powers of ten. Metal needs the coarse ones.
const DIGITS: [u32; 3] = [1, 2, 5];
const POWERS: RangeInclusive<i32> = -9..=2;
/// The finest slope for HU, whose noise is hundreds of times larger.
const FINEST_HU: f64 = 0.1;
/// Added to the number of the source's series, so that the new one stands behind all others of a study.
const NEXT_SERIES: i64 = 1000;
/// Characters that a description of a series may have, and one of a derivation.
const LONG_STRING: usize = 64;
const SHORT_TEXT: usize = 1024;

/// The origin of an image that is written.
#[derive(Debug, Clone, Copy)]
pub struct Derivation<'a> {
    /// In a few words, for the descriptions.
    pub words: &'a str,
    /// Whatever tells the run from others: slices of one source series with the same make one new series.
    pub run: &'a str,
    /// Number of the series behind the first that is derived from the source's.
    pub behind: u16,
}

/// The bytes of a DICOM file with `image`, derived from `source` and in its unit; and a warning where not all values
/// can be stored.
pub(crate) fn encode(
    image: &Image,
    source: &DicomSource,
    derivation: Derivation<'_>,
) -> Result<(Vec<u8>, Option<String>), ImageProblem> {
    check_image(image)?;
    let size = [tags::ROWS, tags::COLUMNS].map(|tag| source.integer(tag));
    let found = [image.height, image.width];
    if size != found.map(|n| i64::try_from(n).ok()) {
        let found = format!("an image of {found:?} (rows, columns) for a source of another size");
        return Err(ImageProblem::unsupported(found, "resample it to the rows and columns of its DICOM source"));
    }
    let quantised = Quantised::of(image, source.is_hu);
    // A source that can be read may still hold what cannot be written so that it can be read again.
    let whole = derived(source, derivation, &quantised, still_true);
    let plain = |tag: Tag| still_true(tag) && source.text(tag).is_some();
    let bytes = file_of(whole, image).or_else(|_| file_of(derived(source, derivation, &quantised, plain), image))?;
    Ok((bytes, quantised.warning))
}

/// The bytes of a file with `object`, which give an image of the size of `image` when they are read.
fn file_of(object: InMemDicomObject, image: &Image) -> Result<Vec<u8>, ImageProblem> {
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let mut bytes = Vec::new();
    let file = object.with_meta(meta).map_err(|cause| ImageProblem::damaged("source DICOM", cause))?;
    file.write_all(&mut bytes).map_err(|cause| ImageProblem::damaged("source DICOM", cause))?;
    let back = decode(&bytes)?.image;
    if (back.height, back.width) != (image.height, image.width) {
        return Err(ImageProblem::damaged("source DICOM", "its attributes contradict the image"));
    }
    Ok(bytes)
}

/// An image as value = slope * stored, with the finest slope that fits.
struct Quantised {
    slope: f64,
    stored: Vec<i16>,
    warning: Option<String>,
}

impl Quantised {
    fn of(image: &Image, is_hu: bool) -> Self {
        let (lo, hi) = image.range();
        let (largest, limit) = (f64::from(lo.abs().max(hi.abs())), f64::from(i16::MAX));
        // Parsed, so that the slope is what its decimal text says, which readers will use.
        let slopes = POWERS.flat_map(|power| DIGITS.map(|digit| format!("{digit}e{power}").parse().unwrap_or(1.0)));
        let slopes: Vec<f64> = slopes.filter(|slope| !is_hu || *slope >= FINEST_HU).collect();
        let coarsest = slopes.last().copied().unwrap_or(1.0);
        let slope = slopes.into_iter().find(|slope| largest / slope <= limit).unwrap_or(coarsest);
        // The cast ends at the largest numbers.
        let stored = image.pixels.iter().map(|&value| (f64::from(value) / slope).round() as i16).collect();
        let warning = (largest / slope > limit).then(|| {
            format!("image.dcm stores 16 bits: values beyond +-{:e} are clipped there, not in image.npy", limit * slope)
        });
        Self { slope, stored, warning }
    }
}

/// Source data set with the new pixels, and with those of its attributes that are kept.
fn derived(
    source: &DicomSource,
    derivation: Derivation<'_>,
    quantised: &Quantised,
    is_kept: impl Fn(Tag) -> bool,
) -> InMemDicomObject {
    let mut object = source.object.clone();
    object.retain(|element| {
        let is_bad_uid = || element.vr() == VR::UI && !element.to_str().is_ok_and(|text| text.split('\\').all(is_uid));
        is_kept(element.header().tag) && !is_bad_uid()
    });
    for (group, tag) in OF_FRAME {
        if let Some(element) = source.of_frame(group, tag) {
            object.put(element.clone());
        }
    }
    put_identity(&mut object, source, derivation, &quantised.stored);
    put_values(&mut object, source, quantised);
    object
}

/// New identifiers by a rule: of the image from source, run and pixels; of its series from that of the source and the
/// run. Patient, study and place stay.
fn put_identity(object: &mut InMemDicomObject, source: &DicomSource, derivation: Derivation<'_>, stored: &[i16]) {
    let Derivation { words, run, behind } = derivation;
    let valid = |tag| source.text(tag).filter(|uid| is_uid(uid));
    let sop_uid = valid(tags::SOP_INSTANCE_UID).unwrap_or_default();
    // Copies of a slice at other places are other slices.
    let (of_series, place) = (source.series_uid(), format!("{} {:?}", source.frame, source.place_mm()));
    let pixels: Vec<u8> = stored.iter().flat_map(|word| word.to_le_bytes()).collect();
    let image = derived_uid(&[b"image", sop_uid.as_bytes(), place.as_bytes(), run.as_bytes(), &pixels]);
    // Anonymisers may give the series of all patients one UID.
    let (patient, study) = (source.patient_id().unwrap_or_default(), valid(tags::STUDY_INSTANCE_UID));
    let of_study = study.as_deref().unwrap_or_default().as_bytes();
    let series = derived_uid(&[b"series", patient.as_bytes(), of_study, of_series.as_bytes(), run.as_bytes()]);
    let study = study.unwrap_or_else(|| derived_uid(&[b"study", of_series.as_bytes(), sop_uid.as_bytes()]));
    let source_class = valid(tags::SOP_CLASS_UID).unwrap_or_else(|| uids::CT_IMAGE_STORAGE.to_owned());
    let class = single_frame(&source_class);
    let plane = source.object.get(tags::IMAGE_TYPE).and_then(|e| e.to_multi_str().ok()?.get(2).cloned());
    let shortened = |text: String, length| text.chars().take(length).collect::<String>();
    let version = env!("CARGO_PKG_VERSION");
    let mut text = |tag, vr, value: &str| drop(object.put_str(tag, vr, value));
    text(tags::IMAGE_TYPE, VR::CS, &format!("DERIVED\\SECONDARY\\{}", plane.as_deref().unwrap_or("AXIAL")));
    text(tags::SOP_CLASS_UID, VR::UI, class);
    text(tags::SOP_INSTANCE_UID, VR::UI, &image);
    text(tags::STUDY_INSTANCE_UID, VR::UI, &study);
    text(tags::SERIES_INSTANCE_UID, VR::UI, &series);
    text(tags::SERIES_DESCRIPTION, VR::LO, &shortened(format!("gradus: {words}"), LONG_STRING));
    text(tags::DERIVATION_DESCRIPTION, VR::ST, &shortened(format!("gradus {version}: {words}"), SHORT_TEXT));
    let number = source
        .integer(tags::SERIES_NUMBER)
        .unwrap_or(0)
        .clamp(0, i64::from(i32::MAX) - NEXT_SERIES - i64::from(behind));
    text(tags::SERIES_NUMBER, VR::IS, &(number + NEXT_SERIES + i64::from(behind)).to_string());
    if source.element(tags::NUMBER_OF_FRAMES).is_some() {
        text(tags::INSTANCE_NUMBER, VR::IS, &(source.frame + 1).to_string());
    }
    let reference = InMemDicomObject::from_element_iter([
        DataElement::new(tags::REFERENCED_SOP_CLASS_UID, VR::UI, source_class.as_str()),
        DataElement::new(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, sop_uid.as_str()),
    ]);
    object.put(DataElement::new(tags::SOURCE_IMAGE_SEQUENCE, VR::SQ, DataSetSequence::from(vec![reference])));
}

/// One frame with plain attributes is no enhanced image, whatever the source was.
fn single_frame(class: &str) -> &str {
    match class {
        uids::ENHANCED_CT_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE => uids::CT_IMAGE_STORAGE,
        uids::ENHANCED_MR_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE => uids::MR_IMAGE_STORAGE,
        uids::ENHANCED_PET_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_PET_IMAGE_STORAGE => {
            uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE
        }
        uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE => uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
        other => other,
    }
}

/// The pixels and their meaning.
fn put_values(object: &mut InMemDicomObject, source: &DicomSource, quantised: &Quantised) {
    // US is DICOM's word for unspecified.
    let kind = source.of_frame(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_TYPE).and_then(text_of);
    let kind = if source.is_hu { "HU".to_owned() } else { kind.unwrap_or_else(|| "US".to_owned()) };
    object.put_str(tags::RESCALE_INTERCEPT, VR::DS, "0");
    object.put_str(tags::RESCALE_SLOPE, VR::DS, quantised.slope.to_string());
    object.put_str(tags::RESCALE_TYPE, VR::LO, kind);
    for (tag, value) in
        [(tags::BITS_ALLOCATED, 16), (tags::BITS_STORED, 16), (tags::HIGH_BIT, 15), (tags::PIXEL_REPRESENTATION, 1)]
    {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value as u16)));
    }
    let words = quantised.stored.iter().map(|value| *value as u16).collect();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words)));
}

/// Attributes that say where the image lies: of its own, or of its frame.
const OF_FRAME: [(Tag, Tag); 4] = [
    (tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING),
    (tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS),
    (tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT),
    (tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT),
];

/// True if an attribute of the source holds for an image derived from it.
///
/// Vendors' private attributes (odd groups), overlays (60xx), signatures and statistics of the old pixels do not; marks
/// of items (group FFFE) are no attributes, and got there by a sequence that was none.
fn still_true(tag: Tag) -> bool {
    let about_old_pixels = [
        tags::INSTANCE_CREATOR_UID,
        tags::INSTANCE_CREATION_DATE,
        tags::INSTANCE_CREATION_TIME,
        tags::SMALLEST_IMAGE_PIXEL_VALUE,
        tags::LARGEST_IMAGE_PIXEL_VALUE,
        tags::SMALLEST_PIXEL_VALUE_IN_SERIES,
        tags::LARGEST_PIXEL_VALUE_IN_SERIES,
        tags::PIXEL_PADDING_VALUE,
        tags::PIXEL_PADDING_RANGE_LIMIT,
        tags::IMAGE_COMMENTS,
        tags::MODALITY_LUT_SEQUENCE,
        tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE,
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
        tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
        tags::NUMBER_OF_FRAMES,
        tags::DIMENSION_INDEX_SEQUENCE,
        tags::DIMENSION_ORGANIZATION_SEQUENCE,
        tags::DIMENSION_ORGANIZATION_TYPE,
        tags::CONCATENATION_UID,
        tags::FRAME_INCREMENT_POINTER,
        tags::FRAME_TIME,
        tags::FRAME_TIME_VECTOR,
        tags::EXTENDED_OFFSET_TABLE,
        tags::EXTENDED_OFFSET_TABLE_LENGTHS,
        tags::ICON_IMAGE_SEQUENCE,
        tags::MAC_PARAMETERS_SEQUENCE,
        tags::DIGITAL_SIGNATURES_SEQUENCE,
        tags::DATA_SET_TRAILING_PADDING,
    ];
    let Tag(group, _) = tag;
    group % 2 == 0 && group != 0xFFFE && !(0x6000..=0x60FF).contains(&group) && !about_old_pixels.contains(&tag)
}

/// True if a text is a UID: up to 64 characters, numbers with dots between them. Padding aside.
fn is_uid(text: &str) -> bool {
    let text = text.trim_end_matches(['\0', ' ']);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 64 && text.split('.').all(is_number)
}

/// A UID under the root 2.25 for numbers of 128 bits, from a hash (FNV-1a) of `parts`, marked as a version 8 UUID.
fn derived_uid(parts: &[&[u8]]) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const VERSION_AND_VARIANT: u128 = 0xF000_C000_0000_0000_0000;
    const VERSION_8_VARIANT_RFC: u128 = 0x8000_8000_0000_0000_0000;
    // Each part's length goes in too, so that moving a byte from one part to the next changes the result.
    let lengths = parts.iter().map(|part| (part.len() as u64).to_le_bytes());
    let bytes = lengths.flatten().chain(parts.iter().flat_map(|part| part.iter().copied()));
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("2.25.{}", (hash & !VERSION_AND_VARIANT) | VERSION_8_VARIANT_RFC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loaded_image::LoadedImage;

    const SPINE: &[u8] = include_bytes!("../../samples/spine.dcm");

    fn bytes_of(image: &Image, source: &DicomSource, words: &str) -> Vec<u8> {
        encode(image, source, Derivation { words, run: words, behind: 0 }).unwrap().0
    }

    fn spine() -> LoadedImage {
        decode(SPINE).unwrap()
    }

    #[test]
    fn writes_a_derived_image_that_reads_back() {
        let slice = spine();
        let source = slice.dicom.unwrap();
        let mut image = slice.image;
        image.pixels.iter_mut().enumerate().for_each(|(k, hu)| *hu += (k % 100) as f32 * 0.01);
        let bytes = bytes_of(&image, &source, "test");
        let back = decode(&bytes).unwrap();
        let worst = image.pixels.iter().zip(&back.image.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 0.0501, "{worst}");
        let read = back.dicom.unwrap();
        for tag in [tags::PATIENT_NAME, tags::PATIENT_ID, tags::STUDY_INSTANCE_UID, tags::IMAGE_POSITION_PATIENT] {
            assert_eq!(read.text(tag), source.text(tag), "{tag}");
        }
        assert_ne!(read.text(tags::SOP_INSTANCE_UID), source.text(tags::SOP_INSTANCE_UID));
        assert_ne!(read.series_uid(), source.series_uid());
        assert_eq!(read.text(tags::IMAGE_TYPE).unwrap(), "DERIVED\\SECONDARY\\AXIAL");
        assert_eq!(read.text(tags::SERIES_DESCRIPTION).unwrap(), "gradus: test");
        assert_eq!(bytes, bytes_of(&image, &source, "test"));
    }

    #[test]
    fn identifiers_follow_source_words_and_pixels() {
        let slice = spine();
        let source = slice.dicom.unwrap();
        let mut changed = slice.image.clone();
        changed.pixels[0] += 1.0;
        let uids = |image: &Image, words: &str| {
            let read = decode(&bytes_of(image, &source, words)).unwrap().dicom.unwrap();
            (read.series_uid(), read.text(tags::SOP_INSTANCE_UID).unwrap())
        };
        let (first, second, third) = (uids(&slice.image, "a"), uids(&changed, "a"), uids(&slice.image, "b"));
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1);
        assert_ne!(first.0, third.0);
        assert!(first.0.len() <= 64 && first.1.starts_with("2.25."));
    }

    #[test]
    fn coarser_slopes_serve_wide_ranges_and_what_is_beyond_is_clipped() {
        let slice = spine();
        let source = slice.dicom.unwrap();
        let mut image = slice.image;
        image.pixels[0] = 32_000.3;
        let back = decode(&bytes_of(&image, &source, "")).unwrap();
        let worst = image.pixels.iter().zip(&back.image.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 0.5, "{worst}");
        image.pixels[0] = 64_511.0;
        let back = decode(&bytes_of(&image, &source, "")).unwrap();
        assert!((back.image.pixels[0] - 64_511.0).abs() <= 1.0, "{}", back.image.pixels[0]);
        image.pixels[0] = 4e7;
        let run = Derivation { words: "", run: "", behind: 0 };
        let (bytes, warning) = encode(&image, &source, run).unwrap();
        assert!(warning.unwrap().contains("clipped"));
        assert!((decode(&bytes).unwrap().image.pixels[0] - 32_767.0 * 500.0).abs() < 1.0);
        assert!(matches!(encode(&Image::zeros(64, 64), &source, run), Err(ImageProblem::Unsupported { .. })));
        // What is not in HU may be small.
        let source = DicomSource { is_hu: false, ..*source };
        image.pixels.iter_mut().enumerate().for_each(|(k, value)| *value = k as f32 / 1e6);
        let back = decode(&bytes_of(&image, &source, "")).unwrap().image;
        let worst = image.pixels.iter().zip(&back.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 2.6e-7, "{worst}");
    }

    /// Viewers would read the new values by it.
    #[test]
    fn an_old_mapping_to_real_world_values_is_dropped() {
        let slope = [&[0x40, 0, 0x25, 0x92][..], b"FD\x08\0", &2.0_f64.to_le_bytes()].concat();
        let item = [&[0xFE, 0xFF, 0, 0xE0, 16, 0, 0, 0][..], &slope].concat();
        let mapping = [&[0x40, 0, 0x96, 0x90][..], b"SQ\0\0", &[24, 0, 0, 0], &item].concat();
        let at = SPINE.windows(6).position(|start| start == b"\xE0\x7F\x10\0OW").unwrap();
        let slice = decode(&[&SPINE[..at], &mapping, &SPINE[at..]].concat()).unwrap();
        let source = slice.dicom.unwrap();
        let has_it = |source: &DicomSource| source.element(tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE).is_some();
        assert!(has_it(&source));
        assert!(!has_it(&decode(&bytes_of(&slice.image, &source, "test")).unwrap().dicom.unwrap()));
    }

    #[test]
    fn what_is_written_can_be_read_whatever_the_source() {
        for bytes in [
            &include_bytes!("../../../tests/cli/inputs/dicom-bad-sop-class-uid.dcm")[..],
            include_bytes!("../../../tests/cli/inputs/dicom-sequence-with-wrong-vr.dcm"),
        ] {
            let slice = decode(bytes).unwrap();
            let source = slice.dicom.unwrap();
            let back = decode(&bytes_of(&slice.image, &source, "test")).unwrap();
            let worst =
                slice.image.pixels.iter().zip(&back.image.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 0.0501, "{worst}");
            let read = back.dicom.unwrap();
            assert_eq!(read.patient_id(), source.patient_id());
            assert!(is_uid(&read.text(tags::SOP_CLASS_UID).unwrap()));
        }
        for bad in ["", "1..2", "1.2.", "1.a", &"1.".repeat(33)] {
            assert!(!is_uid(bad), "{bad}");
        }
    }
}
