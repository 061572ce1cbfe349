//! The finished reconstructions: `results.csv`.

use super::EvaluateError;
use crate::data::write_atomically;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One finished reconstruction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Test image, counted from 1.
    pub image: usize,
    /// Start, counted from 1: the seed of the starting noise.
    pub start: usize,
    /// Key of the contender.
    pub method: String,
    /// PSNR in dB, data range 1; NaN when the run broke.
    pub psnr_db: f64,
    /// SSIM with a uniform 7 x 7 window, data range 1; NaN when the run broke.
    pub ssim: f64,
    /// Root of the mean squared error in HU, for slices.
    pub rmse_hu: Option<f64>,
    /// PSNR in dB between images cut to -160 to 240 HU, for slices.
    pub window_psnr_db: Option<f64>,
    /// The end of the run.
    pub status: String,
    /// `f` at the end, without the prior's constant.
    pub objective: Option<f64>,
    /// `|grad f|` at the end.
    pub gradient_norm: Option<f32>,
    /// Levels left without a step.
    pub skipped_levels: Option<u32>,
    /// Line searches without a passing trial.
    pub failed_searches: Option<u32>,
}

/// Image, start, method: what names a row.
type Key = (usize, usize, String);

/// All rows, in the order of image, start and method, whatever the order they were computed in.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    rows: BTreeMap<Key, Row>,
}

impl Results {
    /// The rows of the file at `path`; none when it does not exist.
    ///
    /// # Errors
    /// [`EvaluateError::Damaged`], [`EvaluateError::File`].
    pub fn read(path: &Path) -> Result<Self, EvaluateError> {
        let mut results = Self { path: path.to_owned(), rows: BTreeMap::new() };
        if path.exists() {
            let text = std::fs::read(path).map_err(|source| EvaluateError::File { path: path.to_owned(), source })?;
            for row in csv::Reader::from_reader(text.as_slice()).deserialize() {
                let damaged =
                    |error: csv::Error| EvaluateError::Damaged { path: path.to_owned(), what: error.to_string() };
                results.insert(row.map_err(damaged)?);
            }
        }
        Ok(results)
    }

    fn insert(&mut self, row: Row) {
        self.rows.insert((row.image, row.start, row.method.clone()), row);
    }

    /// Adds a row and writes the file anew: whoever reads it sees all rows before, or this one too.
    ///
    /// # Errors
    /// [`EvaluateError::File`].
    pub fn add(&mut self, row: Row) -> Result<(), EvaluateError> {
        self.insert(row);
        let mut writer = csv::Writer::from_writer(Vec::new());
        let damaged = |what: String| EvaluateError::Damaged { path: self.path.clone(), what };
        for row in self.rows.values() {
            writer.serialize(row).map_err(|error| damaged(error.to_string()))?;
        }
        let bytes = writer.into_inner().map_err(|error| damaged(error.to_string()))?;
        write_atomically(&self.path, &bytes).map_err(|source| EvaluateError::File { path: self.path.clone(), source })
    }

    /// The row of this image, start and method, if it has been computed.
    #[must_use]
    pub fn get(&self, image: usize, start: usize, method: &str) -> Option<&Row> {
        self.rows.get(&(image, start, method.to_owned()))
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn row(image: usize, start: usize, method: &str, psnr_db: f64) -> Row {
        Row {
            image,
            start,
            method: method.to_owned(),
            psnr_db,
            ssim: psnr_db / 40.0,
            rmse_hu: None,
            window_psnr_db: None,
            status: "schedule-done".to_owned(),
            objective: Some(1.0 / 3.0),
            gradient_norm: Some(0.1),
            skipped_levels: Some(2),
            failed_searches: Some(0),
        }
    }

    #[test]
    fn rows_survive_their_file_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("1.csv"), folder.path().join("2.csv"));
        let rows = [row(10, 1, "tv", 30.1), row(2, 2, "flow", f64::NAN), row(2, 1, "flow", 1.0 / 7.0)];
        let mut first = Results::read(&one).unwrap();
        rows.iter().for_each(|row| first.add(row.clone()).unwrap());
        let mut second = Results::read(&two).unwrap();
        rows.iter().rev().for_each(|row| second.add(row.clone()).unwrap());
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        let read = Results::read(&one).unwrap();
        assert_eq!(read.get(2, 1, "flow"), Some(&rows[2]));
        assert!(read.get(2, 2, "flow").unwrap().psnr_db.is_nan() && read.n_rows() == 3);
        std::fs::write(&one, "image,start\n1,x\n").unwrap();
        assert!(matches!(Results::read(&one), Err(EvaluateError::Damaged { .. })));
    }
}
