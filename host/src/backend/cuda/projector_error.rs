//! Errors of the projector.

use super::error::DeviceError;
use crate::ct::GeometryError;

/// Places must stay this far inside of the 32 bits that their whole pixels have.
pub(super) const FARTHEST_PIXEL: f64 = (1_u32 << 30) as f64;

/// Reasons why there is no projector.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectorError {
    /// The geometry makes no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Rays pass so far from the image that their places have no number on the device.
    #[error(
        "the detector reaches {farthest:.0} pixels from the image, and the CUDA backend counts to {FARTHEST_PIXEL}; \
         use --device cpu"
    )]
    TooFar {
        /// The largest distance, in pixels.
        farthest: f64,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
