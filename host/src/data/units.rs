//! Units of images: said by the file or by the user, never guessed, and looked at before they are believed.
use super::file_error::ImageProblem;
use super::loaded_image::{LoadedImage, PixelUnit};
use crate::image::Image;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

const MM_PER_CM: f32 = 10.0;
/// The number added to HU so that air is above 0, in files that have no negative numbers.
const ADDED_HU: f32 = 1024.0;
/// Air.
pub(super) const AIR_HU: f32 = -1000.0;
/// Below this nothing is measured: scanners mark by such values, often -2000 or -3024, what is outside the field of
/// view.
const BELOW_AIR_HU: f32 = -1200.0;
/// Values of images in HU: air is -1000, and metal has some ten thousand. What is not measured is marked by -4096 at
/// most.
const HU: [f32; 2] = [-4096.0, 200_000.0];
/// An image in HU spans more than this; one from 0 to 1 does not.
const LEAST_SPAN_HU: f32 = 20.0;
/// Values of images in 1/mm: water has 0.02, bone 0.06 at the energies of patients; lead has 140 at 30 keV.
const PER_MM: [f32; 2] = [-10.0, 200.0];
/// Values in network units: 0 is air, 1 is 3071 HU; the densest metal has some ten.
const NETWORK: [f32; 2] = [-2.0, 20.0];
/// A picture that uses less of the range from 0 to 1 is mostly one in another unit.
const LEAST_NETWORK: f32 = 0.05;
/// Attenuation in 1/mm that at most one of a hundred pixels of a body exceeds.
const BODY_PER_MM: f32 = 0.1;

/// A unit as files and flags name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum StatedUnit {
    /// Hounsfield units: `hu`.
    Hounsfield,
    /// Hounsfield units with 1024 added, as unsigned files have them: `hu+1024`.
    HounsfieldPlus1024,
    /// Attenuation: `1/mm`.
    PerMm,
    /// Attenuation: `1/cm`.
    PerCm,
    /// 0 (air) to 1 (3071 HU): `network`.
    Network,
}

impl StatedUnit {
    pub(super) const ALL: [Self; 5] =
        [Self::Hounsfield, Self::HounsfieldPlus1024, Self::PerMm, Self::PerCm, Self::Network];

    fn pixel_unit(self) -> PixelUnit {
        match self {
            Self::Hounsfield | Self::HounsfieldPlus1024 => PixelUnit::HounsfieldUnits,
            Self::PerMm | Self::PerCm => PixelUnit::AttenuationPerMm,
            Self::Network => PixelUnit::Relative,
        }
    }

    /// The unit that an array's name gives; the whole name counts, with a number at its end or without.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
    }
}

/// Names of arrays that say their unit.
pub(super) const NAMES: [(&str, StatedUnit); 8] = [
    ("hu", StatedUnit::Hounsfield),
    ("image_hu", StatedUnit::Hounsfield),
    ("hounsfield", StatedUnit::Hounsfield),
    ("hounsfield_units", StatedUnit::Hounsfield),
    ("mu_per_mm", StatedUnit::PerMm),
    ("attenuation_per_mm", StatedUnit::PerMm),
    ("mu_per_cm", StatedUnit::PerCm),
    ("attenuation_per_cm", StatedUnit::PerCm),
];

impl Display for StatedUnit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hounsfield => "hu",
            Self::HounsfieldPlus1024 => "hu+1024",
            Self::PerMm => "1/mm",
            Self::PerCm => "1/cm",
            Self::Network => "network",
        })
    }
}

impl FromStr for StatedUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = Self::ALL.into_iter().find(|unit| unit.to_string().eq_ignore_ascii_case(text));
        unit.ok_or_else(|| format!("{text:?} is no unit; give hu, hu+1024, 1/mm, 1/cm or network"))
    }
}

impl From<StatedUnit> for String {
    fn from(unit: StatedUnit) -> Self {
        unit.to_string()
    }
}

impl TryFrom<String> for StatedUnit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl LoadedImage {
    /// The image in the unit that is stated beside it, where the file does not say it.
    pub(super) fn stated(mut self, unit: Option<StatedUnit>) -> Result<Self, ImageProblem> {
        let Some(unit) = unit else { return Ok(self) };
        if self.unit == PixelUnit::Relative {
            self.unit = unit.pixel_unit();
            if let Some(source) = &mut self.dicom {
                source.is_hu = self.unit == PixelUnit::HounsfieldUnits;
            }
            match unit {
                StatedUnit::PerCm => self.image.pixels.iter_mut().for_each(|pixel| *pixel /= MM_PER_CM),
                StatedUnit::HounsfieldPlus1024 => self.image.pixels.iter_mut().for_each(|pixel| *pixel -= ADDED_HU),
                StatedUnit::Hounsfield if self.image.range().0 >= 0.0 => self.warnings.push(
                    "no value is below 0 HU, where air has -1000: is 1024 added to them (--unit hu+1024)?".to_owned(),
                ),
                _ => {}
            }
            if self.unit == PixelUnit::HounsfieldUnits {
                self.clip_to_air();
            }
        } else if self.unit != unit.pixel_unit() {
            return Err(ImageProblem::unsupported(
                format!("an image in {}, and {unit} is stated for it", name(self.unit)),
                "leave out the unit, which the file says",
            ));
        }
        Ok(self)
    }

