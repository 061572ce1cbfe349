//! Image files: reading whatever they are, and writing.
use super::atomic::write_atomically;
use super::dicom_source::DicomSource;
use super::file_error::{AtPath, Cause, ImageError, ImageProblem};
use super::loaded_image::{Grey, check_image};
pub use super::loaded_image::{LoadedImage, PixelUnit};
use super::npy::{Archive, Array, encode_npy};
use super::units::{StatedUnit, is_per_mm};
use super::{dicom_file, dicom_out, png_file, tiff_file};
use crate::image::{GreyWindow, Image};
use crate::read::read_file;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Npy,
    Npz,
    Png,
    Tiff,
    Dicom,
}

impl Format {
    /// The format by the mark at the file's start, else by its name's ending.
    fn of(path: &Path, bytes: &[u8]) -> Option<Self> {
        // Before TIFF: the preamble of a DICOM file may hold the start of a TIFF file, so that both kinds of reader
        // open it.
        if dicom_file::has_mark(bytes) {
            return Some(Self::Dicom);
        }
        match bytes {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => return Some(Self::Npy),
            [b'P', b'K', 3, 4, ..] => return Some(Self::Npz),
            [0x89, b'P', b'N', b'G', ..] => return Some(Self::Png),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => return Some(Self::Tiff),
            _ => {}
        }
        let ending = path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase();
        match ending.as_str() {
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "png" => Some(Self::Png),
            "tif" | "tiff" => Some(Self::Tiff),
            "dcm" | "dicom" | "ima" => Some(Self::Dicom),
            _ => None,
        }
    }
}

/// Reads one image: `.npy`, `.npz`, `.png`, `.tif(f)` or DICOM.
///
/// In an npz, the array is the only one with two or more axes, or the one named by `FILE.npz:NAME`; a slice of a stack
/// `[slice][row][col]` is `FILE.npz:NAME[INDEX]`, or `FILE.npz:[INDEX]` for the only array, as in an npy. Its unit is
/// what a text named `unit` says, or the array's name: `hu`, `mu_per_mm`, `mu_per_cm` and the like, with a number
/// behind it or without; a scalar named `pixel_mm` gives the pixel's side.
///
/// # Errors
/// [`ImageError`] names the file, what is wrong and what to do. Files cut short, NaN and infinite pixels are errors.
pub fn read_image(path: impl AsRef<Path>) -> Result<LoadedImage, ImageError> {
    let selection = Selection::parse(path.as_ref());
    let path = &selection.path;
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    decode(path, bytes, &selection, None).at(path)
}

/// Reads one image, as [`read_image`], whose unit is stated where the file cannot say it; the numbers of PNG and TIFF
/// are then taken as stored. Its values must be plausible in their unit.
///
/// # Errors
/// As [`read_image`], and [`ImageProblem::Implausible`]; a file that says another unit.
pub fn read_image_in(path: impl AsRef<Path>, unit: Option<StatedUnit>) -> Result<LoadedImage, ImageError> {
    let selection = Selection::parse(path.as_ref());
    let path = &selection.path;
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    let loaded = decode(path, bytes, &selection, unit).at(path)?;
    loaded.stated(unit).and_then(LoadedImage::plausible).at(path)
}

/// Reads all slices of a file: those of a stack `[slice][row][col]` in npy or npz, named as for [`read_image`], or its
/// one image. Pixels may be NaN or infinite, so that a slice can be left out and the others used.
///
/// # Errors
/// As [`read_image`].
pub fn read_slices(path: impl AsRef<Path>) -> Result<Vec<LoadedImage>, ImageError> {
    let selection = Selection::parse(path.as_ref());
    let path = &selection.path;
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    decode_slices(path, bytes, &selection).at(path)
}

/// Reads an image with its stored numbers: those of TIFF and PNG are not scaled to fractions of white.
pub(crate) fn read_stored(path: &Path) -> Result<Image, ImageError> {
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    let image = match Format::of(path, &bytes) {
        Some(Format::Tiff) => tiff_file::decode(&bytes).at(path)?.image,
        Some(Format::Png) => png_file::decode(&bytes).at(path)?.image,
        _ => return read_image(path).map(|loaded| loaded.image),
    };
    check_image(&image).map(|()| image).at(path)
}

