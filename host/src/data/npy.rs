//! NumPy's array files (`.npy`) and archives of them (`.npz`), over byte buffers.
//!
//! Headers are parsed by npyz, after they have been looked over (deep nesting and huge sizes would end its parser);
//! archives are unpacked by zip. Numbers are decoded here, those that are asked for only: of a stack, the slice.
use super::file_error::{Cause, ImageProblem};
use super::npy_element::{Element, Kind};
use crate::limits::unpacked;
use crate::read::open;
use npyz::{DType, NpyFile, NpyHeader, Order, TypeStr, WriterBuilder};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, Write};
use std::ops::Range;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

const MAGIC: &[u8] = b"\x93NUMPY";
/// An honest header nests one dict and one tuple; structured types, which are not read here, a little more.
const DEEPEST_HEADER: usize = 8;
const LONGEST_HEADER: usize = 1 << 16;
/// Bytes of a pixel.
const WORD_BYTES: usize = size_of::<f32>();
const ENDING: &str = ".npy";

/// The head of an array's file: shape, order and type of its data.
#[derive(Clone)]
pub(crate) struct Header {
    inner: NpyHeader,
    element: Element,
}

impl Header {
    /// Bytes that a header has at most.
    pub(crate) const LONGEST: u64 = (LONGEST_HEADER + MAGIC.len() + 6) as u64;

    /// The header at the begin of `bytes`, and where the data begin.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, usize), Cause> {
        let (inner, start) = header(bytes)?;
        Ok((Self { element: Element::of(&inner.dtype()), inner }, start))
    }

    /// Refuses fewer bytes of data than the array needs.
    pub(crate) fn check(&self, found: u64) -> Result<(), Cause> {
        let expected = self.inner.len().checked_mul(self.stride()? as u64).ok_or("the array is too large")?;
        check_data(found, expected)
    }

    /// Bytes from one element to the next, also of elements that are not read as numbers.
    fn stride(&self) -> Result<usize, Cause> {
        self.inner.dtype().num_bytes().ok_or_else(|| no_numbers("of no fixed size"))
    }

    /// Lengths of the axes, outermost first.
    pub(crate) fn shape(&self) -> Vec<usize> {
        shape(&self.inner)
    }

    /// True if the last axis is the fastest.
    pub(crate) fn is_row_major(&self) -> bool {
        self.inner.order() == Order::C || self.inner.shape().len() < 2
    }

    /// Bytes of an element.
    pub(crate) fn item(&self) -> usize {
        self.element.size
    }
}

/// Refuses elements that are no real numbers.
fn no_numbers(of: &str) -> Cause {
    Box::new(ImageProblem::unsupported(format!("an array with elements {of}"), "save it as float32"))
}

/// An array as it lies in a file: header and encoded data, all of them or some in a row.
pub(crate) struct Array {
    header: Header,
    bytes: Vec<u8>,
    /// Offset of the data.
    start: usize,
    /// Elements before those that are there.
    first: usize,
}

impl Array {
    /// Takes the contents of a `.npy` file apart and checks that all data are there.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Cause> {
        let (header, start) = Header::parse(&bytes)?;
        header.check((bytes.len() - start) as u64)?;
        Ok(Self { header, bytes, start, first: 0 })
    }

    /// The first elements of an array, whose data are `bytes`, or others that lie as densely.
    pub(crate) fn part(header: &Header, bytes: Vec<u8>) -> Self {
        Self { header: header.clone(), bytes, start: 0, first: 0 }
    }

    /// Lengths of the axes, outermost first.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.header.shape()
    }

    /// All elements as f64, last axis fastest.
    pub(crate) fn values(&self) -> Result<Vec<f64>, Cause> {
        // The data are there, so they can be counted.
        self.read(0..self.header.inner.len() as usize, |value| value)
    }

    /// A range of the elements as f32, counted with the last axis fastest.
    pub(crate) fn pixels(&self, range: Range<usize>) -> Result<Vec<f32>, Cause> {
        self.read(range, |value| value as f32)
    }

    fn read<T>(&self, range: Range<usize>, convert: impl Fn(f64) -> T) -> Result<Vec<T>, Cause> {
        let Header { inner, element } = &self.header;
        let number = |at: usize| {
            let begin = self.start + at.checked_sub(self.first)? * element.size;
            self.bytes.get(begin..begin + element.size).map(|raw| convert(element.number(raw)))
        };
        let missing = || Cause::from("the array is shorter than its shape");
        if element.kind == Kind::Other {
            let found = inner.dtype().descr();
            return Err(no_numbers(&format!("of type {found}")));
        }
        if self.header.is_row_major() {
            return range.map(number).collect::<Option<_>>().ok_or_else(missing);
        }
        let (shape, strides) = (self.shape(), inner.strides());
        let position = |mut index: usize| {
            shape.iter().zip(strides).rev().fold(0, |sum, (&length, &stride)| {
                let along = index % length;
                index /= length;
                sum + along * stride as usize
            })
        };
        range.map(|index| number(position(index))).collect::<Option<_>>().ok_or_else(missing)
    }

    /// The text of an array of one string, without the padding.
    pub(crate) fn text(&self) -> Result<String, Cause> {
        let file = NpyFile::with_header(self.header.inner.clone(), &self.bytes[self.start..]);
        let texts: Vec<String> = file.into_vec()?;
        texts.into_iter().next().ok_or_else(|| "the text array is empty".into())
    }
}

