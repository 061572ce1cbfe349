//! Figures of merit, an image against the true one: RMSE, PSNR, SSIM. All sums in f64.
//!
//! PSNR and SSIM depend on a data range, which the caller names: 1 for network units, or [`data_range`] of the truth.
//!
//! ```
//! use gradus::image::Image;
//! use gradus::metrics::psnr;
//!
//! let truth = Image { height: 1, width: 2, pixels: vec![0.0, 1.0] };
//! let image = Image { pixels: vec![0.1, 0.9], ..truth.clone() };
//! assert!((psnr(&truth, &image, 1.0)? - 20.0).abs() < 1e-3);
//! # Ok::<(), gradus::metrics::MetricError>(())
//! ```
use crate::ct::{HU_PER_UNIT, network_to_hu};
use crate::image::Image;
use thiserror::Error;

/// Reasons for which two images cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum MetricError {
    /// The images differ in size.
    #[error("the images differ in size: reference {reference:?}, image {image:?} (rows, columns)")]
    SizeMismatch {
        /// Rows and columns of the reference.
        reference: (usize, usize),
        /// Rows and columns of the image.
        image: (usize, usize),
    },
    /// There are no pixels.
    #[error("the images hold no pixels")]
    Empty,
    /// The images are smaller than the window of the SSIM.
    #[error("an image of {size:?} (rows, columns) is smaller than the {window} x {window} window of the SSIM")]
    SmallerThanWindow {
        /// Rows and columns.
        size: (usize, usize),
        /// Side of the window.
        window: usize,
    },
    /// The data range is not a positive number.
    #[error("the data range is {0}; it must be a positive number")]
    DataRange(f64),
    /// The reference is zero everywhere, so nothing can be relative to it.
    #[error("the reference is zero everywhere, so an error relative to it has no meaning")]
    ZeroReference,
}

/// Root of the mean squared difference, in the images' unit.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::Empty`].
pub fn rmse(reference: &Image, image: &Image) -> Result<f64, MetricError> {
    check_sizes(reference, image)?;
    let squares = differences(reference, image).map(|d| d * d).sum::<f64>();
    Ok((squares / reference.pixels.len() as f64).sqrt())
}

/// |image - reference| / |reference| (Euclidean norms): the relative error, without unit.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::Empty`], [`MetricError::ZeroReference`].
pub fn nrmse(reference: &Image, image: &Image) -> Result<f64, MetricError> {
    check_sizes(reference, image)?;
    let norm = reference.pixels.iter().map(|&p| f64::from(p) * f64::from(p)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Err(MetricError::ZeroReference);
    }
    Ok(differences(reference, image).map(|d| d * d).sum::<f64>().sqrt() / norm)
}

/// The data range of an image: its largest less its smallest pixel.
#[must_use]
pub fn data_range(reference: &Image) -> f64 {
    let (least, largest) = reference.range();
    f64::from(largest) - f64::from(least)
}

/// Peak signal-to-noise ratio in dB: 20 log10(`data_range` / RMSE); infinite for equal images.
///
/// Agrees with scikit-image's `peak_signal_noise_ratio` to 1e-6 (golden test below).
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::Empty`], [`MetricError::DataRange`].
pub fn psnr(reference: &Image, image: &Image, data_range: f64) -> Result<f64, MetricError> {
    check_range(data_range)?;
    Ok(20.0 * (data_range / rmse(reference, image)?).log10())
}

/// [`rmse`] in Hounsfield units, of images in network units.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::Empty`].
pub fn rmse_hu(reference: &Image, image: &Image) -> Result<f64, MetricError> {
    Ok(rmse(reference, image)? * f64::from(HU_PER_UNIT))
}

/// PSNR in dB of images in network units cut to the window of soft tissue, -160 to 240 HU; the data range is its width.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::Empty`].
pub fn soft_tissue_psnr(reference: &Image, image: &Image) -> Result<f64, MetricError> {
    const WINDOW: (f32, f32) = (-160.0, 240.0);
    let cut = |image: &Image| {
        let pixels = image.pixels.iter().map(|pixel| network_to_hu(*pixel).clamp(WINDOW.0, WINDOW.1)).collect();
        Image { pixels, ..*image }
    };
    psnr(&cut(reference), &cut(image), f64::from(WINDOW.1 - WINDOW.0))
}