/// Reads the slices of one DICOM series in `folder`, ordered along the slice axis. Other files are passed over.
///
/// # Errors
/// [`ImageError`] for an unreadable slice, a folder without DICOM files or with several series.
pub fn read_series(folder: impl AsRef<Path>) -> Result<Vec<LoadedImage>, ImageError> {
    let folder = folder.as_ref();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(ImageProblem::Read)
        .at(folder)?;
    paths.sort_unstable();
    let mut slices = Vec::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
        if Format::of(path, &bytes) == Some(Format::Dicom) && !dicom_file::is_directory(&bytes) {
            slices.push(dicom_file::decode(&bytes).and_then(checked).at(path)?);
        }
    }
    dicom_file::in_order(slices).at(folder)
}

/// Writes `image` as float32 `.npy`.
///
/// # Errors
/// [`ImageProblem::Write`], and [`ImageProblem::NotFinite`], for NaN and infinity are no results; then no file is left
/// behind, as for every writer here.
pub fn write_npy(path: impl AsRef<Path>, image: &Image) -> Result<(), ImageError> {
    let path = path.as_ref();
    check_image(image).at(path)?;
    write(path, encode_npy(&[image.height, image.width], &image.pixels))
}

/// Writes `image` as a 16-bit grey PNG: `window.lo` is black, `window.hi` white.
///
/// # Errors
/// As [`write_npy`].
pub fn write_png16(path: impl AsRef<Path>, image: &Image, window: GreyWindow) -> Result<(), ImageError> {
    let path = path.as_ref();
    check_image(image).at(path)?;
    write(path, png_file::encode16(image, window))
}

/// Writes `image` as a float32 TIFF.
///
/// # Errors
/// As [`write_npy`].
pub fn write_tiff_f32(path: impl AsRef<Path>, image: &Image) -> Result<(), ImageError> {
    let path = path.as_ref();
    check_image(image).at(path)?;
    write(path, tiff_file::encode_f32(image))
}

/// Writes an image in the unit of `source`, most often HU, as a DICOM file derived from it: same patient and study, new
/// series.
///
/// `derivation` says in a few words how the image was made; same source, words and pixels give the same file, and
/// slices with the same source series and words belong to one new series. Stored values are 16 bits with a slope that
/// keeps every pixel to 0.05 HU within +-3276 HU, to 0.5 HU within +-32767 HU, and to half of a coarser slope beyond.
///
/// # Errors
/// As [`write_npy`], and [`ImageProblem::Unsupported`] if the size differs from the source's or values exceed the
/// range.
pub fn write_dicom(
    path: impl AsRef<Path>,
    image_hu: &Image,
    source: &DicomSource,
    derivation: &str,
) -> Result<(), ImageError> {
    let path = path.as_ref();
    let bytes = dicom_out::encode(image_hu, source, derivation).at(path)?;
    write(path, Ok(bytes))
}

fn write(path: &Path, encoded: Result<Vec<u8>, Cause>) -> Result<(), ImageError> {
    let to_write_error = |cause: Cause| ImageProblem::Write(std::io::Error::other(cause));
    let bytes = encoded.map_err(to_write_error).at(path)?;
    write_atomically(path, &bytes).map_err(ImageProblem::Write).at(path)
}

/// A file, and which array and slice of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selection {
    path: PathBuf,
    array: Option<String>,
    slice: Option<usize>,
}

impl Selection {
    /// Takes `FILE.npz:NAME[INDEX]` or `FILE.npy:[INDEX]` apart. A path without `.npz:` or `.npy:` in it is a path and
    /// no more.
    fn parse(path: &Path) -> Self {
        let whole = Self { path: path.to_owned(), array: None, slice: None };
        let parts = |ending: &str| {
            let (file, selector) = path.to_str()?.rsplit_once(&format!("{ending}:"))?;
            Some((format!("{file}{ending}"), selector.to_owned()))
        };
        let Some((file, selector)) = parts(".npz").or_else(|| parts(".npy")) else { return whole };
        let bracketed = selector.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
        let (name, slice) = match bracketed.map(|(name, index)| (name, index.parse())) {
            Some((name, Ok(index))) => (name, Some(index)),
            _ => (selector.as_str(), None),
        };
        let array = (!name.is_empty()).then(|| name.to_owned());
        Self { path: file.into(), array, slice }
    }
}

