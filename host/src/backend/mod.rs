//! Backends compute what a solver of `gradus-core` asks for, and decide nothing.
//!
//! A backend offers a [`gradus_core::Evaluator`] of `f(x) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` that keeps every
//! vector where it computes, and hands out scalars only.

pub mod cpu;
pub mod cuda;

use serde::Serialize;

/// What a run has cost, in passes over one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Forward passes of the network.
    pub network_forwards: u64,
    /// Vector-Jacobian products of the network.
    pub network_vjps: u64,
    /// Forward projections and adjoints.
    pub projections: u64,
}
