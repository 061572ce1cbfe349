//! The experiments of \[FKD24\], the plane and images, and a challenge on measured data.

pub mod htc;
pub mod tables;
pub mod toy;
