//! Watching runs that are under way.

use super::TraceRow;
use std::ops::ControlFlow;

/// Called after each iteration of each run. Breaking ends all runs that are made together where they are; their images
/// so far are kept.
pub type Observer<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// The progress of a run.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Number of the job, of those that were given.
    pub job: usize,
    /// Iterations done.
    pub done: u64,
    /// Iterations at most.
    pub total: u64,
    /// The newest row, for methods that have a trace.
    pub row: Option<&'a TraceRow>,
    /// Copies the newest iterate, in network units, to a buffer of its length. It may have to come from a device; where
    /// that fails the buffer is left as it is, and the run ends with the error.
    pub copy_iterate: &'a dyn Fn(&mut [f32]),
}
