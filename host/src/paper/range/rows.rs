//! The finished reconstructions of a grid, and the settings that they have in common.

use super::grid::{Cell, PARTS};
use crate::backend::DeviceChoice;
use crate::data::folder_error::FolderError;
use crate::data::{read_file, write_once};
use crate::paper::row_file;
use crate::paper::tables::{Dataset, EvaluateError};
use crate::reconstruct::Method;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const SETUP: &str = "range.toml";
const ROWS: &str = "range.csv";

/// Everything but the cell that determines a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The images.
    pub dataset: String,
    /// Slices of a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<usize>,
    /// The prior.
    pub prior: String,
    /// The device.
    pub device: DeviceChoice,
    /// Parts of a pixel's side in the simulation.
    pub parts: usize,
    /// Version of the program.
    pub version: String,
}

impl Setup {
    /// The setup of this version for images, a prior and a device.
    #[must_use]
    pub fn new(dataset: &Dataset, prior: &str, device: DeviceChoice) -> Self {
        let (dataset, slices) = (dataset.name().to_owned(), dataset.n_slices());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { dataset, slices, prior: prior.to_owned(), device, parts: PARTS, version }
    }
}

/// One finished reconstruction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Image, counted from 1.
    pub image: usize,
    /// Views.
    pub views: usize,
    /// Photons a bin; none where there was no noise.
    pub photons: Option<f64>,
    /// The method.
    pub method: String,
    /// PSNR in dB, data range 1; NaN when the run broke.
    pub psnr_db: f64,
    /// SSIM with a uniform 7 x 7 window.
    pub ssim: f64,
    /// Mean square of the residual over the variance of its ray: 1 for the truth.
    pub chi_squared: f64,
    /// [Reduced](crate::reconstruct::ReducedFit) chi squared a ray; where there is noise, with the error of the model
    /// that the truth leaves.
    pub reduced: f64,
    /// Contrast of the lesion over that of the truth.
    pub lesion_kept: f64,
    /// The end of the run.
    pub status: String,
}

impl Row {
    /// A run that met a number that is not finite.
    pub(super) fn broken(method: Method) -> Self {
        let (method, status, none) = (method.name().to_owned(), "broke".to_owned(), f64::NAN);
        let (psnr_db, ssim, chi_squared, reduced, lesion_kept) = (none, none, none, none, none);
        Self { image: 0, views: 0, photons: None, method, psnr_db, ssim, chi_squared, reduced, lesion_kept, status }
    }

    /// True for the row of this cell.
    #[must_use]
    pub fn is_of(&self, cell: &Cell) -> bool {
        (self.image, self.views, self.photons) == (cell.image, cell.views, cell.photons.0)
            && self.method == cell.method.name()
    }
}

/// The rows of a folder.
#[derive(Debug)]
pub struct Rows {
    folder: PathBuf,
    rows: Vec<Row>,
}

impl Rows {
    /// Begins a grid in `folder`, or goes on with the one that is there.
    ///
    /// # Errors
    /// [`EvaluateError::OtherSettings`] when that has another setup; [`EvaluateError::NotAnEvaluation`],
    /// [`EvaluateError::Folder`].
    pub fn open(folder: &Path, setup: &Setup) -> Result<Self, EvaluateError> {
        let path = folder.join(SETUP);
        let file = FolderError::file(&path);
        if !path.exists() {
            let is_empty = folder.read_dir().map_or(true, |mut entries| entries.next().is_none());
            if !is_empty {
                return Err(EvaluateError::NotAnEvaluation { folder: folder.to_owned(), file: SETUP });
            }
            std::fs::create_dir_all(folder).map_err(&file)?;
            write_once(&path, toml::to_string(setup).unwrap_or_default().as_bytes()).map_err(&file)?;
        }
        let text = String::from_utf8_lossy(&read_file(&path).map_err(&file)?).into_owned();
        let there: Setup = toml::from_str(&text).map_err(|error| FolderError::damaged(&path)(error.message()))?;
        if there != *setup {
            let differences = vec![format!("{there:?} there and {setup:?} here")];
            return Err(EvaluateError::OtherSettings { folder: folder.to_owned(), differences });
        }
        Ok(Self { folder: folder.to_owned(), rows: row_file::read(&folder.join(ROWS))? })
    }

    /// All rows.
    #[must_use]
    pub fn all(&self) -> &[Row] {
        &self.rows
    }

    /// True if this cell has its row.
    #[must_use]
    pub fn has(&self, cell: &Cell) -> bool {
        self.rows.iter().any(|row| row.is_of(cell))
    }

    /// Adds a row, which is in the file then, or not at all.
    ///
    /// # Errors
    /// [`EvaluateError::Folder`].
    pub fn add(&mut self, row: Row) -> Result<(), EvaluateError> {
        let add = |rows: &mut Vec<Row>| rows.push(row);
        self.rows = row_file::add(&self.folder.join(ROWS), &self.folder.join(SETUP), add)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::range::Photons;

    #[test]
    fn a_grid_goes_on_where_it_was_and_no_other_takes_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup::new(&Dataset::open("ellipses").unwrap(), "ellipses", DeviceChoice::Cpu);
        let cell = Cell { image: 1, views: 8, photons: Photons(None), method: Method::Fbp };
        let row = Row { image: 1, views: 8, psnr_db: 1.0 / 3.0, ..Row::broken(Method::Fbp) };
        Rows::open(dir.path(), &setup).unwrap().add(row).unwrap();
        let again = Rows::open(dir.path(), &setup).unwrap();
        assert!(again.has(&cell) && again.all()[0].psnr_db == 1.0 / 3.0);
        assert!(!again.has(&Cell { photons: Photons(Some(1e3)), ..cell }));
        let other = Setup { parts: 1, ..setup };
        assert!(matches!(Rows::open(dir.path(), &other), Err(EvaluateError::OtherSettings { .. })));
    }
}
