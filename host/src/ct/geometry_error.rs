//! Faults of a geometry.

use crate::limits::{LENGTH_MM, PIXELS};

/// A fault that makes a geometry unusable.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GeometryError {
    /// A count is zero.
    #[error("geometry: `{field}` is 0; give at least 1")]
    Zero {
        /// The field at fault.
        field: &'static str,
    },
    /// A count is beyond what an image or a detector can have.
    #[error("geometry: `{field}` is {value}; at most {limit} are supported, so check the unit or the file")]
    TooLarge {
        /// The field at fault.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest supported.
        limit: usize,
    },
    /// A product of counts is beyond what fits into memory.
    #[error(
        "geometry: {field} of {} x {} values are more than the {PIXELS} that are supported; check the file, or \
         choose a coarser grid", sides[0], sides[1]
    )]
    TooMany {
        /// The image or the sinogram.
        field: &'static str,
        /// Its sides.
        sides: [usize; 2],
    },
    /// A spacing is zero, negative, not a number, or no length that a scanner has.
    #[error(
        "geometry: `{field}` is {value:e} mm; give a length from {:e} to {:e} mm", LENGTH_MM.start(), LENGTH_MM.end()
    )]
    Spacing {
        /// The field at fault.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Bins and pixels differ so much in size that one of them must be in the wrong unit.
    #[error("geometry: `bin_width_mm` is {bin_width_mm} and `pixel_mm` is {pixel_mm}; check that both are in mm")]
    Ratio {
        /// The distance from bin to bin.
        bin_width_mm: f64,
        /// The side of a pixel.
        pixel_mm: f64,
    },
    /// The detector offset is not a number or more than a million bins.
    #[error("geometry: `detector_offset_mm` is {value}; give a length in mm, 0 for a centred detector")]
    Offset {
        /// Its value.
        value: f64,
    },
    /// The source would pass through the image.
    #[error("geometry: `source_to_axis_mm` is {source_to_axis_mm}, but the image reaches {needed_mm} mm from the axis")]
    SourceInside {
        /// From the source to the axis.
        source_to_axis_mm: f64,
        /// The length that it must exceed.
        needed_mm: f64,
    },
    /// The detector would stand between source and axis.
    #[error(
        "geometry: `source_to_detector_mm` is {source_to_detector_mm}, less than `source_to_axis_mm` \
         {source_to_axis_mm}; it is the whole way from the source, through the axis"
    )]
    DetectorInFront {
        /// From the source to the axis.
        source_to_axis_mm: f64,
        /// From the source to the detector.
        source_to_detector_mm: f64,
    },
    /// A curved detector reaches around the source.
    #[error(
        "geometry: a bin is {widest_rad} rad from the middle of the fan; check that `bin_width_mm` and \
         `source_to_detector_mm` are in mm"
    )]
    Fan {
        /// Largest angle between a ray and the one through the axis.
        widest_rad: f64,
    },
    /// An angle is infinite or not a number.
    #[error("geometry: `angles_rad[{index}]` is {value}; give a finite angle in radians")]
    Angle {
        /// Number of the angle.
        index: usize,
        /// Its value.
        value: f64,
    },
}
