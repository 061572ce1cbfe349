//! Where the rays run: the parallel-beam geometry and its checks.

use crate::limits::{COUNT, LENGTH_MM, PIXELS, SIDE};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Largest ratio between the sizes of a bin and a pixel, either way; keeps every place finite.
const MAX_RATIO: f64 = 1e4;

/// A parallel-beam scan of a rectangular image, in mm and radians.
///
/// The image stands with row 0 at the top (largest y) and column 0 at the left (smallest x); the rotation axis goes
/// through its middle. Pixel `[row][col]` has its centre at
///
/// ```text
/// x = (col - (width - 1)/2) pixel_mm,      y = ((height - 1)/2 - row) pixel_mm.
/// ```
///
/// At angle a the detector lies along (cos a, sin a), and bin k sees the line x cos a + y sin a = s_k, where
///
/// ```text
/// s_k = (k - (n_bins - 1)/2) bin_width_mm - detector_offset_mm.
/// ```
///
/// Fields are public so that a scan file can be read into them; [`ParallelBeam::validate`] says whether they make sense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParallelBeam {
    /// Number of image rows.
    pub height: usize,
    /// Number of image columns.
    pub width: usize,
    /// Side of a (square) pixel.
    pub pixel_mm: f64,
    /// View angles, in the order of the sinogram's rows.
    pub angles_rad: Vec<f64>,
    /// Number of detector bins.
    pub n_bins: usize,
    /// Distance from bin to bin.
    pub bin_width_mm: f64,
    /// Where the rotation axis meets the detector, from the detector's middle, positive towards higher bins.
    #[serde(default)]
    pub detector_offset_mm: f64,
}

/// What makes a geometry unusable.
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
        "geometry: {field} of {} x {} values are more than the {PIXELS} that are supported; check the file, or choose a \
         coarser grid", sides[0], sides[1]
    )]
    TooMany {
        /// The image or the sinogram.
        field: &'static str,
        /// Its sides.
        sides: [usize; 2],
    },
    /// A spacing is zero, negative, not a number, or no length that a scanner has.
    #[error("geometry: `{field}` is {value:e} mm; give a length from {:e} to {:e} mm", LENGTH_MM.start(), LENGTH_MM.end())]
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
    /// An angle is infinite or not a number.
    #[error("geometry: `angles_rad[{index}]` is {value}; give a finite angle in radians")]
    Angle {
        /// Which angle.
        index: usize,
        /// Its value.
        value: f64,
    },
}