fn decode(
    path: &Path,
    bytes: Vec<u8>,
    selection: &Selection,
    unit: Option<StatedUnit>,
) -> Result<LoadedImage, ImageProblem> {
    let relative =
        |image| LoadedImage { image, unit: PixelUnit::Relative, pixel_mm: None, dicom: None, warnings: Vec::new() };
    let is_fraction = unit.is_none_or(|unit| unit == StatedUnit::Network);
    let grey = |grey: Grey| relative(if is_fraction { grey.fractions() } else { grey.image });
    let unknown = || match foreign(&bytes) {
        Some(name) => ImageProblem::unsupported(name, "save its array by numpy.savez, or its picture as PNG or TIFF"),
        None => ImageProblem::UnknownFormat,
    };
    let loaded = match Format::of(path, &bytes).ok_or_else(unknown)? {
        Format::Npy => {
            let array = Array::parse(bytes).map_err(|cause| ImageProblem::damaged("npy", cause))?;
            relative(plane(&array, selection.slice, "npy")?)
        }
        Format::Npz => {
            let picked = Picked::of(bytes, selection)?;
            picked.loaded(plane(&picked.array, selection.slice, "npz")?, unit)?
        }
        Format::Png => grey(png_file::decode(&bytes)?),
        Format::Tiff => grey(tiff_file::decode(&bytes)?),
        Format::Dicom => dicom_file::decode(&bytes)?,
    };
    checked(loaded)
}

/// What a file of another program is, by its mark.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const MARKS: [(usize, &[u8], &str); 9] = [
        (0, b"\x89HDF\r\n", "HDF5 (h5py reads it)"),
        (0, b"MATLAB 5.0", "MATLAB arrays (scipy.io.loadmat reads them)"),
        (344, b"n+1\0", "NIfTI (nibabel reads it)"),
        (344, b"ni1\0", "NIfTI (nibabel reads it)"),
        (0, b"ObjectType = Image", "MetaImage (SimpleITK reads it)"),
        (0, b"NRRD", "NRRD (pynrrd reads it)"),
        (0, b"\xFF\xD8\xFF", "JPEG, whose losses make streaks"),
        (0, b"BM", "a bitmap"),
        (0, b"\x1F\x8B", "a file compressed by gzip: unpack it"),
    ];
    let found = MARKS.into_iter().find(|(at, mark, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(mark)));
    found.map(|(_, _, name)| name)
}

/// The array of an archive that is meant, and what is said about it.
struct Picked {
    array: Array,
    name: String,
    unit: Option<StatedUnit>,
    pixel_mm: Option<f64>,
}

impl Picked {
    fn of(bytes: Vec<u8>, selection: &Selection) -> Result<Self, ImageProblem> {
        let damaged = |cause| ImageProblem::damaged("npz", cause);
        let mut archive = Archive::parse(bytes).map_err(damaged)?;
        let (name, array) = pick_array(&mut archive, selection.array.as_deref())?;
        let sides = match archive.array("pixel_mm").map_err(damaged)? {
            Some(sides) => sides.values().map_err(damaged)?,
            None => Vec::new(),
        };
        if let [rows_mm, cols_mm, ..] = sides[..]
            && rows_mm != cols_mm
        {
            let found = format!("pixels of {rows_mm} x {cols_mm} mm (pixel_mm)");
            return Err(ImageProblem::unsupported(found, "resample it to square pixels"));
        }
        let pixel_mm = sides.first().copied().filter(|mm| mm.is_finite() && *mm > 0.0);
        let stated = archive.array("unit").map_err(damaged)?.map(|text| text.text()).transpose().map_err(damaged)?;
        let unit = match stated {
            Some(text) => Some(text.parse().map_err(|why: String| ImageProblem::damaged("npz", why))?),
            None => StatedUnit::of_name(&name),
        };
        Ok(Self { array, name, unit, pixel_mm })
    }

