//! Rules by which the scan sets what the settings leave open: the number of levels and the weight of the prior.

use super::{GraduatedSettings, Measurement};
use crate::ct::missing_wedge_rad;
use crate::prior::Prior;
use crate::unet::Parametrisation;
use std::f64::consts::PI;

/// The number of levels from the one that suits usual scans: more where much is left to be told apart, by what few
/// views leave open and little noise shows.
///
/// **Equation.** The usual number times q sqrt(0.8/sigma), from 1 to 2.75 times: q = p/6.7 where a view has p > 6.7
/// pixels of the image's side, and (p/6.7)^(1/6), at least 0.75, where views are more; sigma is the root of the
/// [variance] of a line integral, in which the error of the model counts once at most.
pub(super) fn levels(usual: u32, measurement: &Measurement) -> u32 {
    let grid = &measurement.geometry;
    let side = grid.height.max(grid.width) as f64;
    let of_a_view = side / (USUAL_SIDE * grid.angles_rad.len() as f64);
    let by_views = if of_a_view > 1.0 { of_a_view } else { of_a_view.powf(1.0 / 6.0).max(MANY_VIEWS) };
    let by_noise = (USUAL_NOISE / with_model(measurement, counted(measurement).min(1.0)).sqrt()).sqrt();
    let least = if has_wedge(measurement) { WEDGE_LEVELS } else { 1.0 };
    let most = if side <= SMALL_SIDE { MOST_LEVELS } else { MOST_LEVELS_OF_LARGE };
    (f64::from(usual) * (by_views * by_noise).clamp(1.0, most).max(least)).round() as u32
}

/// True if views over part of a turn leave a wedge of directions out.
pub(super) fn has_wedge(measurement: &Measurement) -> bool {
    missing_wedge_rad(&measurement.geometry.angles_rad) > WEDGE_RAD
}

/// A wedge of directions from which on there is more to make up than noise took away.
///
/// Views over 60 degrees of `ellipses:1` with 2 % noise gain 0.5 dB by starting at 1; those over 90 degrees of
/// `ellipses:101` 0.1 dB.
const WEDGE_RAD: f64 = PI / 6.0;

/// The levels of such a scan over the usual ones, at least.
///
/// PSNR in dB, means of six images with 2 % noise and two slices with 5 %, by that factor; and by the steps of a linear
/// system, at least, which are [`WEDGE_SOLVES`] times as many, too:
///
/// | prior | degrees | 2, 36 steps | 4, 60 steps |
/// |---|---|---|---|
/// | `ellipses` | 60 | 23.84 | 24.59 |
/// | | 120 | 31.79 | 32.11 |
/// | `ct` | 90 | 30.86 | 31.22 |
/// | | 120 | 36.09 | 36.45 |
///
/// Twice as many levels again gain another 0.1 to 0.3 dB by `ellipses` over 60 degrees, for twice the time.
const WEDGE_LEVELS: f64 = 4.0;

/// The steps of a linear system there over the usual ones, at least: the residual says little of what is still missing
/// in directions that no view sees.
pub(super) const WEDGE_SOLVES: u32 = 5;

/// The standard deviation of a line integral, in pixels times network units, from which on the number of levels is the
/// usual one; the side of an image, in pixels for each view, up to which it is hardly less; and the least factor by
/// many views.
///
/// PSNR in dB by 8, 12, 16 and 24 levels, means of six to 24 images:
///
/// | prior | pixels a view | noise | 8 | 12 | 16 | 24 |
/// |---|---|---|---|---|---|---|
/// | `ellipses` | 1.3 | 0.1 | 45.3 | 46.3 | 46.6 | 46.7 |
/// | | 2.1 | 0.19 | 40.6 | 40.9 | 40.8 | 40.7 |
/// | | 3.6 | 0.1 | 41.8 | 42.7 | 43.1 | 43.3 |
/// | | 3.6 | 0.56 | 34.2 | 34.3 | 34.1 | 33.9 |
/// | | 8.5 | 0.9 | 30.8 | 30.9 | 30.8 | 30.6 |
/// | | 10.7 | 0.1 | 33.4 | 34.1 | 34.3 | 34.5 |
/// | | 16 | 0.9 | 27.9 | 28.5 | 28.6 | 28.4 |
/// | `ct` | 1.4 | 0.47 | 42.4 | 42.3 | 42.3 | |
/// | | 4.3 | 0.47 | 40.3 | 40.4 | 40.5 | |
/// | | 4.3 | 1.0 | 37.7 | 37.6 | 37.6 | |
/// | | 9.1 | 1.0 | 35.5 | 35.9 | 36.0 | 36.0 |
/// | | 12.8 | 1.0 | 33.9 | 34.5 | 34.7 | 34.8 |
/// | | 12.8 | 0.4 | 35.9 | 36.6 | 36.8 | 37.0 |
/// | | 12.8 | 0.09 | 37.3 | 38.5 | 39.1 | 39.7 |
const USUAL_NOISE: f64 = 0.8;
const USUAL_SIDE: f64 = 20.0 / 3.0;
const MANY_VIEWS: f64 = 0.75;
/// The most that the levels are multiplied by: more would gain where views are few and good, and cost as much time. 12
/// views of 2e5 photons of `ellipses:421-428` have 34.12 dB by 20 levels, 34.21 by 22 and 34.33 by 24; but three slices
/// in 8 views lose 0.11 dB from 1e6 photons to none lost by 24, 0.08 by 22. On many pixels, where a level takes long,
/// there are fewer.
const MOST_LEVELS: f64 = 2.75;
const MOST_LEVELS_OF_LARGE: f64 = 2.5;
/// The side of an image, in pixels, up to which it is not large.
const SMALL_SIDE: f64 = 256.0;

