//! The geometry of a scan and its checks.

use super::geometry_error::GeometryError;
use crate::limits::{COUNT, LENGTH_MM, PIXELS, SIDE};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;

/// Largest ratio between the sizes of a bin and a pixel, either way; keeps every place finite.
const MAX_RATIO: f64 = 1e4;

/// The course of the rays from the source to the detector.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beam {
    /// All rays of a view are parallel: the source is far away.
    #[default]
    Parallel,
    /// All rays of a view come from one point.
    Fan(Fan),
}

/// A source that turns with the detector.
///
/// At angle a the source is at -`source_to_axis_mm` (-sin a, cos a), and the ray through the axis meets the detector at
/// s = 0. A ray that leaves it by g, positive towards higher bins, is the line x cos(a - g) + y sin(a - g) =
/// `source_to_axis_mm` sin g.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fan {
    /// The detector's shape.
    pub detector: Detector,
    /// From the source to the rotation axis.
    pub source_to_axis_mm: f64,
    /// From the source to the detector, along the ray through the axis.
    pub source_to_detector_mm: f64,
}

/// The shape of a fan's detector; bins are equally wide along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// A line, perpendicular to the ray through the axis: tan g = s / `source_to_detector_mm`.
    Flat,
    /// An arc around the source: g = s / `source_to_detector_mm`.
    Curved,
}

impl Detector {
    /// All shapes by name.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Flat, "flat"), (Self::Curved, "curved")];

    /// The shape's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(shape, _)| *shape == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Beam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parallel => f.write_str("parallel beam"),
            Self::Fan(fan) => write!(
                f,
                "fan beam, {} detector; source {} mm from the axis, {} mm from the detector",
                fan.detector.name(),
                fan.source_to_axis_mm,
                fan.source_to_detector_mm
            ),
        }
    }
}

impl Fan {
    /// Sine and cosine of the angle at which the ray to the place `s_mm` on the detector leaves the ray through the
    /// axis.
    pub(crate) fn sin_cos(&self, s_mm: f64) -> (f64, f64) {
        match self.detector {
            Detector::Flat => {
                let length = s_mm.hypot(self.source_to_detector_mm);
                (s_mm / length, self.source_to_detector_mm / length)
            }
            Detector::Curved => (s_mm / self.source_to_detector_mm).sin_cos(),
        }
    }

    /// The place on the detector of the ray that leaves the one through the axis by `angle_rad`.
    fn place_mm(&self, angle_rad: f64) -> f64 {
        let towards = match self.detector {
            Detector::Flat => angle_rad.tan(),
            Detector::Curved => angle_rad,
        };
        self.source_to_detector_mm * towards
    }
}

/// A scan of a rectangular image: its grid, the views, the detector and the beam, in mm and radians.
///
/// What all scans have stands in fields of its own, so that only `ct` asks which beam it is. The image stands with row
/// 0 at the top (largest y) and column 0 at the left (smallest x); the rotation axis goes through its middle. Pixel
/// `[row][col]` has its centre at
///
/// ```text
/// x = (col - (width - 1)/2) pixel_mm,      y = ((height - 1)/2 - row) pixel_mm.
/// ```
///
/// At angle a the detector lies along (cos a, sin a), and the middle of bin k lies on it at
///
/// ```text
/// s_k = (k - (n_bins - 1)/2) bin_width_mm - detector_offset_mm;
/// ```
///
/// in a parallel beam it sees the line x cos a + y sin a = s_k.
///
/// Fields are public so that a scan file can be read into them; [`Geometry::validate`] says whether they make sense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
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
    /// Place of the rotation axis on the detector, from the detector's middle, positive towards higher bins.
    #[serde(default)]
    pub detector_offset_mm: f64,
    /// The course of the rays.
    #[serde(default)]
    pub beam: Beam,
}

impl Geometry {
    /// Views for each one that a point at the rim of the image needs to be passed by, pixel by pixel, as the axis
    /// turns: pi/2 times the image's longer side. More than 1 repeat each other, fewer leave something open.
    #[must_use]
    pub fn views_for_each_place(&self) -> f64 {
        self.angles_rad.len() as f64 / (PI / 2.0 * self.height.max(self.width) as f64)
    }

    /// Bins over the image of a pixel at the rotation axis: more than 1 where they are narrower than pixels.
    #[must_use]
    pub fn bins_for_each_pixel(&self) -> f64 {
        let magnification = match self.beam {
            Beam::Parallel => 1.0,
            Beam::Fan(fan) => fan.source_to_detector_mm / fan.source_to_axis_mm,
        };
        self.pixel_mm * magnification / self.bin_width_mm
    }

