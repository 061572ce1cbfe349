//! Images that come with the program.
use super::dicom_file;
use super::ellipses::ellipses;
use super::file_error::{AtPath, ImageError};
use super::loaded_image::LoadedImage;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// A CT slice through the spine, 128 x 128, by pydicom (MIT licence).
const SPINE: &[u8] = include_bytes!("../../samples/spine.dcm");
/// Side of a sample of ellipses.
const ELLIPSES_SIZE: usize = 128;

/// What can be asked for by name, for help texts and error messages.
pub const NAMES: [&str; 2] = ["ellipses:SEED", "spine"];

/// An image that needs no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Random ellipses, 128 x 128, values 0 to 1.
    Ellipses {
        /// Number of the image.
        seed: u64,
    },
    /// A CT slice in Hounsfield units with its DICOM attributes.
    Spine,
}

impl Sample {
    /// The sample called `name`: `ellipses:SEED` or `spine`; `None` for other names, which may be files.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once(':') {
            Some(("ellipses", seed)) => seed.parse().ok().map(|seed| Self::Ellipses { seed }),
            None if name == "spine" => Some(Self::Spine),
            _ => None,
        }
    }

    /// The image.
    ///
    /// # Errors
    /// As [`super::image_files::read_image`]; the samples that ship are tested to load.
    pub fn load(self) -> Result<LoadedImage, ImageError> {
        match self {
            Self::Ellipses { seed } => {
                let image = ellipses(seed, ELLIPSES_SIZE);
                Ok(LoadedImage::bare(image))
            }
            Self::Spine => dicom_file::decode(SPINE).at(Path::new("spine")),
        }
    }
}

impl Display for Sample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ellipses { seed } => write!(f, "ellipses:{seed}"),
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
        for name in ["ellipses:0", "ellipses:18446744073709551615", "spine"] {
            assert_eq!(Sample::parse(name).unwrap().to_string(), name);
        }
        for name in ["ellipses", "ellipses:", "ellipses:-1", "spine:1", "Spine", "", "spine.dcm"] {
            assert_eq!(Sample::parse(name), None, "{name}");
        }
    }

    #[test]
    fn every_sample_loads() {
        let spine = Sample::Spine.load().unwrap();
        assert_eq!((spine.image.height, spine.unit), (128, PixelUnit::HounsfieldUnits));
        let image = Sample::Ellipses { seed: 3 }.load().unwrap().image;
        assert_eq!((image.height, image.width), (ELLIPSES_SIZE, ELLIPSES_SIZE));
    }
}