    /// Makes air of what is below all air, and says so.
    pub(super) fn clip_to_air(&mut self) {
        let below = self.image.pixels.iter_mut().filter(|pixel| **pixel < BELOW_AIR_HU);
        let n = below.map(|pixel| *pixel = AIR_HU).count();
        if n > 0 {
            let found = format!("{n} pixels below {BELOW_AIR_HU} HU, outside the field of view, are taken as air");
            self.warnings.push(found);
        }
    }

    /// Looks at the values as what they are said to be.
    ///
    /// # Errors
    /// [`ImageProblem::Implausible`] for those that no image in this unit has.
    pub fn plausible(mut self) -> Result<Self, ImageProblem> {
        let (least, largest) = self.image.range();
        let [lo, hi] = match self.unit {
            PixelUnit::HounsfieldUnits => HU,
            PixelUnit::AttenuationPerMm => PER_MM,
            PixelUnit::Relative => NETWORK,
        };
        let is_flat = self.unit == PixelUnit::HounsfieldUnits
            && largest - least < LEAST_SPAN_HU
            && least > -LEAST_SPAN_HU
            && largest > least;
        if is_flat || least < lo || largest > hi {
            let flat = is_flat.then(|| format!("and span more than {LEAST_SPAN_HU} HU"));
            let why = flat.or(self.warnings.pop()).map(|why| format!("; {why}")).unwrap_or_default();
            return Err(ImageProblem::Implausible { least, largest, unit: name(self.unit), lo, hi, why });
        }
        if self.unit == PixelUnit::Relative && largest > least && largest < LEAST_NETWORK {
            let stored = self.origins.last().map(|origin| format!(" ({origin})")).unwrap_or_default();
            self.warnings.push(format!(
                "the picture uses {least:.4} to {largest:.4} of the range 0 to 1{stored}; if its values have a unit, \
                 state it: --unit hu, hu+1024, 1/mm or 1/cm"
            ));
        }
        Ok(self)
    }
}

/// Of an array called `mu` or `attenuation`, which may be in 1/mm or 1/cm: whether it is 1/mm, in which a body is much
/// below 0.1.
pub(super) fn is_per_mm(image: &Image) -> bool {
    let dense = image.pixels.iter().filter(|pixel| **pixel > BODY_PER_MM).count();
    dense * 100 <= image.pixels.len()
}

/// The unit's name in messages.
#[must_use]
pub fn name(unit: PixelUnit) -> &'static str {
    match unit {
        PixelUnit::HounsfieldUnits => "HU",
        PixelUnit::AttenuationPerMm => "1/mm",
        PixelUnit::Relative => "network units (0 to 1)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(unit: PixelUnit, pixels: &[f32]) -> LoadedImage {
        let image = Image { height: 1, width: pixels.len(), pixels: pixels.to_vec() };
        LoadedImage { unit, ..LoadedImage::bare(image) }
    }

    #[test]
    fn names_count_whole() {
        for (name, unit) in [
            ("HU", Some(StatedUnit::Hounsfield)),
            ("hu256", Some(StatedUnit::Hounsfield)),
            ("image_hu", Some(StatedUnit::Hounsfield)),
            ("mu_per_cm", Some(StatedUnit::PerCm)),
            ("humerus", None),
            ("muscle", None),
            ("hull", None),
        ] {
            assert_eq!(StatedUnit::of_name(name), unit, "{name}");
        }
        for unit in StatedUnit::ALL {
            assert_eq!(unit.to_string().parse(), Ok(unit));
        }
        assert!("m".parse::<StatedUnit>().is_err());
    }

    #[test]
    fn values_outside_their_unit_are_refused() {
        let refused = |unit, pixels: &[f32]| loaded(unit, pixels).plausible().unwrap_err().to_string();
        let message = refused(PixelUnit::Relative, &[-1000.0, 800.0]);
        assert!(message.contains("-1000") && message.contains("--unit hu"), "{message}");
        assert!(refused(PixelUnit::Relative, &[0.0, 255.0]).contains("-2 to 20"));
        assert!(refused(PixelUnit::HounsfieldUnits, &[0.0, 0.5]).contains("HU"));
        assert!(refused(PixelUnit::AttenuationPerMm, &[-1000.0, 800.0]).contains("1/mm"));
        for (unit, pixels) in [
            (PixelUnit::Relative, [-0.3, 1.4]),
            (PixelUnit::HounsfieldUnits, [-1000.0, 64_511.0]),
            (PixelUnit::AttenuationPerMm, [0.0, 0.06]),
        ] {
            assert!(loaded(unit, &pixels).plausible().unwrap().warnings.is_empty());
        }
        assert_eq!(loaded(PixelUnit::Relative, &[0.0004, 0.028]).plausible().unwrap().warnings.len(), 1);
    }

    #[test]
    fn a_unit_is_stated_where_the_file_has_none() {
        let image = loaded(PixelUnit::Relative, &[0.0, 0.36]).stated(Some(StatedUnit::PerCm)).unwrap();
        assert!(image.unit == PixelUnit::AttenuationPerMm && (image.image.pixels[1] - 0.036).abs() < 1e-7);
        let image = loaded(PixelUnit::HounsfieldUnits, &[0.0, 40.0]);
        assert!(image.clone().stated(Some(StatedUnit::PerMm)).is_err());
        assert!(image.stated(Some(StatedUnit::Hounsfield)).is_ok());
        let shifted = loaded(PixelUnit::Relative, &[24.0, 1824.0]).stated(Some(StatedUnit::Hounsfield)).unwrap();
        assert_eq!(shifted.warnings.len(), 1);
    }
}