    /// An image of the array; `stated` is what the user says.
    fn loaded(&self, image: Image, stated: Option<StatedUnit>) -> Result<LoadedImage, ImageProblem> {
        let mut unit = self.unit;
        // Many write mu for either.
        if matches!(self.name.as_str(), "mu" | "attenuation") && unit.or(stated).is_none() {
            if !is_per_mm(&image) {
                let found = format!("an array {:?} that may be in 1/mm or in 1/cm", self.name);
                return Err(ImageProblem::unsupported(found, "state it: --unit 1/mm, or --unit 1/cm"));
            }
            unit = Some(StatedUnit::PerMm);
        }
        let (pixel_mm, unit_before) = (self.pixel_mm, PixelUnit::Relative);
        LoadedImage { image, unit: unit_before, pixel_mm, dicom: None, warnings: Vec::new() }.stated(unit)
    }
}

/// The array called `name`, or the only one with two or more axes.
fn pick_array(archive: &mut Archive, name: Option<&str>) -> Result<(String, Array), ImageProblem> {
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
        (_, Some(only)) => {
            let array = archive.array(&only).map_err(damaged)?;
            let array = array.ok_or_else(|| ImageProblem::damaged("npz", "an array is listed and not there"))?;
            Ok((only, array))
        }
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

/// The array as an image, or slice `index` of it. Leading axes of length 1 do not count.
fn plane(array: &Array, index: Option<usize>, format: &'static str) -> Result<Image, ImageProblem> {
    let found = array.shape();
    let n_ones = found.iter().take(found.len().saturating_sub(2)).take_while(|&&length| length == 1).count();
    let (n_slices, height, width) = match (&found[n_ones..], index) {
        (&[height, width], None) => (1, height, width),
        (&[height, width], Some(_)) if n_ones > 0 => (1, height, width),
        (&[n_slices, height, width], Some(_)) => (n_slices, height, width),
        _ => return Err(ImageProblem::Shape { found }),
    };
    let index = index.unwrap_or(0);
    if index >= n_slices {
        return Err(ImageProblem::NoSuchSlice { index, length: n_slices });
    }
    let size = height * width;
    let pixels = array.pixels(index * size..(index + 1) * size);
    Ok(Image { height, width, pixels: pixels.map_err(|cause| ImageProblem::damaged(format, cause))? })
}

fn decode_slices(path: &Path, bytes: Vec<u8>, selection: &Selection) -> Result<Vec<LoadedImage>, ImageProblem> {
    let picked = match Format::of(path, &bytes) {
        Some(Format::Npy) if selection.slice.is_none() => {
            let array = Array::parse(bytes).map_err(|cause| ImageProblem::damaged("npy", cause))?;
            Picked { array, name: String::new(), unit: None, pixel_mm: None }
        }
        Some(Format::Npz) if selection.slice.is_none() => Picked::of(bytes, selection)?,
        _ => return decode(path, bytes, selection, None).map(|only| vec![only]),
    };
    let shape = picked.array.shape();
    let (&[.., height, width], 2..=3) = (shape.as_slice(), shape.len()) else {
        return Err(ImageProblem::Shape { found: shape });
    };
    let size = height * width;
    let n_slices = shape.iter().product::<usize>().checked_div(size).unwrap_or(0);
    let slice = |k: usize| {
        let pixels = picked.array.pixels(k * size..(k + 1) * size);
        let pixels = pixels.map_err(|cause| ImageProblem::damaged("npy", cause))?;
        picked.loaded(Image { height, width, pixels }, None)
    };
    (0..n_slices).map(slice).collect()
}

fn checked(loaded: LoadedImage) -> Result<LoadedImage, ImageProblem> {
    check_image(&loaded.image).map(|()| loaded)
}

#[cfg(test)]
mod tests;
