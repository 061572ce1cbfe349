//! A small lesion, and what of its contrast is left.

use crate::image::Image;

/// Radius of the disc in pixels.
const RADIUS: f64 = 2.0;
/// Inner and outer radius of the ring that it is compared with.
const RING: (f64, f64) = (4.0, 6.5);
/// Value over the surroundings in network units: 300 HU.
const VALUE: f32 = 0.0737;
/// Least value of its surroundings over the largest of the image: it lies in the object.
const IN_OBJECT: f32 = 0.1;

/// A disc of a radius of two pixels, 0.0737 above its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lesion {
    row: usize,
    col: usize,
}

/// Pixels of an image with their distances from a point, as far as the ring reaches.
fn around(image: &Image, (row, col): (usize, usize)) -> impl Iterator<Item = (usize, f64)> + use<> {
    let (reach, width) = (RING.1.ceil() as usize, image.width);
    let rows = row.saturating_sub(reach)..(row + reach + 1).min(image.height);
    let cols = col.saturating_sub(reach)..(col + reach + 1).min(width);
    rows.flat_map(move |i| cols.clone().map(move |j| (i, j)))
        .map(move |(i, j)| (i * width + j, (i.abs_diff(row) as f64).hypot(j.abs_diff(col) as f64)))
}

impl Lesion {
    /// The lesion where the object is most even; in the middle of an image without an object.
    #[must_use]
    pub fn in_object(image: &Image) -> Self {
        let least = IN_OBJECT * image.pixels.iter().fold(0.0_f32, |a, b| a.max(*b));
        let margin = RING.1.ceil() as usize;
        let mut best = (f64::INFINITY, Self { row: image.height / 2, col: image.width / 2 });
        for row in margin..image.height.saturating_sub(margin) {
            for col in margin..image.width.saturating_sub(margin) {
                let (mut sum, mut square, mut n, mut inside) = (0.0, 0.0, 0.0, true);
                for value in around(image, (row, col)).map(|(at, _)| image.pixels[at]) {
                    inside &= value > least;
                    let value = f64::from(value);
                    (sum, square, n) = (sum + value, square + value * value, n + 1.0);
                }
                let variance = square / n - (sum / n).powi(2);
                if inside && variance < best.0 {
                    best = (variance, Self { row, col });
                }
            }
        }
        best.1
    }

    /// The image with the lesion in it.
    #[must_use]
    pub fn added_to(&self, image: &Image) -> Image {
        let mut image = image.clone();
        let disc = around(&image, (self.row, self.col)).filter(|(_, away)| *away <= RADIUS);
        disc.for_each(|(at, _)| image.pixels[at] += VALUE);
        image
    }

    /// Mean over the disc minus mean over the ring.
    fn contrast(&self, image: &Image) -> f64 {
        let mean = |least: f64, most: f64| {
            let part = around(image, (self.row, self.col)).filter(|(_, away)| (least..=most).contains(away));
            let (sum, n) = part.fold((0.0, 0.0), |(sum, n), (at, _)| (sum + f64::from(image.pixels[at]), n + 1.0));
            sum / n
        };
        mean(0.0, RADIUS) - mean(RING.0, RING.1)
    }

    /// The contrast that a reconstruction keeps, over that of the truth.
    #[must_use]
    pub fn kept(&self, truth: &Image, image: &Image) -> f64 {
        self.contrast(image) / self.contrast(truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_in_the_even_part_and_its_contrast_is_kept_or_lost() {
        let (mut image, even) = (Image::zeros(40, 40), 12..32);
        for (at, pixel) in image.pixels.iter_mut().enumerate() {
            let (row, col) = (at / 40, at % 40);
            let in_even = even.contains(&row) && even.contains(&col);
            *pixel = if in_even { 0.5 } else { 0.3 * ((row + col) % 2) as f32 };
        }
        let lesion = Lesion::in_object(&image);
        assert!(even.contains(&(lesion.row - 7)) && even.contains(&(lesion.col + 7)), "{lesion:?}");
        let with = lesion.added_to(&image);
        assert!((lesion.kept(&with, &with) - 1.0).abs() < 1e-9 && lesion.kept(&with, &image).abs() < 1e-6);
        assert!((lesion.contrast(&with) - f64::from(VALUE)).abs() < 1e-6);
        assert_eq!(Lesion::in_object(&Image::zeros(8, 8)), Lesion { row: 4, col: 4 });
    }
}
