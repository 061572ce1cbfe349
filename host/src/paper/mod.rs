//! The experiments of \[FKD24\]: the plane, and images.

pub mod range;
pub mod tables;
pub mod toy;
