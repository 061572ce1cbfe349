//! Perturbation kernels: how an image is blurred by noise at time `t`.
//!
//! `x_t | x_0 ~ N(mean_scale(t) x_0, std(t)^2 I)` \[FKD24, section 2; SSK21, appendix B\]. Times are unitless, 0 is the
//! clean image.

use crate::math::{exp, exp_m1, ln, sqrt};
use crate::words::words;

/// The transition kernel of the forward diffusion.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PerturbationKernel {
    /// Variance preserving: `ln gamma_t = -t^2 (beta_max - beta_min)/4 - t beta_min/2`, `nu_t^2 = 1 - gamma_t^2`.
    VariancePreserving {
        /// Noise rate at `t = 0`; 0.1 in the literature.
        beta_min: f32,
        /// Noise rate at `t = 1`; 20 in the literature.
        beta_max: f32,
    },
    /// Variance exploding: `gamma_t = 1`, `nu_t^2 = (sigma^(2t) - 1)/(2 ln sigma)`.
    VarianceExploding {
        /// Growth of the noise, above 1.
        sigma: f32,
    },
}

impl PerturbationKernel {
    /// The kernel of the trained models: variance preserving with rates 0.1 and 20.
    pub const VP: Self = Self::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

    fn ln_mean_scale(self, t: f32) -> f32 {
        match self {
            Self::VariancePreserving { beta_min, beta_max } => -t * (0.25 * t * (beta_max - beta_min) + 0.5 * beta_min),
            Self::VarianceExploding { .. } => 0.0,
        }
    }

    /// `gamma_t`, the factor of the clean image.
    #[must_use]
    pub fn mean_scale(self, t: f32) -> f32 {
        exp(self.ln_mean_scale(t))
    }

    /// `nu_t^2`, the variance of the noise.
    #[must_use]
    pub fn variance(self, t: f32) -> f32 {
        match self {
            Self::VariancePreserving { .. } => -exp_m1(2.0 * self.ln_mean_scale(t)),
            Self::VarianceExploding { sigma } => {
                let rate = 2.0 * ln(sigma);
                exp_m1(rate * t) / rate
            }
        }
    }

    /// `nu_t`, the standard deviation of the noise.
    #[must_use]
    pub fn std(self, t: f32) -> f32 {
        sqrt(self.variance(t))
    }
}

words!(enum PerturbationKernel {
    0 = VariancePreserving { beta_min: beta_min, beta_max: beta_max },
    1 = VarianceExploding { sigma: sigma }
});

#[cfg(test)]
mod tests {
    use super::*;

    fn f64_reference(kernel: PerturbationKernel, t: f64) -> (f64, f64) {
        match kernel {
            PerturbationKernel::VariancePreserving { beta_min, beta_max } => {
                let (b0, b1) = (f64::from(beta_min), f64::from(beta_max));
                let ln_gamma = -t * t * (b1 - b0) / 4.0 - t * b0 / 2.0;
                (ln_gamma.exp(), -(2.0 * ln_gamma).exp_m1())
            }
            PerturbationKernel::VarianceExploding { sigma } => {
                let rate = 2.0 * f64::from(sigma).ln();
                (1.0, (rate * t).exp_m1() / rate)
            }
        }
    }

    #[test]
    fn both_kernels_agree_with_f64_to_a_few_ulp_down_to_tiny_times() {
        for kernel in [PerturbationKernel::VP, PerturbationKernel::VarianceExploding { sigma: 10.0 }] {
            for t in [1e-6_f32, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0] {
                let (gamma, variance) = f64_reference(kernel, f64::from(t));
                assert!((f64::from(kernel.mean_scale(t)) / gamma - 1.0).abs() < 1e-6);
                assert!((f64::from(kernel.variance(t)) / variance - 1.0).abs() < 1e-6, "{kernel:?} {t}");
            }
        }
    }
}
