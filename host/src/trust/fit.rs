//! Does the image explain the data? Not more than the noise may be left, and not much less.

use super::residual::Residual;
use std::ops::RangeInclusive;

/// Chi squared a ray of results that explain their data as well as the noise allows.
const GOOD: RangeInclusive<f64> = 0.5..=2.0;
/// Above this, picture and data do not belong together.
const MOST: f64 = 10.0;
/// A residual of less than this share of the line integrals is what pixels and bins of finite width leave, however
/// little noise there is: 1.2 % of a disc on 64 x 64 of them.
const DISCRETISATION: f64 = 0.015;
/// A picture that leaves more of the line integrals than this explains too little of them, however noisy they look.
const MOST_LEFT: f64 = 0.5;
/// A stated noise above this many times what the sinogram shows is overstated. The estimate is right to a few percent.
const OVERSTATED: f64 = 1.4;

/// The meaning of a chi squared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The image follows the noise.
    Overfitted,
    /// As large as the noise, or as pixels and bins are coarse.
    None,
    /// More than the noise.
    Doubtful,
    /// So much that picture and data do not belong together.
    Hopeless,
}

impl Misfit {
    /// Its name, for machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Overfitted => "overfitted",
            Self::None => "none",
            Self::Doubtful => "doubtful",
            Self::Hopeless => "hopeless",
        }
    }
}

impl Residual {
    /// The meaning of its chi squared.
    #[must_use]
    pub fn misfit(&self) -> Misfit {
        match self.chi_squared() {
            chi if self.relative() > MOST_LEFT || chi.is_nan() => Misfit::Hopeless,
            chi if chi < *GOOD.start() => Misfit::Overfitted,
            chi if GOOD.contains(&chi) || self.relative() < DISCRETISATION => Misfit::None,
            chi if chi <= MOST => Misfit::Doubtful,
            _ => Misfit::Hopeless,
        }
    }

    /// True if no more is left than the noise, or coarse pixels and bins, can leave.
    #[must_use]
    pub fn is_small(&self) -> bool {
        matches!(self.misfit(), Misfit::None | Misfit::Overfitted)
    }

    /// True if another residual of the same data is so much smaller that its image explains them better.
    #[must_use]
    pub fn is_explained_by(&self, other: &Self) -> bool {
        !self.is_small() && (other.is_small() || other.chi_squared() < 0.5 * self.chi_squared())
    }

    /// The warning that a reader needs. `shown` is the noise that the sinogram shows over what was reckoned
    /// with, the error of the model apart; `is_sound` if another method explains the data.
    #[must_use]
    pub fn warning(&self, shown: f64, is_sound: bool) -> Option<String> {
        let (chi, percent) = (self.chi_squared(), 100.0 * self.relative());
        let against = if chi.is_finite() {
            format!("chi squared {chi:.3} a ray where the noise alone leaves 1")
        } else {
            "and the data have no noise that could".to_owned()
        };
        let left = format!("the picture leaves {percent:.1} % of the line integrals unexplained, {against}");
        match self.misfit() {
            Misfit::None => None,
            Misfit::Overfitted if shown * OVERSTATED < 1.0 => Some(format!(
                "chi squared is {chi:.3} a ray where the noise leaves 1: the noise is stated {:.1} times as \
                 large as the sinogram shows it, and the picture is smoother than it need be",
                1.0 / shown
            )),
            Misfit::Overfitted => None,
            Misfit::Doubtful | Misfit::Hopeless if is_sound => Some(left),
            Misfit::Doubtful | Misfit::Hopeless => Some(format!("{left}; likely causes: {}", CAUSES.join("; "))),
        }
    }
}

/// Causes of data that no image explains, the most frequent first.
const CAUSES: [&str; 7] = [
    "angles in degrees, in another order, or running the other way",
    "the rotation axis not where the scan says it is (--detector-offset-mm)",
    "line integrals without -ln, or with a wrong number of photons of a free ray",
    "a sinogram with rows and columns exchanged",
    "a pixel or bin size in another unit",
    "an object that reaches beyond the detector or the image",
    "noise that is larger than stated, or alike in neighbouring bins",
];

#[cfg(test)]
mod tests {
    use super::super::Rays;
    use super::*;
    use crate::ct::{Geometry, Projector};
    use crate::image::Image;
    use crate::test_support::signed;

