//! The cost of a run.

use serde::Serialize;

/// The cost of a run, in passes over one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Forward passes of the network.
    pub network_forwards: u64,
    /// Vector-Jacobian products of the network.
    pub network_vjps: u64,
    /// Forward projections and adjoints.
    pub projections: u64,
}

impl Counters {
    /// The cost of both.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            network_forwards: self.network_forwards + other.network_forwards,
            network_vjps: self.network_vjps + other.network_vjps,
            projections: self.projections + other.projections,
        }
    }

    /// The cost since an earlier count.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            network_forwards: self.network_forwards - earlier.network_forwards,
            network_vjps: self.network_vjps - earlier.network_vjps,
            projections: self.projections - earlier.projections,
        }
    }
}
