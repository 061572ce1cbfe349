//! A mixture of isotropic Gaussians, diffused exactly.

use crate::diffusion::PerturbationKernel;
use crate::math::{exp, exp_m1, ln, ln_1p, sum};
use core::f32::consts::TAU;
use core::fmt;

/// One Gaussian `N(mean, variance I)` in `D` dimensions.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Component<const D: usize> {
    /// Weight; the weights of a mixture need not add up to one.
    pub weight: f32,
    /// Mean.
    pub mean: [f32; D],
    /// Variance along each axis.
    pub variance: f32,
}

/// A mixture of `K` isotropic Gaussians in `D` dimensions under a perturbation kernel.
///
/// Diffused to time `t`, component `k` is `N(gamma_t m_k, (gamma_t^2 v_k + nu_t^2) I)`, so density, energy and score
/// are exact at every level.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GaussianMixture<const K: usize, const D: usize> {
    pub(super) components: [Component<D>; K],
    kernel: PerturbationKernel,
}

/// Reasons for which a mixture cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MixtureError {
    /// There is no component, or no dimension.
    Empty,
    /// A weight or a variance is not positive and finite.
    NotPositive,
    /// A mean is not finite.
    NotFinite,
}

impl fmt::Display for MixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a mixture needs at least one component and one dimension",
            Self::NotPositive => "weights and variances of a mixture must be positive and finite",
            Self::NotFinite => "means of a mixture must be finite",
        })
    }
}

impl core::error::Error for MixtureError {}

/// A component at time `t`.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Diffused {
    /// `gamma_t`.
    pub(super) scale: f32,
    pub(super) variance: f32,
    /// `ln(weight) - D/2 ln(2 pi variance)`.
    pub(super) ln_peak: f32,
}

impl<const K: usize, const D: usize> GaussianMixture<K, D> {
    /// A mixture of `components`, diffused by `kernel`.
    ///
    /// # Errors
    /// [`MixtureError`]: no component, or a weight, a mean or a variance that makes no sense.
    pub fn new(components: [Component<D>; K], kernel: PerturbationKernel) -> Result<Self, MixtureError> {
        if K == 0 || D == 0 {
            return Err(MixtureError::Empty);
        }
        let positive = |value: f32| value > 0.0 && value.is_finite();
        if !components.iter().all(|c| positive(c.weight) && positive(c.variance)) {
            return Err(MixtureError::NotPositive);
        }
        if !components.iter().flat_map(|c| &c.mean).all(|m| m.is_finite()) {
            return Err(MixtureError::NotFinite);
        }
        Ok(Self { components, kernel })
    }

    /// A mixture of components that are known to be valid.
    pub(crate) const fn known(components: [Component<D>; K], kernel: PerturbationKernel) -> Self {
        Self { components, kernel }
    }

    pub(super) fn diffused(&self, t: f32) -> [Diffused; K] {
        let (scale, noise) = (self.kernel.mean_scale(t), self.kernel.variance(t));
        let half_dimension = 0.5 * sum([1.0; D]);
        self.components.map(|component| {
            let variance = scale * scale * component.variance + noise;
            Diffused { scale, variance, ln_peak: ln(component.weight) - half_dimension * ln(TAU * variance) }
        })
    }

    /// Logarithm of each weighted component at `x`.
    fn exponents(&self, x: &[f32; D], diffused: &[Diffused; K]) -> [f32; K] {
        let mut exponents = [0.0; K];
        let terms = self.components.iter().zip(diffused);
        for (exponent, (component, at)) in exponents.iter_mut().zip(terms) {
            let distance_sq = sum(offsets(x, component, at).map(|offset| offset * offset));
            *exponent = at.ln_peak - 0.5 * distance_sq / at.variance;
        }
        exponents
    }

    /// Logarithm of the mixture's density up to the constant of the weights, and each component's share of it.
    fn shares(&self, x: &[f32; D], diffused: &[Diffused; K]) -> (f32, [f32; K]) {
        let mut shares = self.exponents(x, diffused);
        // log-sum-exp: the largest exponent is taken out, so that nothing overflows and one term is exp(0).
        let largest = greatest(&shares);
        shares.iter_mut().for_each(|share| *share = exp(*share - largest));
        let total = sum(shares);
        shares.iter_mut().for_each(|share| *share /= total);
        (largest + ln(total), shares)
    }

