//! PNG pictures: grey ones, and figures in colour.
use super::file_error::{Cause, ImageProblem};
use super::loaded_image::{Grey, unpacked_bits};
use crate::image::{GreyWindow, Image};
use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};
use std::io::Cursor;

/// Size and grey values.
pub(crate) fn decode(bytes: &[u8]) -> Result<Grey, ImageProblem> {
    let damaged = |cause: png::DecodingError| ImageProblem::damaged("PNG", cause);
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (color, depth) = reader.output_color_type();
    if color != ColorType::Grayscale {
        let found = format!("{color:?} pixels of {} bits", depth as u8);
        return Err(ImageProblem::unsupported(found, "convert it to 8 or 16 bit grey without transparency"));
    }
    let [width, height] = [reader.info().width, reader.info().height].map(|side| side as usize);
    ImageProblem::check_packed("PNG", [height, width], bytes.len())?;
    let mut grey = vec![0; reader.output_buffer_size().unwrap_or(usize::MAX)];
    reader.next_frame(&mut grey).map_err(damaged)?;
    reader.finish().map_err(damaged)?;
    let (pixels, white) = match depth {
        BitDepth::Eight => (grey.iter().map(|&byte| f32::from(byte)).collect(), f32::from(u8::MAX)),
        BitDepth::Sixteen => {
            let pairs = grey.as_chunks().0.iter();
            (pairs.map(|&pair| f32::from(u16::from_be_bytes(pair))).collect(), f32::from(u16::MAX))
        }
        few => {
            let bits = few as u8;
            (unpacked_bits(&grey, width, bits), f32::from((1_u8 << bits) - 1))
        }
    };
    Ok(Grey { image: Image { height, width, pixels }, white, is_negative: false })
}

/// A 16-bit PNG of `image` in the grey window.
pub(crate) fn encode16(image: &Image, window: GreyWindow) -> Result<Vec<u8>, Cause> {
    let level = |&pixel: &f32| ((window.brightness(pixel) * f32::from(u16::MAX)).round() as u16).to_be_bytes();
    let grey: Vec<u8> = image.pixels.iter().flat_map(level).collect();
    encode(image.width, image.height, ColorType::Grayscale, BitDepth::Sixteen, &grey)
}

/// An 8-bit PNG of `image` in the grey window, for display.
pub(crate) fn encode8(image: &Image, window: GreyWindow) -> Result<Vec<u8>, Cause> {
    let level = |&pixel: &f32| (window.brightness(pixel) * f32::from(u8::MAX)).round() as u8;
    let grey: Vec<u8> = image.pixels.iter().map(level).collect();
    encode(image.width, image.height, ColorType::Grayscale, BitDepth::Eight, &grey)
}

/// An 8-bit PNG in colour, for display; `rgb` is `[row][col][colour]`.
pub(crate) fn encode_rgb(width: usize, height: usize, rgb: &[u8]) -> Result<Vec<u8>, Cause> {
    encode(width, height, ColorType::Rgb, BitDepth::Eight, rgb)
}

fn encode(width: usize, height: usize, color: ColorType, depth: BitDepth, samples: &[u8]) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(samples)?;
    writer.finish()?;
    Ok(bytes)
}