/// The variance of a line integral, in which the error of the model counts as often as
/// [views repeat it](crate::ct::Geometry::views_for_each_place), v times, and from 0.3 on soon once: max(v, min(2 v -
/// 0.3, 1)). An image makes up for much of it where they are few, and for little where they are many.
///
/// PSNR in dB by what the variance of that error is multiplied with in place of v, the number of views for each place:
/// of `ellipses:1` simulated with `parts = 3`, which is made of its pixels, and of exact line integrals of ellipses,
/// whose edges run between them; 1e6 photons, and none lost in 180 views. There the weights of rays followed it, too:
///
/// | views | v | image | 0.07 | 0.3 | 1 | 4 |
/// |---|---|---|---|---|---|---|
/// | 20 | 0.1 | of pixels | 38.6 | 38.0 | 37.4 | 36.6 |
/// | | | of edges | 39.5 | 39.4 | 39.2 | 38.7 |
/// | 60 | 0.3 | of pixels | 47.4 | 47.4 | 46.8 | 44.7 |
/// | | | of edges | 41.9 | 42.0 | 42.0 | 41.5 |
/// | 180 | 0.9 | of pixels | | 49.8 | 50.3 | 48.7 |
/// | | | of edges | 40.5 | 42.4 | 44.4 | 44.8 |
///
/// In 720 views, v = 3.6, `ellipses:1` has 50.3 dB without noise, and 49.6 where that error counts once. 24 images of
/// ellipses in 100 views of 2e5 photons, v = 0.5, have 46.6 dB by a factor of 0.6, 46.7 by 1 and 46.1 by 2.5; in 80
/// views, v = 0.4, 46.1 by 0.3, 46.2 by 0.6 and 1.
///
/// Two slices of the training without noise have in 60, 180 and 720 views 46.5, 51.4 and 53.6 dB so, and by a factor
/// of 0.06 46.6, 52.2 and 56.4: they are made of their pixels, too. From 256 x 256 pixels, reconstructed on 128 x 128,
/// they have 43.5, 45.8 and 45.7 dB so, and by 0.06 42.4, 41.1 and 40.5: the rule is for edges between pixels, as
/// bodies have.
pub(super) fn variance(measurement: &Measurement) -> f64 {
    with_model(measurement, counted(measurement))
}

/// That factor of the variance of the error of the model.
fn counted(measurement: &Measurement) -> f64 {
    let repeated = measurement.geometry.views_for_each_place();
    repeated.max((2.0 * repeated - RARELY).min(1.0))
}

/// The variance of a line integral in which the error of the model counts so often.
fn with_model(measurement: &Measurement, counted: f64) -> f64 {
    measurement.noise_std.powi(2) + (counted - 1.0) * measurement.model_std.powi(2)
}

/// The views for each place up to which the error of the model counts by them alone.
const RARELY: f64 = 0.3;