/// The header, and where the data begin.
fn header(bytes: &[u8]) -> Result<(NpyHeader, usize), Cause> {
    look_over_header(bytes)?;
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest)?;
    Ok((header, bytes.len() - rest.len()))
}

fn check_data(found: u64, expected: u64) -> Result<(), Cause> {
    if found < expected {
        return Err(format!("the header promises {expected} bytes of data, {found} are there").into());
    }
    Ok(())
}

fn shape(header: &NpyHeader) -> Vec<usize> {
    // Their product fits, so each does.
    header.shape().iter().map(|&n| n as usize).collect()
}

/// Rejects headers that a Python literal parser should not be given.
///
/// The product of all whole numbers in the header bounds the array's bytes, so that no later product overflows.
fn look_over_header(bytes: &[u8]) -> Result<(), Cause> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("the mark of an npy file is missing")?;
    let (length, start) = match rest {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 6),
        _ => return Err("the header is cut short, or of an unknown version".into()),
    };
    if length > LONGEST_HEADER {
        return Err("the header is too long".into());
    }
    let text = rest.get(start..start + length).ok_or("the header is cut short")?;
    let open = text.iter().filter(|byte| b"([{".contains(byte)).count();
    let product = text
        .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .filter(|word| word.first().is_some_and(u8::is_ascii_digit) || word.last().is_some_and(u8::is_ascii_digit))
        .map(|word| match word {
            // The letter of a type such as f4.
            [letter, digits @ ..] if letter.is_ascii_alphabetic() => digits,
            digits => digits,
        })
        .map(|digits| str::from_utf8(digits).ok()?.parse::<u64>().ok())
        .try_fold(1u64, |product, number| product.checked_mul(number?.max(1)));
    if open > DEEPEST_HEADER || product.is_none() {
        return Err("the header describes no array of numbers of sensible size".into());
    }
    Ok(())
}

/// An archive of named arrays.
pub(crate) struct Archive<R = Cursor<Vec<u8>>> {
    zip: ZipArchive<R>,
    /// Bytes of the archive.
    packed: usize,
    /// Numbers that may still be unpacked; of those that are larger than pixels, half as many.
    left: usize,
}

impl Archive {
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Cause> {
        let length = bytes.len();
        Self::new(Cursor::new(bytes), length)
    }
}

impl Archive<BufReader<File>> {
    /// An archive that stays in its file.
    pub(crate) fn open(path: &Path) -> Result<Self, Cause> {
        let file = open(path)?;
        let length = usize::try_from(file.metadata()?.len())?;
        Self::new(BufReader::new(file), length)
    }

    /// Begin and length in the file of the array of that name, if it is there and not compressed.
    pub(crate) fn place(&mut self, name: &str) -> Option<(u64, u64)> {
        let entry = self.zip.by_name(&format!("{name}{ENDING}")).ok()?;
        let is_stored = entry.compression() == CompressionMethod::Stored;
        entry.data_start().filter(|_| is_stored).map(|begin| (begin, entry.size()))
    }
}

impl<R: Read + Seek> Archive<R> {
    fn new(reader: R, length: usize) -> Result<Self, Cause> {
        Ok(Self { zip: ZipArchive::new(reader)?, packed: length, left: unpacked(length) })
    }

    /// Names of the arrays, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.zip.file_names().flatten();
        let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(ENDING).map(str::to_owned)).collect();
        names.sort_unstable();
        names
    }

    /// Lengths of the axes of an array that is there.
    pub(crate) fn shape(&mut self, name: &str) -> Result<Vec<usize>, Cause> {
        let mut bytes = Vec::new();
        let entry = self.zip.by_name(&format!("{name}{ENDING}"))?;
        entry.take(Header::LONGEST).read_to_end(&mut bytes)?;
        Ok(shape(&header(&bytes)?.0))
    }

    /// The array of that name, if there is one.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Array>, Cause> {
        self.part(name, |_| None)
    }

    /// The array of that name, if there is one, with those of its elements only that are chosen by its shape, counted
    /// with the last axis fastest. Where that is not how they lie, or none are chosen, it has all.
    pub(crate) fn part(
        &mut self,
        name: &str,
        choose: impl FnOnce(&[usize]) -> Option<Range<usize>>,
    ) -> Result<Option<Array>, Cause> {
        if !self.names().iter().any(|present| present == name) {
            return Ok(None);
        }
        let mut entry = self.zip.by_name(&format!("{name}{ENDING}"))?;
        let mut head = Vec::new();
        entry.by_ref().take(Header::LONGEST).read_to_end(&mut head)?;
        let (header, start) = Header::parse(&head)?;
        let (stride, all) = (header.stride()?, 0..usize::try_from(header.inner.len())?);
        let chosen = if header.is_row_major() { choose(&header.shape()) } else { None };
        let part = chosen.filter(|part| part.start <= part.end && part.end <= all.end).unwrap_or(all);
        let words = part.len().saturating_mul(stride.div_ceil(WORD_BYTES));
        if words > self.left {
            let what = format!("an array {name} of {} numbers", part.len());
            let (packed, how) = (self.packed, "by numpy.savez");
            return Err(Box::new(ImageProblem::Packed { format: "npz", what, packed, how }));
        }
        self.left -= words;
        let mut data = Cursor::new(&head[start..]).chain(entry);
        std::io::copy(&mut data.by_ref().take((part.start * stride) as u64), &mut std::io::sink())?;
        let expected = part.len() * stride;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(expected)?;
        data.take(expected as u64).read_to_end(&mut bytes)?;
        check_data(bytes.len() as u64, expected as u64)?;
        Ok(Some(Array { header, bytes, start: 0, first: part.start }))
    }
}