impl ParallelBeam {
    /// The geometry that covers an image of unit pixels: `n_angles` views at (k + 1/2) pi / `n_angles`, and
    /// 2 ceil(d/2) + 1 bins over the diagonal d = sqrt(height^2 + width^2).
    ///
    /// # Examples
    /// ```
    /// let geometry = gradus::ct::ParallelBeam::covering(128, 128, 60);
    /// assert_eq!(geometry.n_bins, 183);
    /// assert!(geometry.validate().is_ok());
    /// ```
    #[must_use]
    pub fn covering(height: usize, width: usize, n_angles: usize) -> Self {
        // What is more is refused by `validate`, without a list of so many angles.
        let n_angles = n_angles.min(COUNT + 1);
        let diagonal = (height as f64).hypot(width as f64);
        let n_bins = 2 * (diagonal / 2.0).ceil() as usize + 1;
        Self {
            height,
            width,
            pixel_mm: 1.0,
            angles_rad: (0..n_angles).map(|k| (k as f64 + 0.5) * PI / n_angles as f64).collect(),
            n_bins,
            bin_width_mm: diagonal / n_bins as f64,
            detector_offset_mm: 0.0,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first [`GeometryError`] found, counts first, then lengths, then angles.
    pub fn validate(&self) -> Result<(), GeometryError> {
        let (height, width, n_bins, n_angles) = (self.height, self.width, self.n_bins, self.angles_rad.len());
        let counts = [
            ("height", height, SIDE),
            ("width", width, SIDE),
            ("n_bins", n_bins, COUNT),
            ("angles_rad", n_angles, COUNT),
        ];
        for (field, value, limit) in counts {
            match value {
                0 => return Err(GeometryError::Zero { field }),
                value if value > limit => return Err(GeometryError::TooLarge { field, value, limit }),
                _ => {}
            }
        }
        for (field, sides) in [("an image", [height, width]), ("a sinogram", [n_angles, n_bins])] {
            if sides[0].checked_mul(sides[1]).is_none_or(|n| n > PIXELS) {
                return Err(GeometryError::TooMany { field, sides });
            }
        }
        for (field, value) in [("pixel_mm", self.pixel_mm), ("bin_width_mm", self.bin_width_mm)] {
            if !LENGTH_MM.contains(&value) {
                return Err(GeometryError::Spacing { field, value });
            }
        }
        let ratio = self.bin_width_mm / self.pixel_mm;
        if !(1.0 / MAX_RATIO..=MAX_RATIO).contains(&ratio) {
            return Err(GeometryError::Ratio { bin_width_mm: self.bin_width_mm, pixel_mm: self.pixel_mm });
        }
        let offset = (self.detector_offset_mm / self.bin_width_mm).abs();
        if !(0.0..=COUNT as f64).contains(&offset) {
            return Err(GeometryError::Offset { value: self.detector_offset_mm });
        }
        match self.angles_rad.iter().position(|angle| !angle.is_finite()) {
            Some(index) => Err(GeometryError::Angle { index, value: self.angles_rad[index] }),
            None => Ok(()),
        }
    }

    /// Number of pixels of the image, `height * width`.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.height * self.width
    }

    /// Number of values of the sinogram, angles times bins, stored `[angle][bin]`.
    #[must_use]
    pub fn sinogram_len(&self) -> usize {
        self.angles_rad.len() * self.n_bins
    }

    /// Where bin `k` lies along the detector axis, s_k in mm; fractions of a bin are welcome.
    #[must_use]
    pub fn bin_position_mm(&self, k: f64) -> f64 {
        (k - (self.n_bins as f64 - 1.0) / 2.0) * self.bin_width_mm - self.detector_offset_mm
    }

    /// Which bin, as a fraction, sees the line at `s_mm`: the inverse of [`ParallelBeam::bin_position_mm`].
    #[must_use]
    pub fn bin_at(&self, s_mm: f64) -> f64 {
        (s_mm + self.detector_offset_mm) / self.bin_width_mm + (self.n_bins as f64 - 1.0) / 2.0
    }

    /// x of the centre of column `col`, in mm.
    #[must_use]
    pub fn column_x_mm(&self, col: f64) -> f64 {
        (col - (self.width as f64 - 1.0) / 2.0) * self.pixel_mm
    }

    /// y of the centre of row `row`, in mm.
    #[must_use]
    pub fn row_y_mm(&self, row: f64) -> f64 {
        ((self.height as f64 - 1.0) / 2.0 - row) * self.pixel_mm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering_is_the_protocol_for_squares() {
        for (n, n_bins) in [(128, 183), (256, 365), (48, 69)] {
            let g = ParallelBeam::covering(n, n, 60);
            assert_eq!(g.n_bins, n_bins);
            assert_eq!(g.n_bins, 2 * (n as f64 * 2f64.sqrt() / 2.0).ceil() as usize + 1);
            assert!((g.bin_width_mm - n as f64 * 2f64.sqrt() / n_bins as f64).abs() < 1e-12);
            assert!((g.angles_rad[0] - PI / 120.0).abs() < 1e-15);
            assert_eq!((g.image_len(), g.sinogram_len()), (n * n, 60 * n_bins));
        }
    }

    #[test]
    fn covering_reaches_every_corner_of_a_rectangle() {
        let g = ParallelBeam::covering(30, 101, 7);
        let corner = g.column_x_mm(-0.5).hypot(g.row_y_mm(-0.5));
        assert!(g.bin_position_mm(-0.5) <= -corner + 1e-9 && g.bin_position_mm(g.n_bins as f64 - 0.5) >= corner - 1e-9);
    }

    #[test]
    fn bins_and_positions_are_inverse_and_follow_the_offset() {
        let g = ParallelBeam { detector_offset_mm: -4.7, bin_width_mm: 0.2, ..ParallelBeam::covering(20, 30, 4) };
        assert!((g.bin_at(g.bin_position_mm(13.25)) - 13.25).abs() < 1e-12);
        let axis = g.bin_at(0.0);
        assert!((axis - ((g.n_bins as f64 - 1.0) / 2.0 - 23.5)).abs() < 1e-12);
    }

    #[test]
    fn nonsense_is_named() {
        let good = ParallelBeam::covering(8, 8, 3);
        let spoil = |f: &dyn Fn(&mut ParallelBeam)| {
            let mut g = good.clone();
            f(&mut g);
            g.validate().unwrap_err().to_string()
        };
        assert!(spoil(&|g| g.height = 0).contains("`height` is 0"));
        assert!(spoil(&|g| g.angles_rad.clear()).contains("`angles_rad` is 0"));
        assert!(spoil(&|g| g.n_bins = usize::MAX).contains("`n_bins`"));
        assert!(spoil(&|g| g.pixel_mm = -1.0).contains("`pixel_mm` is -1e0 mm"));
        assert!(spoil(&|g| g.bin_width_mm = f64::NAN).contains("`bin_width_mm` is NaN"));
        assert!(spoil(&|g| g.pixel_mm = 1e-300).contains("from 1e-6 to 1e4 mm"));
        assert!(spoil(&|g| g.pixel_mm = 1e-5).contains("`pixel_mm` is 0.00001"));
        assert!(spoil(&|g| g.width = 70_000).contains("at most 65536"));
        assert!(spoil(&|g| (g.height, g.width) = (65_536, 65_536)).contains("65536 x 65536"));
        for offset in [f64::INFINITY, f64::NAN, -1e12] {
            assert!(spoil(&|g| g.detector_offset_mm = offset).contains("`detector_offset_mm` is"));
        }
        assert!(spoil(&|g| g.angles_rad[2] = f64::NAN).contains("angles_rad[2]"));
        assert!(ParallelBeam::covering(0, 0, 0).validate().is_err());
    }

    #[test]
    fn survives_a_text_file() {
        let g = ParallelBeam { detector_offset_mm: 0.125, ..ParallelBeam::covering(5, 6, 3) };
        let text = toml::to_string(&g).unwrap();
        assert_eq!(toml::from_str::<ParallelBeam>(&text).unwrap(), g);
    }
}
