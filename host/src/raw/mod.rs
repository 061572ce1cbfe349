//! Raw measurements, as scanners and other programs write them, and the scans that they make.
//!
//! Each program's files are taken by its own conventions, and what had to be assumed is said in the scan's warnings.
mod corrections;
mod counts;
pub mod ct_data;
mod dxchange;
mod files;
mod hdf5;
pub mod matlab;
mod matlab73;
mod options;
mod pictures;
mod stored;

pub use corrections::{Auto, Choice, CorrectionError, Corrections};
pub use files::{is_raw, read_raw};
pub use options::RawOptions;
