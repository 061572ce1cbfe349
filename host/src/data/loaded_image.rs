//! An image as a file gives it: pixels, and what is known of them.
use super::dicom_source::DicomSource;
use super::file_error::ImageProblem;
use crate::image::Image;

/// The meaning of a pixel value of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelUnit {
    /// Hounsfield units: water 0, air -1000.
    HounsfieldUnits,
    /// Linear attenuation in 1/mm.
    AttenuationPerMm,
    /// The file does not say. PNG and unsigned TIFF pixels are fractions of white, others as stored.
    Relative,
}

/// An image and what its file says about it.
#[derive(Debug, Clone)]
pub struct LoadedImage {
    /// The pixels: at least one, all finite.
    pub image: Image,
    /// Their unit.
    pub unit: PixelUnit,
    /// Side of a pixel in mm, if the file says.
    pub pixel_mm: Option<f64>,
    /// Patient, study and the rest of a DICOM file, to write a result back to; `None` for other formats.
    pub dicom: Option<Box<DicomSource>>,
    /// Assumptions made in reading, one sentence each.
    pub warnings: Vec<String>,
    /// Statements of the file that values, unit and size are taken from.
    pub origins: Vec<String>,
}

impl LoadedImage {
    /// An image of which nothing is known but its pixels.
    pub(super) fn bare(image: Image) -> Self {
        let (warnings, origins) = (Vec::new(), Vec::new());
        Self { image, unit: PixelUnit::Relative, pixel_mm: None, dicom: None, warnings, origins }
    }
}

/// A grey picture as stored, and the value that its type calls white.
pub(crate) struct Grey {
    /// The stored numbers, unscaled.
    pub(super) image: Image,
    /// Largest value of an unsigned type; 1 for signed integers and floats, which mean what they say.
    pub(super) white: f32,
    /// True if a picture's zero is shown as white.
    pub(super) is_negative: bool,
}

impl Grey {
    /// The numbers as fractions of white.
    pub(crate) fn fractions(mut self) -> Image {
        let fraction = |pixel: f32| pixel / self.white;
        let shown = |pixel: f32| if self.is_negative { 1.0 - fraction(pixel) } else { fraction(pixel) };
        self.image.pixels.iter_mut().for_each(|pixel| *pixel = shown(*pixel));
        self.image
    }

    /// The picture of a file that has no others.
    pub(super) fn only(self, index: Option<usize>) -> Result<Self, ImageProblem> {
        match index {
            Some(index) if index > 0 => Err(ImageProblem::NoSuchSlice { index, length: 1 }),
            _ => Ok(self),
        }
    }

    /// An image of fractions of white, or of the numbers as they are stored.
    pub(super) fn loaded(self, is_fraction: bool) -> LoadedImage {
        if !is_fraction {
            let origins = vec!["stored numbers, as a unit is stated for them".to_owned()];
            return LoadedImage { origins, ..LoadedImage::bare(self.image) };
        }
        if self.white == 1.0 && !self.is_negative {
            let origins = vec!["stored numbers".to_owned()];
            return LoadedImage { origins, ..LoadedImage::bare(self.image) };
        }
        let ((least, largest), white) = (self.image.range(), self.white);
        let origins = vec![format!("stored numbers {least} to {largest} over {white}, which is white")];
        LoadedImage { origins, ..LoadedImage::bare(self.fractions()) }
    }
}

/// Numbers of 1, 2 or 4 bits; each row begins with a byte of its own.
pub(super) fn unpacked_bits(packed: &[u8], width: usize, bits: u8) -> Vec<f32> {
    let in_byte = usize::from(8 / bits);
    let number = |byte: u8, k: usize| (byte << (k * usize::from(bits))) >> (8 - bits);
    let of_row = |row: &[u8]| -> Vec<f32> {
        let numbers = row.iter().flat_map(|byte| (0..in_byte).map(|k| f32::from(number(*byte, k))));
        numbers.take(width).collect()
    };
    packed.chunks(width.div_ceil(in_byte).max(1)).flat_map(of_row).collect()
}

/// At least one pixel, as many as rows and columns say, none of them NaN or infinite.
pub(crate) fn check_image(image: &Image) -> Result<(), ImageProblem> {
    if image.pixels.is_empty() || Some(image.pixels.len()) != image.height.checked_mul(image.width) {
        return Err(ImageProblem::Shape { found: vec![image.height, image.width] });
    }
    match image.pixels.iter().position(|pixel| !pixel.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let (row, col) = (at / image.width, at % image.width);
            Err(ImageProblem::NotFinite { row, col, value: image.pixels[at] })
        }
    }
}