    /// `-log p_t(x)`, up to the logarithm of the sum of the weights.
    #[must_use]
    pub fn energy(&self, x: &[f32; D], t: f32) -> f32 {
        -self.shares(x, &self.diffused(t)).0
    }

    /// `grad_x log p_t(x)`.
    #[must_use]
    pub fn score(&self, x: &[f32; D], t: f32) -> [f32; D] {
        let diffused = self.diffused(t);
        let (_, shares) = self.shares(x, &diffused);
        let mut score = [0.0; D];
        for (share, (component, at)) in shares.iter().zip(self.components.iter().zip(&diffused)) {
            for (s, offset) in score.iter_mut().zip(offsets(x, component, at)) {
                *s -= share * offset / at.variance;
            }
        }
        score
    }

    /// `-log p_t(x + step d) + log p_t(x)`, without the cancellation of subtracting two energies.
    ///
    /// With the shares `q_k` at `x` and the change `delta_k` of each exponent it is `-ln sum_k e^(ln q_k + delta_k)`,
    /// and near zero `-ln(1 + sum_k q_k (e^(delta_k) - 1))`. The shares are logarithms, because one that is nothing at
    /// `x` may be all there is at `x + step d`.
    #[must_use]
    pub fn energy_change(&self, x: &[f32; D], d: &[f32; D], step: f32, t: f32) -> f32 {
        let diffused = self.diffused(t);
        let mut ln_shares = self.exponents(x, &diffused);
        let largest = greatest(&ln_shares);
        let ln_total = ln(sum(ln_shares.iter().map(|exponent| exp(exponent - largest))));
        ln_shares.iter_mut().for_each(|exponent| *exponent = (*exponent - largest) - ln_total);
        let (mut growths, mut moved) = ([0.0; K], ln_shares);
        let terms = self.components.iter().zip(&diffused).zip(&ln_shares);
        for ((growth, moved), ((component, at), ln_share)) in growths.iter_mut().zip(&mut moved).zip(terms) {
            // |a + step d|^2 - |a|^2 = step <d, 2 a + step d>
            let longer = sum(offsets(x, component, at).zip(d).map(|(offset, d)| d * (2.0 * offset + step * d)));
            let delta = -0.5 * step * longer / at.variance;
            *moved += delta;
            let share = exp(*ln_share);
            // Beyond 1/2 nothing cancels, and the first form knows shares that underflow.
            *growth = if delta > 0.5 { exp(*moved) - share } else { share * exp_m1(delta) };
        }
        let growth = sum(growths);
        if growth.abs() < 0.5 {
            return -ln_1p(growth);
        }
        let largest = greatest(&moved);
        -largest - ln(sum(moved.iter().map(|exponent| exp(exponent - largest))))
    }
}

