//! The stored numbers of a DICOM image, frame by frame.
use super::dicom_codec::{self, Size};
use super::dicom_header::Packing;
use super::dicom_source::DicomSource;
use super::file_error::ImageProblem;
use dicom_core::DicomValue;
use dicom_core::value::PixelFragmentSequence;
use dicom_dictionary_std::tags;
use dicom_object::mem::{InMemElement, InMemFragment};
use std::borrow::Cow;

/// Rows, columns, and the stored numbers `[row][col]`.
pub(super) struct Stored {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<i32>,
}

/// The pixel data of a file.
pub(super) struct PixelData {
    pub(super) element: InMemElement,
    pub(super) packing: Packing,
    /// Length of the file.
    pub(super) file_bytes: usize,
}

/// The layout of the numbers in their words.
#[derive(Debug, Clone, Copy)]
struct Layout {
    size: Size,
    bits: usize,
    high: usize,
    is_signed: bool,
}

impl Layout {
    fn of(source: &DicomSource) -> Result<Self, ImageProblem> {
        let whole = |tag| source.integer(tag).and_then(|n| usize::try_from(n).ok());
        let (height, width) = (whole(tags::ROWS).unwrap_or(0), whole(tags::COLUMNS).unwrap_or(0));
        let (allocated, bits) = (whole(tags::BITS_ALLOCATED).unwrap_or(0), whole(tags::BITS_STORED).unwrap_or(0));
        if !matches!(allocated, 8 | 16) || !(1..=allocated).contains(&bits) {
            let found = format!("{bits} bits stored in {allocated}");
            return Err(ImageProblem::unsupported(found, "export it with 8 or 16 bits allocated"));
        }
        let high = whole(tags::HIGH_BIT).unwrap_or(bits - 1);
        if !(bits - 1..allocated).contains(&high) {
            return Err(damaged(format!("High Bit is {high} for {bits} bits stored in {allocated}")));
        }
        let n = height.checked_mul(width).filter(|n| *n > 0);
        let n = n.ok_or_else(|| damaged(format!("it has {height} rows of {width} pixels")))?;
        let is_signed = source.integer(tags::PIXEL_REPRESENTATION) == Some(1);
        Ok(Self { size: Size { height, width, n, bytes: allocated / 8 }, bits, high, is_signed })
    }

    /// The number in a word: bits above the stored ones may hold an overlay.
    fn value(&self, word: u32) -> i32 {
        let unused = 32 - self.bits;
        let unsigned = (word >> (self.high + 1 - self.bits)) & (u32::MAX >> unused);
        if self.is_signed { ((unsigned << unused) as i32) >> unused } else { unsigned as i32 }
    }
}

/// Takes the numbers of frame `index` of `n_frames` out of the pixel data.
pub(super) fn stored(source: &DicomSource, pixels: &PixelData, place: (usize, usize)) -> Result<Stored, ImageProblem> {
    let mut layout = Layout::of(source)?;
    ImageProblem::check_packed("DICOM", [layout.size.height, layout.size.width], pixels.file_bytes)?;
    let words = match (pixels.element.value(), pixels.packing) {
        (DicomValue::Primitive(value), Packing::Plain) => plain(&value.to_bytes(), layout.size, place)?,
        (DicomValue::PixelSequence(sequence), packing) => {
            let frame = frame(sequence, source, place).ok_or_else(|| {
                let ((index, n_frames), parts) = (place, sequence.fragments().len());
                damaged(format!("frame {index} of {n_frames} is not among its {parts} parts"))
            })?;
            unpacked(&frame, packing, &mut layout)?
        }
        _ => return Err(not_as_said()),
    };
    let values = words.into_iter().map(|word| layout.value(word.into())).collect();
    Ok(Stored { height: layout.size.height, width: layout.size.width, values })
}

