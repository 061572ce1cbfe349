//! A grid of scans: from few views to many and from few photons to none lost, each method on each.
//!
//! The scans are made on a finer grid than they are reconstructed on, and every image has a small lesion in it. A grid
//! lives in a folder: `range.toml` holds what determines a number, `range.csv` one row for every reconstruction. One
//! that was stopped goes on where it was, more views, photons, methods or images extend it, and one with other settings
//! is refused the folder.

mod bench;
mod grid;
mod heat_maps;
mod lesion;
mod rows;

pub use bench::Bench;
pub use grid::{Cell, Grid, Photons};
pub use heat_maps::{heat_maps, table};
pub use lesion::Lesion;
pub use rows::{Row, Rows, Setup};
