//! The noise of line integrals: the statement of the scan, the evidence of its data, and the error of the model.

use crate::ct::{
    Geometry, differences_over, edge_shares, estimate_noise, means_by_taps, model_error, model_shares, noise_in_air,
    pixel_wide_taps,
};
use crate::data::scan::Scan;

/// A stated level that is so many times what the data show, or they show so many times it, is not believed.
const CONTRADICTION: f64 = 2.0;
/// An error of the model whose variance is less than this share of the noise's, in the harmonic mean of rays, is left
/// out: it changes hardly anything, and where noise prevails its estimate is uncertain.
const LEAST_MODEL_SHARE: f64 = 0.05;

/// A source of the level of the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseSource {
    /// The scan says it.
    Scan,
    /// The photon counts.
    Photons,
    /// Estimated from the sinogram.
    Estimated,
}

/// The variances of line integrals, in their units.
#[derive(Debug, Clone)]
pub struct RayVariances {
    /// Root of the mean variance of a line integral, the whole error of the model included.
    pub std: f64,
    /// The part of the model: pixels and bins have a size. 0 where it is small against the noise.
    pub model_std: f64,
    /// `std^2` over the variance of each line integral with its share of the model's error, `[angle][bin]`, where they
    /// differ.
    pub weights: Option<Vec<f32>>,
    /// The factor on each weight, at most 1, with the share of a ray along an edge
    /// ([`edge_shares`]); where the model's error counts.
    pub edges: Option<Vec<f32>>,
}

/// The noise of the line integrals of a scan, without unit as they are.
#[derive(Debug)]
pub(super) struct RayNoise {
    pub(super) variances: RayVariances,
    /// Those with the error of the model in their means over the width of a pixel, where bins are narrower.
    pub(super) pixel_wide: Option<RayVariances>,
    /// The noise that the data show over what is reckoned with.
    pub(super) shown: f64,
    pub(super) source: NoiseSource,
    /// The reason why the scan's own statement is not believed.
    pub(super) warning: Option<String>,
}

/// The variance of a line integral by its value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Law {
    /// The same for all, of this standard deviation.
    White(f64),
    /// So many photons a ray without object: the variance of -ln(counts/I_0) is about 1/counts = e^p/I_0.
    Counts(f64),
}

impl Law {
    fn variance(self, p: f32) -> f64 {
        match self {
            Self::White(std) => std * std,
            Self::Counts(photons) => f64::from(p).exp() / photons,
        }
    }

    /// The same law with `ratio` times its standard deviation.
    fn times(self, ratio: f64) -> Self {
        match self {
            Self::White(std) => Self::White(std * ratio),
            Self::Counts(photons) => Self::Counts(photons / (ratio * ratio)),
        }
    }
}

impl RayNoise {
    /// The noise of a scan: what it states, unless its data contradict that; what they show, where it states nothing;
    /// and the error of the model.
    pub(super) fn of(scan: &Scan) -> Self {
        let (stated, source) = match (scan.noise_std, scan.photons) {
            (Some(std), _) => (Law::White(std), NoiseSource::Scan),
            (None, Some(photons)) => (Law::Counts(photons), NoiseSource::Photons),
            (None, None) => {
                let estimated = estimate_noise(&scan.sinogram, scan.geometry.n_bins);
                return Self::by(Law::White(estimated), scan, NoiseSource::Estimated, None);
            }
        };
        if stated == Law::White(0.0) && has_noise(scan) {
            let estimated = Law::White(estimate_noise(&scan.sinogram, scan.geometry.n_bins));
            return Self::by(estimated, scan, NoiseSource::Estimated, Some(NOISY.to_owned()));
        }
        match contradiction(stated, scan) {
            Some(ratio) => Self::by(stated.times(ratio), scan, NoiseSource::Estimated, Some(warning(ratio))),
            None => Self::by(stated, scan, source, None),
        }
    }

    fn by(law: Law, scan: &Scan, source: NoiseSource, warning: Option<String>) -> Self {
        let taps = pixel_wide_taps(&scan.geometry);
        let (differences, air) = shown(law, scan);
        let of_ray = |k: usize| law.variance(scan.sinogram[k]);
        let variances = RayVariances::of(&scan.sinogram, &scan.geometry, &[1.0], of_ray);
        let pixel_wide = (taps.len() > 1).then(|| {
            let means = means_by_taps(&scan.sinogram, scan.geometry.n_bins, &taps);
            RayVariances::of(&means, &scan.geometry, &taps, of_ray)
        });
        Self { variances, pixel_wide, shown: differences.max(air.unwrap_or(0.0)), source, warning }
    }
}

