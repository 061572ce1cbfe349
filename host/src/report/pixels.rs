//! The values of a picture as a page carries them: 12 bits a pixel, which is 1 HU of all that a scanner shows,
//! and of a large image the means of blocks.
use crate::image::Image;
use std::borrow::Cow;

/// Rows or columns that are shown; of larger images, means of blocks of pixels.
pub(super) const SHOWN: usize = 1024;
/// The level of what is no number.
const MISSING: u16 = (1 << 12) - 1;

/// The part of an image that is shown, with the scale of its levels: value = `intercept` + `slope` * level.
#[derive(Debug)]
pub(super) struct Pixels<'a> {
    /// The image, or means of it.
    pub(super) shown: Cow<'a, Image>,
    /// Rows and columns of the image that are one here.
    pub(super) block: usize,
    pub(super) intercept: f64,
    pub(super) slope: f64,
}

impl<'a> Pixels<'a> {
    /// Those of an image, or of one that has been pooled from so many rows and columns.
    pub(super) fn of(image: &'a Image, size: (usize, usize)) -> Self {
        let (shown, _) = shown(image);
        let block = size.0.max(size.1).div_ceil(shown.height.max(shown.width).max(1)).max(1);
        let finite = shown.pixels.iter().copied().filter(|pixel| pixel.is_finite());
        let (lo, hi) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), p| (lo.min(p), hi.max(p)));
        let (lo, hi) = if lo <= hi { (f64::from(lo), f64::from(hi)) } else { (0.0, 0.0) };
        Self { shown, block, intercept: lo, slope: (hi - lo) / f64::from(MISSING - 1) }
    }

    /// The levels, two in three bytes, little-endian; behind the last of an odd number is a 0.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let pair = |pixels: &[f32]| {
            let [a, b] = [pixels.first(), pixels.get(1)].map(|pixel| pixel.map_or(0, |pixel| self.level(*pixel)));
            let [first, second, third, _] = (u32::from(a) | u32::from(b) << 12).to_le_bytes();
            [first, second, third]
        };
        self.shown.pixels.chunks(2).flat_map(pair).collect()
    }

    /// The level nearest to a value.
    fn level(&self, value: f32) -> u16 {
        if !value.is_finite() {
            return MISSING;
        }
        let steps = (f64::from(value) - self.intercept) / self.slope;
        // An image of one value has no step.
        if steps.is_finite() { (steps.round() as u16).min(MISSING - 1) } else { 0 }
    }
}

/// The image as it is shown, and how many of its rows and columns are one there.
pub(super) fn shown(image: &Image) -> (Cow<'_, Image>, usize) {
    let block = image.height.max(image.width).div_ceil(SHOWN).max(1);
    (if block == 1 { Cow::Borrowed(image) } else { Cow::Owned(means(image, block)) }, block)
}

/// Means over squares of `block` x `block` pixels; those at the right and lower ends may have fewer.
pub(crate) fn means(image: &Image, block: usize) -> Image {
    let (height, width) = (image.height.div_ceil(block), image.width.div_ceil(block));
    let mut pixels = vec![0.0; height * width];
    for (row, values) in image.rows().enumerate() {
        let out = &mut pixels[row / block * width..][..width];
        for (sum, values) in out.iter_mut().zip(values.chunks(block)) {
            *sum += values.iter().sum::<f32>();
        }
    }
    for (k, sum) in pixels.iter_mut().enumerate() {
        let rows = block.min(image.height - k / width * block);
        let columns = block.min(image.width - k % width * block);
        *sum /= (rows * columns) as f32;
    }
    Image { height, width, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(height: usize, width: usize, value: impl Fn(usize) -> f32) -> Image {
        Image { height, width, pixels: (0..height * width).map(value).collect() }
    }

    fn pixels(image: &Image) -> Pixels<'_> {
        Pixels::of(image, (image.height, image.width))
    }

    #[test]
    fn large_images_are_shown_by_means() {
        let small = means(&image(3, 5, |k| k as f32), 2);
        assert_eq!((small.height, small.width), (2, 3));
        assert_eq!(small.pixels, [3.0, 5.0, 6.5, 10.5, 12.5, 14.0]);
        let large = image(3, SHOWN + 1, |_| 1.0);
        let pixels = pixels(&large);
        assert_eq!((pixels.shown.width, pixels.block), (SHOWN / 2 + 1, 2));
    }

    #[test]
    fn levels_give_the_values_back() {
        let image = image(20, 30, |k| -1024.0 + 7.3 * k as f32);
        let pixels = pixels(&image);
        let bytes = pixels.bytes();
        let levels = bytes.as_chunks().0.iter().flat_map(|&[first, second, third]| {
            let pair = u32::from_le_bytes([first, second, third, 0]);
            [pair & 0xfff, pair >> 12]
        });
        for (level, pixel) in levels.map(f64::from).zip(&image.pixels) {
            let value = pixels.intercept + pixels.slope * level;
            assert!((value - f64::from(*pixel)).abs() <= 0.51 * pixels.slope, "{value} {pixel}");
        }
    }

    #[test]
    fn what_is_no_number_has_a_level_of_its_own() {
        let mixed = image(1, 4, |k| [1.0, f32::NAN, f32::INFINITY, 3.0][k]);
        assert_eq!(pixels(&mixed).bytes(), [0x00, 0xf0, 0xff, 0xff, 0xef, 0xff]);
        assert_eq!(pixels(&image(1, 2, |_| f32::NAN)).bytes(), [0xff; 3]);
        assert_eq!(pixels(&image(1, 1, |_| 7.0)).bytes(), [0; 3]);
    }
}