    /// The residual of an image of ones against its own projection, with differences of this size on each ray, where
    /// the noise is 0.1.
    fn residual(difference: f32, weights: Option<&[f32]>) -> Residual {
        let geometry = Geometry::covering(16, 16, 12);
        let image = Image { height: 16, width: 16, pixels: vec![1.0; 256] };
        let mut projector = Projector::new(geometry.clone()).unwrap();
        let mut sinogram = vec![0.0; geometry.sinogram_len()];
        projector.forward_project(&image.pixels, &mut sinogram).unwrap();
        let signs = signed(sinogram.len(), 1).into_iter().map(f32::signum);
        sinogram.iter_mut().zip(signs).for_each(|(y, sign)| *y += sign * difference);
        Residual::of(&image, &Rays { sinogram: &sinogram, noise_std: 0.1, weights }, &mut projector).unwrap()
    }

    #[test]
    fn chi_squared_is_in_units_of_the_variance() {
        let found = residual(0.3, None);
        assert!((found.chi_squared() - 9.0).abs() < 1e-3, "{}", found.chi_squared());
        let geometry = Geometry::covering(16, 16, 12);
        // Half of the rays were not measured, the others have half the variance.
        let weights: Vec<f32> = (0..geometry.sinogram_len()).map(|ray| if ray % 2 == 0 { 0.0 } else { 2.0 }).collect();
        let found = residual(0.3, Some(&weights));
        assert!((found.chi_squared() - 18.0).abs() < 1e-3, "{}", found.chi_squared());
        assert!(found.image.pixels[0] == 0.0 && (found.image.pixels[1].abs() - 3.0 * 2.0_f32.sqrt()).abs() < 1e-4);
    }

    #[test]
    fn what_is_left_says_what_the_picture_is_worth() {
        for (difference, misfit) in [
            (0.05, Misfit::Overfitted),
            (0.1, Misfit::None),
            (0.25, Misfit::Doubtful),
            (0.4, Misfit::Hopeless),
            (f32::NAN, Misfit::Hopeless),
        ] {
            assert_eq!(residual(difference, None).misfit(), misfit, "{difference}");
        }
        let warning = |difference, shown, is_sound| residual(difference, None).warning(shown, is_sound);
        assert_eq!((warning(0.1, 1.0, false), warning(0.05, 1.0, false)), (None, None));
        assert!(warning(0.05, 0.5, false).unwrap().contains("2.0 times as large"));
        assert!(warning(0.4, 1.0, false).unwrap().contains("chi squared 16.000 a ray"));
        assert!(warning(0.4, 1.0, false).unwrap().contains("likely causes: angles in degrees"));
        assert!(!warning(0.4, 1.0, true).unwrap().contains("likely causes"));
    }

    #[test]
    fn without_noise_only_what_discretisation_cannot_leave_is_a_misfit() {
        let of = |difference| {
            let found = residual(difference, None);
            (found.relative() < DISCRETISATION, found)
        };
        let (is_small, found) = of(0.05);
        assert!(is_small && found.relative() > 0.0, "{}", found.relative());
        // The same residual against noise of a hundredth.
        let scaled = Image { pixels: found.image.pixels.iter().map(|r| 100.0 * r).collect(), ..found.image.clone() };
        assert_eq!(Residual { image: scaled, ..found }.misfit(), Misfit::None);
    }

    /// A chi squared that is no number is no fit, however small the misfit is.
    #[test]
    fn what_is_no_number_is_hopeless() {
        let found = residual(0.05, None);
        let pixels = vec![f32::NAN; found.image.pixels.len()];
        let broken = Residual { image: Image { pixels, ..found.image.clone() }, ..found };
        assert!(broken.relative() < DISCRETISATION && broken.misfit() == Misfit::Hopeless);
    }

    #[test]
    fn noise_excuses_no_picture_that_explains_nothing() {
        let found = residual(8.0, None);
        assert!(found.relative() > MOST_LEFT, "{}", found.relative());
        // The same residual against noise of a hundred times as much.
        let scaled = Image { pixels: found.image.pixels.iter().map(|r| r / 100.0).collect(), ..found.image.clone() };
        assert_eq!(Residual { image: scaled, ..found }.misfit(), Misfit::Hopeless);
    }

    #[test]
    fn another_image_may_explain_the_data_better() {
        assert!(residual(0.25, None).is_explained_by(&residual(0.12, None)));
        assert!(residual(0.6, None).is_explained_by(&residual(0.4, None)));
        assert!(!residual(0.4, None).is_explained_by(&residual(0.35, None)));
        assert!(!residual(0.1, None).is_explained_by(&residual(0.05, None)), "neither is at fault");
    }
}
