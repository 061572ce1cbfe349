//! Images that a prior was made for.

use std::fmt;
use std::ops::RangeInclusive;

/// The unit of the images that a prior was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// No physical unit: 0 to 1.
    Relative,
    /// Hounsfield units, as the network's 0 to 1 stands for -1001 to 3071 HU.
    Hounsfield,
}

/// The unit and the pixels of the images that a prior learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct Suits {
    /// The unit.
    pub unit: Unit,
    /// Sides of the pixels; `None` where lengths mean nothing.
    pub pixel_mm: Option<RangeInclusive<f64>>,
}

impl Suits {
    /// True if pixels of this side are among those that the prior learned from.
    #[must_use]
    pub fn pixels_of(&self, pixel_mm: f64) -> bool {
        self.pixel_mm.as_ref().is_none_or(|range| range.contains(&pixel_mm))
    }
}

impl fmt::Display for Suits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.unit {
            Unit::Relative => "images from 0 to 1",
            Unit::Hounsfield => "images in HU",
        })?;
        match &self.pixel_mm {
            Some(range) => write!(f, ", pixels of {} to {} mm", range.start(), range.end()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_suits() {
        let anatomy = Suits { unit: Unit::Hounsfield, pixel_mm: Some(1.1..=1.96) };
        assert!(anatomy.pixels_of(1.1) && anatomy.pixels_of(1.5) && !anatomy.pixels_of(0.5));
        assert_eq!(anatomy.to_string(), "images in HU, pixels of 1.1 to 1.96 mm");
        let shapes = Suits { unit: Unit::Relative, pixel_mm: None };
        assert!(shapes.pixels_of(1e-9) && shapes.pixels_of(1e9));
        assert_eq!(shapes.to_string(), "images from 0 to 1");
    }
}
