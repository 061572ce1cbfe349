//! From the bytes of a DICOM file to its attributes, of whatever is met in archives: with and without preamble, mark,
//! group lengths or file meta information.
//!
//! Values are read by dicom-object, which takes memory for as much as a header promises. So the headers are walked
//! through before: none may promise more than there is.
use super::file_error::ImageProblem;
use crate::limits::unpacked;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, uids};
use dicom_encoding::TransferSyntax;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use dicom_parser::StatefulDecode;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use flate2::read::DeflateDecoder;
use std::borrow::Cow;
use std::io::{Cursor, Read};

const PREAMBLE: usize = 128;
const MARK: &[u8] = b"DICM";
/// Sequences within sequences; honest files have a few.
const DEEPEST: usize = 32;
/// Value representations whose length takes four bytes behind two that are not used.
const LONG: [&[u8]; 13] = [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];

/// The packing of the pixels in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    RunLengths,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

impl Packing {
    /// That of a transfer syntax, or the name of what is not read here.
    fn of(syntax: &str) -> Result<Self, String> {
        let Some(number) = syntax.strip_prefix("1.2.840.10008.1.2") else {
            return Err(format!("pixels stored by the private transfer syntax {syntax}"));
        };
        let name = match number {
            "" | ".1" | ".2" | ".1.99" => return Ok(Self::Plain),
            ".5" => return Ok(Self::RunLengths),
            ".4.50" | ".4.51" | ".4.57" | ".4.70" => return Ok(Self::Jpeg),
            ".4.80" | ".4.81" => return Ok(Self::JpegLs),
            ".4.90" | ".4.91" => return Ok(Self::Jpeg2000),
            ".4.92" | ".4.93" => "multi-component JPEG 2000",
            ".4.201" | ".4.202" | ".4.203" => "high-throughput JPEG 2000",
            ".4.110" | ".4.111" | ".4.112" => "JPEG XL",
            ".4.94" | ".4.95" | ".4.204" | ".4.205" => return Err("the address of pixels, and no pixels (JPIP)".into()),
            _ => return Err(format!("pixels compressed by transfer syntax {syntax}")),
        };
        Err(format!("pixels compressed with {name}"))
    }
}

/// Advice for a compression that is not read here.
pub(super) const UNPACK: &str = "unpack it first: gdcmconv --raw IN.dcm OUT.dcm";

/// True if the bytes carry DICOM's mark, behind the preamble or without it.
pub(super) fn has_mark(bytes: &[u8]) -> bool {
    bytes.get(PREAMBLE..PREAMBLE + MARK.len()) == Some(MARK) || bytes.starts_with(MARK)
}

/// All attributes, and how the pixels are packed.
pub(super) fn read(bytes: &[u8]) -> Result<(InMemDicomObject, Packing), ImageProblem> {
    let begin = match bytes.get(PREAMBLE..) {
        Some(rest) if rest.starts_with(MARK) => PREAMBLE + MARK.len(),
        _ if bytes.starts_with(MARK) => MARK.len(),
        _ => 0,
    };
    let (syntax, begin) = meta_information(bytes, begin)?;
    let data = &bytes[begin..];
    let syntax = syntax.unwrap_or_else(|| uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned());
    let packing = Packing::of(&syntax).map_err(|found| ImageProblem::unsupported(found, UNPACK))?;
    let data = if syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN { inflated(data)? } else { Cow::Borrowed(data) };
    let encoding = if syntax == EXPLICIT_VR_BIG_ENDIAN { EXPLICIT_VR_BIG_ENDIAN } else { encoding(&data) };
    let encoding = TransferSyntaxRegistry.get(encoding).ok_or_else(|| damaged("its transfer syntax is unknown"))?;
    check_lengths(&data, encoding)?;
    let mut object = InMemDicomObject::read_dataset_with_ts(&*data, encoding)
        .map_err(|cause| ImageProblem::damaged("DICOM", cause))?;
    name_unknown(&mut object);
    Ok((object, packing))
}

/// Gives values whose representation some program did not know (UN) that of the dictionary.
fn name_unknown(object: &mut InMemDicomObject) {
    let named = |element: &InMemElement| {
        let entry = StandardDataDictionary.by_tag(element.header().tag)?;
        let vr = entry.vr().relaxed();
        let PrimitiveValue::U8(bytes) = element.value().primitive()? else { return None };
        let value = match vr {
            VR::US => PrimitiveValue::U16(bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()),
            VR::SS => PrimitiveValue::I16(bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()),
            VR::AE | VR::CS | VR::DA | VR::DS | VR::IS | VR::LO | VR::PN | VR::SH | VR::TM | VR::UI => {
                let text = String::from_utf8_lossy(bytes);
                PrimitiveValue::Strs(text.split('\\').map(|part| part.trim_end_matches('\0').to_owned()).collect())
            }
            _ => return None,
        };
        Some(InMemElement::new(element.header().tag, vr, value))
    };
    let unknown: Vec<InMemElement> = object.iter().filter(|element| element.vr() == VR::UN).filter_map(named).collect();
    unknown.into_iter().for_each(|element| drop(object.put(element)));
}

