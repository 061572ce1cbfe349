//! Slices in the files of a folder, sorted by patient.

use crate::ct::hu_to_network;
use crate::data::image_files::{LoadedImage, PixelUnit, read_slices};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Images of one size in network units, grouped by patient.
#[derive(Debug, Clone, Default)]
pub struct Slices {
    /// `[patient][slice]`, pixels `[row][col]`; no patient is empty.
    pub patients: Vec<Vec<Vec<f32>>>,
    /// Files passed over, with the reason; at most one line a file.
    pub skipped: Vec<String>,
    /// "COLLECTION, LICENCE" of the files used, as the manifest has them.
    pub collections: BTreeSet<String>,
}

/// Reasons for which a folder gives no training images.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be read.
    #[error("{}: the folder cannot be read; check its name and that you may read it", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// The file system's words.
        #[source]
        source: std::io::Error,
    },
    /// `manifest.csv` is there, but not what it should be.
    #[error("{}: the manifest cannot be read; it needs columns `file` and `patient`", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The parser's words.
        #[source]
        source: csv::Error,
    },
    /// Nothing usable.
    #[error(
        "{}: no slice of {size} x {size} pixels; {n_files} files were looked at{}", path.display(), examples(skipped)
    )]
    Empty {
        /// The folder.
        path: PathBuf,
        /// Rows and columns wanted.
        size: usize,
        /// Files in the folder.
        n_files: usize,
        /// Files passed over.
        skipped: Vec<String>,
    },
}

fn examples(skipped: &[String]) -> String {
    skipped.iter().take(3).map(|line| format!("\n  {line}")).collect()
}

/// A line of `manifest.csv`, in the folder or the one above it; other columns are not read.
#[derive(Debug, Clone, Deserialize)]
struct ManifestLine {
    file: String,
    patient: String,
    #[serde(default)]
    collection: String,
    #[serde(default)]
    licence: String,
}

impl Slices {
    /// All slices of `size` x `size` pixels in the files of `folder` and the folders in it.
    ///
    /// A patient is what the column `patient` of `manifest.csv` says, else the Patient ID of a DICOM file, else the
    /// file. Files that cannot be read, slices with NaN and slices of another size are passed over and named.
    ///
    /// # Errors
    /// [`FolderError`], where the folder cannot be read or holds no image that can be used.
    pub fn read(folder: &Path, size: usize) -> Result<Self, FolderError> {
        let manifest = manifest(folder)?;
        let files = files(folder)?;
        let mut slices = Self::default();
        let mut patients: BTreeMap<String, Vec<Vec<f32>>> = BTreeMap::new();
        for path in &files {
            let line = path.file_name().and_then(|name| manifest.get(&*name.to_string_lossy()));
            let before: usize = patients.values().map(Vec::len).sum();
            slices.read_file(path, size, line, &mut patients);
            let found = patients.values().map(Vec::len).sum::<usize>() > before;
            if let Some(ManifestLine { collection, licence, .. }) = line.filter(|_| found) {
                slices.collections.insert(format!("{collection}, {licence}"));
            }
        }
        slices.patients = patients.into_values().collect();
        if slices.patients.is_empty() {
            let (path, skipped) = (folder.to_owned(), slices.skipped);
            return Err(FolderError::Empty { path, size, n_files: files.len(), skipped });
        }
        Ok(slices)
    }

    fn read_file(
        &mut self,
        path: &Path,
        size: usize,
        line: Option<&ManifestLine>,
        patients: &mut BTreeMap<String, Vec<Vec<f32>>>,
    ) {
        let loaded = match read_slices(path) {
            Ok(loaded) => loaded,
            Err(error) => return self.skipped.push(with_causes(&error)),
        };
        let (mut n_other, mut first_fault) = (0, None);
        for (index, slice) in loaded.into_iter().enumerate() {
            match usable(slice, size) {
                Ok(slice) => {
                    let dicom = slice.dicom.as_ref().and_then(|source| source.patient_id());
                    let patient = line.map(|line| line.patient.clone()).or(dicom);
                    let patient = patient.unwrap_or_else(|| path.display().to_string());
                    patients.entry(patient).or_default().push(in_network_units(slice));
                }
                Err(fault) => {
                    n_other += 1;
                    first_fault.get_or_insert(format!("slice {index} {fault}"));
                }
            }
        }
        if let Some(fault) = first_fault {
            let more = if n_other > 1 { format!(", and {} more", n_other - 1) } else { String::new() };
            self.skipped.push(format!("{}: {fault}{more}", path.display()));
        }
    }

    /// Slices of all patients.
    #[must_use]
    pub fn n_slices(&self) -> usize {
        self.patients.iter().map(Vec::len).sum()
    }
}

fn usable(slice: LoadedImage, size: usize) -> Result<LoadedImage, String> {
    let (height, width) = (slice.image.height, slice.image.width);
    if (height, width) != (size, size) {
        return Err(format!("has {height} x {width} pixels, not {size} x {size}"));
    }
    match slice.image.pixels.iter().position(|pixel| !pixel.is_finite()) {
        Some(at) => Err(format!("has {} at row {}, column {}", slice.image.pixels[at], at / width, at % width)),
        None => slice.plausible().map_err(|problem| problem.to_string()),
    }
}

fn in_network_units(slice: LoadedImage) -> Vec<f32> {
    let mut pixels = slice.image.pixels;
    match slice.unit {
        PixelUnit::HounsfieldUnits => pixels.iter_mut().for_each(|pixel| *pixel = hu_to_network(*pixel)),
        PixelUnit::AttenuationPerMm => {
            pixels.iter_mut().for_each(|pixel| *pixel = crate::ct::attenuation_to_network(*pixel));
        }
        PixelUnit::Relative => {}
    }
    pixels
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Files of `folder` and the folders in it, in the order of their names; hidden ones and manifests aside.
fn files(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let read = |source| FolderError::Read { path: folder.to_owned(), source };
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(read)?;
    entries.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && name != MANIFEST
    });
    entries.sort_unstable();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

const MANIFEST: &str = "manifest.csv";

/// The lines of the manifest by file name.
fn manifest(folder: &Path) -> Result<BTreeMap<String, ManifestLine>, FolderError> {
    let places = [folder.join(MANIFEST), folder.join("..").join(MANIFEST)];
    let Some(path) = places.into_iter().find(|path| path.is_file()) else { return Ok(BTreeMap::new()) };
    let broken = |source| FolderError::Manifest { path: path.clone(), source };
    let mut lines = BTreeMap::new();
    for line in csv::Reader::from_path(&path).map_err(broken)?.deserialize() {
        let line: ManifestLine = line.map_err(broken)?;
        let name = Path::new(&line.file).file_name().unwrap_or_default().to_string_lossy().into_owned();
        lines.insert(name, line);
    }
    Ok(lines)
}
