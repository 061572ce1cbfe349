//! MATLAB's files, version 5 ("-v6", "-v7"): arrays of numbers, texts and structs of them.
//!
//! A file is a mark of 128 bytes and a list of elements; an element is a type, a number of bytes and these. Arrays are
//! elements made of elements: flags, axes, a name, the numbers; a struct's are its fields. What is read takes no more
//! memory than the bytes that are there, and those that they unpack to are bounded.
use super::stored::{Bytes, Stored};
use crate::data::file_error::{AtPath, Cause, FileError, ImageError, ImageProblem};
use crate::image::Image;
use crate::limits::unpacked;
use crate::read::read_file;
use flate2::read::ZlibDecoder;
use std::io::Read;
use std::path::Path;

const MARK_BYTES: usize = 128;
const MARK: &[u8] = b"MATLAB 5.0 MAT-file";
/// Structs in structs: HTC's are three deep.
const DEEPEST: usize = 16;

const INT8: u32 = 1;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

const STRUCT: u32 = 2;
const CHAR: u32 = 4;
/// Classes of numbers: double, single, eight kinds of integers.
const NUMBERS: std::ops::RangeInclusive<u32> = 6..=15;
const IS_COMPLEX: u32 = 0x800;

/// The value of a variable, or of a field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Numbers.
    Numbers(Array),
    /// A text.
    Text(String),
    /// A struct's fields in their order; a file is a struct of its variables.
    Struct(Vec<(String, Value)>),
    /// A kind that is not read, by name.
    Other(&'static str),
}

/// An array of numbers, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Lengths of the axes, as MATLAB says them: rows, columns, ...
    pub shape: Vec<usize>,
    /// The numbers, first axis fastest.
    pub(super) numbers: Bytes,
}

impl Value {
    /// The field of that name, or the variable.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Self::Struct(fields) = self else { return None };
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Names of the fields, or of the variables.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let Self::Struct(fields) = self else { return Vec::new() };
        fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The array of numbers.
    #[must_use]
    pub fn array(&self) -> Option<&Array> {
        match self {
            Self::Numbers(array) => Some(array),
            _ => None,
        }
    }

    /// The only number of an array of one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let array = self.array().filter(|array| array.numbers.len() == 1)?;
        array.values().first().copied()
    }
}

impl Array {
    /// All numbers, first axis fastest: those of a row or of a column in their order.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        (0..self.numbers.len()).map(|at| self.numbers.get(at)).collect()
    }

    /// A matrix as an image of the same rows and columns.
    #[must_use]
    pub fn image(&self) -> Option<Image> {
        let &[height, width] = self.shape.as_slice() else { return None };
        let at = |row: usize| (0..width).map(move |column| self.numbers.get(column * height + row) as f32);
        Some(Image { height, width, pixels: (0..height).flat_map(at).collect() })
    }
}

/// True if the bytes are a file of this kind.
#[must_use]
pub fn is_matlab(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK) && bytes.len() >= MARK_BYTES
}

/// The variables of a file, as the fields of a struct.
///
/// # Errors
/// [`ImageError`] when the file cannot be read, or is damaged.
pub fn read(path: impl AsRef<Path>) -> Result<Value, ImageError> {
    let path = path.as_ref();
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    parse(&bytes).map_err(|cause| FileError { path: path.into(), problem: ImageProblem::damaged("MATLAB", cause) })
}

/// The variables in the contents of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Cause> {
    if !is_matlab(bytes) {
        return Err("the mark of a MATLAB 5 file is missing; save it by save(..., '-v7')".into());
    }
    let big_endian = &bytes[MARK_BYTES - 2..MARK_BYTES] == b"MI";
    // Whole numbers are stored by one or two bytes each, whatever they are to MATLAB.
    let mut left = unpacked(bytes.len()).saturating_mul(size_of::<u16>());
    let mut elements = Elements { bytes: &bytes[MARK_BYTES..], big_endian };
    let mut variables = Vec::new();
    while !elements.bytes.is_empty() {
        let (kind, data) = elements.next()?;
        let variable = match kind {
            MATRIX => matrix(data, big_endian, 0)?,
            COMPRESSED => {
                let bytes = unpack(data, &mut left)?;
                let (kind, data) = Elements { bytes: &bytes, big_endian }.next()?;
                if kind != MATRIX {
                    continue;
                }
                matrix(data, big_endian, 0)?
            }
            _ => continue,
        };
        variables.push(variable);
    }
    Ok(Value::Struct(variables))
}

