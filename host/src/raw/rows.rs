//! Raw measurements of a whole series: the rows of a detector.
use super::dxchange::DetectorRows;
use super::options::RawOptions;
use super::pictures;
use crate::data::file_error::{AtPath, FileError, ImageProblem};
use crate::data::hdf5::Hdf5;
use crate::data::image_stack::ImageStack;
use crate::data::scan::{Scan, ScanError, ScanProblem};
use std::path::{Path, PathBuf};

/// The rows of a DXchange file, or the sinograms of a TIFF file of several pages, read as they are asked for.
pub struct RawRows {
    path: PathBuf,
    options: RawOptions,
    kind: Kind,
}

enum Kind {
    Detector(Box<DetectorRows>),
    Sinograms(Box<ImageStack>),
}

impl RawRows {
    /// Opens a raw measurement.
    ///
    /// # Errors
    /// [`ScanError`] names file and field.
    pub fn open(path: impl AsRef<Path>, options: &RawOptions) -> Result<Self, ScanError> {
        let path = path.as_ref();
        options.validate().at(path)?;
        options.refuse("row", "--slices says which rows").at(path)?;
        let kind = if path.is_dir() {
            let advice = "choose a row by --row, or make a DXchange file of it";
            return Err(ScanProblem::from(ImageProblem::unsupported("projections in single files", advice))).at(path);
        } else if pictures::is_tiff(path) {
            let of_scan =
                |error: FileError<ImageProblem>| FileError { path: error.path, problem: error.problem.into() };
            Kind::Sinograms(Box::new(ImageStack::open(path, None).map_err(of_scan)?))
        } else {
            let damaged = |cause| ScanProblem::from(ImageProblem::damaged("HDF5", cause));
            let file = Hdf5::open(path).map_err(damaged).at(path)?;
            Kind::Detector(Box::new(DetectorRows::open(&file, *options).at(path)?))
        };
        Ok(Self { path: path.to_owned(), options: *options, kind })
    }

    /// The number of rows.
    #[must_use]
    pub fn n_slices(&self) -> usize {
        match &self.kind {
            Kind::Detector(rows) => rows.n_rows(),
            Kind::Sinograms(stack) => stack.n_slices(),
        }
    }

    /// The scan of a row.
    ///
    /// # Errors
    /// [`ScanError`] names file and field.
    pub fn read(&mut self, row: usize) -> Result<Scan, ScanError> {
        match &mut self.kind {
            Kind::Detector(rows) => rows.scan(row, usize::MAX).at(&self.path),
            Kind::Sinograms(stack) => {
                let stored = stack.stored(row);
                let stored = stored.map_err(|error| FileError { path: error.path, problem: error.problem.into() })?;
                pictures::scan_of(stored, &self.path, &self.options)
            }
        }
    }
}
