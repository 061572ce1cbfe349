//! The experiments of \[FKD24\], the plane and images; a challenge on measured data, and a benchmark of others.
//!
//! [`toy`] is the paper's Fig. 1, [`tables`] are its tables and figures on images, [`range`] a grid of scans from few
//! views to many, [`htc`] the Helsinki Tomography Challenge 2022, [`dm4ct`] a slice of the benchmark DM4CT. Rows are
//! kept as they are made, and a run goes on where the last one ended.

pub mod dm4ct;
pub mod htc;
pub mod range;
mod row_file;
pub mod tables;
pub mod toy;
