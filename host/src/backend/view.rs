//! The two ways in which a prior can take an image.

use serde::{Deserialize, Serialize};

/// A way of the prior to look at an image `x` at the smoothing level `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// `R(x, t) = -log p_t(x)`: `x` itself is taken for a diffused image \[FKD24, eq. 8\].
    Diffused,
    /// `R(x, t) = -log p_t(gamma_t x)`: up to a constant minus the log density of clean images under noise of standard
    /// deviation `nu_t/gamma_t`, without drift towards 0 \[FKD24, eq. 6\].
    DriftFree,
}