/// SSIM with a uniform 7 x 7 window and unbiased covariances: scikit-image's default, which the paper reports.
///
/// Wang et al. 2004, eq. 13, with K1 = 0.01, K2 = 0.03, averaged over every position where the window fits.
/// Agrees with scikit-image to 1e-6 (golden test below).
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::Empty`], [`MetricError::DataRange`],
/// [`MetricError::SmallerThanWindow`].
pub fn ssim_uniform(reference: &Image, image: &Image, data_range: f64) -> Result<f64, MetricError> {
    const SIDE: usize = 7;
    let n = (SIDE * SIDE) as f64;
    mean_ssim(reference, image, data_range, &[1.0 / SIDE as f64; SIDE], n / (n - 1.0))
}

/// SSIM with an 11 x 11 Gaussian window (standard deviation 1.5 pixels) and biased covariances, as in Wang et al. 2004.
///
/// Same formula and edges as [`ssim_uniform`]. scikit-image calls it `gaussian_weights=True, sigma=1.5,
/// use_sample_covariance=False`; agrees with it to 1e-6 (golden test below).
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::Empty`], [`MetricError::DataRange`],
/// [`MetricError::SmallerThanWindow`].
pub fn ssim_gaussian(reference: &Image, image: &Image, data_range: f64) -> Result<f64, MetricError> {
    const RADIUS: i32 = 5;
    const SIGMA: f64 = 1.5;
    let mut window: Vec<f64> = (-RADIUS..=RADIUS).map(|k| (-0.5 * (f64::from(k) / SIGMA).powi(2)).exp()).collect();
    let sum: f64 = window.iter().sum();
    window.iter_mut().for_each(|weight| *weight /= sum);
    mean_ssim(reference, image, data_range, &window, 1.0)
}

/// Rows of windows whose moments are held at once.
const ROWS_AT_A_TIME: usize = 32;

/// Mean over the window's positions of (2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx^2 + sy^2 + C2)).
fn mean_ssim(
    reference: &Image,
    image: &Image,
    data_range: f64,
    window: &[f64],
    covariance_scale: f64,
) -> Result<f64, MetricError> {
    check_sizes(reference, image)?;
    check_range(data_range)?;
    let size = (image.height, image.width);
    if size.0.min(size.1) < window.len() {
        return Err(MetricError::SmallerThanWindow { size, window: window.len() });
    }
    let c1 = (0.01 * data_range).powi(2);
    let c2 = (0.03 * data_range).powi(2);
    // The windows of some rows at a time: the moments of a whole image would take a hundred bytes a pixel.
    let n_rows = size.0 + 1 - window.len();
    let mut total = 0.0;
    for first in (0..n_rows).step_by(ROWS_AT_A_TIME) {
        let rows = ROWS_AT_A_TIME.min(n_rows - first) + window.len() - 1;
        let of = |image: &Image| first * image.width..(first + rows) * image.width;
        let pairs: Vec<(f64, f64)> = reference.pixels[of(reference)]
            .iter()
            .zip(&image.pixels[of(image)])
            .map(|(&x, &y)| (f64::from(x), f64::from(y)))
            .collect();
        let average = |moment: fn((f64, f64)) -> f64| {
            windowed_mean(&pairs.iter().map(|&p| moment(p)).collect::<Vec<_>>(), size.1, window)
        };
        let (mean_x, mean_y) = (average(|(x, _)| x), average(|(_, y)| y));
        let (square_x, square_y, product) = (average(|(x, _)| x * x), average(|(_, y)| y * y), average(|(x, y)| x * y));
        for k in 0..mean_x.len() {
            let (mx, my) = (mean_x[k], mean_y[k]);
            let variances = covariance_scale * (square_x[k] - mx * mx + square_y[k] - my * my);
            let covariance = covariance_scale * (product[k] - mx * my);
            total += (2.0 * mx * my + c1) * (2.0 * covariance + c2) / ((mx * mx + my * my + c1) * (variances + c2));
        }
    }
    Ok(total / (n_rows * (size.1 + 1 - window.len())) as f64)
}

/// Separable weighted mean at every position where the window fits, row-major.
fn windowed_mean(values: &[f64], width: usize, window: &[f64]) -> Vec<f64> {
    let weigh = |part: &[f64]| part.iter().zip(window).map(|(v, w)| v * w).sum::<f64>();
    let narrow = width + 1 - window.len();
    let along_rows: Vec<f64> =
        values.chunks_exact(width).flat_map(|row| row.windows(window.len()).map(weigh)).collect();
    let n_rows = along_rows.len() / narrow + 1 - window.len();
    let mut means = vec![0.0; n_rows * narrow];
    for (row, out) in means.chunks_exact_mut(narrow).enumerate() {
        for (k, weight) in window.iter().enumerate() {
            let from = &along_rows[(row + k) * narrow..][..narrow];
            out.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    means
}

fn differences<'a>(reference: &'a Image, image: &'a Image) -> impl Iterator<Item = f64> + 'a {
    reference.pixels.iter().zip(&image.pixels).map(|(&r, &p)| f64::from(p) - f64::from(r))
}

fn check_sizes(reference: &Image, image: &Image) -> Result<(), MetricError> {
    let sizes = [reference, image].map(|i| (i.height, i.width));
    if sizes[0] != sizes[1] || reference.pixels.len() != image.pixels.len() {
        return Err(MetricError::SizeMismatch { reference: sizes[0], image: sizes[1] });
    }
    if image.pixels.is_empty() { Err(MetricError::Empty) } else { Ok(()) }
}

fn check_range(data_range: f64) -> Result<(), MetricError> {
    if data_range.is_finite() && data_range > 0.0 { Ok(()) } else { Err(MetricError::DataRange(data_range)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Archive;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/metrics.npz");

    fn golden(name: &str) -> Vec<f64> {
        Archive::parse(GOLDEN.to_vec()).unwrap().array(name).unwrap().unwrap().values().unwrap()
    }

    fn pairs() -> Vec<(Image, Image)> {
        let image =
            |values: &[f64]| Image { height: 64, width: 57, pixels: values.iter().map(|&v| v as f32).collect() };
        let (a, b) = (golden("a"), golden("b"));
        a.chunks(64 * 57).zip(b.chunks(64 * 57)).map(|(a, b)| (image(a), image(b))).collect()
    }

    fn assert_golden(name: &str, metric: fn(&Image, &Image, f64) -> Result<f64, MetricError>) {
        for ((reference, image), expected) in pairs().iter().zip(golden(name)) {
            let found = metric(reference, image, 1.0).unwrap();
            assert!((found - expected).abs() < 1e-6, "{name}: {found} against {expected}");
        }
    }

    #[test]
    fn psnr_agrees_with_scikit_image() {
        assert_golden("psnr", psnr);
    }

    #[test]
    fn uniform_ssim_agrees_with_scikit_image() {
        assert_golden("ssim_uniform7", ssim_uniform);
    }

    #[test]
    fn gaussian_ssim_agrees_with_scikit_image() {
        assert_golden("ssim_gaussian", ssim_gaussian);
    }

    #[test]
    fn equal_images_are_perfect() {
        let (image, _) = &pairs()[0];
        assert_eq!(psnr(image, image, 1.0), Ok(f64::INFINITY));
        assert!((ssim_uniform(image, image, 1.0).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!((rmse(image, image), nrmse(image, image)), (Ok(0.0), Ok(0.0)));
    }

    #[test]
    fn errors_are_measured_in_the_images_unit() {
        let two = Image { height: 2, width: 2, pixels: vec![2.0; 4] };
        let three = Image { pixels: vec![3.0; 4], ..two.clone() };
        assert_eq!((rmse(&two, &three), nrmse(&two, &three)), (Ok(1.0), Ok(0.5)));
        assert_eq!(psnr(&two, &three, 10.0), Ok(20.0));
        assert_eq!(nrmse(&Image::zeros(2, 2), &two), Err(MetricError::ZeroReference));
    }

    #[test]
    fn misuse_is_a_typed_error() {
        let (small, other) = (Image::zeros(6, 9), Image::zeros(9, 6));
        let size = (6, 9);
        assert_eq!(ssim_uniform(&small, &small, 1.0), Err(MetricError::SmallerThanWindow { size, window: 7 }));
        assert_eq!(ssim_gaussian(&small, &small, 1.0), Err(MetricError::SmallerThanWindow { size, window: 11 }));
        assert_eq!(rmse(&small, &other), Err(MetricError::SizeMismatch { reference: size, image: (9, 6) }));
        assert_eq!(psnr(&small, &small, 0.0), Err(MetricError::DataRange(0.0)));
        assert_eq!(rmse(&Image::zeros(0, 3), &Image::zeros(0, 3)), Err(MetricError::Empty));
        assert!(ssim_uniform(&Image::zeros(7, 7), &Image::zeros(7, 7), 1.0).is_ok());
    }
}
