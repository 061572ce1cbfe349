//! Grey TIFF images: integers of 1 to 32 bits, and floats.
use super::file_error::{Cause, ImageProblem};
use super::loaded_image::{Grey, unpacked_bits};
use super::tiff_patch::Patched;
use crate::image::Image;
use crate::limits::unpacked;
use std::io::Cursor;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::encoder::{TiffEncoder, colortype::Gray32Float};
use tiff::{ColorType, TiffError};

/// Pictures that are counted.
const PICTURES: usize = 1 << 16;

/// The only picture of a file, or the one that is chosen, counted from 0.
pub(super) fn decode(bytes: &[u8], index: Option<usize>) -> Result<Grey, ImageProblem> {
    // Of 32 bits each; there are wider ones, and few packed files of them.
    let most = unpacked(bytes.len()).saturating_mul(size_of::<f32>());
    let directory = choose(bytes, index)?;
    let mut patched = Patched::new(bytes.to_vec());
    let is_white_zero = patched.black_is_zero(directory);
    let unpacked = patched.unpack_zstd(directory, most);
    unpacked.ok_or_else(|| ImageProblem::damaged("TIFF", "what zstd has compressed in it cannot be unpacked"))?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = most;
    let mut decoder = Decoder::new(Cursor::new(patched.into_bytes())).map_err(problem)?.with_limits(limits);
    decoder.seek_to_image(index.unwrap_or(0)).map_err(problem)?;
    let color = decoder.colortype().map_err(problem)?;
    let ColorType::Gray(bits) = color else {
        return Err(ImageProblem::unsupported(format!("{color:?} pixels"), "convert it to grey"));
    };
    let (width, height) = decoder.dimensions().map_err(problem)?;
    let (height, width) = (height as usize, width as usize);
    ImageProblem::check_packed("TIFF", [height, width], bytes.len())?;
    let (pixels, white) = match (decoder.read_image().map_err(problem)?, bits) {
        (DecodingResult::U8(packed), 1 | 2 | 4) => {
            (unpacked_bits(&packed, width, bits), f32::from((1_u16 << bits) - 1))
        }
        (decoded, _) => numbers(decoded)?,
    };
    // Of a picture, white is 1; of a measurement, which floats and signed integers are, numbers are what is stored.
    let is_negative = is_white_zero && (white > 1.0 || bits < 8);
    Ok(Grey { image: Image { height, width, pixels }, white, is_negative })
}

/// The number of pictures in a file.
pub(super) fn n_pictures(bytes: &[u8]) -> Result<usize, ImageProblem> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(problem)?;
    let mut length = 1;
    while decoder.more_images() && length < PICTURES {
        decoder.next_image().map_err(problem)?;
        length += 1;
    }
    Ok(length)
}

/// Offset of the picture's directory.
fn choose(bytes: &[u8], index: Option<usize>) -> Result<u64, ImageProblem> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(problem)?;
    let mut length = 1;
    let mut found = decoder.ifd_pointer();
    while decoder.more_images() && length < PICTURES {
        decoder.next_image().map_err(problem)?;
        if index == Some(length) {
            found = decoder.ifd_pointer();
        }
        length += 1;
    }
    match index {
        None if length > 1 => Err(ImageProblem::Stack { what: format!("{length} pictures"), last: length - 1 }),
        Some(index) if index >= length => Err(ImageProblem::NoSuchSlice { index, length }),
        _ => found.map(|pointer| pointer.0).ok_or_else(|| ImageProblem::damaged("TIFF", "it has no picture")),
    }
}

fn problem(error: TiffError) -> ImageProblem {
    match error {
        TiffError::UnsupportedError(what) => {
            ImageProblem::unsupported(what.to_string(), "save it as uncompressed, LZW or deflate grey TIFF")
        }
        error => ImageProblem::damaged("TIFF", error),
    }
}

fn numbers(stored: DecodingResult) -> Result<(Vec<f32>, f32), ImageProblem> {
    Ok(match stored {
        DecodingResult::U8(v) => (v.into_iter().map(f32::from).collect(), f32::from(u8::MAX)),
        DecodingResult::U16(v) => (v.into_iter().map(f32::from).collect(), f32::from(u16::MAX)),
        DecodingResult::U32(v) => (v.into_iter().map(|x| x as f32).collect(), u32::MAX as f32),
        DecodingResult::I8(v) => (v.into_iter().map(f32::from).collect(), 1.0),
        DecodingResult::I16(v) => (v.into_iter().map(f32::from).collect(), 1.0),
        DecodingResult::I32(v) => (v.into_iter().map(|x| x as f32).collect(), 1.0),
        DecodingResult::F16(v) => (v.into_iter().map(f32::from).collect(), 1.0),
        DecodingResult::F32(v) => (v, 1.0),
        DecodingResult::F64(v) => (v.into_iter().map(|x| x as f32).collect(), 1.0),
        _ => return Err(ImageProblem::unsupported("pixels of 64-bit integers", "save it as 16 bit or float32")),
    })
}

/// A float32 TIFF, uncompressed.
pub(crate) fn encode_f32(image: &Image) -> Result<Vec<u8>, Cause> {
    let mut bytes = Cursor::new(Vec::new());
    let (width, height) = (u32::try_from(image.width)?, u32::try_from(image.height)?);
    TiffEncoder::new(&mut bytes)?.write_image::<Gray32Float>(width, height, &image.pixels)?;
    Ok(bytes.into_inner())
}
