//! Arrays as images: the one of an npy file, and one of those in an npz archive.
use super::file_error::ImageProblem;
use super::loaded_image::LoadedImage;
use super::npy::{Archive, Array};
use super::selection::Selection;
use super::units::{StatedUnit, is_per_mm};
use crate::image::Image;
use std::io::{Read, Seek};
use std::ops::Range;

/// Words in the names of arrays that mean a unit.
const WORDS: [&str; 4] = ["hu", "hounsfield", "mu", "attenuation"];

/// Name, unit and size of an array's pixels, as its file says them.
pub(super) struct About {
    name: String,
    unit: Option<StatedUnit>,
    /// The text that says the unit, where it is none that is known.
    unknown: Option<String>,
    pixel_mm: Option<f64>,
    origins: Vec<String>,
}

/// An array, and what is said about it.
pub(super) struct ArrayImage {
    array: Array,
    about: About,
}

impl About {
    /// Of an npy file: nothing.
    pub(super) fn nothing() -> Self {
        let origins = vec!["npy: no unit, no size of a pixel".to_owned()];
        Self { name: String::new(), unit: None, unknown: None, pixel_mm: None, origins }
    }

    /// Of the array of this name in an archive.
    pub(super) fn in_archive<R: Read + Seek>(archive: &mut Archive<R>, name: String) -> Result<Self, ImageProblem> {
        let damaged = |cause| ImageProblem::damaged("npz", cause);
        let sides = match archive.array("pixel_mm").map_err(damaged)? {
            Some(sides) => sides.values().map_err(damaged)?,
            None => Vec::new(),
        };
        let unit = archive.array("unit").map_err(damaged)?.map(|text| text.text()).transpose().map_err(damaged)?;
        Self::said(name, unit, &sides)
    }

    /// Of an array of this name beside which a text says its unit, and numbers the sides of its pixels.
    pub(super) fn said(name: String, unit: Option<String>, sides_mm: &[f64]) -> Result<Self, ImageProblem> {
        if let [rows_mm, cols_mm, ..] = sides_mm[..]
            && rows_mm != cols_mm
        {
            let found = format!("pixels of {rows_mm} x {cols_mm} mm (pixel_mm)");
            return Err(ImageProblem::unsupported(found, "resample it to square pixels"));
        }
        if let Some(mm) = sides_mm.iter().find(|mm| !(mm.is_finite() && **mm > 0.0)) {
            return Err(ImageProblem::unsupported(format!("a pixel_mm of {mm}"), "mend it: a length above 0, in mm"));
        }
        let pixel_mm = sides_mm.first().copied();
        let known = |text: &String| text.parse().ok().or_else(|| StatedUnit::of_name(text));
        let (unit, unknown, of_unit) = match (unit.as_ref().map(known), StatedUnit::of_name(last(&name))) {
            (Some(Some(known)), _) => (Some(known), None, format!("unit {known} by field unit")),
            (Some(None), _) => (None, unit, "no unit that is known in field unit".to_owned()),
            (None, Some(named)) => (Some(named), None, format!("unit {named} by the array's name")),
            (None, None) => (None, None, "no field unit, and none in the array's name".to_owned()),
        };
        let of_pixel = if pixel_mm.is_some() { "pixel_mm by field pixel_mm" } else { "no field pixel_mm" };
        let origins = vec![format!("array {name}"), of_unit, of_pixel.to_owned()];
        Ok(Self { name, unit, unknown, pixel_mm, origins })
    }

    /// An image of the array, in the unit that is said or, where none is, that the user states.
    pub(super) fn loaded(&self, image: Image, stated: Option<StatedUnit>) -> Result<LoadedImage, ImageProblem> {
        let (mut unit, mut warnings) = (self.unit, Vec::new());
        let mut origins = self.origins.clone();
        let name = last(&self.name).to_ascii_lowercase();
        if let (Some(text), None) = (&self.unknown, stated) {
            let found = format!("an array whose unit is {text:?}, which is none that is known");
            return Err(ImageProblem::unsupported(found, "state it: --unit hu, hu+1024, 1/mm, 1/cm or network"));
        }
        // Many write mu for either.
        if matches!(name.as_str(), "mu" | "attenuation") && unit.or(stated).is_none() {
            if !is_per_mm(&image) {
                let found = format!("an array {:?} that may be in 1/mm or in 1/cm", self.name);
                return Err(ImageProblem::unsupported(found, "state it: --unit 1/mm, or --unit 1/cm"));
            }
            origins.push("unit 1/mm by the array's name and its values, too small for 1/cm".to_owned());
            unit = Some(StatedUnit::PerMm);
        }
        if unit.or(stated).is_none() && name.split('_').any(|word| WORDS.contains(&word)) {
            warnings.push(format!(
                "the array's name {:?} may say a unit, and none that is known: its values are taken to be in network \
                 units (--unit)",
                self.name
            ));
        }
        LoadedImage { pixel_mm: self.pixel_mm, origins, warnings, ..LoadedImage::bare(image) }.stated(unit)
    }
}

