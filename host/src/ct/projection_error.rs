//! Buffers that do not fit a geometry.

use super::geometry::Geometry;

/// A buffer of the wrong length was handed to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectionError {
    /// The image has not `height * width` pixels.
    ImageLength {
        /// The number that the geometry asks for.
        expected: usize,
        /// The number that came.
        got: usize,
    },
    /// The sinogram has not `n_angles * n_bins` values.
    SinogramLength {
        /// The number that the geometry asks for.
        expected: usize,
        /// The number that came.
        got: usize,
    },
}

impl std::fmt::Display for ProjectionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, expected, got) = match self {
            Self::ImageLength { expected, got } => ("image", expected, got),
            Self::SinogramLength { expected, got } => ("sinogram", expected, got),
        };
        write!(f, "the {what} has {got} values, but its geometry has {expected}; give a buffer of that length")
    }
}

impl std::error::Error for ProjectionError {}

/// Checks the lengths of an image and a sinogram against a geometry.
pub(super) fn check_lengths(g: &Geometry, image: usize, sinogram: usize) -> Result<(), ProjectionError> {
    let (pixels, values) = (g.image_len(), g.sinogram_len());
    if image != pixels {
        Err(ProjectionError::ImageLength { expected: pixels, got: image })
    } else if sinogram != values {
        Err(ProjectionError::SinogramLength { expected: values, got: sinogram })
    } else {
        Ok(())
    }
}