fn greatest(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// `x - gamma_t m`, coordinate by coordinate.
pub(super) fn offsets<'a, const D: usize>(
    x: &'a [f32; D],
    component: &'a Component<D>,
    at: &Diffused,
) -> impl Iterator<Item = f32> + 'a {
    let scale = at.scale;
    x.iter().zip(&component.mean).map(move |(x, mean)| x - scale * mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mixture() -> GaussianMixture<3, 2> {
        let component = |weight, mean, variance| Component { weight, mean, variance };
        let components =
            [component(0.2, [1.0, -1.0], 0.1), component(0.5, [-2.0, 0.5], 0.7), component(0.3, [4.0, 3.0], 2.0)];
        GaussianMixture::new(components, PerturbationKernel::VP).unwrap()
    }

    /// The same density in f64, written down from its definition.
    fn energy_f64(m: &GaussianMixture<3, 2>, x: [f64; 2], t: f64) -> f64 {
        let ln_gamma = -t * t * 19.9 / 4.0 - t * 0.05;
        let (gamma, noise) = (ln_gamma.exp(), -(2.0 * ln_gamma).exp_m1());
        let density: f64 = m
            .components
            .iter()
            .map(|c| {
                let v = gamma * gamma * f64::from(c.variance) + noise;
                let r: f64 = x.iter().zip(c.mean).map(|(x, mean)| (x - gamma * f64::from(mean)).powi(2)).sum();
                f64::from(c.weight) * (-0.5 * r / v).exp() / (core::f64::consts::TAU * v)
            })
            .sum();
        -density.ln()
    }

    #[test]
    fn far_away_nothing_overflows() {
        let m = mixture();
        let x = [1e6, -1e6];
        assert!(m.energy(&x, 1e-3).is_finite() && m.score(&x, 1e-3).iter().all(|s| s.is_finite()));
        assert!(m.energy_change(&x, &[-1.0, 1.0], 1e6, 1e-3).is_finite());
    }

    /// The component that holds x after the step has a share of e^-2000 or so before it.
    #[test]
    fn a_component_may_come_from_nothing() {
        let (m, x, d, t) = (mixture(), [-5.080_468_7, 0.3], [0.670_217_6, -0.1], 1e-3);
        let step = exp(0.997_391_46 * core::f32::consts::LN_10);
        let moved = [x[0] + step * d[0], x[1] + step * d[1]].map(f64::from);
        let wanted = energy_f64(&m, moved, t.into()) - energy_f64(&m, x.map(f64::from), t.into());
        let found = m.energy_change(&x, &d, step, t);
        assert!((f64::from(found) / wanted - 1.0).abs() < 1e-4, "{found} {wanted}");
    }

    #[test]
    fn impossible_mixtures_are_refused() {
        let good = Component { weight: 1.0, mean: [0.0], variance: 1.0 };
        let build = |c| GaussianMixture::new([c], PerturbationKernel::VP);
        assert_eq!(build(Component { variance: 0.0, ..good }), Err(MixtureError::NotPositive));
        assert_eq!(build(Component { weight: f32::NAN, ..good }), Err(MixtureError::NotPositive));
        assert_eq!(build(Component { mean: [f32::INFINITY], ..good }), Err(MixtureError::NotFinite));
        assert!(matches!(GaussianMixture::<0, 1>::new([], PerturbationKernel::VP), Err(MixtureError::Empty)));
    }

    proptest! {
        #[test]
        fn energy_and_score_are_those_of_the_density(x0 in -6.0_f32..6.0, x1 in -6.0_f32..6.0, t in 1e-3_f32..1.0) {
            let (m, x) = (mixture(), [x0, x1]);
            let at = |dx: f64, dy: f64| energy_f64(&m, [f64::from(x0) + dx, f64::from(x1) + dy], f64::from(t));
            prop_assert!((f64::from(m.energy(&x, t)) - at(0.0, 0.0)).abs() < 1e-4);
            let h = 1e-5;
            let slopes = [at(h, 0.0) - at(-h, 0.0), at(0.0, h) - at(0.0, -h)].map(|d| d / (2.0 * h));
            for (score, slope) in m.score(&x, t).iter().zip(slopes) {
                prop_assert!((f64::from(*score) + slope).abs() < 1e-3 * (1.0 + slope.abs()), "{score} {slope}");
            }
        }

        #[test]
        fn energy_changes_keep_their_relative_accuracy(
            x0 in -6.0_f32..6.0, d0 in 0.2_f32..1.0, exponent in -6.0_f32..1.0, t in 1e-3_f32..1.0,
        ) {
            let (m, x, d) = (mixture(), [x0, 0.3], [d0, -0.1]);
            let step = exp(exponent * core::f32::consts::LN_10);
            let x64 = [f64::from(x0), f64::from(0.3_f32)];
            let moved = [x64[0] + f64::from(step) * f64::from(d0), x64[1] - f64::from(step) * f64::from(0.1_f32)];
            let wanted = energy_f64(&m, moved, f64::from(t)) - energy_f64(&m, x64, f64::from(t));
            let found = f64::from(m.energy_change(&x, &d, step, t));
            // Where the changes of coordinates or components cancel, what is left is known to the rounding of what is
            // added: a few units in the last place of each change, and of each share as many as its exponent is large.
            let diffused = m.diffused(t);
            let shares = m.shares(&x, &diffused).1;
            let added = shares.into_iter().zip(m.components.iter().zip(&diffused)).map(|(share, (component, at))| {
                let sizes = x.iter().zip(&component.mean).map(|(x, mean)| x.abs() + at.scale * mean.abs());
                let change = sum(sizes.zip(d).map(|(size, d)| d.abs() * (size + step * d.abs())));
                f64::from(share * step * change / at.variance)
            });
            let rounding = 1e-7 * (10.0 + energy_f64(&m, x64, f64::from(t)).abs()) * added.sum::<f64>();
            let tolerance = 2e-4 * wanted.abs() + rounding;
            prop_assert!((found - wanted).abs() < tolerance, "{found} {wanted}");
        }
    }
}
