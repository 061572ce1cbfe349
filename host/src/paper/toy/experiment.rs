//! The experiment in numbers: algorithms, levels, starts.

use gradus_core::toy::{gradient_like, graduated_flow};
use gradus_core::{SettingsError, Solver};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Starts along each axis: `linspace(-10, 10, 100)`.
pub const SIDE: usize = 100;
/// Half the side of the square of starts.
pub const REACH: f32 = 10.0;
/// Values of `t_max`: `logspace(10 -> 0.01, 100)`.
pub const N_T_MAX: usize = 100;
/// Iterations of a trajectory.
pub const ITERATIONS: u32 = 1300;

/// An algorithm of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Algorithm 1 with the constant step 1.
    Flow,
    /// Algorithm 2 with steps `0.9^l`.
    GradientLike,
}

impl Algorithm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Flow, Self::GradientLike];
}

/// The name that files give it.
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The value of `t_max` with this index, from 10 (0) down to 0.01 (99).
///
/// ```
/// assert_eq!(gradus::paper::toy::t_max(0), 10.0);
/// assert_eq!(gradus::paper::toy::t_max(99), 0.01);
/// ```
#[must_use]
pub fn t_max(index: usize) -> f32 {
    libm::pow(10.0, 1.0 - 3.0 * index as f64 / (N_T_MAX - 1) as f64) as f32
}

/// The starts, row by row: start `SIDE i + j` is `(-10 + 20 j/99, -10 + 20 i/99)`.
#[must_use]
pub fn starts() -> Vec<[f32; 2]> {
    let at = |k: usize| -REACH + 2.0 * REACH * k as f32 / (SIDE - 1) as f32;
    (0..SIDE * SIDE).map(|k| [at(k % SIDE), at(k / SIDE)]).collect()
}

/// Rates of reaching the global minimum by the authors' scripts, with float16 iterates: algorithm, index of `t_max`,
/// rate.
pub const REFERENCES: [(Algorithm, usize, f64); 9] = [
    (Algorithm::Flow, 0, 0.0589),
    (Algorithm::Flow, 15, 0.5759),
    (Algorithm::Flow, 30, 0.9073),
    (Algorithm::Flow, 50, 0.1357),
    (Algorithm::Flow, 70, 0.0405),
    (Algorithm::Flow, 99, 0.0233),
    (Algorithm::GradientLike, 0, 0.0076),
    (Algorithm::GradientLike, 30, 0.1622),
    (Algorithm::GradientLike, 60, 0.0521),
];

/// Core's solver of one of the algorithms.
pub(super) fn core_solver(algorithm: Algorithm, t_max: f32, len: u32) -> Result<Box<dyn Solver>, SettingsError> {
    Ok(match algorithm {
        Algorithm::Flow => Box::new(graduated_flow(t_max, len)?),
        Algorithm::GradientLike => Box::new(gradient_like(t_max, len)?),
    })
}
