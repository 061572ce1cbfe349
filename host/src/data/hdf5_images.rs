//! Images in the arrays of HDF5 files, read one by one.
use super::array_image::About;
use super::file_error::{Cause, ImageProblem};
use super::hdf5::{Hdf5, Numbers, head, is_hdf5, is_matlab73};
use super::loaded_image::LoadedImage;
use super::units::StatedUnit;
use crate::image::Image;
use crate::limits::COUNT;
use std::path::Path;

/// The group of measured projections in the DXchange layout.
const PROJECTIONS: &str = "exchange";

/// True if there is an HDF5 file at `path` whose arrays are images: no measured projections, and none of MATLAB's.
pub(crate) fn has_images(path: &Path) -> bool {
    let head = head(path);
    let is_ours = is_hdf5(&head) && !is_matlab73(&head);
    is_ours && Hdf5::open(path).is_ok_and(|file| !file.has_group(PROJECTIONS))
}

/// An array `[slice][row][col]`, or `[row][col]`, and what is said about it.
pub(super) struct Hdf5Images {
    numbers: Numbers,
    about: About,
}

impl Hdf5Images {
    /// The array at this path within a file, or its only one with two or more axes.
    ///
    /// Its unit is what its attribute `unit` or `units` says, or its name; its attribute `pixel_mm` is the side of a
    /// pixel.
    pub(super) fn open(path: &Path, name: Option<&str>) -> Result<Self, ImageProblem> {
        let file = Hdf5::open(path).map_err(damaged)?;
        let name = match name {
            Some(name) => name.to_owned(),
            None => only(&file)?,
        };
        let Some(numbers) = file.planes(&name).map_err(damaged)? else {
            let present = file.images().map_err(damaged)?;
            return Err(ImageProblem::NoSuchArray { wanted: format!("there is no array {name:?}"), present });
        };
        let is_stack = matches!(numbers.shape[..], [_, _] | [..=COUNT, _, _]);
        if !is_stack || numbers.shape.contains(&0) {
            return Err(ImageProblem::Shape { found: numbers.shape });
        }
        let unit = numbers.attribute("unit").or_else(|| numbers.attribute("units"));
        let sides_mm = numbers.attribute_numbers("pixel_mm").unwrap_or_default();
        Ok(Self { about: About::said(name, unit, &sides_mm)?, numbers })
    }

    /// The number of images.
    pub(super) fn len(&self) -> usize {
        if let [length, _, _] = self.numbers.shape[..] { length } else { 1 }
    }

    /// The image, or slice `index` of a stack, in the unit that it says or, where it says none, that the user states.
    pub(super) fn image(&self, index: Option<usize>, stated: Option<StatedUnit>) -> Result<LoadedImage, ImageProblem> {
        let shape = &self.numbers.shape;
        let (rows, height, width) = match (&shape[..], index) {
            (&[height, width], None) => (0..height, height, width),
            (&[1, height, width], None) => (0..1, height, width),
            (&[length, _, _], Some(index)) if index >= length => {
                return Err(ImageProblem::NoSuchSlice { index, length });
            }
            (&[_, height, width], Some(index)) => (index..index + 1, height, width),
            _ => return Err(ImageProblem::Shape { found: shape.clone() }),
        };
        let pixels = self.numbers.pixels(rows).map_err(damaged)?;
        self.about.loaded(Image { height, width, pixels }, stated)
    }

    /// All images, which must be as few as the file is believed to hold.
    pub(super) fn images(&self) -> Result<Vec<LoadedImage>, ImageProblem> {
        self.numbers.check_all().map_err(damaged)?;
        (0..self.len()).map(|k| self.slice(k, None)).collect()
    }

    /// Image `k` of all.
    pub(super) fn slice(&self, k: usize, stated: Option<StatedUnit>) -> Result<LoadedImage, ImageProblem> {
        self.image((self.numbers.shape.len() > 2).then_some(k), stated)
    }
}

/// The path of the only array with two or more axes.
fn only(file: &Hdf5) -> Result<String, ImageProblem> {
    let present = file.images().map_err(damaged)?;
    match &present[..] {
        [only] => Ok(only.clone()),
        [] => {
            let wanted = "there is no array of two or more axes".to_owned();
            Err(ImageProblem::NoSuchArray { wanted, present })
        }
        several => {
            let wanted = format!("{} arrays could be meant", several.len());
            Err(ImageProblem::NoSuchArray { wanted, present })
        }
    }
}

fn damaged(cause: Cause) -> ImageProblem {
    ImageProblem::damaged("HDF5", cause)
}
