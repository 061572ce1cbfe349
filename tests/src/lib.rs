//! Tests that cross crates; this library is what they share.

pub mod fixtures;
pub mod npz;
pub mod reference_network;
pub mod roofline;
pub mod stand_in;
