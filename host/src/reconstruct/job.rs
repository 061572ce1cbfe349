//! A measurement with its settings: what is asked for.

use super::{Measurement, Settings};

/// A measurement, and how to reconstruct it.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The measurement.
    pub measurement: &'a Measurement,
    /// The method with its settings.
    pub settings: &'a Settings,
}