    /// The parallel beam that covers an image of unit pixels: `n_angles` views at (k + 1/2) pi / `n_angles`, and
    /// 2 ceil(d/2) + 1 bins over the diagonal d = sqrt(height^2 + width^2).
    ///
    /// # Examples
    /// ```
    /// let geometry = gradus::ct::Geometry::covering(128, 128, 60);
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
            beam: Beam::Parallel,
        }
    }

    /// The fan that covers an image of unit pixels: `n_angles` views at 2 pi (k + 1/2) / `n_angles`, and as many bins
    /// as the parallel beam has, over the rays that touch the circle around the image.
    ///
    /// # Examples
    /// ```
    /// use gradus::ct::{Detector, Fan, Geometry};
    /// let fan = Fan { detector: Detector::Flat, source_to_axis_mm: 400.0, source_to_detector_mm: 600.0 };
    /// assert!(Geometry::covering_by_fan(128, 128, 90, fan).validate().is_ok());
    /// ```
    #[must_use]
    pub fn covering_by_fan(height: usize, width: usize, n_angles: usize, fan: Fan) -> Self {
        let parallel = Self::covering(height, width, n_angles);
        // A source inside of the circle is refused by `validate`; the detector is to be finite there.
        let half_fan_rad = (parallel.radius_mm() / fan.source_to_axis_mm).clamp(0.0, 0.99).asin();
        Self {
            bin_width_mm: 2.0 * fan.place_mm(half_fan_rad) / parallel.n_bins as f64,
            angles_rad: parallel.angles_rad.iter().map(|angle| 2.0 * angle).collect(),
            beam: Beam::Fan(fan),
            ..parallel
        }
    }

    /// The source, where the beam is a fan.
    #[must_use]
    pub fn fan(&self) -> Option<&Fan> {
        match &self.beam {
            Beam::Parallel => None,
            Beam::Fan(fan) => Some(fan),
        }
    }

    /// Radius of the circle around the image.
    pub(crate) fn radius_mm(&self) -> f64 {
        (self.height as f64).hypot(self.width as f64) / 2.0 * self.pixel_mm
    }

    /// The same scan of an object `factor` times as large: all lengths times `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        self.with_lengths(|length| length * factor)
    }

    /// The same scan with lengths in units of a pixel's side.
    #[must_use]
    pub fn in_pixels(&self) -> Self {
        self.with_lengths(|length| length / self.pixel_mm)
    }

    fn with_lengths(&self, convert: impl Fn(f64) -> f64) -> Self {
        Self {
            pixel_mm: convert(self.pixel_mm),
            bin_width_mm: convert(self.bin_width_mm),
            detector_offset_mm: convert(self.detector_offset_mm),
            beam: match self.beam {
                Beam::Parallel => Beam::Parallel,
                Beam::Fan(fan) => Beam::Fan(Fan {
                    source_to_axis_mm: convert(fan.source_to_axis_mm),
                    source_to_detector_mm: convert(fan.source_to_detector_mm),
                    ..fan
                }),
            },
            ..self.clone()
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first [`GeometryError`] found, counts first, then lengths, then angles.
    pub fn validate(&self) -> Result<(), GeometryError> {
        self.validate_counts()?;
        self.validate_lengths()?;
        if let Some(index) = self.angles_rad.iter().position(|angle| !angle.is_finite()) {
            return Err(GeometryError::Angle { index, value: self.angles_rad[index] });
        }
        match self.beam {
            Beam::Parallel => Ok(()),
            Beam::Fan(fan) => self.validate_fan(&fan),
        }
    }

    fn validate_counts(&self) -> Result<(), GeometryError> {
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
        Ok(())
    }

    fn validate_lengths(&self) -> Result<(), GeometryError> {
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
        Ok(())
    }

    /// Checks that the source is outside of the image and that all bins are in front of it.
    fn validate_fan(&self, fan: &Fan) -> Result<(), GeometryError> {
        let lengths =
            [("source_to_axis_mm", fan.source_to_axis_mm), ("source_to_detector_mm", fan.source_to_detector_mm)];
        for (field, value) in lengths {
            if !(value.is_finite() && value > 0.0) {
                return Err(GeometryError::Spacing { field, value });
            }
        }
        if fan.source_to_detector_mm < fan.source_to_axis_mm {
            let Fan { source_to_axis_mm, source_to_detector_mm, .. } = *fan;
            return Err(GeometryError::DetectorInFront { source_to_axis_mm, source_to_detector_mm });
        }
        // A pixel's hat reaches less than a pixel beyond the circle around the image.
        let needed_mm = self.radius_mm() + self.pixel_mm;
        if fan.source_to_axis_mm <= needed_mm {
            return Err(GeometryError::SourceInside { source_to_axis_mm: fan.source_to_axis_mm, needed_mm });
        }
        let ends = [0.0, self.n_bins as f64 - 1.0].map(|k| self.bin_position_mm(k).abs());
        let widest_rad = ends[0].max(ends[1]) / fan.source_to_detector_mm;
        if fan.detector == Detector::Curved && widest_rad >= PI / 2.0 {
            return Err(GeometryError::Fan { widest_rad });
        }
        Ok(())
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

    /// Place of bin `k` along the detector, s_k in mm; fractions of a bin are welcome.
    #[must_use]
    pub fn bin_position_mm(&self, k: f64) -> f64 {
        (k - (self.n_bins as f64 - 1.0) / 2.0) * self.bin_width_mm - self.detector_offset_mm
    }

    /// The bin at `s_mm` on the detector, as a fraction: the inverse of [`Geometry::bin_position_mm`].
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
mod tests;
