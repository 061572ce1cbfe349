//! The names of the methods.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A way to reconstruct.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Algorithm 2 along directions for which the data term is solved, after an untested approach.
    #[default]
    Preconditioned,
    /// Algorithm 2: graduated, and every step certified to descend.
    GradientLike,
    /// Algorithm 1: the graduated non-convexity flow.
    Flow,
    /// Gradient descent on the objective itself, with the same line search.
    GradientDescent,
    /// Filtered backprojection.
    Fbp,
    /// Total variation by a primal-dual method.
    Tv,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Preconditioned, Self::GradientLike, Self::Flow, Self::GradientDescent, Self::Fbp, Self::Tv];

    /// True if it needs a prior.
    #[must_use]
    pub fn is_learned(self) -> bool {
        !matches!(self, Self::Fbp | Self::Tv)
    }
}

/// The name that files give it.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
