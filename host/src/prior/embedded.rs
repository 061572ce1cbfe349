//! Priors in the box.

use super::suits::{Suits, Unit};

/// A prior that the program brings along.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// Its name.
    pub name: &'static str,
    /// Its weights file.
    pub bytes: &'static [u8],
    /// The images that it was made for.
    pub suits: Suits,
}

/// The embedded priors.
pub static EMBEDDED: [Embedded; 3] = [
    Embedded {
        name: "ellipses",
        bytes: include_bytes!("../../weights/ellipses.safetensors"),
        suits: Suits { unit: Unit::Relative, pixel_mm: None },
    },
    Embedded {
        name: "ct",
        bytes: include_bytes!("../../weights/ct.safetensors"),
        // Slices of 512 x 512 pixels of 0.54 to 0.98 mm, halved.
        suits: Suits { unit: Unit::Hounsfield, pixel_mm: Some(1.08..=1.96) },
    },
    Embedded {
        name: "disc",
        bytes: include_bytes!("../../weights/disc.safetensors"),
        suits: Suits { unit: Unit::Relative, pixel_mm: None },
    },
];

/// The embedded prior of this name.
#[must_use]
pub fn embedded(name: &str) -> Option<&'static Embedded> {
    EMBEDDED.iter().find(|prior| prior.name == name)
}

/// The embedded prior for images in this unit; the first one, where none was made for it.
#[must_use]
pub fn suiting(unit: Unit) -> &'static Embedded {
    EMBEDDED.iter().find(|prior| prior.suits.unit == unit).unwrap_or(&EMBEDDED[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_has_a_prior() {
        for unit in [Unit::Relative, Unit::Hounsfield] {
            assert_eq!(suiting(unit).suits.unit, unit);
        }
    }
}
