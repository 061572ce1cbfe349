//! From a scan in mm and 1/mm to the units of the network, and back.

use super::ReconstructError;
use super::ray_noise::{NoiseSource, RayNoise, RayVariances};
use crate::ct::{
    ATTENUATION_PER_UNIT, FilteredBackprojector, Geometry, Projector, Window, extended_geometry, extended_sinogram,
    means_by_taps, pixel_wide_taps,
};
use crate::data::scan::Scan;
use crate::image::Image;
use crate::prior::{Prior, Unit};
use crate::trust::{Effort, Parts, Rays, Residual};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// A sinogram with its geometry, in network units: lengths in pixels, attenuation as the prior knows it (0 to 1).
///
/// # Examples
/// ```
/// use gradus::data::ellipses::ellipses;
/// use gradus::reconstruct::Measurement;
/// use gradus::simulate::{Simulation, simulate};
///
/// let scan = simulate(&ellipses(1, 32), 0.8, &Simulation::default())?; // pixels of 0.8 mm
/// let measurement = Measurement::new(&scan)?;
/// assert_eq!((measurement.geometry.pixel_mm, measurement.sinogram.len()), (1.0, scan.sinogram.len()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Geometry with `pixel_mm` 1.
    pub geometry: Geometry,
    /// Line integrals, `[angle][bin]`.
    pub sinogram: Vec<f32>,
    /// Standard deviation of the noise in each line integral, in which the error of the model counts.
    pub noise_std: f64,
    /// The part of the model: pixels and bins have a size. 0 where it is small against the noise.
    pub model_std: f64,
    /// The noise that the sinogram shows over what is reckoned with, the error of the model apart.
    pub noise_shown: f64,
    /// The source of these numbers.
    pub noise_source: NoiseSource,
    /// `noise_std^2` over the variance of each line integral, `[angle][bin]`, where these differ: by the photons that
    /// were counted, and by what pixels and bins of finite size add.
    pub weights: Option<Vec<f32>>,
    /// Factors on these weights, at most 1, by which the default method trusts rays along edges less
    /// ([`edge_shares`](crate::ct::edge_shares)), where the error of the model counts.
    pub edges: Option<Vec<f32>>,
    /// The same four of means over a pixel's width, where bins are narrower; [`for_pixels`](Self::for_pixels) has both.
    pub pixel_wide: Option<RayVariances>,
    /// Attenuation in 1/mm of network unit 1.
    pub attenuation_per_unit: f64,
    /// Bins by which filtered backprojection continues an object beyond the detector's lower and upper end.
    pub beyond_detector: [usize; 2],
    /// Corrections that a reader of the result must know.
    pub warnings: Vec<String>,
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
        Self::scaled(scan, None)
    }

    /// The same for a prior: where the scan does not say its scale and the prior knows bodies, that of the prior,
    /// unless the object is none that it knows.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn suiting(scan: &Scan, prior: &Prior) -> Result<Self, ReconstructError> {
        let knows_bodies = prior.suits().is_some_and(|suits| suits.unit == Unit::Hounsfield);
        Self::scaled(scan, knows_bodies.then_some(ATTENUATION_PER_UNIT.into()))
    }

    /// The share of the error of the model in the variance of the noise.
    #[must_use]
    pub fn model_share(&self) -> f64 {
        if self.model_std > 0.0 { (self.model_std / self.noise_std).powi(2) } else { 0.0 }
    }

    /// `own` is the attenuation in 1/mm of the prior's 1, where it has a physical scale.
    fn scaled(scan: &Scan, own: Option<f64>) -> Result<Self, ReconstructError> {
        let pixel_mm = scan.geometry.pixel_mm;
        let geometry = scan.geometry.in_pixels();
        let RayNoise { variances, pixel_wide, shown, source, warning } = RayNoise::of(scan);
        let RayVariances { std, model_std, weights, edges } = variances;
        let physical = Self {
            geometry,
            sinogram: scan.sinogram.clone(),
            noise_std: std,
            model_std,
            noise_shown: shown,
            noise_source: source,
            weights,
            edges,
            pixel_wide: None,
            attenuation_per_unit: 1.0 / pixel_mm,
            beyond_detector: [0, 0],
            warnings: warning.into_iter().collect(),
        };
        let per_pixel = match scan.attenuation_per_unit_per_mm {
            Some(per_unit) => per_unit * pixel_mm,
            None => {
                let (brightest, own) = (brightest(&physical)?, own.map(|own| own * pixel_mm));
                own.filter(|own| BODY.contains(&(brightest / own))).unwrap_or(brightest)
            }
        };
        Ok(Self {
            sinogram: physical.sinogram.iter().map(|p| (f64::from(*p) / per_pixel) as f32).collect(),
            noise_std: std / per_pixel,
            model_std: model_std / per_pixel,
            pixel_wide: pixel_wide.map(|own| own.times(1.0 / per_pixel)),
            attenuation_per_unit: per_pixel / pixel_mm,
            ..physical
        })
    }

    /// The measurement as projections of pixels can explain it: where bins are narrower than pixels, line integrals are
    /// means over a pixel's width ([`pixel_wide_taps`]). What iterates sees this; the fit of its result is judged by
    /// the measurement itself.
    #[must_use]
    pub fn for_pixels(&self) -> Cow<'_, Self> {
        let Some(RayVariances { std, model_std, weights, edges }) = self.pixel_wide.clone() else {
            return Cow::Borrowed(self);
        };
        let sinogram = means_by_taps(&self.sinogram, self.geometry.n_bins, &pixel_wide_taps(&self.geometry));
        Cow::Owned(Self { sinogram, noise_std: std, model_std, weights, edges, pixel_wide: None, ..self.clone() })
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

    /// The data that an image leaves unexplained, whether or not a method weighs the rays.
    ///
    /// # Errors
    /// When the image does not fit the geometry.
    pub fn residual(&self, image: &Image) -> Result<Residual, ReconstructError> {
        Ok(Residual::of(image, &self.rays(), &mut Projector::new(self.geometry.clone())?)?)
    }

    /// Line integrals less the projection of an image: `y - A x`, `[angle][bin]`, those of weight 0 included.
    ///
    /// # Errors
    /// When the image does not fit the geometry.
    pub fn left_by(&self, image: &Image) -> Result<Vec<f32>, ReconstructError> {
        let mut left = vec![0.0; self.sinogram.len()];
        Projector::new(self.geometry.clone())?.forward_project(&image.pixels, &mut left)?;
        left.iter_mut().zip(&self.sinogram).for_each(|(left, y)| *left = y - *left);
        Ok(left)
    }

    /// The part of an image that the rays that were measured determine, and the rest.
    ///
    /// # Errors
    /// When the image does not fit the geometry.
    pub fn parts(&self, image: &Image, effort: Effort) -> Result<Parts, ReconstructError> {
        Ok(Parts::of(image, &self.rays(), &mut Projector::new(self.geometry.clone())?, effort)?)
    }

    pub(super) fn rays(&self) -> Rays<'_> {
        Rays { sinogram: &self.sinogram, noise_std: self.noise_std, weights: self.weights.as_deref() }
    }
}

