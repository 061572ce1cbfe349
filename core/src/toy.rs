//! The two-dimensional experiment of \[FKD24, section 4.1\]: the smallest complete problem.
//!
//! `A = [[1, 1], [0, 0]]`, `y = (2, 0)`, a prior of five Gaussians under the variance-exploding kernel with
//! `sigma = 10`, and `f(x) = F(x, 1e-3)` with `F(x, t) = 0.01/2 |A x - y|^2 - 0.05 log p_t(x)`. Its global minimiser
//! is (1, 1).

use crate::diffusion::PerturbationKernel;
use crate::math::sqrt;
use crate::prior::{Component, GaussianMixture};
use crate::problem::{LinearModel, Problem};
use crate::schedule::{Homotopy, Level, RegularisationWeight, Schedule, Spacing};
use crate::solver::{Backtracking, FlowStep, GradientLike, GraduatedFlow, SettingsError, StepCandidate};
use core::fmt;

/// The smallest level, at which `f` is defined.
pub const T_MIN: f32 = 1e-3;
/// The global minimiser of `f`.
pub const MINIMISER: [f32; 2] = [1.0, 1.0];
/// A trajectory has reached the minimiser within this distance.
pub const REACHED: f32 = 0.1;
/// An iterate is stationary when `|grad f|` is at most this.
pub const STATIONARY: f32 = 0.1;

/// Weight of `1/2 |A x - y|^2`.
pub const DATA_WEIGHT: f32 = 0.01;
/// Weight of `-log p_t`, at every level.
pub const PRIOR_WEIGHT: f32 = 0.05;
/// The only datum: `x_0 + x_1` was measured as this.
pub const SUM: f32 = 2.0;
/// The diffusion of the prior.
pub const KERNEL: PerturbationKernel = PerturbationKernel::VarianceExploding { sigma: 10.0 };
/// The steps of the gradient-like method: `0.9^l`, `l` from 0 to 9.
pub const BACKTRACKING: Backtracking = Backtracking { sufficient_decrease: 1e-3, shrink: 0.9, max_trials: 10 };
/// The prior at `t = 0`.
pub const PRIOR: [Component<2>; 5] = [
    component([1.0, 1.0], 0.1),
    component([-8.084_627, 2.283_144], 1.423_194_8),
    component([-8.853_446, 1.314_28], 0.410_068_4),
    component([0.664_578_7, -2.198_983_4], 0.615_565_54),
    component([8.176_97, 0.667_368_2], 1.961_718_1),
];

const fn component(mean: [f32; 2], variance: f32) -> Component<2> {
    Component { weight: 0.2, mean, variance }
}

/// The problem.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Toy {
    prior: GaussianMixture<5, 2>,
}

impl Toy {
    /// The problem of the paper.
    #[must_use]
    pub fn new() -> Self {
        Self { prior: GaussianMixture::known(PRIOR, KERNEL) }
    }

    /// `f(x)`, up to a constant.
    #[must_use]
    pub fn objective(&self, x: &[f32; 2]) -> f32 {
        let residual = x[0] + x[1] - SUM;
        0.5 * DATA_WEIGHT * residual * residual + PRIOR_WEIGHT * self.prior.energy(x, T_MIN)
    }
}

impl Default for Toy {
    fn default() -> Self {
        Self::new()
    }
}

/// True where `x` is within [`REACHED`] of the minimiser.
#[must_use]
pub fn has_reached_minimiser(x: &[f32; 2]) -> bool {
    let ([x0, x1], [m0, m1]) = (x, MINIMISER);
    sqrt((x0 - m0) * (x0 - m0) + (x1 - m1) * (x1 - m1)) <= REACHED
}

/// The levels from `t_max` down to [`T_MIN`], equally spaced.
///
/// # Errors
/// When there are no such levels.
pub fn schedule(t_max: f32, len: u32) -> Result<Schedule, SettingsError> {
    Ok(Schedule::new(Spacing::Linear, t_max, T_MIN, len)?)
}

fn homotopy(t_max: f32, len: u32) -> Result<Homotopy, SettingsError> {
    Ok(Homotopy { schedule: schedule(t_max, len)?, weight: RegularisationWeight::Constant(PRIOR_WEIGHT) })
}

/// Algorithm 1 with the constant step 1 over `len` levels from `t_max` down, as in the paper (`len` = 1300).
///
/// # Errors
/// When the schedule is impossible.
pub fn graduated_flow(t_max: f32, len: u32) -> Result<GraduatedFlow, SettingsError> {
    GraduatedFlow::new(homotopy(t_max, len)?, FlowStep::Constant(1.0))
}

/// Algorithm 2 with the steps of [`BACKTRACKING`] over `len` levels from `t_max` down, as in the paper.
///
/// # Errors
/// When the schedule is impossible.
pub fn gradient_like(t_max: f32, len: u32) -> Result<GradientLike, SettingsError> {
    GradientLike::new(homotopy(t_max, len)?, StepCandidate::Constant(1.0), BACKTRACKING, 0.0)
}

/// A slice is not a point of the plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotPlanar;

impl fmt::Display for NotPlanar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the toy problem takes points of two coordinates")
    }
}

impl core::error::Error for NotPlanar {}

fn point(x: &[f32]) -> Result<&[f32; 2], NotPlanar> {
    x.try_into().map_err(|_| NotPlanar)
}

impl Problem for Toy {
    type Error = NotPlanar;

    fn dimension(&self) -> usize {
        2
    }

    fn gradient(&mut self, x: &[f32], level: Level, out: &mut [f32]) -> Result<(), NotPlanar> {
        let x = point(x)?;
        let data = DATA_WEIGHT * (x[0] + x[1] - SUM);
        let score = self.prior.score(x, level.t);
        out.iter_mut().zip(score).for_each(|(out, score)| *out = data - level.prior_weight * score);
        Ok(())
    }

    fn change(&mut self, x: &[f32], d: &[f32], step: f32, level: Level) -> Result<f32, NotPlanar> {
        let (x, d) = (point(x)?, point(d)?);
        let (residual, growth) = (x[0] + x[1] - SUM, step * (d[0] + d[1]));
        let data = 0.5 * DATA_WEIGHT * growth * (2.0 * residual + growth);
        Ok(data + level.prior_weight * self.prior.energy_change(x, d, step, level.t))
    }

    fn linear_model(&mut self) -> Option<&mut dyn LinearModel<Error = NotPlanar>> {
        Some(self)
    }
}

impl LinearModel for Toy {
    fn data_gradient(&mut self, x: &[f32], out: &mut [f32]) -> Result<(), NotPlanar> {
        let x = point(x)?;
        out.fill(DATA_WEIGHT * (x[0] + x[1] - SUM));
        Ok(())
    }

    /// The mixture has no symmetry but the trivial one.
    fn prior_gradient(&mut self, x: &[f32], level: Level, _turn: u32, out: &mut [f32]) -> Result<(), NotPlanar> {
        let score = self.prior.score(point(x)?, level.t);
        out.iter_mut().zip(score).for_each(|(out, score)| *out = -score);
        Ok(())
    }

    fn normal(&mut self, p: &[f32], out: &mut [f32]) -> Result<(), NotPlanar> {
        let p = point(p)?;
        out.fill(DATA_WEIGHT * (p[0] + p[1]));
        Ok(())
    }
}
