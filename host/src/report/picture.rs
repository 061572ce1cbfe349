//! Grey pictures of images, one by one and side by side.
use super::ReportError;
use super::pixels::{SHOWN, means, shown};
use crate::data::png_file::encode8;
use crate::image::{GreyWindow, Image};
use crate::metrics::{psnr, ssim_uniform};
use std::borrow::Cow;

/// White columns between the pictures of a strip, before magnification.
const GAP: usize = 4;

/// The place and the quantity that a picture shows, by which a page lets pictures share cursor and window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PictureKind {
    /// The object: one window and one cursor for all of a unit.
    #[default]
    Image,
    /// Another quantity at the object's places, as an error: their cursor, a window of its own.
    Map,
    /// Data, one row a view: nothing is shared.
    Sinogram,
}

/// An image as it is to be shown.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The content, in words.
    pub caption: String,
    /// The pixels, or those that are shown of them.
    pub image: Image,
    /// Rows and columns of the image that is shown.
    pub size: (usize, usize),
    /// Values shown as black and white.
    pub window: GreyWindow,
    /// The pictures that share its window and cursor.
    pub kind: PictureKind,
    /// Unit of the values, e.g. `HU`; empty for none.
    pub unit: String,
    /// Side of a pixel, for the scale bar.
    pub pixel_mm: Option<f64>,
    /// Peak signal-to-noise ratio against the truth in dB.
    pub psnr_db: Option<f64>,
    /// Structural similarity to the truth.
    pub ssim: Option<f64>,
}

impl Picture {
    /// A picture of the object, without figures of merit.
    #[must_use]
    pub fn new(caption: impl Into<String>, image: Image, window: GreyWindow) -> Self {
        Self {
            caption: caption.into(),
            size: (image.height, image.width),
            image,
            window,
            kind: PictureKind::Image,
            unit: String::new(),
            pixel_mm: None,
            psnr_db: None,
            ssim: None,
        }
    }

    /// A map of another quantity at the places of the object.
    #[must_use]
    pub fn map(caption: impl Into<String>, image: Image, window: GreyWindow) -> Self {
        Self { kind: PictureKind::Map, ..Self::new(caption, image, window) }
    }

    /// Lets go of what is not shown of a large image. Nothing is to be computed from its pixels then.
    #[must_use]
    pub fn pooled(self) -> Self {
        self.pooled_to(SHOWN)
    }

    /// The same, with at most so many rows and columns shown.
    #[must_use]
    pub fn pooled_to(mut self, most: usize) -> Self {
        let block = self.image.height.max(self.image.width).div_ceil(most);
        if block > 1 {
            self.image = means(&self.image, block);
        }
        self
    }

    /// Adds PSNR and SSIM (7 x 7 window) against `truth`; a figure that cannot be computed stays out.
    #[must_use]
    pub fn compared_with(mut self, truth: &Image, data_range: f64) -> Self {
        self.psnr_db = psnr(truth, &self.image, data_range).ok();
        self.ssim = ssim_uniform(truth, &self.image, data_range).ok();
        self
    }

    /// |result - truth|, from black at 0 to white at the largest error; `None` if the sizes differ.
    #[must_use]
    pub fn error_of(result: &Image, truth: &Image) -> Option<Self> {
        if (result.height, result.width) != (truth.height, truth.width) {
            return None;
        }
        let pixels = result.pixels.iter().zip(&truth.pixels).map(|(r, t)| (r - t).abs()).collect();
        let image = Image { pixels, ..*result };
        let window = GreyWindow::new(0.0, image.range().1);
        Some(Self::map("Error |result \u{2212} truth|", image, window))
    }
}

