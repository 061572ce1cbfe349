//! The calibration of intervals: scans of patients whose images were known, and what they ask of a scan to come.

use crate::unet::Weights;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The key of the weights' metadata.
const KEY: &str = "intervals";
/// Levels of noise that differ by less than this factor are one.
const SAME_NOISE: f64 = 1.1;

/// The factors of intervals with a prior: they hold for its method, its runs and its scans, and for no others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The share of pixels inside the body that intervals hold.
    pub level: f64,
    /// Runs of the default method of which the mean is taken.
    pub runs: u32,
    /// The patients, in words.
    pub patients: String,
    /// The shortest and the longest side of an image, in pixels.
    pub sides: [usize; 2],
    /// The shortest and the longest side of a pixel.
    pub pixel_mm: [f64; 2],
    /// The scans.
    pub scans: Vec<CalibratedScan>,
}

/// A scan of each patient, from evenly spaced views over half a turn of a parallel beam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibratedScan {
    /// Number of views.
    pub views: usize,
    /// Noise.
    #[serde(flatten)]
    pub noise: Noise,
    /// Number of patients.
    pub patients: usize,
    /// Half the width of an interval over the spread of its pixel.
    pub factor: f64,
}

/// The noise of line integrals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// The same for all; its standard deviation over the mean line integral.
    Relative(f64),
    /// That of so many photons a free ray.
    Photons(f64),
}

/// The properties of a scan that a calibration asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// Number of views.
    pub views: usize,
    /// The noise.
    pub noise: Noise,
    /// Rows and columns of the image.
    pub size: [usize; 2],
    /// Side of a pixel.
    pub pixel_mm: f64,
}

impl Calibration {
    /// The calibration that weights bring along; an error in words where it cannot be read.
    #[must_use]
    pub fn of(weights: &Weights) -> Option<Result<Self, String>> {
        let text = weights.note(KEY)?;
        Some(serde_json::from_str(text).map_err(|error| format!("their calibration cannot be read: {error}")))
    }

    /// The same weights with this calibration in the place of any other.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn into_weights(&self, weights: Weights) -> Result<Weights, serde_json::Error> {
        Ok(weights.with_note(KEY, serde_json::to_string(self)?))
    }

    /// The factor for a scan: that of the calibrated one, or the larger one of those between which it lies.
    ///
    /// # Errors
    /// In words, where it lies between none.
    pub fn factor(&self, scan: &Conditions) -> Result<f64, String> {
        let [least, most] = self.sides;
        if let Some(side) = scan.size.iter().find(|side| !(least..=most).contains(*side)) {
            return Err(format!("a side of the image is {side} pixels, those calibrated {least} to {most}"));
        }
        let [least, most] = self.pixel_mm;
        if !(least..=most).contains(&scan.pixel_mm) {
            let found = scan.pixel_mm;
            return Err(format!("pixels are of {found:.3} mm, those calibrated of {least:.2} to {most:.2} mm"));
        }
        let outside = || format!("the scan has {} views, {}; calibrated are {}", scan.views, scan.noise, self.listed());
        let around = self.around(scan).ok_or_else(outside)?;
        around.into_iter().reduce(f64::max).ok_or_else(outside)
    }

    /// The factors of the calibrated scans at the corners of the cell of views and noise in which a scan lies. There is
    /// no cell where one of them is missing.
    fn around(&self, scan: &Conditions) -> Option<Vec<f64>> {
        let alike: Vec<(&CalibratedScan, f64)> =
            self.scans.iter().filter_map(|own| Some((own, own.noise.over(scan.noise)?))).collect();
        let fewer = alike.iter().map(|(own, _)| own.views).filter(|views| *views <= scan.views).max()?;
        let more = alike.iter().map(|(own, _)| own.views).filter(|views| *views >= scan.views).min()?;
        let ratios = || alike.iter().map(|(_, ratio)| *ratio);
        let same = ratios().find(|ratio| (SAME_NOISE.recip()..=SAME_NOISE).contains(ratio));
        let below = same.or_else(|| ratios().filter(|ratio| *ratio <= 1.0).reduce(f64::max))?;
        let above = same.or_else(|| ratios().filter(|ratio| *ratio >= 1.0).reduce(f64::min))?;
        let corner = |(views, ratio): (usize, f64)| {
            let is_corner =
                |(own, found): &&(&CalibratedScan, f64)| own.views == views && (found / ratio - 1.0).abs() < 1e-6;
            alike.iter().find(is_corner).map(|(own, _)| own.factor)
        };
        [(fewer, below), (fewer, above), (more, below), (more, above)].into_iter().map(corner).collect()
    }

    /// The calibrated scans, for people.
    fn listed(&self) -> String {
        let scans = self.scans.iter().map(|scan| format!("{} views, {}", scan.views, scan.noise));
        scans.collect::<Vec<_>>().join("; ")
    }
}

