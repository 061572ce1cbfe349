//! The Python package of gradus: arrays in and out, the library's own words for what is wrong with them.
//!
//! Each file is one class of the package. What they compute is the library's; here stands only how Python says it.

mod arrays;
mod error;
mod geometry;
mod kept;
mod prior;
mod projector;
mod reconstruct;
mod result;
mod scan;
mod settings;
mod threads;

use pyo3::prelude::*;

/// The compiled half of the package `gradus`.
#[pymodule]
mod _gradus {
    #[pymodule_export]
    use super::geometry::Geometry;
    #[pymodule_export]
    use super::prior::Prior;
    #[pymodule_export]
    use super::projector::Projector;
    #[pymodule_export]
    use super::reconstruct::reconstruct;
    #[pymodule_export]
    use super::result::Reconstruction;
    #[pymodule_export]
    use super::scan::{Scan, read_scan, simulate};
}
