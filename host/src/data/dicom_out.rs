//! DICOM slices that go out: an image in the place of the one that it was made from.
use super::dicom_file::decode;
use super::dicom_source::DicomSource;
use super::file_error::ImageProblem;
use super::loaded_image::check_image;
use crate::image::Image;
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

/// Rescale slopes to choose from: the finest whose 16-bit range holds the image is taken. Metal needs the coarse ones.
const SLOPES_HU: [f32; 8] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0];

/// The bytes of a DICOM file with `image_hu`, derived from `source`.
pub(crate) fn encode(image_hu: &Image, source: &DicomSource, derivation: &str) -> Result<Vec<u8>, ImageProblem> {
    check_image(image_hu)?;
    let size = [tags::ROWS, tags::COLUMNS].map(|tag| source.integer(tag));
    let found = [image_hu.height, image_hu.width];
    if size != found.map(|n| i64::try_from(n).ok()) {
        let found = format!("an image of {found:?} (rows, columns) for a source of another size");
        return Err(ImageProblem::unsupported(found, "resample it to the rows and columns of its DICOM source"));
    }
    let (slope, stored) = quantised(image_hu)?;
    // A source that can be read may still hold what cannot be written so that it can be read again.
    let whole = derived(source, derivation, slope, &stored, still_true);
    let plain = |tag: Tag| still_true(tag) && source.text(tag).is_some();
    file_of(whole, image_hu).or_else(|_| file_of(derived(source, derivation, slope, &stored, plain), image_hu))
}

/// The bytes of a file with `object`, which give `image_hu` when they are read.
fn file_of(object: InMemDicomObject, image_hu: &Image) -> Result<Vec<u8>, ImageProblem> {
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let mut bytes = Vec::new();
    let file = object.with_meta(meta).map_err(|cause| ImageProblem::damaged("source DICOM", cause))?;
    file.write_all(&mut bytes).map_err(|cause| ImageProblem::damaged("source DICOM", cause))?;
    let back = decode(&bytes)?.image;
    if (back.height, back.width) != (image_hu.height, image_hu.width) {
        return Err(ImageProblem::damaged("source DICOM", "its attributes contradict the image"));
    }
    Ok(bytes)
}

/// HU = slope * stored, with the finest slope that fits.
fn quantised(image_hu: &Image) -> Result<(f32, Vec<i16>), ImageProblem> {
    let (lo, hi) = image_hu.range();
    let limit = f32::from(i16::MAX);
    let slope = SLOPES_HU.into_iter().find(|slope| lo.abs().max(hi.abs()) / slope <= limit);
    let slope = slope.ok_or_else(|| {
        ImageProblem::unsupported(format!("values from {lo} to {hi} HU"), "DICOM stores 16 bits: clip it first")
    })?;
    let stored = image_hu.pixels.iter().map(|&hu| (f64::from(hu) / slope_f64(slope)).round() as i16);
    Ok((slope, stored.collect()))
}

/// The slope as its decimal text says, which is what readers will use.
fn slope_f64(slope: f32) -> f64 {
    (f64::from(slope) * 10.0).round() / 10.0
}

/// Source data set with the new pixels, and with those of its attributes that are kept.
fn derived(
    source: &DicomSource,
    derivation: &str,
    slope: f32,
    stored: &[i16],
    is_kept: impl Fn(Tag) -> bool,
) -> InMemDicomObject {
    let stored: Vec<u16> = stored.iter().map(|value| *value as u16).collect();
    let pixel_bytes = stored.iter().flat_map(|word| word.to_le_bytes());
    let valid = |tag| source.text(tag).filter(|uid| is_uid(uid));
    let sop_uid = valid(tags::SOP_INSTANCE_UID).unwrap_or_default();
    let instance = [b"image".as_slice(), sop_uid.as_bytes(), derivation.as_bytes(), &pixel_bytes.collect::<Vec<_>>()];
    let series = [b"series".as_slice(), source.series_uid().as_bytes(), derivation.as_bytes()].map(<[u8]>::to_vec);
    // One frame with plain attributes is no enhanced CT, whatever the source was.
    let class = valid(tags::SOP_CLASS_UID)
        .filter(|class| class != uids::ENHANCED_CT_IMAGE_STORAGE)
        .unwrap_or_else(|| uids::CT_IMAGE_STORAGE.to_owned());
    let study = valid(tags::STUDY_INSTANCE_UID)
        .unwrap_or_else(|| derived_uid(&[b"study", source.series_uid().as_bytes(), sop_uid.as_bytes()]));
    let plane = source.object.get(tags::IMAGE_TYPE).and_then(|e| e.to_multi_str().ok()?.get(2).cloned());
    let description: String = format!("gradus: {derivation}").chars().take(64).collect();

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
    let mut text = |tag, vr, value: &str| object.put_str(tag, vr, value);
    text(tags::IMAGE_TYPE, VR::CS, &format!("DERIVED\\SECONDARY\\{}", plane.as_deref().unwrap_or("AXIAL")));
    text(tags::SOP_CLASS_UID, VR::UI, &class);
    text(tags::SOP_INSTANCE_UID, VR::UI, &derived_uid(&instance));
    text(tags::STUDY_INSTANCE_UID, VR::UI, &study);
    text(tags::SERIES_INSTANCE_UID, VR::UI, &derived_uid(&series.each_ref().map(Vec::as_slice)));
    text(tags::SERIES_DESCRIPTION, VR::LO, &description);
    text(
        tags::DERIVATION_DESCRIPTION,
        VR::ST,
        &format!("gradus {}: {derivation}", env!("CARGO_PKG_VERSION")).chars().take(1024).collect::<String>(),
    );
    text(tags::RESCALE_INTERCEPT, VR::DS, "0");
    text(tags::RESCALE_SLOPE, VR::DS, &slope.to_string());
    // US is DICOM's word for unspecified.
    text(tags::RESCALE_TYPE, VR::LO, if source.is_hu { "HU" } else { "US" });
    let reference = InMemDicomObject::from_element_iter([
        DataElement::new(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class.as_str()),
        DataElement::new(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, sop_uid.as_str()),
    ]);
    object.put(DataElement::new(tags::SOURCE_IMAGE_SEQUENCE, VR::SQ, DataSetSequence::from(vec![reference])));
    for (tag, value) in
        [(tags::BITS_ALLOCATED, 16), (tags::BITS_STORED, 16), (tags::HIGH_BIT, 15), (tags::PIXEL_REPRESENTATION, 1)]
    {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value as u16)));
    }
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(stored.into())));
    object
}

