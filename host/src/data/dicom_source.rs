//! The facts that a DICOM file states beside its pixels.
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// A DICOM file without its pixels, as one of its frames has it: patient, study, series, geometry.
#[derive(Debug, Clone)]
pub struct DicomSource {
    pub(super) object: InMemDicomObject,
    /// The frame, counted from 0.
    pub(super) frame: usize,
    /// True if its values are HU: the file says so, or the user.
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

    /// A whole number.
    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        self.object.get(tag)?.to_int().ok()
    }

    /// True if the stored numbers are signed.
    pub(super) fn is_signed(&self) -> bool {
        self.integer(tags::PIXEL_REPRESENTATION) == Some(1)
    }

    /// An attribute as it is.
    pub(super) fn element(&self, tag: Tag) -> Option<&InMemElement> {
        self.object.get(tag).map(|element| element as &InMemElement)
    }

    /// An attribute of the frame, which stands in sequence `group` of its functional groups or of those of all frames,
    /// or in no group.
    pub(super) fn of_frame(&self, group: Tag, tag: Tag) -> Option<&InMemElement> {
        let in_groups = |groups: Tag, index: usize| {
            let groups = self.object.get(groups)?.items()?.get(index)?;
            groups.get(group)?.items()?.first()?.get(tag)
        };
        let own = in_groups(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, self.frame);
        let shared = || in_groups(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, 0);
        own.or_else(shared).or_else(|| self.object.get(tag)).map(|element| element as &InMemElement)
    }

    /// Numbers of an attribute of the frame, as many as there should be.
    fn numbers_of_frame<const N: usize>(&self, group: Tag, tag: Tag) -> Option<[f64; N]> {
        let numbers = self.of_frame(group, tag)?.to_multi_float64().ok()?;
        numbers.iter().all(|number| number.is_finite()).then_some(numbers)?.try_into().ok()
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

    /// The middle of the first pixel in mm, and the directions from a column and from a row to the next.
    #[must_use]
    pub fn axes(&self) -> Option<[[f64; 3]; 3]> {
        let [rx, ry, rz, cx, cy, cz] = self.orientation()?;
        Some([self.position_mm()?, [rx, ry, rz], [cx, cy, cz]])
    }

    fn orientation(&self) -> Option<[f64; 6]> {
        self.numbers_of_frame(tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT)
    }

    fn position_mm(&self) -> Option<[f64; 3]> {
        self.numbers_of_frame(tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT)
    }

    /// Normal of the slice's plane: row direction x column direction.
    #[must_use]
    pub fn normal(&self) -> Option<[f64; 3]> {
        let [rx, ry, rz, cx, cy, cz] = self.orientation()?;
        Some([ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx])
    }

    /// Place of the slice along that normal in mm.
    #[must_use]
    pub fn place_mm(&self) -> Option<f64> {
        self.place_along(self.normal()?)
    }

    /// Place along a normal that several slices share, whose own may differ by a rounding.
    pub(super) fn place_along(&self, normal: [f64; 3]) -> Option<f64> {
        Some(self.position_mm()?.iter().zip(normal).map(|(place, normal)| place * normal).sum())
    }
}
