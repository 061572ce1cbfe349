//! NumPy's array files (`.npy`) and archives of them (`.npz`), over byte buffers.
//!
//! Decoding and encoding are npyz's. What is added: a header is looked over before npyz sees it (deep nesting and huge
//! sizes would end its parser), and the data must be as long as the header says.
use super::file_error::Cause;
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::write_options::HasWriter;
use npyz::zip::DateTime;
use npyz::zip::write::FileOptions;
use npyz::{DType, Deserialize, NpyFile, NpyHeader, Order, TypeChar, TypeStr, WriterBuilder};
use std::io::{Cursor, Read, Write};

const MAGIC: &[u8] = b"\x93NUMPY";
/// An honest header nests one dict and one tuple; structured types, which are not read here, a little more.
const DEEPEST_HEADER: usize = 8;
const LONGEST_HEADER: usize = 1 << 16;

/// An array as it lies in a file: header and encoded data.
pub(crate) struct Array {
    header: NpyHeader,
    data: Vec<u8>,
}

impl Array {
    /// Takes the contents of a `.npy` file apart and checks that all data are there.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Cause> {
        look_over_header(bytes)?;
        let file = NpyFile::new(bytes)?;
        let header = file.header().clone();
        let data = file.into_inner().to_vec();
        let item = header.dtype().num_bytes().ok_or("the array's elements have no fixed size")?;
        let expected = header.len().checked_mul(item as u64).ok_or("the array is too large")?;
        if (data.len() as u64) < expected {
            return Err(format!("the header promises {expected} bytes of data, {} are there", data.len()).into());
        }
        Ok(Self { header, data })
    }

    /// Lengths of the axes, outermost first.
    pub(crate) fn shape(&self) -> Vec<usize> {
        // The data fit in memory, so each axis does.
        self.header.shape().iter().map(|&n| n as usize).collect()
    }

    /// All elements as f64, last axis fastest.
    pub(crate) fn values(&self) -> Result<Vec<f64>, Cause> {
        let stored = self.stored_values()?;
        if self.header.order() == Order::C || self.header.shape().len() < 2 {
            return Ok(stored);
        }
        let (shape, strides) = (self.shape(), self.header.strides());
        let position = |mut index: usize| {
            shape.iter().zip(strides).rev().fold(0, |sum, (&length, &stride)| {
                let along = index % length;
                index /= length;
                sum + along * stride as usize
            })
        };
        Ok((0..stored.len()).map(|index| stored[position(index)]).collect())
    }

    /// The text of an array of one string, without the padding.
    pub(crate) fn text(&self) -> Result<String, Cause> {
        let texts: Vec<String> = self.file().into_vec()?;
        texts.into_iter().next().ok_or_else(|| "the text array is empty".into())
    }

    fn stored_values(&self) -> Result<Vec<f64>, Cause> {
        let dtype = self.header.dtype();
        let DType::Plain(element) = &dtype else {
            return Err(format!("elements of type {} are not numbers", dtype.descr()).into());
        };
        match (element.type_char(), element.size_field()) {
            (TypeChar::Float, 4) => self.convert(|v: f32| v.into()),
            (TypeChar::Float, 8) => self.convert(|v: f64| v),
            (TypeChar::Int, 1) => self.convert(|v: i8| v.into()),
            (TypeChar::Int, 2) => self.convert(|v: i16| v.into()),
            (TypeChar::Int, 4) => self.convert(|v: i32| v.into()),
            (TypeChar::Int, 8) => self.convert(|v: i64| v as f64),
            (TypeChar::Uint, 1) => self.convert(|v: u8| v.into()),
            (TypeChar::Uint, 2) => self.convert(|v: u16| v.into()),
            (TypeChar::Uint, 4) => self.convert(|v: u32| v.into()),
            (TypeChar::Uint, 8) => self.convert(|v: u64| v as f64),
            (TypeChar::Bool, 1) => self.convert(|v: bool| f64::from(u8::from(v))),
            _ => Err(format!("elements of type {} are not read; save as float32", dtype.descr()).into()),
        }
    }

    fn convert<T: Deserialize>(&self, to_f64: impl Fn(T) -> f64) -> Result<Vec<f64>, Cause> {
        let values: Vec<T> = self.file().into_vec()?;
        Ok(values.into_iter().map(to_f64).collect())
    }

    fn file(&self) -> NpyFile<&[u8]> {
        NpyFile::with_header(self.header.clone(), &self.data)
    }
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
    zip: NpzArchive<Cursor<Vec<u8>>>,
}

impl Archive {
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Cause> {
        Ok(Self { zip: NpzArchive::new(Cursor::new(bytes))? })
    }

    /// Names of the arrays, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.zip.array_names().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// The array of that name, if there is one.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Array>, Cause> {
        if !self.names().iter().any(|present| present == name) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file_name = npyz::npz::file_name_from_array_name(name);
        self.zip.zip_archive().by_name(&file_name)?.read_to_end(&mut bytes)?;
        Array::parse(&bytes).map(Some)
    }
}

/// Contents of a `.npy` file with the numbers `values`, last axis fastest.
pub(crate) fn encode_npy<T: npyz::AutoSerialize + Copy>(shape: &[usize], values: &[T]) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    write_array(npyz::WriteOptions::new().writer(&mut bytes), T::default_dtype(), shape, values.iter().copied())?;
    Ok(bytes)
}

/// Builds an archive in memory. Same arrays, same bytes: the entries carry no time.
pub(crate) struct ArchiveWriter {
    zip: NpzWriter<Cursor<Vec<u8>>>,
}

impl ArchiveWriter {
    pub(crate) fn new() -> Self {
        Self { zip: NpzWriter::new(Cursor::new(Vec::new())) }
    }

    /// Adds an array of numbers, last axis fastest; no axes make a scalar.
    pub(crate) fn numbers<T>(&mut self, name: &str, shape: &[usize], values: &[T]) -> Result<(), Cause>
    where
        T: npyz::AutoSerialize + Copy,
    {
        let builder = self.zip.array(name, entry_options())?;
        write_array(builder, T::default_dtype(), shape, values.iter().copied())
    }

    /// Adds one string.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> Result<(), Cause> {
        let dtype: TypeStr = format!("<U{}", text.chars().count().max(1)).parse()?;
        let builder = self.zip.array(name, entry_options())?;
        write_array(builder, DType::Plain(dtype), &[], [text.to_owned()])
    }

    /// The archive's bytes.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Cause> {
        Ok(self.zip.zip_writer().finish()?.into_inner())
    }
}

fn entry_options() -> FileOptions {
    FileOptions::default().last_modified_time(DateTime::default())
}

fn write_array<T, B>(
    builder: B,
    dtype: DType,
    shape: &[usize],
    values: impl IntoIterator<Item = T>,
) -> Result<(), Cause>
where
    T: npyz::Serialize,
    B: WriterBuilder<T> + HasWriter,
    B::Writer: Write,
{
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut writer = builder.dtype(dtype).shape(&shape).begin_nd()?;
    writer.extend(values)?;
    Ok(writer.finish()?)
}
