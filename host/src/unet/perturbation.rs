//! The perturbation of images at one smoothing level, in f64, and the scalars by which h follows from the network's
//! output.

use super::architecture::{Parametrisation, PerturbationKernelSpec};

/// The perturbation kernel at one smoothing level t: x_t ~ N(`mean_scale` x_0, `std`^2 I).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Perturbation {
    /// gamma_t.
    pub mean_scale: f64,
    /// nu_t.
    pub std: f64,
}

impl PerturbationKernelSpec {
    /// The kernel at smoothing level `t` \[SSK21, eq. 33\]; `expm1` keeps nu_t exact as t goes to 0.
    #[must_use]
    pub fn at(&self, t: f64) -> Perturbation {
        let Self::Vp { beta_min, beta_max } = *self;
        let log_mean_scale = -t * t * (beta_max - beta_min) / 4.0 - t * beta_min / 2.0;
        Perturbation { mean_scale: log_mean_scale.exp(), std: (-(2.0 * log_mean_scale).exp_m1()).sqrt() }
    }

    /// The same kernel as the solver knows it.
    #[must_use]
    pub fn for_solver(&self) -> gradus_core::PerturbationKernel {
        let Self::Vp { beta_min, beta_max } = *self;
        gradus_core::PerturbationKernel::VariancePreserving { beta_min: beta_min as f32, beta_max: beta_max as f32 }
    }
}

/// The parametrisation at one t as four scalars:
///
/// ```text
/// x_in = input_scale x + input_shift,   h = skip x_in + output U(x_in, t),
/// J_h^T v = input_scale (skip v + J_U^T (output v)).
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EnergyScales {
    /// Factor on the image before the network.
    pub input_scale: f64,
    /// Added to the scaled image.
    pub input_shift: f64,
    /// Factor on the network's input in h.
    pub skip: f64,
    /// Factor on the network's output in h.
    pub output: f64,
}

/// A forward pass, its tangent, or the vjp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From x to h.
    Forward,
    /// From v to `J_h^T v`.
    Vjp,
    /// From v to `J_h v`.
    Tangent,
}

/// The network's input for an image: scale image + shift.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entrance {
    pub(crate) scale: f32,
    pub(crate) shift: f32,
}

/// The image that follows from the tensor u that leaves the network: on_tensor u + (on_image image + constant), with
/// the image that entered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exit {
    pub(crate) on_tensor: f32,
    pub(crate) on_image: f32,
    pub(crate) constant: f32,
}

impl EnergyScales {
    /// The map of an image on its way into the network.
    pub(crate) fn entrance(&self, direction: Direction) -> Entrance {
        let (scale, shift) = match direction {
            Direction::Forward => (self.input_scale, self.input_shift),
            Direction::Tangent => (self.input_scale, 0.0),
            Direction::Vjp => (self.output, 0.0),
        };
        Entrance { scale: scale as f32, shift: shift as f32 }
    }

    /// The map of the network's last tensor on its way out.
    pub(crate) fn exit(&self, direction: Direction) -> Exit {
        let (on_tensor, constant) = match direction {
            Direction::Forward => (self.output, self.skip * self.input_shift),
            Direction::Tangent => (self.output, 0.0),
            Direction::Vjp => (self.input_scale, 0.0),
        };
        Exit { on_tensor: on_tensor as f32, on_image: (self.skip * self.input_scale) as f32, constant: constant as f32 }
    }

    /// The four scalars of `parametrisation` under a perturbation.
    #[must_use]
    pub fn new(parametrisation: &Parametrisation, perturbation: Perturbation) -> Self {
        match *parametrisation {
            Parametrisation::Norm => {
                Self { input_scale: 1.0, input_shift: 0.0, skip: 0.0, output: 1.0 / perturbation.std.sqrt() }
            }
            Parametrisation::Residual { data_mean, data_std } => {
                let Perturbation { mean_scale, std } = perturbation;
                let sigma = std / mean_scale;
                let spread = sigma.hypot(data_std);
                Self {
                    input_scale: 1.0 / (mean_scale * spread),
                    input_shift: -data_mean / spread,
                    skip: sigma / spread,
                    output: -data_std / spread,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VP: PerturbationKernelSpec = PerturbationKernelSpec::Vp { beta_min: 0.1, beta_max: 20.0 };

    #[test]
    fn kernel_preserves_variance_and_is_exact_near_zero() {
        for t in [1e-9, 1e-3, 0.1, 0.5, 1.0] {
            let k = VP.at(t);
            assert!((k.mean_scale.powi(2) + k.std.powi(2) - 1.0).abs() < 1e-14);
        }
        // nu_t^2 = t beta_min + O(t^2).
        assert!((VP.at(1e-12).std.powi(2) / 1e-13 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn residual_scales_match_the_denoiser_formula() {
        let (mean, std, x, u) = (0.15, 0.25, 0.7, -0.3);
        let k = VP.at(0.3);
        let scales = EnergyScales::new(&Parametrisation::Residual { data_mean: mean, data_std: std }, k);
        let h = scales.skip * (scales.input_scale * x + scales.input_shift) + scales.output * u;
        let (scaled, sigma) = (x / k.mean_scale, k.std / k.mean_scale);
        let total = sigma * sigma + std * std;
        let denoised = mean + std * std / total * (scaled - mean) + sigma * std / total.sqrt() * u;
        assert!((h - (scaled - denoised) / sigma).abs() < 1e-12);
    }
}
