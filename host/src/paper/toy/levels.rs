//! Numbers that a level of the schedule makes of the prior, the same for all trajectories.

use gradus_core::SettingsError;
use gradus_core::toy::{KERNEL, PRIOR, schedule};

/// Components of the prior.
pub(super) const K: usize = PRIOR.len();

/// The prior at one level `t`. The kernel explodes the variance, so the means stay where they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiffusedPrior {
    /// Logarithm of each weighted component at its mean.
    pub(super) ln_peak: [f32; K],
    /// One over the variance of each component.
    pub(super) precision: [f32; K],
}

impl DiffusedPrior {
    pub(super) fn at(t: f32) -> Self {
        let mut prior = Self { ln_peak: [0.0; K], precision: [0.0; K] };
        let noise = f64::from(KERNEL.variance(t));
        for (k, component) in PRIOR.iter().enumerate() {
            let variance = f64::from(component.variance) + noise;
            prior.ln_peak[k] = (f64::from(component.weight) / (std::f64::consts::TAU * variance)).ln() as f32;
            prior.precision[k] = (1.0 / variance) as f32;
        }
        prior
    }
}

/// One iteration: its level, and the prior there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Iteration {
    pub(super) t: f32,
    pub(super) prior: DiffusedPrior,
}

/// The `len` iterations from `t_max` down.
pub(super) fn iterations(t_max: f32, len: u32) -> Result<Vec<Iteration>, SettingsError> {
    let schedule = schedule(t_max, len)?;
    let at = |i| schedule.t(i);
    Ok((0..len).map(at).map(|t| Iteration { t, prior: DiffusedPrior::at(t) }).collect())
}
