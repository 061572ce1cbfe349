//! Images that come with the program.
use super::dicom_file;
use super::disc::disc;
use super::ellipses::ellipses;
use super::file_error::{AtPath, ImageError};
use super::loaded_image::LoadedImage;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// A CT slice through the spine, 128 x 128, by pydicom (MIT licence).
const SPINE: &[u8] = include_bytes!("../../samples/spine.dcm");
/// Side of a generated sample.
const SIZE: usize = 128;

/// Names that can be asked for, for help texts and error messages.
pub const NAMES: [&str; 3] = ["ellipses:SEED", "disc:SEED", "spine"];

/// An image that needs no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Random ellipses, 128 x 128, values 0 to 1.
    Ellipses {
        /// Number of the image.
        seed: u64,
    },
    /// A random disc with holes, 128 x 128, 1 for its material and 0 for air.
    Disc {
        /// Number of the image.
        seed: u64,
    },
    /// A CT slice in Hounsfield units with its DICOM attributes.
    Spine,
}

impl Sample {
    /// The sample called `name`: `ellipses:SEED`, `disc:SEED` or `spine`; `None` for other names, which may be files.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once(':') {
            Some(("ellipses", seed)) => seed.parse().ok().map(|seed| Self::Ellipses { seed }),
            Some(("disc", seed)) => seed.parse().ok().map(|seed| Self::Disc { seed }),
            None if name == "spine" => Some(Self::Spine),
            _ => None,
        }
    }

    /// The embedded prior of such images, where it is not that of their unit.
    #[must_use]
    pub fn prior(self) -> Option<&'static str> {
        matches!(self, Self::Disc { .. }).then_some("disc")
    }

    /// The image.
    ///
    /// # Errors
    /// As [`super::image_files::read_image`]; the samples that ship are tested to load.
    pub fn load(self) -> Result<LoadedImage, ImageError> {
        match self {
            Self::Ellipses { seed } => Ok(LoadedImage::bare(ellipses(seed, SIZE))),
            Self::Disc { seed } => Ok(LoadedImage::bare(disc(seed, SIZE))),
            Self::Spine => dicom_file::decode(SPINE).at(Path::new("spine")),
        }
    }
}

impl Display for Sample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ellipses { seed } => write!(f, "ellipses:{seed}"),
            Self::Disc { seed } => write!(f, "disc:{seed}"),
            Self::Spine => write!(f, "spine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loaded_image::PixelUnit;

    #[test]
    fn names_are_parsed_and_shown_alike() {
        for name in ["ellipses:0", "disc:12", "ellipses:18446744073709551615", "spine"] {
            assert_eq!(Sample::parse(name).unwrap().to_string(), name);
        }
        for name in ["ellipses", "disc:", "ellipses:", "ellipses:-1", "spine:1", "Spine", "", "spine.dcm"] {
            assert_eq!(Sample::parse(name), None, "{name}");
        }
    }

    #[test]
    fn every_sample_loads() {
        let spine = Sample::Spine.load().unwrap();
        assert_eq!((spine.image.height, spine.unit), (128, PixelUnit::HounsfieldUnits));
        for sample in [Sample::Ellipses { seed: 3 }, Sample::Disc { seed: 3 }] {
            let image = sample.load().unwrap().image;
            assert_eq!((image.height, image.width), (SIZE, SIZE));
        }
    }
}
