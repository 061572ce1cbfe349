//! The precision of a GPU's convolutions.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The factors of a GPU's convolutions. Sums are always f32, and so is everything on the CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// f32, or on tensor cores three products of TF32 numbers for one, where these are faster: a layer's result differs
    /// by less than 2e-6 of its norm.
    #[default]
    Full,
    /// Tensor cores, with factors rounded to TF32 (10 bits after the point). A layer's result differs by about 5e-4 of
    /// its norm, a network's by 2e-3 at most; whole reconstructions with it have run on no GPU yet.
    // 3x3 and 1x1 convolutions, their vjps, and the gradients of all weights but those of 1x1. A line search compares
    // changes of f that may be smaller than these errors. On the stand-in driver, one image of 32 x 32: 26.3193 dB in
    // place of 26.3197 by the default method, 24.761 in place of 24.755 by 30 iterations of Algorithm 2, no failed
    // search.
    Tf32,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Tf32 => "tf32",
        })
    }
}
