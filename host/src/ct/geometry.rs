//! The measurement's geometry.
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Parallel-beam geometry of one slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParallelBeam {
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Side of a square pixel in mm.
    pub pixel_mm: f64,
    /// Angle of each view in radians.
    pub angles_rad: Vec<f64>,
    /// Number of detector bins.
    pub n_bins: usize,
    /// Width of a detector bin in mm.
    pub bin_width_mm: f64,
    /// Offset of the detector in mm.
    pub detector_offset_mm: f64,
}

/// Why a geometry cannot be used.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GeometryError {
    /// A count or a length that must be positive is not.
    #[error("{field} must be positive")]
    NotPositive {
        /// The field's name.
        field: &'static str,
    },
    /// A number is NaN or infinite.
    #[error("{field} must be finite")]
    NotFinite {
        /// The field's name.
        field: &'static str,
    },
}

impl ParallelBeam {
    /// Checks counts, lengths and angles.
    ///
    /// # Errors
    /// The first field that is not positive or not finite.
    pub fn validate(&self) -> Result<(), GeometryError> {
        let counts = [
            ("height", self.height),
            ("width", self.width),
            ("n_bins", self.n_bins),
            ("angles_rad", self.angles_rad.len()),
        ];
        if let Some((field, _)) = counts.into_iter().find(|&(_, n)| n == 0) {
            return Err(GeometryError::NotPositive { field });
        }
        for (field, length) in [("pixel_mm", self.pixel_mm), ("bin_width_mm", self.bin_width_mm)] {
            if !(length.is_finite() && length > 0.0) {
                return Err(GeometryError::NotPositive { field });
            }
        }
        if !self.detector_offset_mm.is_finite() {
            return Err(GeometryError::NotFinite { field: "detector_offset_mm" });
        }
        match self.angles_rad.iter().all(|a| a.is_finite()) {
            true => Ok(()),
            false => Err(GeometryError::NotFinite { field: "angles_rad" }),
        }
    }
}
