//! Checks of a backend on the machine at hand, small enough for every start.

mod check;
pub mod cpu;
pub mod cuda;

pub use check::{Check, DoctorError};