/// Where the image lies: attributes of its own, or of its frame.
const OF_FRAME: [(Tag, Tag); 4] = [
    (tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING),
    (tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS),
    (tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT),
    (tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT),
];

/// Whether an attribute of the source holds for an image derived from it.
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
        tags::ICON_IMAGE_SEQUENCE,
        tags::MAC_PARAMETERS_SEQUENCE,
        tags::DIGITAL_SIGNATURES_SEQUENCE,
        tags::DATA_SET_TRAILING_PADDING,
    ];
    let Tag(group, _) = tag;
    group % 2 == 0 && group != 0xFFFE && !(0x6000..=0x60FF).contains(&group) && !about_old_pixels.contains(&tag)
}

/// Whether a text is a UID: up to 64 characters, numbers with dots between them. Padding aside.
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

    fn spine() -> LoadedImage {
        decode(SPINE).unwrap()
    }

    #[test]
    fn writes_a_derived_image_that_reads_back() {
        let slice = spine();
        let source = slice.dicom.unwrap();
        let mut image = slice.image;
        image.pixels.iter_mut().enumerate().for_each(|(k, hu)| *hu += (k % 100) as f32 * 0.01);
        let bytes = encode(&image, &source, "test").unwrap();
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
        assert_eq!(bytes, encode(&image, &source, "test").unwrap());
    }

    #[test]
    fn identifiers_follow_source_words_and_pixels() {
        let slice = spine();
        let source = slice.dicom.unwrap();
        let mut changed = slice.image.clone();
        changed.pixels[0] += 1.0;
        let uids = |image: &Image, words: &str| {
            let read = decode(&encode(image, &source, words).unwrap()).unwrap().dicom.unwrap();
            (read.series_uid(), read.text(tags::SOP_INSTANCE_UID).unwrap())
        };
        let (first, second, third) = (uids(&slice.image, "a"), uids(&changed, "a"), uids(&slice.image, "b"));
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1);
        assert_ne!(first.0, third.0);
        assert!(first.0.len() <= 64 && first.1.starts_with("2.25."));
    }

    #[test]
    fn coarser_slopes_serve_wide_ranges_and_too_wide_is_refused() {
        let slice = spine();
        let source = slice.dicom.unwrap();
        let mut image = slice.image;
        image.pixels[0] = 32_000.3;
        let back = decode(&encode(&image, &source, "").unwrap()).unwrap();
        let worst = image.pixels.iter().zip(&back.image.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 0.5, "{worst}");
        image.pixels[0] = 64_511.0;
        let back = decode(&encode(&image, &source, "").unwrap()).unwrap();
        assert!((back.image.pixels[0] - 64_511.0).abs() <= 1.0, "{}", back.image.pixels[0]);
        image.pixels[0] = 4e6;
        assert!(matches!(encode(&image, &source, ""), Err(ImageProblem::Unsupported { .. })));
        assert!(matches!(encode(&Image::zeros(64, 64), &source, ""), Err(ImageProblem::Unsupported { .. })));
    }

    #[test]
    fn what_is_written_can_be_read_whatever_the_source() {
        for bytes in [
            &include_bytes!("../../../tests/cli/inputs/dicom-bad-sop-class-uid.dcm")[..],
            include_bytes!("../../../tests/cli/inputs/dicom-sequence-with-wrong-vr.dcm"),
        ] {
            let slice = decode(bytes).unwrap();
            let source = slice.dicom.unwrap();
            let back = decode(&encode(&slice.image, &source, "test").unwrap()).unwrap();
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
