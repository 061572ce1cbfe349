//! The slices of a series as they come: images that are scanned first, or scans.
use crate::data::file_error::{FileError, ImageProblem};
use crate::data::image_files::LoadedImage;
use crate::data::image_stack::ImageStack;
use crate::data::scan::{Scan, ScanProblem};
use crate::data::scan_stack::ScanStack;
use crate::data::units::StatedUnit;
use crate::raw::{RawOptions, RawRows, is_raw};
use std::path::Path;

/// A series that is read slice by slice.
pub enum Source {
    /// Images.
    Images(ImageStack),
    /// Sinograms under one geometry.
    Scans(Box<ScanStack>),
    /// Rows of a detector.
    Rows(RawRows),
}

/// A slice of a series.
#[derive(Debug)]
pub enum Slice {
    /// An image.
    Image(Box<LoadedImage>),
    /// A scan.
    Scan(Box<Scan>),
}

/// A series that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// An image, or the file of all.
    #[error(transparent)]
    Image(#[from] FileError<ImageProblem>),
    /// A scan, or the file of all.
    #[error(transparent)]
    Scan(#[from] FileError<ScanProblem>),
}

impl Source {
    /// Opens the series of this name: a raw measurement, an npz file of scans, or a stack of images in the unit
    /// `stated`, where it does not say it.
    ///
    /// # Errors
    /// [`SourceError`] names the file and what is wrong with it.
    pub fn open(name: &str, stated: Option<StatedUnit>, raw: &RawOptions) -> Result<Self, SourceError> {
        if is_raw(name, raw) {
            return Ok(Self::Rows(RawRows::open(name, raw)?));
        }
        // A folder with a scan.toml is one scan.
        if !Path::new(name).is_dir() && Scan::is_at(name)? {
            return Ok(Self::Scans(Box::new(ScanStack::open(name)?)));
        }
        Ok(Self::Images(ImageStack::open(name, stated)?))
    }

    /// The number of slices.
    #[must_use]
    pub fn n_slices(&self) -> usize {
        match self {
            Self::Images(stack) => stack.n_slices(),
            Self::Scans(stack) => stack.n_slices(),
            Self::Rows(rows) => rows.n_slices(),
        }
    }

    /// The kind of slices, in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Images(_) => "images, each scanned by simulation",
            Self::Scans(_) => "sinograms",
            Self::Rows(_) => "rows of a detector",
        }
    }

    /// Doubts about the series as a whole.
    #[must_use]
    pub fn doubts(&self) -> &[String] {
        if let Self::Images(stack) = self { stack.doubts() } else { &[] }
    }

    /// A slice.
    ///
    /// # Errors
    /// [`SourceError`] names the file and what is wrong with it.
    pub fn read(&mut self, slice: usize) -> Result<Slice, SourceError> {
        Ok(match self {
            Self::Images(stack) => Slice::Image(Box::new(stack.read(slice)?)),
            Self::Scans(stack) => Slice::Scan(Box::new(stack.read(slice)?)),
            Self::Rows(rows) => Slice::Scan(Box::new(rows.read(slice)?)),
        })
    }
}
