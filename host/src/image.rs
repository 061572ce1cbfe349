//! Images as the program passes them about.
//!
//! An [`Image`] has no unit of its own: the variable or the field that holds it says one.
//!
//! ```
//! use gradus::image::Image;
//!
//! let mut image = Image::zeros(2, 3);
//! image.pixels[3 + 2] = 1.0; // row 1, column 2
//! assert_eq!(image.rows().nth(1), Some(&[0.0, 0.0, 1.0][..]));
//! ```

/// A grey image, row-major: pixel `[row][col]` stands at `pixels[row * width + col]`.
///
/// Row 0 is the top (largest y), column 0 the left (smallest x). The unit of the values is the caller's:
/// network units (0 to 1), attenuation in 1/mm or Hounsfield units; a variable's name says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// `height * width` values, row-major.
    pub pixels: Vec<f32>,
}

impl Image {
    /// An image of zeros.
    #[must_use]
    pub fn zeros(height: usize, width: usize) -> Self {
        Self { height, width, pixels: vec![0.0; height * width] }
    }

    /// The rows, top first, as slices of `width` pixels.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.pixels.chunks_exact(self.width)
    }

    /// Smallest and largest pixel; `(0, 0)` for an image without pixels.
    #[must_use]
    pub fn range(&self) -> (f32, f32) {
        let start = self.pixels.first().copied().unwrap_or(0.0);
        self.pixels.iter().fold((start, start), |(lo, hi), &p| (lo.min(p), hi.max(p)))
    }
}

/// The span of pixel values that a grey picture shows: `lo` is black, `hi` is white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GreyWindow {
    /// Value shown as black, and all below it.
    pub lo: f32,
    /// Value shown as white, and all above it.
    pub hi: f32,
}

impl GreyWindow {
    /// Window from `lo` to `hi`.
    #[must_use]
    pub const fn new(lo: f32, hi: f32) -> Self {
        Self { lo, hi }
    }

    /// Window over the range of `image`.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let (lo, hi) = image.range();
        Self { lo, hi }
    }

    /// Brightness of `value`: 0 (black) to 1 (white), and 0 for NaN or a window without width.
    #[must_use]
    pub fn brightness(self, value: f32) -> f32 {
        let fraction = (value - self.lo) / (self.hi - self.lo);
        if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 }
    }
}
