//! The experiments of \[FKD24\]: the plane, and images; and a benchmark of others.

pub mod dm4ct;
pub mod tables;
pub mod toy;
