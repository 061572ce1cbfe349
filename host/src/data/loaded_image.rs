//! An image as a file gives it: pixels, and what is known of them.
use super::dicom_source::DicomSource;
use super::file_error::ImageProblem;
use crate::image::Image;

/// What a pixel value of 1 means.
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
    /// What had to be assumed in reading.
    pub warnings: Vec<String>,
}

/// A grey picture as stored, and the value that its type calls white.
pub(crate) struct Grey {
    /// The stored numbers, unscaled.
    pub(super) image: Image,
    /// Largest value of an unsigned type; 1 for signed integers and floats, which mean what they say.
    pub(super) white: f32,
}

impl Grey {
    /// The numbers as fractions of white.
    pub(crate) fn fractions(mut self) -> Image {
        self.image.pixels.iter_mut().for_each(|pixel| *pixel /= self.white);
        self.image
    }
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
