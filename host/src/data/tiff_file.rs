//! Grey TIFF images: integers and floats.
use super::file_error::{Cause, ImageProblem};
use crate::image::Image;
use std::io::Cursor;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::{TiffEncoder, colortype::Gray32Float};
use tiff::{ColorType, TiffError};

/// A grey image as stored, and the value that its type calls white.
pub(crate) struct Tiff {
    /// The stored numbers, unscaled.
    pub(crate) image: Image,
    /// Largest value of an unsigned type; 1 for signed integers and floats, which mean what they say.
    pub(crate) white: f32,
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Tiff, ImageProblem> {
    let damaged = |error: TiffError| match error {
        TiffError::UnsupportedError(what) => {
            ImageProblem::unsupported(what.to_string(), "save it as uncompressed, LZW or deflate grey TIFF")
        }
        error => ImageProblem::damaged("TIFF", error),
    };
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let color = decoder.colortype().map_err(damaged)?;
    if !matches!(color, ColorType::Gray(_)) {
        return Err(ImageProblem::unsupported(format!("{color:?} pixels"), "convert it to grey"));
    }
    if decoder.more_images() {
        return Err(ImageProblem::unsupported("several images", "save one slice a file"));
    }
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let (pixels, white) = numbers(decoder.read_image().map_err(damaged)?)?;
    Ok(Tiff { image: Image { height: height as usize, width: width as usize, pixels }, white })
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
