//! Scans of a whole series in one archive: a sinogram `[slice][view][bin]` under one geometry.
use super::file_error::AtPath;
use super::npy::Archive;
use super::planes::Planes;
use super::scan::{Scan, ScanError, ScanProblem};
use super::scan_npz::{damaged, decode_fields, name_of};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The scans of an npz file, read one by one. A compressed sinogram is held in memory.
pub struct ScanStack {
    path: PathBuf,
    archive: Archive<BufReader<File>>,
    sinograms: Planes,
    /// As many as sinograms.
    truths: Option<Planes>,
}

impl ScanStack {
    /// Opens an npz file with the fields of [`Scan::read`], of which `sinogram` and `truth` have a slice for their
    /// first axis.
    ///
    /// # Errors
    /// [`ScanError`] names file and field.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ScanError> {
        let path = path.as_ref();
        let mut archive = Archive::open(path).map_err(damaged).at(path)?;
        let names = archive.names();
        let mut planes = |field| match name_of(field, &names) {
            Some(name) => Planes::in_archive(&mut archive, name, path).map_err(damaged).at(path),
            None => Ok(None),
        };
        let (sinograms, truths) = (planes("sinogram")?, planes("truth")?);
        let missing = || ScanProblem::MissingFields { needed: vec!["sinogram"], found: names.clone() };
        let sinograms = sinograms.ok_or_else(missing).at(path)?;
        if let Some(truths) = truths.as_ref().filter(|truths| truths.len() != sinograms.len()) {
            let (height, width) = truths.size();
            let expected = format!("a truth for each of {} sinograms", sinograms.len());
            let found = vec![truths.len(), height, width];
            return Err(ScanProblem::Shape { field: "truth", found, expected }).at(path);
        }
        Ok(Self { path: path.to_owned(), archive, sinograms, truths })
    }

    /// The number of slices.
    #[must_use]
    pub fn n_slices(&self) -> usize {
        self.sinograms.len()
    }

    /// The scan of a slice.
    ///
    /// # Errors
    /// [`ScanError`] names file and field.
    pub fn read(&mut self, slice: usize) -> Result<Scan, ScanError> {
        let mut planes = BTreeMap::new();
        planes.insert("sinogram", self.sinograms.plane(slice).map_err(damaged).at(&self.path)?);
        if let Some(truths) = &self.truths {
            planes.insert("truth", truths.plane(slice).map_err(damaged).at(&self.path)?);
        }
        decode_fields(&mut self.archive, planes).at(&self.path)
    }
}