/// The name of an array within its groups.
fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

impl ArrayImage {
    /// The array of an npy file, of which nothing is said.
    pub(super) fn of_npy(bytes: Vec<u8>) -> Result<Self, ImageProblem> {
        let array = Array::parse(bytes).map_err(|cause| ImageProblem::damaged("npy", cause))?;
        Ok(Self { array, about: About::nothing() })
    }

    /// The array of an archive that is meant.
    pub(super) fn of_npz(bytes: Vec<u8>, selection: &Selection) -> Result<Self, ImageProblem> {
        let damaged = |cause| ImageProblem::damaged("npz", cause);
        let mut archive = Archive::parse(bytes).map_err(damaged)?;
        let name = pick_array(&mut archive, selection.name.as_deref())?;
        // Of a stack, the slice that is asked for.
        let slice = |shape: &[usize]| elements(shape, selection.slice).ok().map(|(_, elements)| elements);
        let array = archive.part(&name, slice).map_err(damaged)?;
        let array = array.ok_or_else(|| ImageProblem::damaged("npz", "an array is listed and not there"))?;
        Ok(Self { array, about: About::in_archive(&mut archive, name)? })
    }

    /// The image, or slice `index` of a stack, in the unit that it says or, where it says none, that the user states.
    pub(super) fn image(&self, index: Option<usize>, stated: Option<StatedUnit>) -> Result<LoadedImage, ImageProblem> {
        self.about.loaded(plane(&self.array, index)?, stated)
    }

    /// All images `[slice][row][col]`, or the one there is.
    pub(super) fn images(&self) -> Result<Vec<LoadedImage>, ImageProblem> {
        let shape = self.array.shape();
        let (&[.., height, width], 2..=3) = (shape.as_slice(), shape.len()) else {
            return Err(ImageProblem::Shape { found: shape });
        };
        let size = height * width;
        let n_slices = shape.iter().product::<usize>().checked_div(size).unwrap_or(0);
        let slice = |k: usize| {
            let pixels = self.array.pixels(k * size..(k + 1) * size);
            let pixels = pixels.map_err(|cause| ImageProblem::damaged("npy", cause))?;
            self.about.loaded(Image { height, width, pixels }, None)
        };
        (0..n_slices).map(slice).collect()
    }
}

/// The name of the array called `name`, or of the only one with two or more axes.
pub(super) fn pick_array<R: Read + Seek>(archive: &mut Archive<R>, name: Option<&str>) -> Result<String, ImageProblem> {
    let damaged = |cause| ImageProblem::damaged("npz", cause);
    let names = archive.names();
    let mut found = Vec::new();
    for candidate in names.iter().filter(|candidate| name.is_none_or(|name| name == *candidate)) {
        if name.is_some() || archive.shape(candidate).map_err(damaged)?.len() >= 2 {
            found.push(candidate.clone());
        }
    }
    let only = found.pop().filter(|_| found.is_empty());
    match (found.len(), only) {
        (_, Some(only)) => Ok(only),
        (more, None) => {
            let count = if more == 0 { 0 } else { more + 1 };
            let wanted = match name {
                Some(name) => format!("there is no array {name:?}"),
                None if count == 0 => "there is no array of two or more axes".to_owned(),
                None => format!("{count} arrays could be meant"),
            };
            Err(ImageProblem::NoSuchArray { wanted, present: names })
        }
    }
}

/// The array as an image, or slice `index` of it.
fn plane(array: &Array, index: Option<usize>) -> Result<Image, ImageProblem> {
    let ([height, width], elements) = elements(&array.shape(), index)?;
    let pixels = array.pixels(elements).map_err(|cause| ImageProblem::damaged("npy", cause))?;
    Ok(Image { height, width, pixels })
}

/// Rows, columns and the elements of the image that an array of this shape is, or of slice `index` of it. Leading axes
/// of length 1 do not count.
fn elements(shape: &[usize], index: Option<usize>) -> Result<([usize; 2], Range<usize>), ImageProblem> {
    let n_ones = shape.iter().take(shape.len().saturating_sub(2)).take_while(|&&length| length == 1).count();
    let (n_slices, height, width) = match (&shape[n_ones..], index) {
        (&[height, width], None) => (1, height, width),
        (&[height, width], Some(_)) if n_ones > 0 => (1, height, width),
        (&[n_slices, height, width], Some(_)) => (n_slices, height, width),
        _ => return Err(ImageProblem::Shape { found: shape.to_vec() }),
    };
    let index = index.unwrap_or(0);
    if index >= n_slices {
        return Err(ImageProblem::NoSuchSlice { index, length: n_slices });
    }
    let size = height * width;
    Ok(([height, width], index * size..(index + 1) * size))
}