/// The elements in some bytes, one after the other.
struct Elements<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Elements<'a> {
    fn word(&self, at: usize) -> Result<u32, Cause> {
        let raw = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or("an element is cut short")?;
        Ok(if self.big_endian { u32::from_be_bytes(*raw) } else { u32::from_le_bytes(*raw) })
    }

    /// Type and data of the next element.
    fn next(&mut self) -> Result<(u32, &'a [u8]), Cause> {
        let first = self.word(0)?;
        // Up to four bytes of data stand in the place of their number, which is said in the upper half of the type.
        let (kind, length, start) = match first >> 16 {
            0 => (first, self.word(4)? as usize, 8),
            length => (first & 0xFFFF, length as usize, 4),
        };
        if start == 4 && length > 4 {
            return Err("a short element is too long".into());
        }
        let data = self.bytes.get(start..).and_then(|rest| rest.get(..length));
        let data = data.ok_or_else(|| format!("an element promises {length} bytes that are not there"))?;
        let padded = if kind == COMPRESSED { start + length } else { (start + length).next_multiple_of(8) };
        self.bytes = &self.bytes[padded.min(self.bytes.len())..];
        Ok((kind, data))
    }

    /// The data of the next element, of a type that is known.
    fn expect(&mut self, kind: u32) -> Result<&'a [u8], Cause> {
        let (found, data) = self.next()?;
        if found != kind {
            return Err(format!("an element of type {found} stands where one of type {kind} is expected").into());
        }
        Ok(data)
    }
}

fn unpack(data: &[u8], left: &mut usize) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(data).take(*left as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > *left {
        let (what, packed) = (format!("more than {} bytes", bytes.len() - 1), data.len());
        let how = "by save(..., '-v6')";
        return Err(Box::new(ImageProblem::Packed { format: "MATLAB", what, packed, how }));
    }
    *left -= bytes.len();
    Ok(bytes)
}

/// Name and value of an array.
fn matrix(data: &[u8], big_endian: bool, depth: usize) -> Result<(String, Value), Cause> {
    // An empty cell of a struct has no elements.
    if data.is_empty() {
        return Ok((String::new(), Value::Other("nothing")));
    }
    if depth > DEEPEST {
        return Err(format!("structs are more than {DEEPEST} deep").into());
    }
    let mut elements = Elements { bytes: data, big_endian };
    let flags = Elements { bytes: elements.expect(UINT32)?, big_endian }.word(0)?;
    let class = flags & 0xFF;
    let Some(what) = class_name(class) else { return Ok((String::new(), Value::Other("an object"))) };
    let shape = shape(&Bytes::of(elements.next()?, big_endian)?)?;
    let name = text(elements.expect(INT8)?);
    let value = match class {
        STRUCT if shape.iter().product::<usize>() == 1 => Value::Struct(fields(&mut elements, depth)?),
        CHAR => Value::Text(characters(&Bytes::of(elements.next()?, big_endian)?)),
        class if NUMBERS.contains(&class) && flags & IS_COMPLEX == 0 => {
            let numbers = Bytes::of(elements.next()?, big_endian)?;
            let (promised, found) = (shape.iter().product::<usize>(), numbers.len());
            if promised != found {
                return Err(format!("{name} promises {promised} numbers, {found} are there").into());
            }
            Value::Numbers(Array { shape, numbers })
        }
        class if NUMBERS.contains(&class) => Value::Other("complex numbers"),
        _ => Value::Other(what),
    };
    Ok((name, value))
}

/// The classes whose elements follow the usual order.
fn class_name(class: u32) -> Option<&'static str> {
    Some(match class {
        1 => "a cell array",
        STRUCT => "an array of structs",
        CHAR => "a text",
        5 => "a sparse matrix",
        class if NUMBERS.contains(&class) => "numbers",
        _ => return None,
    })
}

/// Lengths of axes whose product fits.
fn shape(axes: &Bytes) -> Result<Vec<usize>, Cause> {
    let lengths = (0..axes.len()).map(|at| axes.get(at));
    let lengths: Vec<usize> = lengths.map(|length| if length >= 0.0 { length as usize } else { usize::MAX }).collect();
    lengths.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).ok_or("the array is too large")?;
    Ok(lengths)
}

fn fields(elements: &mut Elements, depth: usize) -> Result<Vec<(String, Value)>, Cause> {
    let big_endian = elements.big_endian;
    let length = Bytes::of(elements.next()?, big_endian)?;
    let length = if length.len() == 1 { length.get(0) as usize } else { 0 };
    let names = elements.expect(INT8)?;
    if length == 0 && !names.is_empty() {
        return Err("the names of fields have no length".into());
    }
    let field = |name: &[u8]| Ok((text(name), matrix(elements.expect(MATRIX)?, big_endian, depth + 1)?.1));
    names.chunks(length.max(1)).map(field).collect()
}

