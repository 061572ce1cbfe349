//! The scale of the error of each pixel of a mean of runs, up to a factor that only known images tell.
//!
//! Data leave room in the places in which runs differ, and at edges a small shift is a large error. Both have heavy
//! tails, so that the error grows by less than either.

use crate::image::Image;

/// Standard deviations, in pixels, of the Gaussians through which the deviation and the edges are seen.
const DEVIATION_BLUR: f64 = 1.0;
const EDGE_BLUR: f64 = 0.7;
/// Exponents, from a regression of the errors of five slices.
const BY_DEVIATION: f32 = 0.6;
const BY_EDGES: f32 = 0.2;
/// The number added to both, and the value at which they stand for themselves: 3 and 41 HU.
const FLOOR: f32 = 7.5e-4;
const UNIT: f32 = 0.01;

/// The scale
///
/// ```text
/// u ((G_1 d + c)/u)^0.6 ((|grad G_0.7 x| + c)/u)^0.2
/// ```
///
/// of the error of a mean `x` of runs with standard deviation `d`, all in network units, lengths in pixels. It orders
/// the pixels; that some multiple of it holds 90 % of the errors is a matter of calibration.
#[must_use]
pub fn spread(mean: &Image, deviation: &Image) -> Image {
    let deviation = blurred(deviation, DEVIATION_BLUR);
    let edges = edges(&blurred(mean, EDGE_BLUR));
    let of =
        |(d, g): (&f32, &f32)| UNIT * ((d + FLOOR) / UNIT).powf(BY_DEVIATION) * ((g + FLOOR) / UNIT).powf(BY_EDGES);
    let pixels = deviation.pixels.iter().zip(&edges.pixels).map(of).collect();
    Image { pixels, ..*mean }
}

/// An image seen through a Gaussian of this standard deviation in pixels; beyond its border it goes on as it ends.
pub(super) fn blurred(image: &Image, std: f64) -> Image {
    let reach = (4.0 * std).ceil() as isize;
    let kernel: Vec<f64> = (-reach..=reach).map(|k| (-0.5 * (k as f64 / std).powi(2)).exp()).collect();
    let sum: f64 = kernel.iter().sum();
    let kernel: Vec<f32> = kernel.iter().map(|k| (k / sum) as f32).collect();
    transposed(&blurred_rows(&transposed(&blurred_rows(image, &kernel)), &kernel))
}

fn blurred_rows(image: &Image, kernel: &[f32]) -> Image {
    let (width, reach) = (image.width, kernel.len() / 2);
    let (mut pixels, mut row) = (vec![0.0; image.pixels.len()], vec![0.0; image.width + 2 * reach]);
    for (to, from) in pixels.chunks_exact_mut(width).zip(image.rows()) {
        row[reach..reach + width].copy_from_slice(from);
        row[..reach].fill(from[0]);
        row[reach + width..].fill(from[width - 1]);
        // Tap by tap, which the compiler makes vectors of.
        for (weight, shifted) in kernel.iter().zip(row.windows(width)) {
            to.iter_mut().zip(shifted).for_each(|(to, from)| *to += weight * from);
        }
    }
    Image { pixels, ..*image }
}

fn transposed(image: &Image) -> Image {
    let (height, width) = (image.width, image.height);
    let pixels = (0..image.pixels.len()).map(|k| image.pixels[(k % width) * height + k / width]).collect();
    Image { height, width, pixels }
}

/// The length of the gradient, by central differences, a pixel's side as unit.
fn edges(image: &Image) -> Image {
    let (height, width) = (image.height, image.width);
    let at = |row: usize, col: usize| image.pixels[row.min(height - 1) * width + col.min(width - 1)];
    let pixel = |k: usize| {
        let (row, col) = (k / width, k % width);
        let across = at(row, col + 1) - at(row, col.saturating_sub(1));
        let down = at(row + 1, col) - at(row.saturating_sub(1), col);
        0.5 * across.hypot(down)
    };
    Image { pixels: (0..image.pixels.len()).map(pixel).collect(), ..*image }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::signed;

    fn image(height: usize, width: usize, of: impl Fn(usize, usize) -> f32) -> Image {
        Image { height, width, pixels: (0..height * width).map(|k| of(k / width, k % width)).collect() }
    }

    #[test]
    fn a_gaussian_keeps_constants_and_sums_and_falls_off_as_it_should() {
        let flat = blurred(&image(9, 7, |_, _| 2.5), 1.0);
        assert!(flat.pixels.iter().all(|p| (p - 2.5).abs() < 1e-6));
        let point = blurred(&image(31, 27, |row, col| f32::from((row, col) == (15, 13))), 1.5);
        let at = |row: usize, col: usize| point.pixels[row * 27 + col];
        assert!((point.pixels.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // exp(-2^2/(2 1.5^2)), down as across.
        let fall = (-4.0_f32 / 4.5).exp();
        assert!((at(17, 13) / at(15, 13) - fall).abs() < 1e-5 && (at(15, 11) / at(15, 13) - fall).abs() < 1e-5);
    }

    #[test]
    fn the_slope_of_a_plane_is_its_own() {
        let plane = edges(&image(8, 9, |row, col| 3.0 * row as f32 + 4.0 * col as f32));
        assert!((plane.pixels[3 * 9 + 4] - 5.0).abs() < 1e-5);
    }

    #[test]
    fn runs_that_differ_and_edges_widen_it() {
        let mean = image(32, 32, |_, col| if col < 16 { 0.2 } else { 0.3 });
        let noise = Image { height: 32, width: 32, pixels: signed(1024, 1).iter().map(|z| 0.002 * z.abs()).collect() };
        let (one, more) =
            (spread(&mean, &noise), spread(&mean, &image(32, 32, |row, _| if row < 8 { 0.02 } else { 0.001 })));
        assert!(one.pixels[16 * 32 + 16] > 1.5 * one.pixels[16 * 32 + 4], "at the edge");
        assert!(more.pixels[2 * 32 + 3] > 2.0 * more.pixels[30 * 32 + 3], "where runs differ");
    }
}
