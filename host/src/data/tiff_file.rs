//! Grey TIFF images: integers and floats.
use super::file_error::{Cause, ImageProblem};
use super::loaded_image::Grey;
use crate::image::Image;
use std::io::Cursor;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::encoder::{TiffEncoder, colortype::Gray32Float};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

/// Bytes that a compressed picture may unpack to: these, and so many times the file's.
const UNPACKED: usize = 32 << 20;
const UNPACKED_TIMES: usize = 8;

pub(super) fn decode(bytes: &[u8]) -> Result<Grey, ImageProblem> {
    let damaged = |error: TiffError| match error {
        TiffError::UnsupportedError(what) => {
            ImageProblem::unsupported(what.to_string(), "save it as uncompressed, LZW or deflate grey TIFF")
        }
        error => ImageProblem::damaged("TIFF", error),
    };
    let mut limits = Limits::default();
    limits.decoding_buffer_size = bytes.len().saturating_mul(UNPACKED_TIMES).saturating_add(UNPACKED);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?.with_limits(limits);
    let color = decoder.colortype().map_err(damaged)?;
    if let ColorType::Gray(bits @ 1..8) = color {
        return Err(ImageProblem::unsupported(format!("pixels of {bits} bits"), "save it with 8 or 16 bits a pixel"));
    }
    if !matches!(color, ColorType::Gray(_)) {
        return Err(ImageProblem::unsupported(format!("{color:?} pixels"), "convert it to grey"));
    }
    if decoder.more_images() {
        return Err(ImageProblem::unsupported("several images", "save one slice a file"));
    }
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let is_white_zero = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(damaged)? == Some(0);
    let decoded = decoder.read_image().map_err(damaged)?;
    let is_float = matches!(decoded, DecodingResult::F32(_) | DecodingResult::F64(_));
    let (mut pixels, white) = numbers(decoded)?;
    if is_white_zero && is_float {
        // The decoder has made 1 - x of them, as of a picture; other readers take a measurement as it is stored.
        pixels.iter_mut().for_each(|pixel| *pixel = 1.0 - *pixel);
    }
    Ok(Grey { image: Image { height: height as usize, width: width as usize, pixels }, white })
}

fn numbers(stored: DecodingResult) -> Result<(Vec<f32>, f32), ImageProblem> {
    Ok(match stored {
        DecodingResult::U8(v) => (v.into_iter().map(f32::from).collect(), f32::from(u8::MAX)),
        DecodingResult::U16(v) => (v.into_iter().map(f32::from).collect(), f32::from(u16::MAX)),
        DecodingResult::I8(v) => (v.into_iter().map(f32::from).collect(), 1.0),
        DecodingResult::I16(v) => (v.into_iter().map(f32::from).collect(), 1.0),
        DecodingResult::F32(v) => (v, 1.0),
        DecodingResult::F64(v) => (v.into_iter().map(|x| x as f32).collect(), 1.0),
        _ => return Err(ImageProblem::unsupported("pixels of an unusual type", "save it as 16 bit or float32")),
    })
}

/// A float32 TIFF, uncompressed.
pub(crate) fn encode_f32(image: &Image) -> Result<Vec<u8>, Cause> {
    let mut bytes = Cursor::new(Vec::new());
    let (width, height) = (u32::try_from(image.width)?, u32::try_from(image.height)?);
    TiffEncoder::new(&mut bytes)?.write_image::<Gray32Float>(width, height, &image.pixels)?;
    Ok(bytes.into_inner())
}