/// One 8-bit grey PNG with the pictures side by side, each in its own window, every pixel a square of `magnification`,
/// or of less where that would be larger than what is shown of a picture.
///
/// Shorter pictures stand at the top; the rest is white.
///
/// # Errors
/// [`ReportError::Picture`] for a strip without pixels.
pub fn picture_strip(pictures: &[Picture], magnification: usize) -> Result<Vec<u8>, ReportError> {
    let shown: Vec<(Cow<'_, Image>, GreyWindow)> = pictures.iter().map(|p| (shown(&p.image).0, p.window)).collect();
    let height = shown.iter().map(|(image, _)| image.height).max().unwrap_or(0);
    let gaps = GAP * pictures.len().saturating_sub(1);
    let width = shown.iter().map(|(image, _)| image.width).sum::<usize>() + gaps;
    let mut strip = Image { height, width, pixels: vec![1.0; height * width] };
    let (mut left, mut largest) = (0, 1);
    for (image, window) in shown.iter().filter(|(image, _)| !image.pixels.is_empty()) {
        for (row, pixels) in image.rows().enumerate() {
            let out = &mut strip.pixels[row * width + left..][..image.width];
            out.iter_mut().zip(pixels).for_each(|(grey, &pixel)| *grey = window.brightness(pixel));
        }
        left += image.width + GAP;
        largest = largest.max(image.height).max(image.width);
    }
    let strip = magnified(&strip, magnification.min(SHOWN / largest).max(1));
    let problem = |cause| ReportError::Picture { caption: "strip of pictures".to_owned(), cause };
    encode8(&strip, GreyWindow::new(0.0, 1.0)).map_err(problem)
}

fn magnified(image: &Image, times: usize) -> Image {
    let (height, width) = (image.height * times, image.width * times);
    let pixel = |k: usize| image.pixels[k / width / times * image.width + k % width / times];
    Image { height, width, pixels: (0..height * width).map(pixel).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::png_file::decode;
    use crate::report::pixels::Pixels;

    fn flat(height: usize, width: usize, value: f32) -> Picture {
        let image = Image { height, width, pixels: vec![value; height * width] };
        Picture::new("flat", image, GreyWindow::new(0.0, 2.0))
    }

    #[test]
    fn strips_place_pictures_side_by_side() {
        let strip = decode(&picture_strip(&[flat(2, 3, 0.0), flat(1, 2, 2.0)], 2).unwrap()).unwrap().fractions();
        assert_eq!((strip.height, strip.width), (4, 2 * (3 + GAP + 2)));
        let first_row: Vec<f32> = strip.pixels[..strip.width].to_vec();
        assert!(first_row[..6].iter().all(|&p| p == 0.0) && first_row[6..].iter().all(|&p| p == 1.0));
        assert!(picture_strip(&[], 1).is_err());
    }

    #[test]
    fn strips_of_large_pictures_are_bounded() {
        let strip = decode(&picture_strip(&[flat(3, SHOWN + 1, 1.0)], 4).unwrap()).unwrap().fractions();
        assert!(strip.width <= SHOWN && strip.height == 2);
    }

    #[test]
    fn pooled_pictures_are_shown_as_they_were() {
        let mut large = flat(3, 2 * SHOWN + 1, 1.0);
        large.image.pixels[7] = 9.0;
        let (whole, pooled) = (Pixels::of(&large.image, large.size), large.clone().pooled());
        let small = Pixels::of(&pooled.image, pooled.size);
        assert_eq!((pooled.image.width, pooled.size, small.block), (SHOWN / 3 * 2 + 1, large.size, whole.block));
        assert_eq!(small.bytes(), whole.bytes());
    }

    #[test]
    fn errors_and_figures_of_merit_compare_with_the_truth() {
        let (truth, result) = (flat(8, 8, 1.0).image, flat(8, 8, 0.75).image);
        let error = Picture::error_of(&result, &truth).unwrap();
        assert_eq!((error.image.pixels[0], error.window.hi), (0.25, 0.25));
        assert!(Picture::error_of(&result, &flat(8, 9, 0.0).image).is_none());
        let compared = Picture::new("r", result, GreyWindow::new(0.0, 1.0)).compared_with(&truth, 1.0);
        assert!((compared.psnr_db.unwrap() - 20.0 * 4f64.log10()).abs() < 1e-9);
        assert!(compared.ssim.is_some());
        let small = flat(2, 2, 0.0).compared_with(&flat(2, 2, 1.0).image, 1.0);
        assert!(small.psnr_db.is_some() && small.ssim.is_none());
    }
}