/// A name: up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A text, of which each character is a number.
fn characters(codes: &Bytes) -> String {
    if codes.stored == Stored::U8 {
        return String::from_utf8_lossy(&codes.bytes).into_owned();
    }
    (0..codes.len()).map(|at| char::from_u32(codes.get(at) as u32).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An element, padded.
    fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn array(class: u32, name: &str, shape: [u32; 2], rest: &[u8]) -> Vec<u8> {
        let flags = element(UINT32, &[class.to_le_bytes(), [0; 4]].concat());
        let shape = element(5, &shape.map(u32::to_le_bytes).concat());
        element(MATRIX, &[flags, shape, element(INT8, name.as_bytes()), rest.to_vec()].concat())
    }

    /// A matrix of doubles, given row after row.
    pub(crate) fn doubles(name: &str, shape: [u32; 2], rows: &[f64]) -> Vec<u8> {
        let [n_rows, n_columns] = shape.map(|n| n as usize);
        let columns = (0..n_rows * n_columns).map(|at| rows[at % n_rows * n_columns + at / n_rows]);
        array(6, name, shape, &element(9, &columns.flat_map(f64::to_le_bytes).collect::<Vec<_>>()))
    }

    /// A text; each character is two bytes.
    pub(crate) fn chars(name: &str, text: &str) -> Vec<u8> {
        let codes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        array(CHAR, name, [1, text.len() as u32], &element(4, &codes))
    }

    /// A struct of fields, whose arrays are given without names.
    pub(crate) fn structure(name: &str, fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let names = fields.iter().flat_map(|(name, _)| format!("{name:\0<32}").into_bytes()).collect::<Vec<_>>();
        // A short element: its four bytes stand beside its type.
        let mut rest = [0x0004_0005u32.to_le_bytes(), 32u32.to_le_bytes()].concat();
        rest.extend(element(INT8, &names));
        fields.iter().for_each(|(_, array)| rest.extend(array));
        array(STRUCT, name, [1, 1], &rest)
    }

    pub(crate) fn file(variables: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = MARK.to_vec();
        bytes.resize(MARK_BYTES - 4, b' ');
        bytes.extend(b"\0\x01IM");
        bytes.extend(variables.concat());
        bytes
    }

    pub(crate) fn packed(variable: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        flate2::read::ZlibEncoder::new(variable, flate2::Compression::best()).read_to_end(&mut bytes).unwrap();
        let mut packed = [COMPRESSED.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
        packed.extend(bytes);
        packed
    }

    fn sample() -> Vec<u8> {
        let inner = structure("", &[("angles", doubles("", [1, 2], &[0.0, 0.5])), ("unit", chars("", "mm"))]);
        let outer = structure("CtData", &[("sinogram", doubles("", [2, 3], &[1., 2., 3., 4., 5., 6.])), ("p", inner)]);
        file(&[packed(&outer), doubles("x", [1, 1], &[7.0])])
    }

    #[test]
    fn structs_and_matrices_are_read() {
        let file = parse(&sample()).unwrap();
        assert_eq!(file.names(), ["CtData", "x"]);
        assert_eq!(file.field("x").and_then(Value::number), Some(7.0));
        let data = file.field("CtData").unwrap();
        let sinogram = data.field("sinogram").and_then(Value::array).unwrap();
        assert_eq!(sinogram.image().unwrap(), Image { height: 2, width: 3, pixels: vec![1., 2., 3., 4., 5., 6.] });
        let parameters = data.field("p").unwrap();
        assert_eq!(parameters.field("angles").and_then(Value::array).unwrap().values(), [0.0, 0.5]);
        assert_eq!(parameters.field("unit"), Some(&Value::Text("mm".into())));
    }

    #[test]
    fn what_is_cut_short_or_lies_is_refused() {
        let whole = sample();
        for length in 0..whole.len() {
            if let Ok(value) = parse(&whole[..length]) {
                assert!(value.names().len() < 2, "{length} of {} bytes", whole.len());
            }
        }
        let of = |variable: &[u8]| parse(&file(&[variable.to_vec()])).unwrap_err().to_string();
        let lies = array(6, "y", [1 << 30, 1 << 20], &element(9, &[0; 8]));
        assert_eq!(of(&lies), format!("y promises {} numbers, 1 are there", 1u64 << 50));
        let deep = (0..40).fold(doubles("", [1, 1], &[1.0]), |inner, _| structure("", &[("a", inner)]));
        assert!(of(&deep).contains("deep"));
        assert!(of(&[9, 0, 0, 0, 255, 255, 255, 255]).contains("promises"));
        let bomb = packed(&vec![0; crate::limits::UNPACKED * 4]);
        assert!(of(&bomb).contains("save it without compression"));
    }
}