impl RayVariances {
    /// Those of means by taps, by the variance of each bin.
    fn of(sinogram: &[f32], geometry: &Geometry, taps: &[f64], of_ray: impl Fn(usize) -> f64 + Copy) -> Self {
        let n = sinogram.len();
        let measured = (0..n).map(of_ray).sum::<f64>() / n as f64;
        let model_std = model_error(sinogram, geometry, taps, of_ray);
        // Rays that count much are those of little noise, where the error of the model is felt first.
        let felt = (0..n).map(|k| model_std * model_std / of_ray(k)).sum::<f64>() / n as f64;
        let model_std = if felt < LEAST_MODEL_SHARE { 0.0 } else { model_std };
        let variance = measured + model_std * model_std;
        let shares = model_shares(sinogram, geometry);
        let with_share = |(k, share): (usize, &f64)| of_ray(k) + share * model_std * model_std;
        let variances: Vec<f64> = shares.iter().enumerate().map(with_share).collect();
        let weights: Vec<f32> = variances.iter().map(|own| (variance / own) as f32).collect();
        let differ = variance > 0.0 && weights.iter().any(|weight| *weight != weights[0]);
        let weights = differ.then_some(weights);
        let edges = (model_std > 0.0).then(|| {
            let edges = edge_shares(sinogram, geometry, taps, of_ray);
            let factor = |(k, edge): (usize, &f64)| (variances[k] / with_share((k, &edge.max(shares[k])))) as f32;
            edges.iter().enumerate().map(factor).collect()
        });
        Self { std: variance.sqrt(), model_std, weights, edges }
    }

    /// The same for line integrals in other units.
    #[must_use]
    pub(super) fn times(self, factor: f64) -> Self {
        Self { std: self.std * factor, model_std: self.model_std * factor, ..self }
    }
}

/// Said where a scan states that it has no noise.
const NOISY: &str = "the scan states no noise, and the air beside its object has some: what the data show is used. \
                     Mend the scan's noise_std";
/// Scatter of air, over the largest line integral, that no rounding makes.
const ROUNDING: f64 = 1e-5;

/// True if the air beside the object scatters.
fn has_noise(scan: &Scan) -> bool {
    let largest = scan.sinogram.iter().fold(0.0_f32, |a, b| a.max(*b));
    noise_in_air(&scan.sinogram, scan.geometry.n_bins).is_some_and(|std| std > ROUNDING * f64::from(largest))
}

/// The photons of a free ray, where the scan states them and its data do not contradict that.
pub(super) fn believed_photons(scan: &Scan) -> Option<f64> {
    scan.photons.filter(|photons| contradiction(Law::Counts(*photons), scan).is_none())
}

/// The standard deviation that the data show over the one that is stated: by second differences along the detector,
/// and by the air beside the object, where there is any.
fn shown(stated: Law, scan: &Scan) -> (f64, Option<f64>) {
    let (sinogram, n_bins) = (&scan.sinogram, scan.geometry.n_bins);
    let air = noise_in_air(sinogram, n_bins).map(|std| std / stated.variance(0.0).sqrt());
    (differences_over(sinogram, n_bins, |ray| stated.variance(sinogram[ray])), air)
}

/// That ratio where it does not go with the statement.
///
/// Differences see the edges of the object as noise, and overlook noise that neighbouring bins share; air has neither
/// fault, but may have a table in it, or zeros for all that was negative. So less noise than stated is what air says,
/// unless differences have more; and more is what both say.
fn contradiction(stated: Law, scan: &Scan) -> Option<f64> {
    let (differences, air) = shown(stated, scan);
    let is_less = |ratio: f64| ratio > 0.0 && ratio * CONTRADICTION < 1.0;
    let is_more = |ratio: f64| ratio.is_finite() && ratio > CONTRADICTION;
    let less = air.map_or_else(|| is_less(differences), |air| is_less(air) && differences < 1.0);
    let more = is_more(differences) && air.is_some_and(is_more);
    (less || more).then(|| air.unwrap_or(differences))
}

