//! The experiments of \[FKD24\], the plane and images; a challenge on measured data, and a benchmark of others.

pub mod dm4ct;
pub mod htc;
pub mod range;
mod row_file;
pub mod tables;
pub mod toy;
