//! Chi squared reduced: the fit of an image over what its method leaves of noise.

use super::{Job, Measurement, Observer, PlacedPrior, ReconstructError, reconstruct};
use crate::ct::model_shares;
use crate::image::Image;
use gradus_core::Status;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Seed of the signs of the noise that is added.
const SEED: u64 = 1;
/// Halvings of the interval of a share.
const HALVINGS: u32 = 40;

/// The fit of an image, free of the number of unknowns: few views are met more closely than their noise, as an image
/// has more pixels than there are rays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReducedFit {
    /// Chi squared a ray over `noise_left`: about 1 for an image that explains its data as noise lets it; a strong
    /// prior that holds an image of few views from its data adds some tenths.
    pub chi_squared: f64,
    /// The mean square that the method leaves of noise of variance 1 a ray: 1 if the image followed none of it.
    pub noise_left: f64,
    /// The share, 0 to 1, of the largest variance of the model's error for which the residual has room; 0 where that
    /// error is known.
    pub model_share: f64,
}

/// The variance of a ray, of which `model` is what pixels and bins of finite size may add at most, and its residual.
#[derive(Debug, Clone, Copy)]
struct Ray {
    residual: f64,
    noise: f64,
    model: f64,
}

/// The reduced fit of the image that a job has made, by the same job with noise added.
///
/// `model` is the error of the model in each line integral where it is known, as in a simulation: what is measured
/// without noise less the projection of the truth.
///
/// **Equation.** With r = A x - y and the variance v_i + s e_i of ray i, v_i that of the measurement and e_i the
/// largest of the model's error, noise b_i sigma_i is added to y, b_i = -1 or 1, sigma_i^2 = v_i + s e_i, and leads to
/// x'. Then `noise_left` is the mean of (b - A (x' - x)/sigma)^2, and chi squared the mean of r^2/(v + s e) over it.
/// Both have the same mean for a linear method and data that are A x with noise. s is the least, at most 1, that brings
/// chi squared down to 1: for the noise that is added, as if the method left all of it.
///
/// A known error of the model m_i leaves nothing to be chosen: m_i + b_i sqrt(v_i) is added, and chi squared is
/// |r|^2 over |m + b sqrt(v) - A (x' - x)|^2, in the norm of the weights of the rays.
///
/// Monte Carlo as for generalised degrees of freedom \[Ye98\] and for unbiased estimates of risk \[RBU08\], but of the
/// residual itself, which has no difference of large numbers.
///
/// # Errors
/// Those of [`reconstruct`]; `None` where the observer ended the run.
///
/// # Panics
/// When `model` has not as many numbers as the sinogram.
pub fn reduced_fit(
    job: Job<'_>,
    image: &Image,
    model: Option<&[f32]>,
    prior: Option<&PlacedPrior<'_>>,
    observer: Observer<'_>,
) -> Result<Option<ReducedFit>, ReconstructError> {
    let measurement = job.measurement;
    let before = measurement.left_by(image)?;
    let rays = rays(measurement, &before);
    let added = error_again(&rays, model);
    let noisier = measurement.sinogram.iter().zip(&added).map(|(y, noise)| (f64::from(*y) + noise) as f32).collect();
    let measurement = Measurement { sinogram: noisier, ..measurement.clone() };
    let again = reconstruct(&measurement, job.settings, prior, observer)?;
    if again.status == Some(Status::Stopped) {
        return Ok(None);
    }
    let after = measurement.left_by(&again.image)?;
    let left: Vec<f64> = after.iter().zip(&before).map(|(after, before)| f64::from(after - before)).collect();
    Ok(Some(if model.is_some() { by_known_error(&rays, &added, &left) } else { by_room(&rays, &added, &left) }))
}

/// As much error again in each line integral: that of the model where it is known, or the least share of the largest
/// one that explains the residual; and noise of either sign.
fn error_again(rays: &[Option<Ray>], model: Option<&[f32]>) -> Vec<f64> {
    let share = if model.is_some() { 0.0 } else { model_share(rays, 1.0) };
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let mut noise = |ray: &Ray| {
        let sign = if generator.next_u32() & 1 == 0 { 1.0 } else { -1.0 };
        sign * (ray.noise + share * ray.model).sqrt()
    };
    let known = |k: usize| model.map_or(0.0, |model| f64::from(model[k]));
    let of_ray = |(k, ray): (usize, &Option<Ray>)| ray.as_ref().map_or(0.0, |ray| known(k) + noise(ray));
    rays.iter().enumerate().map(of_ray).collect()
}

