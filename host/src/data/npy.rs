//! NumPy's array files (`.npy`) and archives of them (`.npz`), over byte buffers.
//!
//! Headers are parsed by npyz, after they have been looked over (deep nesting and huge sizes would end its parser);
//! archives are unpacked by zip. Numbers are decoded here, those that are asked for only: of a stack, the slice.
use super::file_error::Cause;
use npyz::{DType, Endianness, NpyFile, NpyHeader, Order, TypeChar, TypeStr, WriterBuilder};
use std::io::{Cursor, Read, Write};
use std::ops::Range;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

const MAGIC: &[u8] = b"\x93NUMPY";
/// An honest header nests one dict and one tuple; structured types, which are not read here, a little more.
const DEEPEST_HEADER: usize = 8;
const LONGEST_HEADER: usize = 1 << 16;
/// Bytes that an archive may unpack to: these, and so many times its own.
const UNPACKED: usize = 64 << 20;
const UNPACKED_TIMES: usize = 8;
const ENDING: &str = ".npy";

/// An array as it lies in a file: header and encoded data.
pub(crate) struct Array {
    header: NpyHeader,
    element: Element,
    bytes: Vec<u8>,
    /// Where the data begin.
    start: usize,
}

impl Array {
    /// Takes the contents of a `.npy` file apart and checks that all data are there.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Cause> {
        let (header, start) = header(&bytes)?;
        let element = Element::of(&header.dtype());
        let item = header.dtype().num_bytes().ok_or("the array's elements have no fixed size")?;
        let expected = header.len().checked_mul(item as u64).ok_or("the array is too large")?;
        let found = (bytes.len() - start) as u64;
        if found < expected {
            return Err(format!("the header promises {expected} bytes of data, {found} are there").into());
        }
        Ok(Self { header, element, bytes, start })
    }

    /// Lengths of the axes, outermost first.
    pub(crate) fn shape(&self) -> Vec<usize> {
        shape(&self.header)
    }

    /// All elements as f64, last axis fastest.
    pub(crate) fn values(&self) -> Result<Vec<f64>, Cause> {
        // The data are there, so they can be counted.
        self.read(0..self.header.len() as usize, |value| value)
    }

    /// A range of the elements as f32, counted with the last axis fastest.
    pub(crate) fn pixels(&self, range: Range<usize>) -> Result<Vec<f32>, Cause> {
        self.read(range, |value| value as f32)
    }

    fn read<T>(&self, range: Range<usize>, convert: impl Fn(f64) -> T) -> Result<Vec<T>, Cause> {
        let number = |at: usize| {
            let begin = self.start + at * self.element.size;
            self.bytes.get(begin..begin + self.element.size).map(|raw| convert(self.element.number(raw)))
        };
        let missing = || Cause::from("the array is shorter than its shape");
        if self.element.kind == Kind::Other {
            let found = self.header.dtype().descr();
            return Err(format!("elements of type {found} are not read; save as float32").into());
        }
        if self.header.order() == Order::C || self.header.shape().len() < 2 {
            return range.map(number).collect::<Option<_>>().ok_or_else(missing);
        }
        let (shape, strides) = (self.shape(), self.header.strides());
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
        let file = NpyFile::with_header(self.header.clone(), &self.bytes[self.start..]);
        let texts: Vec<String> = file.into_vec()?;
        texts.into_iter().next().ok_or_else(|| "the text array is empty".into())
    }
}

/// What an element's bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Int,
    Uint,
    Bool,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Element {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

impl Element {
    fn of(dtype: &DType) -> Self {
        let other = Self { kind: Kind::Other, size: 0, big_endian: false };
        let DType::Plain(plain) = dtype else { return other };
        let size = plain.size_field();
        let kind = match (plain.type_char(), size) {
            (TypeChar::Float, 2 | 4 | 8) => Kind::Float,
            (TypeChar::Int, 1 | 2 | 4 | 8) => Kind::Int,
            (TypeChar::Uint, 1 | 2 | 4 | 8) => Kind::Uint,
            (TypeChar::Bool, 1) => Kind::Bool,
            _ => return other,
        };
        Self { kind, size: size as usize, big_endian: plain.endianness() == Endianness::Big }
    }

    fn number(self, raw: &[u8]) -> f64 {
        let mut bytes = [0; 8];
        bytes[..self.size].copy_from_slice(raw);
        if self.big_endian {
            bytes[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(bytes);
        match (self.kind, self.size) {
            (Kind::Float, 2) => half(bits as u16),
            (Kind::Float, 4) => f32::from_bits(bits as u32).into(),
            (Kind::Float, _) => f64::from_bits(bits),
            (Kind::Int, _) => {
                let unused = 64 - 8 * self.size;
                (((bits << unused) as i64) >> unused) as f64
            }
            (Kind::Bool, _) => f64::from(u8::from(bits != 0)),
            (Kind::Uint | Kind::Other, _) => bits as f64,
        }
    }
}

/// IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 of mantissa.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        0x1F if mantissa == 0.0 => f64::INFINITY,
        0x1F => f64::NAN,
        _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The header, and where the data begin.
fn header(bytes: &[u8]) -> Result<(NpyHeader, usize), Cause> {
    look_over_header(bytes)?;
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest)?;
    Ok((header, bytes.len() - rest.len()))
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
pub(crate) struct Archive {
    zip: ZipArchive<Cursor<Vec<u8>>>,
    /// Bytes that may still be unpacked.
    left: usize,
}

impl Archive {
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Cause> {
        let left = bytes.len().saturating_mul(UNPACKED_TIMES).saturating_add(UNPACKED);
        Ok(Self { zip: ZipArchive::new(Cursor::new(bytes))?, left })
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
        entry.take((LONGEST_HEADER + MAGIC.len() + 6) as u64).read_to_end(&mut bytes)?;
        Ok(shape(&header(&bytes)?.0))
    }

    /// The array of that name, if there is one.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Array>, Cause> {
        if !self.names().iter().any(|present| present == name) {
            return Ok(None);
        }
        let entry = self.zip.by_name(&format!("{name}{ENDING}"))?;
        let mut bytes = Vec::new();
        // What an entry says of its size may be wrong.
        let size = entry.size();
        entry.take(self.left as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > self.left || size > self.left as u64 {
            return Err(format!(
                "array {name} unpacks to {} bytes, more than {UNPACKED_TIMES} times the file and {UNPACKED} in all: \
                 save it without compression, by numpy.savez",
                size.max(bytes.len() as u64)
            )
            .into());
        }
        self.left -= bytes.len();
        Array::parse(bytes).map(Some)
    }
}

/// Contents of a `.npy` file with the numbers `values`, last axis fastest.
pub(crate) fn encode_npy<T: npyz::AutoSerialize + Copy>(shape: &[usize], values: &[T]) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    write_array(&mut bytes, T::default_dtype(), shape, values.iter().copied())?;
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