/// The words of a frame among those of all frames, one behind another.
fn plain(bytes: &[u8], size: Size, (index, n_frames): (usize, usize)) -> Result<Vec<u16>, ImageProblem> {
    let length = size.n * size.bytes;
    let begin = length.checked_mul(index);
    let frame = begin.and_then(|begin| bytes.get(begin..begin.checked_add(length)?)).ok_or_else(|| {
        let Size { height, width, .. } = size;
        let (frames, needed) = (if n_frames > 1 { "frames of " } else { "" }, length.saturating_mul(n_frames));
        damaged(format!("{frames}{height} x {width} pixels need {needed} bytes, {} are there", bytes.len()))
    })?;
    Ok(words_of(frame, size.bytes))
}

/// The words of a packed frame; the layout becomes theirs.
fn unpacked(frame: &[u8], packing: Packing, layout: &mut Layout) -> Result<Vec<u16>, ImageProblem> {
    let size = layout.size;
    if packing != Packing::Plain {
        layout.high = layout.bits - 1;
    }
    match packing {
        Packing::Plain if frame.len() >= size.n * size.bytes => Ok(words_of(&frame[..size.n * size.bytes], size.bytes)),
        Packing::Plain => Err(not_as_said()),
        Packing::RunLengths => dicom_codec::run_lengths(frame, size),
        Packing::Jpeg => dicom_codec::jpeg(frame, size),
        Packing::JpegLs => dicom_codec::jpeg_ls(frame, size),
        Packing::Jpeg2000 => {
            let (words, bits) = dicom_codec::jpeg_2000(frame, size)?;
            // The sign stands in the highest bit that is coded, which need not be the highest stored.
            (layout.bits, layout.high) = (bits, bits - 1);
            Ok(words)
        }
    }
}

/// Words of one or two bytes, in the order of this machine.
fn words_of(bytes: &[u8], size: usize) -> Vec<u16> {
    match size {
        1 => bytes.iter().map(|byte| u16::from(*byte)).collect(),
        _ => bytes.as_chunks().0.iter().map(|pair| u16::from_ne_bytes(*pair)).collect(),
    }
}

/// The bytes of a packed frame, which may lie in several parts: all of them, one each, those that an offset table
/// names, or those from one start of a code stream to the next.
fn frame<'a>(
    sequence: &'a PixelFragmentSequence<InMemFragment>,
    source: &DicomSource,
    (index, n_frames): (usize, usize),
) -> Option<Cow<'a, [u8]>> {
    let parts = sequence.fragments();
    let joined = |parts: &'a [InMemFragment]| match parts {
        [] => None,
        [only] => Some(Cow::Borrowed(&only[..])),
        parts => Some(Cow::Owned(parts.concat())),
    };
    if n_frames == 1 {
        return joined(parts);
    }
    if parts.len() == n_frames {
        return joined(parts.get(index..=index)?);
    }
    // Offsets count from the first byte of the first part's header, which has eight.
    let places = parts.iter().scan(0_u64, |at, part| Some(std::mem::replace(at, *at + part.len() as u64 + 8)));
    let places: Vec<u64> = places.collect();
    let extended = source.element(tags::EXTENDED_OFFSET_TABLE).and_then(|table| table.to_multi_int::<u64>().ok());
    let offsets = extended.unwrap_or_else(|| sequence.offset_table().iter().map(|at| u64::from(*at)).collect());
    let starts: Vec<usize> = if offsets.len() == n_frames {
        offsets.iter().map(|offset| places.iter().position(|place| place == offset)).collect::<Option<_>>()?
    } else {
        let begins = |part: &InMemFragment| part.starts_with(&[0xFF, 0xD8]) || part.starts_with(&[0xFF, 0x4F]);
        (0..parts.len()).filter(|k| begins(&parts[*k])).collect()
    };
    if starts.len() != n_frames {
        return None;
    }
    let end = starts.get(index + 1).copied().unwrap_or(parts.len());
    joined(parts.get(*starts.get(index)?..end)?)
}

fn damaged(what: String) -> ImageProblem {
    ImageProblem::damaged("DICOM", what)
}

fn not_as_said() -> ImageProblem {
    damaged("its pixels are not stored as its transfer syntax says".to_owned())
}