impl Noise {
    /// This level over another of the same kind.
    fn over(self, other: Self) -> Option<f64> {
        match (self, other) {
            (Self::Relative(own), Self::Relative(other)) | (Self::Photons(own), Self::Photons(other)) => {
                Some(own / other)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(share) => write!(f, "{:.3} % noise", 100.0 * share),
            Self::Photons(photons) => write!(f, "{photons:.3e} photons a ray"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::Prior;

    fn calibration() -> Calibration {
        let scan = |views, noise, factor| CalibratedScan { views, noise, patients: 20, factor };
        let relative = |views, share, factor| scan(views, Noise::Relative(share), factor);
        Calibration {
            level: 0.9,
            runs: 4,
            patients: "of a test".to_owned(),
            sides: [256, 256],
            pixel_mm: [1.0, 2.0],
            scans: vec![
                relative(20, 0.02, 5.0),
                relative(60, 0.02, 4.0),
                relative(20, 0.08, 7.0),
                relative(60, 0.08, 6.0),
                scan(60, Noise::Photons(1e4), 3.0),
            ],
        }
    }

    fn factor(views: usize, noise: Noise) -> Option<f64> {
        calibration().factor(&Conditions { views, noise, size: [256; 2], pixel_mm: 1.5 }).ok()
    }

    #[test]
    fn between_calibrated_scans_the_larger_factor_holds() {
        assert_eq!(factor(60, Noise::Relative(0.02)), Some(4.0), "calibrated");
        assert_eq!(factor(60, Noise::Relative(0.021)), Some(4.0), "as good as calibrated");
        assert_eq!(factor(60, Noise::Relative(0.05)), Some(6.0));
        assert_eq!(factor(30, Noise::Relative(0.08)), Some(7.0));
        assert_eq!(factor(30, Noise::Relative(0.05)), Some(7.0));
        assert_eq!(factor(60, Noise::Photons(1e4)), Some(3.0));
    }

    #[test]
    fn outside_of_them_there_is_none() {
        for (views, noise) in [(10, 0.05), (90, 0.05), (60, 0.1), (60, 0.01)] {
            assert_eq!(factor(views, Noise::Relative(noise)), None, "{views} {noise}");
        }
        assert_eq!(factor(59, Noise::Photons(1e4)), None);
        assert_eq!(factor(60, Noise::Photons(2e4)), None);
        let fine = Conditions { views: 60, noise: Noise::Relative(0.02), size: [256; 2], pixel_mm: 0.5 };
        assert_eq!(
            calibration().factor(&fine).unwrap_err(),
            "pixels are of 0.500 mm, those calibrated of 1.00 to 2.00 mm"
        );
        let large = Conditions { size: [256, 512], ..fine };
        assert!(calibration().factor(&large).unwrap_err().contains("is 512 pixels, those calibrated 256 to 256"));
        let few = Conditions { views: 5, pixel_mm: 1.0, ..fine };
        let words = calibration().factor(&few).unwrap_err();
        assert!(words.starts_with("the scan has 5 views, 2.000 % noise; calibrated are 20 views, 2.000 %"), "{words}");
    }

    #[test]
    fn weights_bring_it_along() {
        let weights = Prior::named("ellipses").unwrap().weights().clone();
        let with = calibration().into_weights(weights.clone()).unwrap();
        let back = Weights::from_bytes(&with.to_bytes().unwrap()).unwrap();
        assert_eq!(Calibration::of(&back), Some(Ok(calibration())));
        let broken = Calibration::of(&weights.with_note(KEY, "{}".to_owned()));
        assert!(broken.unwrap().unwrap_err().contains("missing field"));
    }
}
