//! The meaning of a DICOM image's stored numbers: by slope and intercept or by a table, in HU or not, or none at all.
use super::dicom_source::{DicomSource, text_of};
use super::file_error::ImageProblem;
use super::loaded_image::PixelUnit;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use std::ops::RangeInclusive;

/// Values that say of an image that it is in HU: so many of a hundred pixels are within these bounds.
const AIR_BOUNDS_HU: RangeInclusive<f32> = -1050.0..=-950.0;
const AIR_SHARE: f64 = 0.01;

/// The Modality LUT: from stored numbers to values.
pub(super) enum Meaning {
    /// Value = slope * stored + intercept.
    Rescale {
        slope: f64,
        intercept: f64,
        /// True if the file says both.
        is_given: bool,
    },
    /// Value = entry `stored - first`, or the nearest there is.
    Table { first: i64, entries: Vec<f32>, kind: Option<String> },
}

impl Meaning {
    pub(super) fn of(source: &DicomSource) -> Result<Self, ImageProblem> {
        let table = source.object.get(tags::MODALITY_LUT_SEQUENCE).and_then(|sequence| sequence.items()?.first());
        if let Some(item) = table {
            return table_of(item, source.is_signed());
        }
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
        if slope == Some(0.0) {
            return Err(ImageProblem::unsupported("a Rescale Slope of 0", "mend it, or export the image again"));
        }
        let is_given = slope.is_some() && intercept.is_some();
        Ok(Self::Rescale { slope: slope.unwrap_or(1.0), intercept: intercept.unwrap_or(0.0), is_given })
    }

    pub(super) fn apply(&self, stored: i32) -> f32 {
        match self {
            Self::Rescale { slope, intercept, .. } => (slope * f64::from(stored) + intercept) as f32,
            Self::Table { first, entries, .. } => {
                let last = entries.len() - 1;
                let index = usize::try_from(i64::from(stored) - first).unwrap_or(0).min(last);
                entries[index]
            }
        }
    }

    fn is_given(&self) -> bool {
        !matches!(self, Self::Rescale { is_given: false, .. })
    }

    /// In words, for those who ask where values come from.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::Rescale { slope, intercept, is_given: true } => {
                format!("values by Rescale Slope {slope} and Intercept {intercept}")
            }
            Self::Rescale { slope, intercept, .. } => {
                format!("values by slope {slope} and intercept {intercept}, as Rescale Slope or Intercept is missing")
            }
            Self::Table { entries, .. } => format!("values by a Modality LUT of {} entries", entries.len()),
        }
    }
}

fn table_of(item: &InMemDicomObject, is_signed: bool) -> Result<Meaning, ImageProblem> {
    let damaged = |what: &str| ImageProblem::damaged("DICOM", format!("its Modality LUT {what}"));
    let descriptor = item.get(tags::LUT_DESCRIPTOR).and_then(|element| element.to_multi_int::<i64>().ok());
    let Some(&[n, first, bits]) = descriptor.as_deref() else {
        return Err(damaged("has no descriptor of three numbers"));
    };
    // As 16 bits hold them: 0 stands for 2^16, and the first number is signed where the stored ones are.
    let n = if n == 0 { 1 << 16 } else { n as u16 as usize };
    let first = if is_signed { i64::from(first as i16) } else { i64::from(first as u16) };
    let data = item.get(tags::LUT_DATA).ok_or_else(|| damaged("has no data"))?;
    let words: Vec<u16> = match data.value().primitive() {
        Some(PrimitiveValue::U8(bytes)) if bytes.len() >= 2 * n => {
            bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
        }
        Some(PrimitiveValue::U8(bytes)) => bytes.iter().map(|byte| u16::from(*byte)).collect(),
        // Entries of 8 bits may come two in a word.
        Some(value) if bits == 8 && value.multiplicity() as usize == n.div_ceil(2) && n > 1 => {
            value.to_bytes().iter().map(|byte| u16::from(*byte)).collect()
        }
        Some(value) => {
            let numbers = value.to_multi_int::<i64>().map_err(|cause| ImageProblem::damaged("DICOM", cause))?;
            numbers.into_iter().map(|number| number as u16).collect()
        }
        None => Vec::new(),
    };
    if words.len() < n {
        return Err(damaged(&format!("promises {n} entries, {} are there", words.len())));
    }
    let kind = item.get(tags::MODALITY_LUT_TYPE).and_then(text_of);
    // The standard has no signed entries, and no HU without them.
    let is_hu = kind.as_deref().is_some_and(says_hu);
    let entry = |word: &u16| if is_hu { f32::from(*word as i16) } else { f32::from(*word) };
    Ok(Meaning::Table { first, entries: words[..n].iter().map(entry).collect(), kind })
}

fn says_hu(kind: &str) -> bool {
    let letters: String = kind.chars().filter(|c| c.is_alphabetic()).collect();
    matches!(letters.to_uppercase().as_str(), "HU" | "HOUNSFIELD" | "HOUNSFIELDUNIT" | "HOUNSFIELDUNITS")
}

