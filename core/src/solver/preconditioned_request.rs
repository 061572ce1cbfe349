//! What the preconditioned solver asks and what it is told.

use super::request::{Directional, Status};
use crate::schedule::Level;

/// What the solver needs next.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PreconditionedRequest {
    /// Set `x <- x - variance grad R(x, t)`, which is the denoised image, and `r <- -A^T(A x - y)`, `p <- 0`, `d <- 0`. Answer
    /// with [`PreconditionedAnswer::ResidualSquare`].
    Denoise {
        /// The member `F(., t)` of the homotopy.
        level: Level,
        /// `sigma_t^2`.
        variance: f32,
        /// Number of the symmetry of the prior in which to look at `x`; any number, for as many as there are.
        turn: u32,
    },
    /// Compute `g = grad F(x, t)`, after `grad f(x)` where `x` has changed; set `r <- -g`, `p <- 0`, `d <- 0`. Answer
    /// with [`PreconditionedAnswer::ResidualSquare`].
    Gradient {
        /// The member `F(., t)` of the homotopy.
        level: Level,
        /// Whether `x` has changed since `grad f(x)` was last computed. Both gradients may go through one batch.
        new_iterate: bool,
    },
    /// Set `p <- r + momentum p`. Answer with [`PreconditionedAnswer::Curvature`].
    Curvature {
        /// `beta`, 0 in the first iteration of conjugate gradients.
        momentum: f32,
        /// `mu`.
        damping: f32,
    },
    /// Set `d <- d + length p`, `r <- r - length (A^T A + damping I) p`. Answer with
    /// [`PreconditionedAnswer::ResidualSquare`].
    Advance {
        /// `a`.
        length: f32,
        /// `mu`.
        damping: f32,
    },
    /// `d` is complete. Answer with [`PreconditionedAnswer::Direction`].
    Products,
    /// Compute `f(x + step d) - f(x)` and answer with [`PreconditionedAnswer::Change`].
    Change {
        /// Trial length `lambda`.
        step: f32,
    },
    /// Set `x <- x + step d`, `step` that of the last trial, and answer with [`PreconditionedAnswer::Updated`].
    Update {
        /// Accepted length `lambda`.
        step: f32,
    },
    /// Nothing: the run has ended.
    Done(Status),
}

/// What the solver is told.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PreconditionedAnswer {
    /// `|r|^2`, to [`PreconditionedRequest::Denoise`], [`PreconditionedRequest::Gradient`] and [`PreconditionedRequest::Advance`].
    ResidualSquare(f32),
    /// `<p, (A^T A + damping I) p>`.
    Curvature(f32),
    /// Products of `d` with `grad f(x)`; those with the previous direction are not used.
    Direction(Directional),
    /// `f(x + step d) - f(x)`.
    Change(f32),
    /// To [`PreconditionedRequest::Update`].
    Updated,
}
