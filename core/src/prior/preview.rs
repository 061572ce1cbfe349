//! The score of a Gaussian mixture for previews, with a fast approximate exponential.

use super::gaussian_mixture::{Component, Diffused, GaussianMixture, offsets};

/// A mixture at one level, ready for many points: the components' logarithms are computed once.
///
/// `e^x` comes from `micromath`, which is off by up to 0.2 % here. The score `s`, the mean of the components' scores
/// `s_k` with their shares `q_k`, is therefore off by up to 0.2 % of `sum_k q_k |s_k - s|`, which vanishes where one
/// component has all the share, and by the rounding of plain `f32` sums.
///
/// For pictures on a display while a scan runs, by [`crate::GraduatedFlow`] with constant steps. There is no energy:
/// the test of Armijo looks at differences far below 0.2 %, and would certify steps that do not descend.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Preview<'a, const K: usize, const D: usize> {
    components: &'a [Component<D>; K],
    diffused: [Diffused; K],
}

impl<const K: usize, const D: usize> GaussianMixture<K, D> {
    /// The mixture at level `t`, for previews.
    #[must_use]
    pub fn preview(&self, t: f32) -> Preview<'_, K, D> {
        Preview { components: &self.components, diffused: self.diffused(t) }
    }
}

impl<const K: usize, const D: usize> Preview<'_, K, D> {
    /// `grad_x log p_t(x)`, approximately.
    #[must_use]
    pub fn score(&self, x: &[f32; D]) -> [f32; D] {
        let mut exponents = [0.0; K];
        for (exponent, (component, at)) in exponents.iter_mut().zip(self.components.iter().zip(&self.diffused)) {
            let distance_sq: f32 = offsets(x, component, at).map(|offset| offset * offset).sum();
            *exponent = at.ln_peak - 0.5 * distance_sq / at.variance;
        }
        let largest = exponents.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (mut score, mut total) = ([0.0; D], 0.0);
        for (exponent, (component, at)) in exponents.iter().zip(self.components.iter().zip(&self.diffused)) {
            let share = micromath::F32(*exponent - largest).exp().0;
            total += share;
            for (s, offset) in score.iter_mut().zip(offsets(x, component, at)) {
                *s -= share * offset / at.variance;
            }
        }
        score.map(|s| s / total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PerturbationKernel;
    use proptest::prelude::*;

    const MIXTURE: [Component<2>; 3] = [
        Component { weight: 0.2, mean: [1.0, -1.0], variance: 0.1 },
        Component { weight: 0.5, mean: [-2.0, 0.5], variance: 0.7 },
        Component { weight: 0.3, mean: [4.0, 3.0], variance: 2.0 },
    ];

    /// Exact score, and `sum_k q_k |s_k - s|` coordinate by coordinate, in f64.
    fn exact(x: [f64; 2], diffused: &[Diffused; 3]) -> [(f64, f64); 2] {
        let part = |k: usize, axis: usize| {
            let at = diffused[k];
            f64::from(at.scale) * f64::from(MIXTURE[k].mean[axis]) - x[axis]
        };
        let exponent = |k: usize| {
            let distance_sq = part(k, 0) * part(k, 0) + part(k, 1) * part(k, 1);
            f64::from(diffused[k].ln_peak) - 0.5 * distance_sq / f64::from(diffused[k].variance)
        };
        let largest = [0, 1, 2].map(exponent).into_iter().fold(f64::NEG_INFINITY, f64::max);
        let shares = [0, 1, 2].map(|k| (exponent(k) - largest).exp());
        let total: f64 = shares.iter().sum();
        [0, 1].map(|axis| {
            let scores = [0, 1, 2].map(|k| part(k, axis) / f64::from(diffused[k].variance));
            let mean = scores.iter().zip(shares).map(|(s, q)| s * q / total).sum::<f64>();
            let spread = scores.iter().zip(shares).map(|(s, q)| (s - mean).abs() * q / total).sum();
            (mean, spread)
        })
    }

    proptest! {
        #[test]
        fn the_score_keeps_the_error_that_is_stated(x0 in -9.0_f32..9.0, x1 in -9.0_f32..9.0, t in 1e-3_f32..1.0) {
            let mixture = GaussianMixture::new(MIXTURE, PerturbationKernel::VP).unwrap();
            let preview = mixture.preview(t);
            let wanted = exact([f64::from(x0), f64::from(x1)], &preview.diffused);
            for (found, (score, spread)) in preview.score(&[x0, x1]).into_iter().zip(wanted) {
                let rounding = 1e-4 * (1.0 + score.abs());
                let error = (f64::from(found) - score).abs();
                prop_assert!(error <= 0.002 * spread + rounding, "{found} {score} {spread}");
            }
        }
    }
}
