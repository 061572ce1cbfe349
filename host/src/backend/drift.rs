//! The drift of diffusion towards 0, which a prior expects of an image or does not.

use serde::{Deserialize, Serialize};

/// The prior's reading of an image `x` at the smoothing level `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// `R(x, t) = -log p_t(x)`: `x` itself is taken for a diffused image \[FKD24, eq. 8\].
    Diffused,
    /// `R(x, t) = -log p_t(gamma_t x)`: up to a constant minus the log density of clean images under noise of standard
    /// deviation `nu_t/gamma_t`, without drift towards 0 \[FKD24, eq. 6\].
    DriftFree,
}
