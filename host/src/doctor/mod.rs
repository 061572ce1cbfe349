//! Checks of a backend on the machine at hand, small enough for every start.
//!
//! A device that computes wrongly is worse than none: before `auto` takes a GPU, projections, passes of the network and
//! steps of a descent are compared there with the CPU's.

mod check;
pub mod cpu;
pub mod cuda;
pub mod verdict;

pub use check::{Check, DoctorError};
