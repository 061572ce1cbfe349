//! The seam between runs and backends: slices that are computed together.

use super::{Counters, Traffic};
use gradus_core::{Batch, Level};

/// The measurement of a slice, and the start of its solver.
#[derive(Debug, Clone)]
pub struct Slice {
    /// `[angle][bin]`.
    pub data: Vec<f32>,
    /// `[row][col]`.
    pub start: Vec<f32>,
    /// The member of the homotopy that is `f`.
    pub objective: Level,
}

/// The wishes of a run to the holder of its slices, beside the requests of its solvers.
///
/// Each slice has the bits that it would have alone, whatever the others ask for meanwhile. Slices are named by their
/// numbers. One that is not there, or an image of another length, is a panic.
pub trait Slices: Batch {
    /// `f(x)` at the current iterates of `slices`, without the constants of the prior, into `values`. Costs a forward
    /// pass after an untested step, which the next gradient then need not make.
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn objectives(&mut self, slices: &[usize], values: &mut [f64]) -> Result<(), Self::Error>;

    /// Copies the current iterate of a slice, `[row][col]`.
    ///
    /// # Errors
    /// When the copy fails.
    fn copy_iterate(&self, slice: usize, image: &mut [f32]) -> Result<(), Self::Error>;

    /// Goes on with a slice from the image `x`, `[row][col]`, as at the start of a run on another objective.
    ///
    /// # Errors
    /// The backend's own error, when the computation fails.
    fn restart(&mut self, slice: usize, x: &[f32], objective: Level) -> Result<(), Self::Error>;

    /// The cost of a slice so far.
    fn counters(&self, slice: usize) -> Counters;

    /// The traffic between host and device for all of them, where there is one.
    fn traffic(&self) -> Option<Traffic>;
}