/// Retired, and still met.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// The transfer syntax of the file meta information (group 0002), if that is there, and where the data set begins. The
/// information is explicit and little endian; its own length, often missing or wrong, is not believed.
fn meta_information(bytes: &[u8], begin: usize) -> Result<(Option<String>, usize), ImageProblem> {
    let (mut at, mut syntax) = (begin, None);
    while let Some(&[2, 0, low, high, a, b, c, d]) = bytes.get(at..at + 8) {
        let vr = [a, b];
        let (length, value) = if LONG.contains(&&vr[..]) {
            let length = bytes.get(at + 8..at + 12).ok_or_else(|| damaged("it ends in its header"))?;
            (u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize, at + 12)
        } else if vr.iter().all(u8::is_ascii_uppercase) {
            (usize::from(u16::from_le_bytes([c, d])), at + 8)
        } else {
            (u32::from_le_bytes([a, b, c, d]) as usize, at + 8)
        };
        let text = value.checked_add(length).and_then(|end| bytes.get(value..end));
        let text =
            text.ok_or_else(|| promises(Tag(2, u16::from_le_bytes([low, high])), length, bytes.len() - value))?;
        if (low, high) == (0x10, 0) {
            let text = String::from_utf8_lossy(text);
            syntax = Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned());
        }
        at = value + length;
    }
    Ok((syntax, at))
}

/// A data set begins with a tag of a low group and, if it is explicit, the letters of a VR. Some files say they are
/// explicit, and are not.
fn encoding(data: &[u8]) -> &'static str {
    let is_explicit = data.get(4..6).is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
    if is_explicit { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { uids::IMPLICIT_VR_LITTLE_ENDIAN }
}

fn inflated(data: &[u8]) -> Result<Cow<'_, [u8]>, ImageProblem> {
    let most = unpacked(data.len()).saturating_mul(size_of::<u16>());
    let mut inflated = Vec::new();
    let mut decoder = DeflateDecoder::new(data).take(most as u64 + 1);
    decoder.read_to_end(&mut inflated).map_err(|cause| ImageProblem::damaged("deflated DICOM", cause))?;
    if inflated.len() > most {
        return Err(ImageProblem::unsupported(format!("more than {most} bytes, deflated into {}", data.len()), UNPACK));
    }
    Ok(Cow::Owned(inflated))
}

/// Walks through the headers of all attributes without reading their values.
fn check_lengths(data: &[u8], encoding: &TransferSyntax) -> Result<(), ImageProblem> {
    let broken = |cause: Box<dyn std::error::Error + Send + Sync>| ImageProblem::damaged("DICOM", cause);
    let mut reader =
        LazyDataSetReader::new_with_ts(Cursor::new(data), encoding).map_err(|cause| broken(cause.into()))?;
    let mut depth = 0_usize;
    while let Some(token) = reader.advance() {
        match token.map_err(|cause| broken(cause.into()))? {
            LazyDataToken::SequenceStart { .. } if depth == DEEPEST => {
                return Err(damaged("its sequences are nested too deeply"));
            }
            LazyDataToken::SequenceStart { .. } => depth += 1,
            LazyDataToken::SequenceEnd => depth = depth.saturating_sub(1),
            LazyDataToken::LazyValue { header, decoder } => {
                let left = data.len().saturating_sub(decoder.position() as usize);
                if header.len.0 as usize > left {
                    return Err(promises(header.tag, header.len.0 as usize, left));
                }
                // The reader of values would take what is left over for the next header.
                if !header.len.0.is_multiple_of(bytes_of_value(header.vr)) {
                    return Err(ImageProblem::damaged(
                        "DICOM",
                        format!("element {} has {} bytes, no whole number of values", header.tag, header.len.0),
                    ));
                }
                decoder.skip_bytes(header.len.0).map_err(|cause| broken(cause.into()))?;
            }
            LazyDataToken::LazyItemValue { len, decoder } => {
                let left = data.len().saturating_sub(decoder.position() as usize);
                if len as usize > left {
                    return Err(promises(Tag(0xFFFE, 0xE000), len as usize, left));
                }
                decoder.skip_bytes(len).map_err(|cause| broken(cause.into()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Bytes of one number of a value representation; 1 of one that holds no numbers of a fixed size.
fn bytes_of_value(vr: VR) -> u32 {
    match vr {
        VR::US | VR::SS | VR::OW => 2,
        VR::AT | VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        _ => 1,
    }
}

fn promises(tag: Tag, length: usize, left: usize) -> ImageProblem {
    ImageProblem::damaged("DICOM", format!("element {tag} promises {length} bytes, {left} are there"))
}

fn damaged(what: &'static str) -> ImageProblem {
    ImageProblem::damaged("DICOM", what)
}