/// The weight of the default method's prior: that variance, but of the measured noise a share alone. It is v/0.29 where
/// v, the [views for each place](crate::ct::Geometry::views_for_each_place), is less: much of such an image is the
/// prior's guess, and what the views do say should not be smoothed away. And it is 1/(1 + `extrapolation`) at most.
///
/// PSNR in dB by that share; six slices with 5 % noise, extrapolated by 0.4, and six images of ellipses with 10 %:
///
/// | prior | views | v | 0.1 | 0.17 | 0.25 | 0.35 | 0.5 | 0.71 | 1 |
/// |---|---|---|---|---|---|---|---|---|---|
/// | `ct` | 8 | 0.02 | 30.25 | 30.25 | 30.21 | | | | |
/// | | 20 | 0.05 | 34.44 | 34.72 | 34.72 | 34.63 | 34.46 | | |
/// | | 60 | 0.15 | | | 37.21 | 37.62 | 37.67 | 37.46 | 37.09 |
/// | | 120 | 0.3 | | | | 38.62 | 39.18 | 39.08 | 38.69 |
/// | `ellipses` | 10 | 0.05 | 28.80 | | 28.81 | | 28.65 | | 28.38 |
/// | | 20 | 0.1 | | | 31.31 | | 31.37 | | 31.22 |
/// | | 30 | 0.15 | | | 32.19 | | 32.52 | | 32.44 |
/// | | 60 | 0.3 | | | | | 33.85 | | 34.05 |
pub(super) fn weight(measurement: &Measurement, extrapolation: f64) -> f64 {
    let most = 1.0 / (1.0 + extrapolation);
    let share = (measurement.geometry.views_for_each_place() / ENOUGH_VIEWS).min(most).max(LEAST_WEIGHT);
    let measured = (1.0 - measurement.model_share()) * measurement.noise_std.powi(2);
    variance(measurement) - (1.0 - share) * measured
}

/// The weight of the prior of the methods that step along gradients:
/// [`ALPHA_PER_STD`](GraduatedSettings::ALPHA_PER_STD) times the standard deviation of the noise; where the network
/// does not fold pixels into channels, at least 0.36 times its variance over that of the prior's images.
///
/// The energy of such a network hardly bends along noise of another size than its level's, and a descent of so little
/// weight follows the noise of the data. PSNR in dB of Algorithm 2 by `alpha` over the standard deviation; one slice
/// with Poisson's noise, one with 5 %, and what this rule gives:
///
/// | scan | views | 7 | 14 | 28 | 56 | rule |
/// |---|---|---|---|---|---|---|
/// | 1e3 photons | 20 | 32.1 | 32.9 | 32.6 | 31.8 | 28 to 36 |
/// | | 60 | 28.8 | 32.4 | 34.5 | 34.4 | |
/// | | 180 | 24.3 | 31.0 | 36.0 | 36.1 | |
/// | | 720 | 26.3 | 29.7 | 36.9 | 38.2 | |
/// | 1e4 photons | 20 | 33.3 | 34.3 | 34.6 | 33.8 | 9 to 15 |
/// | | 60 | 36.7 | 37.2 | 37.1 | 36.4 | |
/// | | 180 | 38.9 | 39.3 | 39.2 | 38.6 | |
/// | | 720 | 41.7 | 41.3 | 40.3 | 40.2 | |
/// | 5 % | 20 | 34.2 | 34.2 | 33.6 | | 31 |
/// | | 60 | 36.0 | 36.5 | 36.1 | | |
/// | | 180 | 35.9 | 37.9 | 38.0 | | |
pub(super) fn graduated_weight(noise_std: f64, prior: &Prior) -> f64 {
    let usual = GraduatedSettings::ALPHA_PER_STD * noise_std;
    match *prior.weights().parametrisation() {
        Parametrisation::Residual { data_std, .. } if prior.weights().architecture().pixel_unshuffle == 1 => {
            usual.max(NOISE_TO_SIGNAL * (noise_std / data_std).powi(2))
        }
        _ => usual,
    }
}

const NOISE_TO_SIGNAL: f64 = 0.36;

/// The extrapolation of denoised images from the one that suits scans of few views: less where there are more, of which
/// an image is made by the data and not by the denoiser.
///
/// PSNR in dB without and with an extrapolation of 0.4, and the weight that goes with it; six slices of the training
/// with 5 % noise, which have noise of their own, and a smooth one with 1e4 photons on a finer grid:
///
/// | views | v | six, 0 | 0.4 | smooth, 0 | 0.4 |
/// |---|---|---|---|---|---|
/// | 60 | 0.15 | 37.38 | 37.66 | 41.84 | 41.78 |
/// | 180 | 0.45 | 39.92 | 40.01 | 44.01 | 43.69 |
/// | 720 | 1.8 | 42.58 | 42.47 | 46.13 | 45.61 |
pub(super) fn extrapolation(usual: f64, measurement: &Measurement) -> f64 {
    usual * (FEW_VIEWS / measurement.geometry.views_for_each_place()).min(1.0).powi(2)
}

