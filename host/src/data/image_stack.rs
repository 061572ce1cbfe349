//! Images of a whole series, read one by one.
use super::array_image::{About, pick_array};
use super::dicom_file::Dicom;
use super::dicom_series;
use super::file_error::{AtPath, Cause, ImageError, ImageProblem};
use super::hdf5_images::{Hdf5Images, has_images};
use super::image_files::{Format, checked, foreign};
use super::loaded_image::LoadedImage;
use super::npy::{Archive, Array};
use super::planes::Planes;
use super::selection::Selection;
use super::tiff_file;
use super::units::StatedUnit;
use crate::image::Image;
use crate::read::{open, read_file};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that tell the format.
const HEAD: u64 = 512;

/// A stack of images: a folder with a series of DICOM slices, a DICOM file of several frames, a TIFF file of several
/// pages, an array `[slice][row][col]` in an npy, npz or HDF5 file.
///
/// Slices of DICOM folders, npy and HDF5 files and archives without compression are read from the disk when they are
/// asked for; of others the file is held in memory.
pub struct ImageStack {
    path: PathBuf,
    stated: Option<StatedUnit>,
    kind: Kind,
    doubts: Vec<String>,
}

enum Kind {
    Array(Box<(Planes, About)>),
    Hdf5(Box<Hdf5Images>),
    Folder(Vec<PathBuf>),
    Frames(Box<Dicom>),
    Pages(Vec<u8>, usize),
}

impl ImageStack {
    /// Opens the stack of this name, as [`read_image_in`](super::image_files::read_image_in) takes it without a slice;
    /// `stated` is the unit of its images, where it does not say it.
    ///
    /// # Errors
    /// [`ImageError`] names the file and what is wrong with it.
    pub fn open(name: impl AsRef<Path>, stated: Option<StatedUnit>) -> Result<Self, ImageError> {
        let selection = Selection::parse(name.as_ref());
        let path = selection.path.clone();
        if selection.slice.is_some() {
            let found = "a single slice by its name".to_owned();
            return Err(ImageProblem::unsupported(found, "leave out [INDEX] to take the whole stack")).at(&path);
        }
        let (kind, doubts) = if path.is_dir() {
            let (files, doubts) = dicom_series::files(&path, selection.name.as_deref())?;
            (Kind::Folder(files), doubts)
        } else {
            let kind = Kind::open(&path, &selection).at(&path)?;
            let doubt = if let Kind::Frames(dicom) = &kind { dicom_series::doubt_about_frames(dicom) } else { None };
            (kind, doubt.into_iter().collect())
        };
        Ok(Self { path, stated, kind, doubts })
    }

    /// The number of images.
    #[must_use]
    pub fn n_slices(&self) -> usize {
        match &self.kind {
            Kind::Array(array) => array.0.len(),
            Kind::Hdf5(images) => images.len(),
            Kind::Folder(files) => files.len(),
            Kind::Frames(dicom) => dicom.n_frames(),
            Kind::Pages(_, length) => *length,
        }
    }

    /// Doubts about the stack as a whole.
    #[must_use]
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// The numbers of an image as they are stored, which are scaled to fractions of white in TIFF files otherwise.
    ///
    /// # Errors
    /// [`ImageError`] names the file and what is wrong with it.
    pub fn stored(&self, slice: usize) -> Result<Image, ImageError> {
        match &self.kind {
            Kind::Pages(bytes, _) => tiff_file::decode(bytes, Some(slice)).map(|grey| grey.image).at(&self.path),
            _ => self.read(slice).map(|loaded| loaded.image),
        }
    }

    /// An image, in the unit that is stated for it or that its file says, with values that are plausible in it.
    ///
    /// # Errors
    /// [`ImageError`] names the file and what is wrong with it.
    pub fn read(&self, slice: usize) -> Result<LoadedImage, ImageError> {
        let stated = self.stated;
        let (path, loaded) = match &self.kind {
            Kind::Array(array) => {
                let (planes, about) = &**array;
                let image = planes.plane(slice).map_err(damaged);
                (&self.path, image.and_then(|image| about.loaded(image, stated)))
            }
            Kind::Hdf5(images) => (&self.path, images.slice(slice, stated)),
            Kind::Folder(files) => {
                let missing = ImageProblem::NoSuchSlice { index: slice, length: files.len() };
                let path = files.get(slice).ok_or(missing).at(&self.path)?;
                let bytes = read_file(path).map_err(ImageProblem::Read);
                (path, bytes.and_then(|bytes| Dicom::parse(&bytes)?.frame(None, stated)))
            }
            Kind::Frames(dicom) => (&self.path, dicom.frame(Some(slice), stated)),
            Kind::Pages(bytes, _) => {
                let is_fraction = stated.is_none_or(|unit| unit == StatedUnit::Network);
                (&self.path, tiff_file::decode(bytes, Some(slice)).map(|grey| grey.loaded(is_fraction)))
            }
        };
        let loaded = loaded.and_then(checked).and_then(|loaded| loaded.stated(stated));
        loaded.and_then(LoadedImage::plausible).at(path)
    }
}

impl Kind {
    fn open(path: &Path, selection: &Selection) -> Result<Self, ImageProblem> {
        if has_images(path) {
            return Ok(Self::Hdf5(Box::new(Hdf5Images::open(path, selection.name.as_deref())?)));
        }
        let file = open(path).map_err(ImageProblem::Read)?;
        let (mut head, length) = (Vec::new(), file.metadata().map_err(ImageProblem::Read)?.len());
        file.take(HEAD).read_to_end(&mut head).map_err(ImageProblem::Read)?;
        let format = Format::of(path, &head).ok_or_else(|| foreign(&head))?;
        if let (Some(name), false) = (&selection.name, format == Format::Npz) {
            let found = format!("no array or series {name:?}");
            return Err(ImageProblem::unsupported(found, "leave out the name"));
        }
        let bytes = || read_file(path).map_err(ImageProblem::Read);
        Ok(match format {
            Format::Npy => {
                let planes = match Planes::in_file(path, 0, length).map_err(damaged)? {
                    Some(planes) => planes,
                    None => Array::parse(bytes()?).and_then(Planes::in_memory).map_err(damaged)?,
                };
                Self::Array(Box::new((planes, About::nothing())))
            }
            Format::Npz => {
                let mut archive = Archive::open(path).map_err(damaged)?;
                let name = pick_array(&mut archive, selection.name.as_deref())?;
                let planes = Planes::in_archive(&mut archive, &name, path).map_err(damaged)?;
                let planes = planes.ok_or_else(|| damaged("an array is listed and not there".into()))?;
                Self::Array(Box::new((planes, About::in_archive(&mut archive, name)?)))
            }
            Format::Dicom => Self::Frames(Box::new(Dicom::parse(&bytes()?)?)),
            Format::Tiff => {
                let bytes = bytes()?;
                let length = tiff_file::n_pictures(&bytes)?;
                Self::Pages(bytes, length)
            }
            Format::Png => return Err(ImageProblem::unsupported("one picture", "leave out --slices")),
        })
    }
}

fn damaged(cause: Cause) -> ImageProblem {
    ImageProblem::damaged("numpy", cause)
}
