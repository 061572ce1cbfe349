//! Raw measurements, as scanners and other programs write them, and the scans that they make.
//!
//! Each program's files are taken by its own conventions, and what had to be assumed is said in the scan's warnings.
//! [`read_raw`] tells formats apart by their contents; [`Corrections`] mend the axis, rings and beam hardening.
//!
//! ```no_run
//! use gradus::raw::{Corrections, RawOptions, read_raw};
//!
//! let mut scan = read_raw("projections.h5", &RawOptions { row: Some(100), ..RawOptions::default() })?;
//! Corrections { rings: Some(21), ..Corrections::default() }.apply(&mut scan)?;
//! scan.write("scan.npz")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod corrections;
mod counts;
pub mod ct_data;
mod dxchange;
mod files;
pub mod matlab;
mod matlab73;
mod options;
mod pictures;
mod rows;
mod stored;

pub use corrections::{Auto, Choice, CorrectionError, Corrections};
pub use files::{is_raw, read_raw, says_axis};
pub use options::RawOptions;
pub use rows::RawRows;
