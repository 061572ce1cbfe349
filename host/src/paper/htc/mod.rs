//! The Helsinki Tomography Challenge 2022: measured scans over part of a turn, scored by their segmentations.
//!
//! An acrylic disc with holes is seen by a fan over 90 to 30 degrees. Each scan is reconstructed with one prior and one
//! set of settings, cut into material and air, and compared with the segmentation of the whole turn that the
//! challenge gives \[MSS23\].
//!
//! The work is done on pixels four times as large as the challenge's, with as many bins taken together: the network
//! then sees the whole disc, and an edge is still found to a fraction of a fine pixel in the interpolated image.

mod coarse;
mod error;
mod fine;
mod material;
mod phantoms;
mod rows;
mod segment;
mod task;
mod trial;

pub use error::HtcError;
pub use phantoms::{Phantom, phantoms};
pub use rows::{Protocol, Row, Rows};
pub use segment::{matthews, otsu};
pub use task::{Task, tasks};
pub use trial::{Trial, methods};
