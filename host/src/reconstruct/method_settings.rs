//! The settings of each method, with their defaults.

use crate::backend::Drift;
use crate::ct::Window;
use serde::{Deserialize, Serialize};

/// The start of a learned method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Standard normal noise, from the seed.
    Noise,
    /// The filtered backprojection.
    Fbp,
    /// The zero image.
    Zeros,
}

/// The rule for the weight of the prior, if that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightRule {
    /// The variance of the noise, as in the posterior density, and a smaller share of it the fewer views there are.
    #[serde(alias = "posterior")]
    Noise,
    /// So that the image explains the data as well as the noise allows: the discrepancy principle. Takes up to eight
    /// runs more.
    Discrepancy,
    /// So that the image without every fifth view foretells those views best. Takes up to five runs more.
    HeldOut,
}

/// The default method, which solves for its directions. A level `t` stands for noise of standard deviation
/// `nu_t/gamma_t` in network units: 0.5 for 3.4, 0.26 for 1, 0.02 for 0.08, 0.001 for 0.01.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SolvedSettings {
    /// Seed of the starting noise, and of that of restarts.
    pub seed: u64,
    /// Starting point.
    pub start: Start,
    /// Weight `alpha` of the prior. Without it, by `weight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The rule for it otherwise.
    pub weight: WeightRule,
    /// Number of levels, one iteration each. Without it as many as the prior's weights name, or
    /// [`SolvedSettings::STEPS`], and up to 2.75 times as many where there is little noise or few views, four times as
    /// many where views over part of a turn leave a wedge out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// First smoothing level. Without it [`SolvedSettings::T_MAX`], and [`SolvedSettings::T_MAX_OF_PART`] where views
    /// leave a wedge out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_max: Option<f64>,
    /// Last smoothing level, at which the objective is defined.
    pub t_min: f64,
    /// Conjugate gradient steps in each iteration, at least. Without it what scans of much noise need,
    /// [`SolvedSettings::SOLVE_STEPS`], and five times as many where views leave a wedge out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solve_steps: Option<u32>,
    /// The same at most, where the residual of the linear system has not come down before.
    pub solve_most: u32,
    /// The residual of a linear system over what it is at first, from which on it counts as solved.
    pub solve_tolerance: f64,
    /// Levels at the end whose steps the objective tests. Those before are the approach, which chooses where the
    /// descent starts.
    pub tested_steps: u32,
    /// Stop when the gradient norm is at most this.
    pub tolerance: f64,
    /// The share of the way from the iterate before to the denoised image by which the approach goes on beyond it.
    /// Without it what the prior's weights name, or 0, and less where there are many views.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extrapolation: Option<f64>,
    /// The approach looks at the image in a mirror from level to level.
    pub mirrors: bool,
    /// Line integrals count by their own variance, where it differs from ray to ray.
    pub weighted: bool,
    /// Runs whose mean is the result; all but the first start from the first result under new noise.
    pub average: u32,
    /// Level of that noise.
    pub restart_t: f64,
    /// Number of levels of a run from there. Without it [`SolvedSettings::RESTART_STEPS`], and one more where the
    /// approach extrapolates: the prior weighs less then, and takes longer to remove that noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_steps: Option<u32>,
    /// Line search, from 1 on.
    pub line_search: BacktrackingSettings,
}

impl SolvedSettings {
    /// Levels where neither the settings nor the prior name a number.
    pub const STEPS: u32 = 8;
    /// Levels of a run from the first result under noise.
    pub const RESTART_STEPS: u32 = 3;
    /// Conjugate gradient steps, at least, where the views leave no wedge out.
    pub const SOLVE_STEPS: u32 = 12;
    /// The first level where they leave none out.
    pub const T_MAX: f64 = 0.5;
    /// The first level where they do: that at which hardly anything of an image is left. The data then decide between
    /// fewer images, and from 0.5 on a descent ends at one that they contradict.
    pub const T_MAX_OF_PART: f64 = 1.0;
}

impl Default for SolvedSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            start: Start::Noise,
            alpha: None,
            weight: WeightRule::Noise,
            steps: None,
            t_max: None,
            t_min: 0.001,
            solve_steps: None,
            solve_most: 100,
            solve_tolerance: 0.05,
            tested_steps: 2,
            tolerance: 0.0,
            extrapolation: None,
            mirrors: true,
            weighted: true,
            average: 1,
            restart_t: 0.02,
            restart_steps: None,
            line_search: BacktrackingSettings::default(),
        }
    }
}

/// The methods that step along gradients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GraduatedSettings {
    /// Seed of the starting noise.
    pub seed: u64,
    /// Starting point. In the paper it is noise; but what the data do not see of a start is forgotten by the prior's
    /// contraction alone, in iterations in proportion to `|A|^2/alpha`, and good data leave a small `alpha`: of
    /// `ellipses:1` with 1 % noise 300 iterations make 21.5 dB from noise, and 37.8 dB from the filtered
    /// backprojection, which itself has 32.2 dB.
    pub start: Start,
    /// Weight `alpha` of the prior. Without it: without drift the variance of the noise, as in the
    /// posterior density; else [`GraduatedSettings::ALPHA_PER_STD`] times its standard deviation, and more where there
    /// is much noise and the network does not fold pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The growth of the prior's weight at the first levels, by the factor `1 + early_weight nu_t^2`, which is nearly 1
    /// at the last ones, so that the start is forgotten while `F(., t)` is convex. 0 is the paper's choice; the
    /// drift-free prior does without.
    pub early_weight: f64,
    /// Number of levels, one iteration each.
    pub steps: u32,
    /// Last smoothing level, at which the objective is defined.
    pub t_min: f64,
    /// The prior's look at the iterates.
    #[serde(rename = "view")]
    pub drift: Drift,
    /// Runs that take iterates for diffused images end with the clean image that is expected behind the last one,
    /// `E[x_0 | x_t]`. The certificate is about that iterate.
    pub denoise: bool,
    /// Line search.
    pub line_search: LineSearchSettings,
}