/// Contents of a `.npy` file with the numbers `values`, last axis fastest.
pub(crate) fn encode_npy<T: npyz::AutoSerialize + Copy>(shape: &[usize], values: &[T]) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    write_array(&mut bytes, T::default_dtype(), shape, values.iter().copied())?;
    Ok(bytes)
}

/// The bytes before the data of an npy file of float32 numbers in this shape.
pub(crate) fn npy_header(shape: &[usize]) -> Result<Vec<u8>, Cause> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut bytes = Vec::new();
    // The writer is left before its first number, so that only the header is there.
    drop(npyz::WriteOptions::<f32>::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?);
    Ok(bytes)
}

/// Builds an archive in memory. Same arrays, same bytes: the entries carry no time.
pub(crate) struct ArchiveWriter {
    zip: ZipWriter<Cursor<Vec<u8>>>,
}

impl ArchiveWriter {
    pub(crate) fn new() -> Self {
        Self { zip: ZipWriter::new(Cursor::new(Vec::new())) }
    }

    /// Adds an array of numbers, last axis fastest; no axes make a scalar.
    pub(crate) fn numbers<T>(&mut self, name: &str, shape: &[usize], values: &[T]) -> Result<(), Cause>
    where
        T: npyz::AutoSerialize + Copy,
    {
        let bytes = encode_npy(shape, values)?;
        self.add(name, &bytes)
    }

    /// Adds one string.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> Result<(), Cause> {
        let dtype: TypeStr = format!("<U{}", text.chars().count().max(1)).parse()?;
        let mut bytes = Vec::new();
        write_array(&mut bytes, DType::Plain(dtype), &[], [text.to_owned()])?;
        self.add(name, &bytes)
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), Cause> {
        // Deflated, an image of zeros would unpack to more than a reader takes.
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.zip.start_file(format!("{name}{ENDING}"), stored.last_modified_time(DateTime::default()))?;
        Ok(self.zip.write_all(bytes)?)
    }

    /// The archive's bytes.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Cause> {
        Ok(self.zip.finish()?.into_inner())
    }
}

fn write_array<T: npyz::Serialize>(
    bytes: &mut Vec<u8>,
    dtype: DType,
    shape: &[usize],
    values: impl IntoIterator<Item = T>,
) -> Result<(), Cause> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut writer = npyz::WriteOptions::new().dtype(dtype).shape(&shape).writer(bytes).begin_nd()?;
    writer.extend(values)?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(shape: &[usize], values: &[f32]) -> Archive {
        let mut writer = ArchiveWriter::new();
        writer.numbers("a", shape, values).unwrap();
        Archive::parse(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn a_part_has_the_elements_that_are_chosen_and_no_others() {
        let values: Vec<f32> = (0..40_000).map(|k| k as f32).collect();
        for part in [0..3, 20_000..20_007, 39_990..40_000] {
            let array = archive(&[10, 4000], &values).part("a", |shape| {
                assert_eq!(shape, [10, 4000]);
                Some(part.clone())
            });
            let array = array.unwrap().unwrap();
            assert_eq!(array.bytes.len(), 4 * part.len());
            assert_eq!(array.pixels(part.clone()).unwrap(), values[part.clone()]);
            assert!(array.pixels(part.start..part.end + 1).is_err());
            assert!(part.start == 0 || array.pixels(0..1).is_err());
        }
        // What is beyond the array is no part of it.
        let whole = archive(&[10, 4000], &values).part("a", |_| Some(1..40_001)).unwrap().unwrap();
        assert_eq!(whole.pixels(0..40_000).unwrap(), values);
        assert!(archive(&[1], &[1.0]).array("b").unwrap().is_none());
    }

    #[test]
    fn more_numbers_than_an_archive_is_believed_to_hold_are_not_unpacked() {
        let mut found = archive(&[4], &[1.0; 4]);
        found.left = 7;
        assert!(found.array("a").is_ok());
        let problem = ImageProblem::damaged("npz", found.array("a").err().unwrap());
        assert!(matches!(problem, ImageProblem::Packed { .. }), "{problem}");
    }
}
