//! Images cut into material and air, and how far two of them agree.

use crate::image::Image;

/// Bars of a histogram.
const BARS: usize = 512;

/// The threshold between two classes of pixels at which the variance between them is largest \[Ots79\].
#[must_use]
pub fn otsu(image: &Image) -> f32 {
    let (low, high) = image.range();
    let width = f64::from(high - low) / BARS as f64;
    if width <= 0.0 {
        return low;
    }
    let mut counts = [0.0_f64; BARS];
    for pixel in &image.pixels {
        counts[(((f64::from(*pixel) - f64::from(low)) / width) as usize).min(BARS - 1)] += 1.0;
    }
    let (n, moment): (f64, f64) = (image.pixels.len() as f64, (0..BARS).map(|k| k as f64 * counts[k]).sum());
    let (mut below, mut of_below, mut best) = (0.0, 0.0, (0.0, 0));
    for (k, count) in counts.iter().enumerate().take(BARS - 1) {
        below += count;
        of_below += k as f64 * count;
        let between = (moment * below / n - of_below).powi(2) / (below * (n - below)).max(f64::MIN_POSITIVE);
        if between > best.0 {
            best = (between, k + 1);
        }
    }
    (f64::from(low) + best.1 as f64 * width) as f32
}

/// Matthews' correlation coefficient between two images cut at a threshold each: 1 where they agree in every pixel, 0
/// for chance, and 0 too where one of them has a single class.
///
/// ```text
/// (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))
/// ```
///
/// # Panics
/// When the images have not as many pixels.
#[must_use]
pub fn matthews(reference: (&Image, f32), found: (&Image, f32)) -> f64 {
    assert_eq!(reference.0.pixels.len(), found.0.pixels.len(), "images of one size");
    let mut counts = [[0.0_f64; 2]; 2];
    for (wanted, is) in reference.0.pixels.iter().zip(&found.0.pixels) {
        counts[usize::from(*wanted > reference.1)][usize::from(*is > found.1)] += 1.0;
    }
    let [[tn, fp], [fn_, tp]] = counts;
    let scale = ((tp + fp) * (tp + fn_)).sqrt() * ((tn + fp) * (tn + fn_)).sqrt();
    if scale > 0.0 { (tp * tn - fp * fn_) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(pixels: &[f32]) -> Image {
        Image { height: 1, width: pixels.len(), pixels: pixels.to_vec() }
    }

    #[test]
    fn the_threshold_lies_between_two_groups() {
        let mut pixels: Vec<f32> = (0..60).map(|k| 0.1 + 0.001 * k as f32).collect();
        pixels.extend((0..30).map(|k| 0.8 + 0.002 * k as f32));
        let threshold = otsu(&image(&pixels));
        assert!(threshold > 0.159 && threshold <= 0.8, "{threshold}");
        assert_eq!(otsu(&image(&[0.3; 4])), 0.3);
    }

    #[test]
    fn agreement_is_a_correlation() {
        let (a, b) = (image(&[0.0, 0.0, 1.0, 1.0, 1.0]), image(&[0.2, 0.9, 0.8, 0.7, 0.6]));
        assert!((matthews((&a, 0.5), (&a, 0.5)) - 1.0).abs() < 1e-12);
        // TP 3, TN 1, FP 1, FN 0: (3 - 0)/sqrt(4 * 3 * 2 * 1).
        assert!((matthews((&a, 0.5), (&b, 0.5)) - 3.0 / 24f64.sqrt()).abs() < 1e-12);
        let turned = image(&[1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!((matthews((&a, 0.5), (&turned, 0.5)) + 1.0).abs() < 1e-12);
        assert_eq!(matthews((&a, 0.5), (&image(&[1.0; 5]), 0.5)), 0.0);
    }
}