impl GraduatedSettings {
    /// `alpha` over the standard deviation of the noise (in pixels times network units), swept together with
    /// `early_weight` on images outside the test set (`ellipses:101-104`, 119 and 136, three starts each). In
    /// proportion to the variance, as for a posterior mode, images with little noise would not be done in 300
    /// iterations. With 7 and 8: 33.4 dB on the first four, a deviation over starts of 0.005 dB, 37.5 dB on 136, whose
    /// data have hardly any noise; with 9 and the paper's 0: 33.4 and 0.046 dB, and 26 to 29 dB on 136, whose starting
    /// noise stays.
    pub const ALPHA_PER_STD: f64 = 7.0;
}

impl Default for GraduatedSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            start: Start::Fbp,
            alpha: None,
            early_weight: 8.0,
            steps: 300,
            t_min: 4e-3,
            drift: Drift::Diffused,
            denoise: true,
            line_search: LineSearchSettings::default(),
        }
    }
}

/// First smoothing level of the graduated methods.
const T_MAX: f64 = 1.0;

/// Algorithm 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GradientLikeSettings {
    /// The settings that all three share.
    #[serde(flatten)]
    pub graduated: GraduatedSettings,
    /// First smoothing level.
    pub t_max: f64,
    /// Stop when the gradient norm is at most this.
    pub tolerance: f64,
}

impl Default for GradientLikeSettings {
    fn default() -> Self {
        Self { graduated: GraduatedSettings::default(), t_max: T_MAX, tolerance: 0.0 }
    }
}

/// Algorithm 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowSettings {
    /// The settings that all three share.
    #[serde(flatten)]
    pub graduated: GraduatedSettings,
    /// First smoothing level.
    pub t_max: f64,
    /// Constant step; without it, the line search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant_step: Option<f64>,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self { graduated: GraduatedSettings::default(), t_max: T_MAX, constant_step: None }
    }
}

/// Gradient descent: all levels are the last one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GradientDescentSettings {
    /// The settings that all three share.
    #[serde(flatten)]
    pub graduated: GraduatedSettings,
    /// Stop when the gradient norm is at most this.
    pub tolerance: f64,
}

/// Backtracking from a candidate step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BacktrackingSettings {
    /// `c` of Armijo's test.
    pub sufficient_decrease: f64,
    /// Factor from one trial to the next.
    pub shrink: f64,
    /// Most trials.
    pub max_trials: u32,
}

/// The paper's `c` is 1e-3; see [`LineSearchSettings`].
impl Default for BacktrackingSettings {
    fn default() -> Self {
        Self { sufficient_decrease: 0.1, shrink: 0.5, max_trials: 20 }
    }
}

/// The candidate step and its backtracking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LineSearchSettings {
    /// First step.
    pub first: f64,
    /// Factor on the Barzilai-Borwein step.
    pub factor: f64,
    /// From there on.
    #[serde(flatten)]
    pub backtracking: BacktrackingSettings,
}

/// The paper's settings are factor 4 and c = 1e-3. Then, after one halving, a step of twice the inverse curvature still
/// passes, which only mirrors the error, and runs can swing from side to side to their end. With c = 0.1 such a step
/// fails; with factor 2 the next trial is the inverse curvature itself. On six images outside the test set: 32.94 dB
/// and 837 forward passes a run in place of 32.65 dB and 1015.
impl Default for LineSearchSettings {
    fn default() -> Self {
        Self { first: 0.01, factor: 2.0, backtracking: BacktrackingSettings::default() }
    }
}

/// Filtered backprojection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FbpSettings {
    /// The window that tames the filter.
    pub window: Window,
}

impl Default for FbpSettings {
    fn default() -> Self {
        Self { window: Window::Hann }
    }
}

/// Total variation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TvSettings {
    /// Its weight; without it, by the rule of [`TvSettings::weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tv_weight: Option<f64>,
    /// Iterations.
    pub tv_iterations: u32,
}

impl TvSettings {
    /// The weight, that of the settings or, with n views of noise `noise_std` (in pixels times network units),
    /// `2.5 noise_std^1.25 n^(1/3)`. Swept on `ellipses:101`, 20 to 180 views of 1 to 10 % noise, and on `spine` with
    /// photons: the best weight falls with the noise, but more slowly than its variance, and rises with the views.
    #[must_use]
    pub fn weight(&self, noise_std: f64, n_views: usize) -> f64 {
        self.tv_weight.unwrap_or_else(|| 2.5 * noise_std.powf(1.25) * (n_views as f64).cbrt())
    }
}

impl Default for TvSettings {
    fn default() -> Self {
        Self { tv_weight: None, tv_iterations: 500 }
    }
}