/// The unit of an image and how it is known, and what is doubtful about it.
pub(super) struct Verdict {
    pub(super) unit: PixelUnit,
    pub(super) origin: String,
    pub(super) doubt: Option<String>,
}

/// True if the values are in HU. A CT says so by its Rescale Type, or by none; where it says something else, or nothing
/// at all, air near -1000 does.
pub(super) fn unit(source: &DicomSource, meaning: &Meaning, values: &[f32]) -> Verdict {
    let class = source.text(tags::SOP_CLASS_UID).unwrap_or_default();
    let is_ct_class = [uids::CT_IMAGE_STORAGE, uids::ENHANCED_CT_IMAGE_STORAGE].contains(&class.as_str());
    let modality = source.text(tags::MODALITY);
    let is_ct = modality.as_deref().map_or(is_ct_class, |modality| modality == "CT");
    let kind = match meaning {
        Meaning::Table { kind, .. } => kind.clone(),
        Meaning::Rescale { .. } => {
            source.of_frame(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_TYPE).and_then(text_of)
        }
    };
    let hu = |origin: String| Verdict { unit: PixelUnit::HounsfieldUnits, origin, doubt: None };
    let unknown = |origin: String, doubt| Verdict { unit: PixelUnit::Relative, origin, doubt: Some(doubt) };
    let doubt = match (&kind, &modality) {
        (Some(kind), _) if says_hu(kind) && meaning.is_given() => {
            return hu(format!("unit by its type of rescaling, {kind}"));
        }
        (None, _) if is_ct && meaning.is_given() => return hu("unit HU, because it is a CT that says no other".into()),
        (_, Some(modality)) if !is_ct => {
            let doubt = format!("an image of modality {modality}, which has no HU");
            return unknown(format!("unit unknown: modality {modality}"), doubt);
        }
        _ if is_ct && !meaning.is_given() => "a CT without Rescale Slope and Rescale Intercept".to_owned(),
        (Some(kind), _) => format!("values of type {kind:?} (Rescale Type)"),
        (None, _) => "an image of no modality".to_owned(),
    };
    let air = values.iter().filter(|value| AIR_BOUNDS_HU.contains(*value)).count();
    if air as f64 >= AIR_SHARE * values.len() as f64 {
        let doubt = Some(format!("{doubt}: taken as HU, because air lies near -1000"));
        Verdict { doubt, ..hu("unit HU, because air lies near -1000".into()) }
    } else {
        unknown("unit unknown".into(), format!("{doubt}: nothing in it says that its values are HU"))
    }
}

/// Stored numbers that mark pixels outside the field of view. Files write negative ones as unsigned, and unsigned ones
/// as negative.
pub(super) fn padding(source: &DicomSource) -> Option<RangeInclusive<i64>> {
    let value = |tag| {
        let stored = source.integer(tag)?;
        Some(match source.is_signed() {
            true if stored > i64::from(i16::MAX) => stored - (1 << 16),
            false if stored < 0 => stored + (1 << 16),
            _ => stored,
        })
    };
    let first = value(tags::PIXEL_PADDING_VALUE)?;
    let last = value(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(first);
    Some(first.min(last)..=first.max(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::{DataElement, VR};

    fn item(descriptor: [u16; 3], data: PrimitiveValue, kind: &str) -> InMemDicomObject {
        InMemDicomObject::from_element_iter([
            DataElement::new(tags::LUT_DESCRIPTOR, VR::US, PrimitiveValue::U16(descriptor.into_iter().collect())),
            DataElement::new(tags::LUT_DATA, VR::OW, data),
            DataElement::new(tags::MODALITY_LUT_TYPE, VR::LO, kind),
        ])
    }

    #[test]
    fn tables_end_in_their_ends() {
        let words = || PrimitiveValue::U16([10, 20, 65_000].into_iter().collect());
        let table = table_of(&item([3, 5, 16], words(), "US"), false).unwrap();
        assert_eq!([0, 5, 6, 7, 9].map(|stored| table.apply(stored)), [10.0, 10.0, 20.0, 65_000.0, 65_000.0]);
        // HU are signed, and so is the first number where stored ones are.
        let table = table_of(&item([3, 65_535, 16], words(), "HU"), true).unwrap();
        assert_eq!([-2, -1, 1].map(|stored| table.apply(stored)), [10.0, 10.0, -536.0]);
        let bytes = PrimitiveValue::U16([0x0201, 0x0003].into_iter().collect());
        let table = table_of(&item([3, 0, 8], bytes, "US"), false).unwrap();
        assert_eq!([0, 1, 2].map(|stored| table.apply(stored)), [1.0, 2.0, 3.0]);
        for descriptor in [[4, 0, 16], [0, 0, 16]] {
            assert!(table_of(&item(descriptor, words(), "US"), false).is_err());
        }
    }
}