/// The views for each place up to which there are few.
const FEW_VIEWS: f64 = 0.15;

/// The views for each place from which on the prior has its whole weight, and the least share of that.
const ENOUGH_VIEWS: f64 = 0.29;
const LEAST_WEIGHT: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};

    #[test]
    fn little_noise_and_few_views_have_more_levels() {
        let of = |noise_std, angles, arc_deg| {
            let simulation = Simulation { angles, arc_deg: Some(arc_deg), ..Simulation::default() };
            let scan = simulate(&ellipses(3, 64), 1.0, &simulation).unwrap();
            levels(8, &Measurement { noise_std, ..Measurement::new(&scan).unwrap() })
        };
        let by_noise = [1.0, 0.45, 0.2, 0.05, 0.0].map(|noise_std| of(noise_std, 60, 180.0));
        assert_eq!(by_noise, [8, 8, 12, 22, 22]);
        let by_views = [60, 13, 8, 4, 1].map(|angles| of(0.45, angles, 180.0));
        assert_eq!(by_views, [8, 10, 13, 22, 22]);
        // Fewer views of much noise are as usual ones; views that leave a wedge out are not.
        assert_eq!([of(0.9, 9, 180.0), of(1.0, 60, 140.0)], [8, 32]);
    }

    /// Views a pixel apart at the rim of 64 pixels are 100.5.
    #[test]
    fn the_error_of_the_model_counts_as_often_as_views_repeat_it() {
        let counted = |angles| {
            let simulation = Simulation { angles, noise: 0.0, photons: Some(1e8), parts: 3, ..Simulation::default() };
            let scan = simulate(&ellipses(3, 64), 1.0, &simulation).unwrap();
            let measurement = Measurement::new(&scan).unwrap();
            let (all, model) = (measurement.noise_std.powi(2), measurement.model_std.powi(2));
            assert!(model > 0.9 * all, "{model} of {all}");
            (variance(&measurement) - (all - model)) / model
        };
        for (angles, right) in [(10, 0.0995), (30, 0.2984), (50, 0.6947), (80, 1.0), (100, 1.0), (400, 3.979)] {
            assert!((counted(angles) / right - 1.0).abs() < 1e-3, "{angles}: {}", counted(angles));
        }
    }

    #[test]
    fn networks_that_do_not_fold_pixels_weigh_more_where_there_is_much_noise() {
        let of = |name, noise_std| graduated_weight(noise_std, &Prior::named(name).unwrap()) / noise_std;
        assert_eq!([0.1, 1.0, 3.0].map(|noise_std| of("ellipses", noise_std)), [7.0; 3]);
        // The images of `ct` spread by 0.11866.
        let [little, much, twice] = [0.27, 1.0, 2.0].map(|noise_std| of("ct", noise_std));
        assert!((little - 7.0).abs() < 1e-9 && (much - 25.57).abs() < 0.01 && (twice - 2.0 * much).abs() < 1e-9);
    }

    #[test]
    fn many_views_are_not_extrapolated() {
        let of = |angles| {
            let scan = simulate(&ellipses(3, 64), 1.0, &Simulation { angles, ..Simulation::default() }).unwrap();
            extrapolation(0.4, &Measurement::new(&scan).unwrap())
        };
        assert_eq!([of(5), of(15)], [0.4, 0.4]);
        let [twice, many] = [of(30), of(300)];
        assert!((twice - 0.101).abs() < 1e-3 && many < 2e-3, "{twice} {many}");
    }

    #[test]
    fn few_views_weigh_the_prior_less_by_the_noise_that_was_measured() {
        let of = |angles, noise, photons| {
            let simulation = Simulation { angles, noise, photons, parts: 3, ..Simulation::default() };
            let scan = simulate(&ellipses(3, 64), 1.0, &simulation).unwrap();
            let measurement = Measurement::new(&scan).unwrap();
            (weight(&measurement, 0.25) / variance(&measurement), measurement)
        };
        // A place at the rim of 64 pixels is seen as often as it needs to be by 100.5 views; 29 are enough.
        for (angles, share) in [(1, 0.1), (5, 0.172), (10, 0.343), (29, 0.8), (60, 0.8)] {
            let (found, measurement) = of(angles, 1.0, None);
            assert_eq!(measurement.model_std, 0.0);
            assert!((found - share).abs() < 1e-3, "{angles}: {found}");
        }
        // What pixels and bins of finite size add weighs the same.
        let (found, measurement) = of(5, 0.0, Some(1e8));
        assert!(measurement.model_share() > 0.99 && found > 0.9, "{found}");
    }
}