/// The fit by what is left of the error that was added, with as much of the model's error as the residual has room for.
fn by_room(rays: &[Option<Ray>], added: &[f64], left: &[f64]) -> ReducedFit {
    let shares = left.iter().zip(added).filter(|(_, added)| **added != 0.0).map(|(left, added)| (left / added).powi(2));
    let noise_left = shares.sum::<f64>() / rays.iter().flatten().count().max(1) as f64;
    let model_share = model_share(rays, noise_left);
    ReducedFit { chi_squared: mean_square(rays, model_share) / noise_left, noise_left, model_share }
}

/// The fit by what is left of an error that was added, of which nothing is open.
fn by_known_error(rays: &[Option<Ray>], added: &[f64], left: &[f64]) -> ReducedFit {
    let weighted = |(k, ray): (usize, &Option<Ray>)| {
        let (ray, weight) = ray.as_ref().map(|ray| (ray, 1.0 / (ray.noise + ray.model)))?;
        Some([ray.residual, left[k], added[k]].map(|error| weight * error * error))
    };
    let sum = |sums: [f64; 3], ray: [f64; 3]| [0, 1, 2].map(|k| sums[k] + ray[k]);
    let [residual, left, added] = rays.iter().enumerate().filter_map(weighted).fold([0.0; 3], sum);
    ReducedFit { chi_squared: residual / left, noise_left: left / added, model_share: 0.0 }
}

/// The rays that were measured, with what the image leaves of each.
fn rays(measurement: &Measurement, left: &[f32]) -> Vec<Option<Ray>> {
    let (total, largest) = (measurement.noise_std.powi(2), measurement.model_std.powi(2));
    let shares = model_shares(&measurement.sinogram, &measurement.geometry);
    let of_ray = |(k, share): (usize, f64)| {
        let weight = measurement.weights.as_ref().map_or(1.0, |weights| f64::from(weights[k]));
        let model = (share * largest).min(total / weight);
        (weight > 0.0).then(|| Ray { residual: left[k].into(), noise: total / weight - model, model })
    };
    shares.into_iter().enumerate().map(of_ray).collect()
}

/// The mean of r^2 over the variance with a share of the model's error.
fn mean_square(rays: &[Option<Ray>], share: f64) -> f64 {
    let square = |ray: &Ray| ray.residual.powi(2) / (ray.noise + share * ray.model);
    let known = rays.iter().flatten().filter(|ray| ray.residual != 0.0);
    known.map(square).sum::<f64>() / rays.iter().flatten().count().max(1) as f64
}

/// The least share of the model's error with which the mean square is at most `right`; 1 where none is enough, 0 where
/// the model has no error.
fn model_share(rays: &[Option<Ray>], right: f64) -> f64 {
    let is_enough = |share: f64| mean_square(rays, share) <= right;
    if is_enough(0.0) || rays.iter().flatten().all(|ray| ray.model == 0.0) {
        return 0.0;
    }
    let (mut least, mut most) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (least + most);
        *(if is_enough(middle) { &mut most } else { &mut least }) = middle;
    }
    most
}

#[cfg(test)]
mod tests {
    use super::super::{Method, Settings, SolvedSettings};
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::prior::Prior;
    use crate::simulate::{Simulation, simulate};
    use std::ops::ControlFlow;

    /// The chi squared of the default method, and its reduced fit; the noise is stated `times` as large as it is.
    fn fits(simulation: Simulation, times: f64) -> (f64, ReducedFit) {
        let scan = simulate(&ellipses(2, 64), 1.0, &simulation).unwrap();
        let measurement = Measurement::new(&scan).unwrap();
        let measurement = Measurement { noise_std: times * measurement.noise_std, ..measurement };
        let (settings, prior) = (Settings::from(Method::Solved), Prior::named("ellipses").unwrap());
        let (job, placed) = (Job { measurement: &measurement, settings: &settings }, PlacedPrior::on_cpu(&prior));
        let go_on = &mut |_: super::super::Progress<'_>| ControlFlow::Continue(());
        let result = reconstruct(&measurement, &settings, Some(&placed), go_on).unwrap();
        let fit = reduced_fit(job, &result.image, None, Some(&placed), go_on).unwrap().unwrap();
        (result.residual.unwrap().chi_squared(), fit)
    }

