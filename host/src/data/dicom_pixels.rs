//! The stored numbers of a DICOM image.
use super::dicom_header::Packing;
use super::dicom_source::DicomSource;
use super::file_error::ImageProblem;
use dicom_core::DicomValue;
use dicom_dictionary_std::tags;

/// Segments that a fragment of run lengths can have.
const SEGMENTS: usize = 15;

/// Rows, columns, and the stored numbers `[row][col]`.
pub(super) struct Stored {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<i32>,
}

/// Takes the numbers of the one frame out of their bits.
pub(super) fn stored(source: &DicomSource, packing: Packing) -> Result<Stored, ImageProblem> {
    let whole = |tag| source.integer(tag).and_then(|n| usize::try_from(n).ok());
    let (height, width) = (whole(tags::ROWS).unwrap_or(0), whole(tags::COLUMNS).unwrap_or(0));
    let (allocated, bits) = (whole(tags::BITS_ALLOCATED).unwrap_or(0), whole(tags::BITS_STORED).unwrap_or(0));
    if !matches!(allocated, 8 | 16) || !(1..=allocated).contains(&bits) {
        let found = format!("{bits} bits stored in {allocated}");
        return Err(ImageProblem::unsupported(found, "export it with 8 or 16 bits allocated"));
    }
    let high = whole(tags::HIGH_BIT).unwrap_or(bits - 1);
    if !(bits - 1..allocated).contains(&high) {
        return Err(ImageProblem::damaged(
            "DICOM",
            format!("High Bit is {high} for {bits} bits stored in {allocated}"),
        ));
    }
    let is_signed = source.integer(tags::PIXEL_REPRESENTATION) == Some(1);
    let n = height.checked_mul(width).filter(|n| *n > 0);
    let n = n.ok_or_else(|| ImageProblem::damaged("DICOM", format!("it has {height} rows of {width} pixels")))?;
    let bytes = pixel_bytes(source, packing, n, allocated / 8)?;
    if bytes.len() < n * allocated / 8 {
        let found = format!("{height} x {width} pixels need {} bytes, {} are there", n * allocated / 8, bytes.len());
        return Err(ImageProblem::damaged("DICOM", found));
    }
    let value = |word: u32| {
        // Bits above the stored ones may hold an overlay.
        let unsigned = (word >> (high + 1 - bits)) & (u32::MAX >> (32 - bits));
        let unused = 32 - bits;
        if is_signed { ((unsigned << unused) as i32) >> unused } else { unsigned as i32 }
    };
    let values = match allocated {
        8 => bytes[..n].iter().map(|byte| value(u32::from(*byte))).collect(),
        _ => bytes.as_chunks().0[..n].iter().map(|pair| value(u16::from_ne_bytes(*pair).into())).collect(),
    };
    Ok(Stored { height, width, values })
}

/// The bytes of the pixels, in the order of this machine.
fn pixel_bytes(source: &DicomSource, packing: Packing, n: usize, sample: usize) -> Result<Vec<u8>, ImageProblem> {
    let missing = || ImageProblem::unsupported("no pixel data", "give an image, not a report or a directory");
    let element = source.element(tags::PIXEL_DATA).ok_or_else(missing)?;
    match (element.value(), packing) {
        (DicomValue::Primitive(value), Packing::Plain) => Ok(value.to_bytes().into_owned()),
        (DicomValue::PixelSequence(sequence), Packing::Plain) => Ok(sequence.fragments().concat()),
        (DicomValue::PixelSequence(sequence), Packing::RunLengths) => {
            let fragment = sequence.fragments().first().ok_or_else(missing)?;
            unpacked(fragment, n, sample).ok_or_else(|| {
                ImageProblem::damaged("DICOM", "its run lengths do not give as many pixels as its rows and columns")
            })
        }
        _ => Err(ImageProblem::damaged("DICOM", "its pixels are not stored as its transfer syntax says")),
    }
}

/// Undoes run lengths (PS3.5, annex G): the header has the number of segments and where they begin; segment k holds
/// byte k of every sample, the most significant one first.
fn unpacked(fragment: &[u8], n: usize, sample: usize) -> Option<Vec<u8>> {
    let word = |k: usize| -> Option<usize> {
        let bytes = fragment.get(4 * k..4 * k + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    if word(0)? != sample || sample > SEGMENTS {
        return None;
    }
    // A run of 128 equal bytes takes two: what promises more is not there, and gets no memory.
    if n > fragment.len().checked_mul(64)? {
        return None;
    }
    let mut bytes = vec![0; n * sample];
    for k in 0..sample {
        let end = if k + 1 < sample { word(k + 2)? } else { fragment.len() };
        let plane = runs(fragment.get(word(k + 1)?..end)?, n)?;
        // In the order of this machine.
        let at = if cfg!(target_endian = "little") { sample - 1 - k } else { k };
        bytes.iter_mut().skip(at).step_by(sample).zip(plane).for_each(|(byte, value)| *byte = value);
    }
    Some(bytes)
}

/// The first `n` bytes of PackBits: a count below 128 and as many bytes and one more, or 257 less a count and the byte
/// that is repeated as often; 128 means nothing.
fn runs(mut packed: &[u8], n: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(n);
    while bytes.len() < n {
        let (&count, rest) = packed.split_first()?;
        let length = if count < 128 { usize::from(count) + 1 } else { usize::from(count != 128) };
        let (run, rest) = rest.split_at_checked(length)?;
        if count <= 128 {
            bytes.extend_from_slice(run);
        } else {
            bytes.extend(std::iter::repeat_n(run[0], 257 - usize::from(count)));
        }
        packed = rest;
    }
    bytes.truncate(n);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_undone() {
        // The example of Apple's note on PackBits.
        let packed = [0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0xF7, 0xAA];
        let plain = [
            0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0x22, 0xAA, 0xAA, 0xAA, 0xAA,
            0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA,
        ];
        assert_eq!(runs(&packed, 24).unwrap(), plain);
        assert_eq!(runs(&packed, 25), None);
        assert_eq!(runs(&packed[..7], 24), None);
        let header: Vec<u8> = [2_u32, 64, 66].iter().flat_map(|n| n.to_le_bytes()).chain([0; 52]).collect();
        let fragment = [&header[..], &[0xFF, 1, 0xFF, 2]].concat();
        assert_eq!(unpacked(&fragment, 2, 2).unwrap(), [0x0102_u16, 0x0102].map(u16::to_ne_bytes).concat());
        for length in 0..fragment.len() {
            assert_eq!(unpacked(&fragment[..length], 2, 2), None, "{length}");
        }
        assert_eq!(unpacked(&fragment, usize::MAX / 4, 2), None);
    }
}