fn warning(ratio: f64) -> String {
    let (factor, than) = if ratio < 1.0 { (1.0 / ratio, "less") } else { (ratio, "more") };
    let times = if ratio < 0.1 { format!("{ratio:.1e}") } else { format!("{ratio:.2}") };
    format!(
        "the data show {factor:.1} times {than} noise than the scan states; what they show is used. Mend the scan's \
         noise_std or photons, or give --noise-times {times}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};

    fn scan(photons: Option<f64>, noise: f64) -> Scan {
        simulate(&ellipses(101, 128), 1.0, &Simulation { photons, noise, ..Simulation::default() }).unwrap()
    }

    #[test]
    fn a_level_is_believed_unless_the_data_contradict_it() {
        for right in [scan(None, 0.1), scan(None, 0.003), scan(Some(1e3), 0.0), scan(Some(1e6), 0.0)] {
            let found = RayNoise::of(&right);
            assert!(found.warning.is_none() && found.source != NoiseSource::Estimated, "{:?}", found.warning);
            let with = |factor: f64| Scan {
                noise_std: right.noise_std.map(|std| factor * std),
                photons: right.photons.map(|photons| photons / (factor * factor)),
                ..right.clone()
            };
            for factor in [0.1, 1.0 / 3.0, 3.0, 10.0] {
                let told = RayNoise::of(&with(factor));
                assert!(told.warning.is_some() && told.source == NoiseSource::Estimated, "{factor}");
                assert!(
                    (told.variances.std / found.variances.std - 1.0).abs() < 0.1,
                    "{} for {}",
                    told.variances.std,
                    found.variances.std
                );
            }
            assert!(RayNoise::of(&with(1.4)).warning.is_none());
        }
    }

    /// A noise of 0 is as wrong a statement as any other; without noise it is right.
    #[test]
    fn no_noise_is_contradicted_by_air_that_scatters() {
        let noisy = scan(None, 0.1);
        let told = RayNoise::of(&Scan { noise_std: Some(0.0), ..noisy.clone() });
        let right = noisy.noise_std.unwrap();
        assert!((told.variances.std / right - 1.0).abs() < 0.1, "{}", told.variances.std);
        assert!(told.warning.unwrap().contains("states no noise"));
        assert!(RayNoise::of(&scan(None, 0.0)).warning.is_none());
    }

    /// A slice of air without noise has neither variance nor weights.
    #[test]
    fn an_empty_slice_has_no_weights() {
        let mut empty = scan(None, 0.0);
        empty.sinogram.fill(0.0);
        let found = RayNoise::of(&empty).variances;
        assert!(found.weights.is_none() && found.std == 0.0 && found.model_std == 0.0, "{found:?}");
    }

    #[test]
    fn the_model_has_an_error_that_better_data_show() {
        let at = |photons| RayNoise::of(&scan(Some(photons), 0.0)).variances;
        assert_eq!(at(1e2).model_std, 0.0);
        let (good, better) = (at(1e5), at(1e6));
        assert!(better.model_std > 0.0 && (good.model_std / better.model_std - 1.0).abs() < 0.1);
        // Rays through air count more than those through the object.
        for photons in [Some(1e6), None] {
            let scan = scan(photons, 0.0);
            let weights = RayNoise::of(&scan).variances.weights.unwrap();
            let largest = scan.sinogram.iter().fold(0.0_f32, |a, b| a.max(*b));
            let mean = |is: &dyn Fn(f32) -> bool| {
                let chosen: Vec<f32> =
                    scan.sinogram.iter().zip(&weights).filter(|(p, _)| is(**p)).map(|(_, weight)| *weight).collect();
                chosen.iter().sum::<f32>() / chosen.len() as f32
            };
            let (air, object) = (mean(&|p| p < 0.01 * largest), mean(&|p| p > 0.7 * largest));
            assert!(air > 4.0 * object, "{air} for {object}");
        }
        assert!(RayNoise::of(&scan(None, 0.1)).variances.weights.is_none());
        assert_eq!(RayNoise::of(&scan(None, 0.1)).variances.model_std, 0.0);
        assert!(RayNoise::of(&scan(None, 0.0)).variances.std > 0.0);
    }
}