    #[test]
    fn few_views_are_met_closely_and_no_more_closely_than_noise_allows() {
        let of = |angles, photons| Simulation { angles, photons: Some(photons), parts: 3, ..Simulation::default() };
        for (simulation, most) in [(of(6, 1e4), 0.6), (of(24, 1e4), 0.85), (of(24, 1e6), 0.3)] {
            let (chi, fit) = fits(simulation, 1.0);
            println!("{chi:.3} {fit:?}");
            assert!(chi < most && (0.9..1.4).contains(&fit.chi_squared), "{chi} {fit:?}");
        }
        // Data without noise show how much of its largest error the model has.
        let (_, fit) = fits(Simulation { angles: 24, noise: 0.0, parts: 3, ..Simulation::default() }, 1.0);
        assert!(fit.model_share > 0.0 && fit.model_share < 0.1 && (fit.chi_squared - 1.0).abs() < 1e-6, "{fit:?}");
    }

    #[test]
    fn noise_of_another_size_is_seen_where_chi_squared_alone_is_small_anyway() {
        let of = |times| fits(Simulation { angles: 8, noise: 0.05, ..Simulation::default() }, times);
        let [(less, too_small), (_, right), (_, too_large)] = [1.0 / 3.0, 1.0, 3.0].map(of);
        println!("{less:.2} {too_small:?} {right:?} {too_large:?}");
        assert!((0.8..1.4).contains(&right.chi_squared), "{right:?}");
        assert!(too_small.chi_squared > 2.0 * right.chi_squared, "{too_small:?}");
        assert!(too_large.chi_squared < 0.5 * right.chi_squared, "{too_large:?}");
    }

    /// Nothing is left to be chosen, so a strong prior is seen, and noise that is thought to be less than it is.
    #[test]
    fn a_known_error_of_the_model_leaves_the_fit_no_room() {
        let truth = ellipses(2, 64);
        let scan = |photons| {
            let simulation = Simulation { angles: 24, noise: 0.0, photons, parts: 3, ..Simulation::default() };
            Measurement::new(&simulate(&truth, 1.0, &simulation).unwrap()).unwrap()
        };
        let (exact, measurement) = (scan(None), scan(Some(1e6)));
        let model = exact.left_by(&truth).unwrap();
        let (prior, go_on) =
            (Prior::named("ellipses").unwrap(), &mut |_: super::super::Progress<'_>| ControlFlow::Continue(()));
        let placed = PlacedPrior::on_cpu(&prior);
        let mut fit = |measurement: &Measurement, alpha| {
            let own = SolvedSettings { alpha, ..SolvedSettings::default() };
            let settings = Settings::Solved(own);
            let image = reconstruct(measurement, &settings, Some(&placed), go_on).unwrap().image;
            let job = Job { measurement, settings: &settings };
            let fit = reduced_fit(job, &image, Some(&model), Some(&placed), go_on).unwrap().unwrap();
            println!("{fit:?}");
            assert_eq!(fit.model_share, 0.0, "{fit:?}");
            fit.chi_squared
        };
        let right = fit(&measurement, None);
        assert!((0.7..1.4).contains(&right), "{right}");
        let strong = fit(&measurement, Some(100.0 * measurement.noise_std.powi(2)));
        let noisier = Measurement {
            noise_std: measurement.noise_std / 3.0,
            model_std: measurement.model_std / 3.0,
            ..measurement
        };
        assert!(strong > 2.0 && fit(&noisier, None) > 2.0, "{strong}");
    }

    #[test]
    fn rays_that_were_not_measured_do_not_count() {
        let ray = |residual| Some(Ray { residual, noise: 1.0, model: 3.0 });
        let rays = [ray(2.0), None, ray(-2.0), None];
        assert!((mean_square(&rays, 0.0) - 4.0).abs() < 1e-12 && (mean_square(&rays, 1.0) - 1.0).abs() < 1e-12);
        assert!((model_share(&rays, 2.0) - 1.0 / 3.0).abs() < 1e-9 && model_share(&rays, 5.0) == 0.0);
        assert_eq!(model_share(&rays, 0.5), 1.0);
        assert_eq!(model_share(&rays.map(|ray| ray.map(|ray| Ray { model: 0.0, ..ray })), 0.5), 0.0);
        // No noise and no residual is no misfit.
        assert_eq!(mean_square(&[Some(Ray { residual: 0.0, noise: 0.0, model: 0.0 })], 0.0), 0.0);
    }
}
