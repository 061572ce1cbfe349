//! Settings of the preconditioned method.

use crate::unet::Weights;
use serde::{Deserialize, Serialize};

/// How the preconditioned method weighs the prior against the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WeightRule {
    /// By the variance of the noise, as in the posterior density.
    Posterior,
    /// So that the image explains the data as well as the noise allows: the discrepancy principle. Takes up to eight runs
    /// more.
    Discrepancy,
}

/// The preconditioned method. A level `t` stands for noise of standard deviation `nu_t/gamma_t` in network units: 0.5 for
/// 3.4, 0.26 for 1, 0.02 for 0.08, 0.001 for 0.01.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreconditionedSettings {
    /// Number of levels, one iteration each. Without it as many as the prior's weights name, or
    /// [`PreconditionedSettings::STEPS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// First smoothing level.
    pub t_max: f64,
    /// Last smoothing level, at which the objective is defined.
    pub t_min: f64,
    /// Conjugate gradient steps in each iteration.
    pub solve_steps: u32,
    /// Levels at the end whose steps the objective tests. Those before are the approach, which chooses where the descent
    /// starts.
    pub tested_steps: u32,
    /// Whether the approach looks at the image in a mirror from level to level.
    pub mirrors: bool,
    /// Where the weight of the prior comes from, if it is not given.
    pub weight: WeightRule,
    /// Whether line integrals count by their photons, where the scan says how many there were.
    pub weighted: bool,
    /// Runs whose mean is the result; all but the first start from the first result under new noise.
    pub average: u32,
    /// Level of that noise.
    pub restart_t: f64,
    /// Number of levels of a run from there.
    pub restart_steps: u32,
}

impl PreconditionedSettings {
    /// Levels where neither the settings nor the prior name a number.
    pub const STEPS: u32 = 8;

    /// Levels of the first run with this prior.
    #[must_use]
    pub fn steps_with(&self, prior: &Weights) -> u32 {
        self.steps.or(prior.preconditioned_steps()).unwrap_or(Self::STEPS)
    }

    /// Iterations of all runs together.
    #[must_use]
    pub fn total_steps(&self, prior: &Weights) -> u32 {
        self.steps_with(prior).saturating_add(self.average.saturating_sub(1).saturating_mul(self.restart_steps))
    }
}

impl Default for PreconditionedSettings {
    fn default() -> Self {
        Self {
            steps: None,
            t_max: 0.5,
            t_min: 0.001,
            solve_steps: 12,
            tested_steps: 2,
            mirrors: true,
            weight: WeightRule::Posterior,
            weighted: true,
            average: 1,
            restart_t: 0.02,
            restart_steps: 3,
        }
    }
}
