//! Image files: reading whatever they are, and writing.
use super::array_image::ArrayImage;
use super::atomic::write_atomically;
use super::dicom_file::{self, Dicom};
pub use super::dicom_out::Derivation;
use super::dicom_source::DicomSource;
use super::file_error::{AtPath, Cause, ImageError, ImageProblem};
use super::hdf5_images::{Hdf5Images, has_images};
use super::loaded_image::check_image;
pub use super::loaded_image::{LoadedImage, PixelUnit};
use super::npy::encode_npy;
use super::selection::Selection;
use super::units::StatedUnit;
use super::{dicom_out, dicom_series, png_file, tiff_file};
use crate::image::{GreyWindow, Image};
use crate::read::read_file;
use std::ffi::OsStr;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Npy,
    Npz,
    Png,
    Tiff,
    Dicom,
}

impl Format {
    /// The format by the mark at the file's start, else by its name's ending.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Option<Self> {
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

/// Reads one image: `.npy`, `.npz`, `.png`, `.tif(f)`, DICOM or HDF5.
///
/// In an npz, the array is the only one with two or more axes, or the one named by `FILE.npz:NAME`; a slice of a stack
/// `[slice][row][col]` is `FILE.npz:NAME[INDEX]`, or `FILE.npz:[INDEX]` for the only array, as in an npy. Its unit is
/// what a text named `unit` says, or the array's name: `hu`, `mu_per_mm`, `mu_per_cm` and the like, with a number
/// behind it or without; a scalar named `pixel_mm` gives the pixel's side. In an HDF5 file these are attributes of the
/// array, whose name is its path.
///
/// # Errors
/// [`ImageError`] names the file, what is wrong and what to do. Files cut short, NaN and infinite pixels are errors.
pub fn read_image(path: impl AsRef<Path>) -> Result<LoadedImage, ImageError> {
    read_chosen(path.as_ref(), None)
}

fn read_chosen(path: &Path, unit: Option<StatedUnit>) -> Result<LoadedImage, ImageError> {
    let selection = Selection::parse(path);
    let path = &selection.path;
    if path.is_dir() {
        return dicom_series::read(path, &selection, unit).and_then(|loaded| checked(loaded).at(path));
    }
    if has_images(path) {
        let stack = Hdf5Images::open(path, selection.name.as_deref()).at(path)?;
        return stack.image(selection.slice, unit).and_then(checked).at(path);
    }
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    decode(path, bytes, &selection, unit).at(path)
}

/// Reads one image, as [`read_image`], whose unit is stated where the file cannot say it; the numbers of PNG and TIFF
/// are then taken as stored. Its values must be plausible in their unit.
///
/// # Errors
/// As [`read_image`], and [`ImageProblem::Implausible`]; a file that says another unit.
pub fn read_image_in(path: impl AsRef<Path>, unit: Option<StatedUnit>) -> Result<LoadedImage, ImageError> {
    let path = path.as_ref();
    read_chosen(path, unit)?.stated(unit).and_then(LoadedImage::plausible).at(path)
}

/// Reads all slices of a file: those of a stack `[slice][row][col]` in npy, npz or HDF5, named as for [`read_image`],
/// or its one image. Pixels may be NaN or infinite, so that a slice can be left out and the others used.
///
/// # Errors
/// As [`read_image`].
pub fn read_slices(path: impl AsRef<Path>) -> Result<Vec<LoadedImage>, ImageError> {
    let selection = Selection::parse(path.as_ref());
    let path = &selection.path;
    if has_images(path) && selection.slice.is_none() {
        return Hdf5Images::open(path, selection.name.as_deref()).and_then(|stack| stack.images()).at(path);
    }
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    decode_slices(path, bytes, &selection).at(path)
}

/// Reads an image with its stored numbers: those of TIFF and PNG are not scaled to fractions of white.
pub(crate) fn read_stored(path: &Path) -> Result<Image, ImageError> {
    let bytes = read_file(path).map_err(ImageProblem::Read).at(path)?;
    let image = match Format::of(path, &bytes) {
        Some(Format::Tiff) => tiff_file::decode(&bytes, None).at(path)?.image,
        Some(Format::Png) => png_file::decode(&bytes).at(path)?.image,
        _ => return read_image(path).map(|loaded| loaded.image),
    };
    check_image(&image).map(|()| image).at(path)
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
/// series. Returns a warning where values are beyond what can be stored, and clipped.
///
/// Same source, derivation and pixels give the same file, and slices with the same source series and run belong to one
/// new series. Stored values are 16 bits with the finest slope that fits: every pixel is kept to 0.05 HU within +-3276
/// HU, to 0.5 HU within +-32767 HU.
///
/// # Errors
/// As [`write_npy`], and [`ImageProblem::Unsupported`] if the size differs from the source's.
pub fn write_dicom(
    path: impl AsRef<Path>,
    image: &Image,
    source: &DicomSource,
    derivation: Derivation<'_>,
) -> Result<Option<String>, ImageError> {
    let path = path.as_ref();
    let (bytes, warning) = dicom_out::encode(image, source, derivation).at(path)?;
    write(path, Ok(bytes)).map(|()| warning)
}

fn write(path: &Path, encoded: Result<Vec<u8>, Cause>) -> Result<(), ImageError> {
    let to_write_error = |cause: Cause| ImageProblem::Write(std::io::Error::other(cause));
    let bytes = encoded.map_err(to_write_error).at(path)?;
    write_atomically(path, &bytes).map_err(ImageProblem::Write).at(path)
}

fn decode(
    path: &Path,
    bytes: Vec<u8>,
    selection: &Selection,
    unit: Option<StatedUnit>,
) -> Result<LoadedImage, ImageProblem> {
    let format = Format::of(path, &bytes).ok_or_else(|| foreign(&bytes))?;
    if let (Some(name), false) = (&selection.name, format == Format::Npz) {
        let found = format!("no array or series {name:?}");
        return Err(ImageProblem::unsupported(found, "a slice is chosen by NAME:[INDEX]"));
    }
    let is_fraction = unit.is_none_or(|unit| unit == StatedUnit::Network);
    let loaded = match format {
        Format::Npy => ArrayImage::of_npy(bytes)?.image(selection.slice, unit)?,
        Format::Npz => ArrayImage::of_npz(bytes, selection)?.image(selection.slice, unit)?,
        Format::Png => png_file::decode(&bytes).and_then(|grey| grey.only(selection.slice))?.loaded(is_fraction),
        Format::Tiff => tiff_file::decode(&bytes, selection.slice)?.loaded(is_fraction),
        Format::Dicom => Dicom::parse(&bytes)?.frame(selection.slice, unit)?,
    };
    checked(loaded)
}

/// The reason for not reading a file of another program: its kind, by its mark, and the way out.
pub(super) fn foreign(bytes: &[u8]) -> ImageProblem {
    const CONVERT: &str = "make a scan of measured projections by `gradus convert`; save an image by numpy.savez";
    const SAVE: &str = "save its array by numpy.savez, with its unit and pixel_mm";
    const UNPACK: &str = "unpack it first: gunzip";
    const PICTURE: &str = "save it as a grey PNG or TIFF";
    const MARKS: [(usize, &[u8], &str, &str); 10] = [
        (0, b"\x89HDF\r\n", "HDF5 (h5py reads it)", CONVERT),
        (0, b"MATLAB 5.0", "MATLAB arrays (scipy.io.loadmat reads them)", CONVERT),
        (0, b"MATLAB 7.3", "MATLAB arrays (h5py reads them)", CONVERT),
        (344, b"n+1\0", "NIfTI (nibabel reads it)", SAVE),
        (344, b"ni1\0", "NIfTI (nibabel reads it)", SAVE),
        (0, b"ObjectType = Image", "MetaImage (SimpleITK reads it)", SAVE),
        (0, b"NRRD", "NRRD (pynrrd reads it)", SAVE),
        (0, b"\xFF\xD8\xFF", "JPEG, whose losses make streaks", PICTURE),
        (0, b"BM", "a bitmap", PICTURE),
        (0, b"\x1F\x8B", "what gzip has compressed", UNPACK),
    ];
    let is_at = |at: usize, mark: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(mark));
    let found = MARKS.into_iter().find(|(at, mark, ..)| is_at(*at, mark));
    found.map_or(ImageProblem::UnknownFormat, |(_, _, name, advice)| ImageProblem::unsupported(name, advice))
}

fn decode_slices(path: &Path, bytes: Vec<u8>, selection: &Selection) -> Result<Vec<LoadedImage>, ImageProblem> {
    match Format::of(path, &bytes) {
        Some(Format::Npy) if selection.slice.is_none() => ArrayImage::of_npy(bytes)?.images(),
        Some(Format::Npz) if selection.slice.is_none() => ArrayImage::of_npz(bytes, selection)?.images(),
        Some(Format::Dicom) if selection.slice.is_none() => {
            let dicom = Dicom::parse(&bytes)?;
            (0..dicom.n_frames()).map(|k| dicom.frame(Some(k), None)).collect()
        }
        _ => decode(path, bytes, selection, None).map(|only| vec![only]),
    }
}

pub(super) fn checked(loaded: LoadedImage) -> Result<LoadedImage, ImageProblem> {
    check_image(&loaded.image).map(|()| loaded)
}

#[cfg(test)]
mod tests;
