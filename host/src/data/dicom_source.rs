//! What a DICOM file says beside its pixels.
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// A DICOM file without its pixels: patient, study, series, geometry.
#[derive(Debug, Clone)]
pub struct DicomSource {
    pub(super) object: InMemDicomObject,
    /// Whether its values are HU: the file says so, or the user.
    pub(super) is_hu: bool,
}

/// The attribute's text without padding; `None` if it is empty or no text.
pub(super) fn text_of(element: &InMemElement) -> Option<String> {
    let text = element.to_str().ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

impl DicomSource {
    /// The attribute's text without padding; `None` if absent or empty.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        text_of(self.object.get(tag)?)
    }

    pub(super) fn numbers<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
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

    /// An attribute, or that of the first frame, which is in the first item of sequence `group` of the functional
    /// groups.
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
