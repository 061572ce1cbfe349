//! Raw measurements, as scanners and other programs write them, and the scans that they make.
//!
//! Each program's files are taken by its own conventions, and what had to be assumed is said in the scan's warnings.
pub mod ct_data;
pub mod matlab;
mod stored;
