//! From a scan in mm and 1/mm to the units of the network, and back.

use super::ReconstructError;
use crate::ct::{
    FilteredBackprojector, Geometry, Projector, Window, estimate_noise, extended_geometry, extended_sinogram,
};
use crate::data::scan::Scan;
use crate::image::Image;
use crate::trust::{Rays, Residual};

/// A sinogram with its geometry, in network units: lengths in pixels, attenuation as the prior knows it (0 to 1).
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Geometry with `pixel_mm` 1.
    pub geometry: Geometry,
    /// Line integrals, `[angle][bin]`.
    pub sinogram: Vec<f32>,
    /// Standard deviation of the noise in each line integral.
    pub noise_std: f64,
    /// The source of that number.
    pub noise_source: NoiseSource,
    /// `noise_std^2` over the variance of each line integral, `[angle][bin]`, where photons were counted.
    pub weights: Option<Vec<f32>>,
    /// Attenuation in 1/mm of network unit 1.
    pub attenuation_per_unit: f64,
    /// Bins by which filtered backprojection continues an object beyond the detector's lower and upper end.
    pub beyond_detector: [usize; 2],
}

/// A source of the level of the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseSource {
    /// The scan says it.
    Scan,
    /// The photon counts.
    Photons,
    /// Estimated from differences between neighbouring bins.
    Estimated,
}

impl Measurement {
    /// A scan in network units.
    ///
    /// Where the scan does not say what attenuation the prior's 1 stands for, it is the largest one (but for a
    /// thousandth of the pixels) of the filtered backprojection.
    ///
    /// # Errors
    /// When the sinogram does not fit the geometry, or holds nothing that attenuates.
    pub fn new(scan: &Scan) -> Result<Self, ReconstructError> {
        let pixel_mm = scan.geometry.pixel_mm;
        let geometry = scan.geometry.in_pixels();
        let (noise_std, noise_source) = noise_level(scan);
        let physical = Self {
            geometry,
            sinogram: scan.sinogram.clone(),
            noise_std,
            noise_source,
            weights: count_weights(scan, noise_std),
            attenuation_per_unit: 1.0 / pixel_mm,
            beyond_detector: [0, 0],
        };
        let per_pixel = match scan.attenuation_per_unit_per_mm {
            Some(per_unit) => per_unit * pixel_mm,
            None => brightest(&physical)?,
        };
        Ok(Self {
            sinogram: physical.sinogram.iter().map(|p| (f64::from(*p) / per_pixel) as f32).collect(),
            noise_std: noise_std / per_pixel,
            attenuation_per_unit: per_pixel / pixel_mm,
            ..physical
        })
    }

    /// The filtered backprojection, in network units.
    ///
    /// # Errors
    /// When the sinogram does not fit the geometry.
    pub fn filtered_backprojection(&self, window: Window) -> Result<Image, ReconstructError> {
        let mut image = Image::zeros(self.geometry.height, self.geometry.width);
        let geometry = extended_geometry(&self.geometry, self.beyond_detector);
        // A fan has no room for bins behind the source.
        let beyond = if geometry.validate().is_ok() { self.beyond_detector } else { [0, 0] };
        let geometry = extended_geometry(&self.geometry, beyond);
        let sinogram = extended_sinogram(&self.geometry, &self.sinogram, beyond);
        FilteredBackprojector::new(geometry, window)?.filtered_backproject(&sinogram, &mut image.pixels)?;
        Ok(image)
    }

    /// What an image leaves unexplained, whether or not a method weighs the rays.
    ///
    /// # Errors
    /// When the image does not fit the geometry.
    pub fn residual(&self, image: &Image) -> Result<Residual, ReconstructError> {
        let rays = Rays { sinogram: &self.sinogram, noise_std: self.noise_std, weights: self.weights.as_deref() };
        Ok(Residual::of(image, &rays, &mut Projector::new(self.geometry.clone())?)?)
    }
}

/// The value that one pixel in a thousand of the filtered backprojection exceeds.
fn brightest(measurement: &Measurement) -> Result<f64, ReconstructError> {
    let mut pixels = measurement.filtered_backprojection(Window::Hann)?.pixels;
    pixels.sort_by(f32::total_cmp);
    let value = pixels.get(pixels.len() - 1 - pixels.len() / 1000).copied().unwrap_or(0.0);
    if value > 0.0 { Ok(value.into()) } else { Err(ReconstructError::NothingAttenuates) }
}

/// The variance of `p = -ln(counts/I_0)` is about `1/counts = e^p/I_0`, so its weight is `noise_std^2 I_0 e^-p`.
fn count_weights(scan: &Scan, noise_std: f64) -> Option<Vec<f32>> {
    let photons = scan.photons.filter(|_| scan.noise_std.is_none())?;
    let weight = |p: &f32| (noise_std * noise_std * photons * (-f64::from(*p)).exp()) as f32;
    Some(scan.sinogram.iter().map(weight).collect())
}

/// Standard deviation of a line integral of the scan.
fn noise_level(scan: &Scan) -> (f64, NoiseSource) {
    match (scan.noise_std, scan.photons) {
        (Some(std), _) => (std, NoiseSource::Scan),
        // The variance of -ln(counts/I0) is about 1/counts, and I0 e^-p counts are expected.
        (None, Some(photons)) => {
            let variances = scan.sinogram.iter().map(|p| f64::from(*p).exp() / photons);
            ((variances.sum::<f64>() / scan.sinogram.len() as f64).sqrt(), NoiseSource::Photons)
        }
        (None, None) => (estimate_noise(&scan.sinogram, scan.geometry.n_bins), NoiseSource::Estimated),
    }
}