/// The brightest pixels of a body, from water to bone and metal, in the prior's own units.
const BODY: RangeInclusive<f64> = 0.15..=1.5;

/// The value that one pixel in a thousand of the filtered backprojection exceeds.
fn brightest(measurement: &Measurement) -> Result<f64, ReconstructError> {
    let mut pixels = measurement.filtered_backprojection(Window::Hann)?.pixels;
    pixels.sort_by(f32::total_cmp);
    let value = pixels.get(pixels.len() - 1 - pixels.len() / 1000).copied().unwrap_or(0.0);
    if value > 0.0 { Ok(value.into()) } else { Err(ReconstructError::NothingAttenuates) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};
    use crate::trust::Field;

    /// 64 x 64 pixels, and bins half as wide.
    fn narrow() -> Measurement {
        let simulation = Simulation { photons: Some(1e5), ..Simulation::default() };
        let fine = simulate(&ellipses(102, 128), 0.5, &simulation).unwrap();
        let geometry = Geometry { height: 64, width: 64, pixel_mm: 1.0, bin_width_mm: 0.5, ..fine.geometry };
        Measurement::new(&Scan { geometry, truth: None, ..fine }).unwrap()
    }

    #[test]
    fn narrow_bins_are_as_wide_as_pixels_for_what_iterates() {
        let own = narrow();
        let (seen, n_bins) = (own.for_pixels(), own.geometry.n_bins);
        let mean = [0, 1, 2].map(|k| own.sinogram[9 * n_bins + 100 + k]);
        assert!((seen.sinogram[9 * n_bins + 101] - 0.25 * (mean[0] + 2.0 * mean[1] + mean[2])).abs() < 1e-4);
        assert!(seen.model_std > 0.0 && seen.model_std < own.model_std && seen.pixel_wide.is_none());
        let ray = |measurement: &Measurement, ray: usize| measurement.weights.as_ref().map(|weights| weights[ray]);
        // Views that are kept are those of the whole, and a ray that measured nothing weighs nothing.
        let (kept, held) = own.without_every(5).unwrap();
        for (part, view, of_whole) in [(kept, 2, 3), (held, 1, 7)] {
            let part = part.for_pixels();
            let rows = [(view, &*part), (of_whole, &*seen)].map(|(view, all)| &all.sinogram[view * n_bins..][..n_bins]);
            assert_eq!(rows[0], rows[1]);
            assert_eq!(ray(&part, view * n_bins + 100), ray(&seen, of_whole * n_bins + 100));
        }
        let dead = Field { dead_bins: vec![100], ..Field::default() };
        let without = own.clone().within(&dead);
        for measurement in [&without, &*without.for_pixels()] {
            assert_eq!([100, n_bins + 100].map(|k| ray(measurement, k)), [Some(0.0); 2]);
            assert!(ray(measurement, 101) > Some(0.0));
        }
        let usual = Measurement::new(&simulate(&ellipses(102, 64), 1.0, &Simulation::default()).unwrap()).unwrap();
        assert!(matches!(usual.for_pixels(), Cow::Borrowed(_)));
    }

    /// Rays through much matter have most of the mean variance of a scan by photons, and the others show none of it.
    #[test]
    fn noise_is_held_against_what_each_ray_shows() {
        let simulation = Simulation { photons: Some(1e3), ..Simulation::default() };
        let right = simulate(&ellipses(1, 96), 2.0, &simulation).unwrap();
        for times in [1.0, 1.5] {
            let scan = Scan { photons: Some(1e3 / (times * times)), ..right.clone() };
            let measurement = Measurement::new(&scan).unwrap();
            let found = measurement.noise_shown;
            assert!((found * times - 1.0).abs() < 0.15, "{times}: {found}");
        }
    }
}
