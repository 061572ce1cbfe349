//! The finished reconstructions: `results.csv`.

use super::EvaluateError;
use crate::paper::row_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the file of the settings. It is written once and never replaced, so it is what writers of rows lock.
pub(super) const PROTOCOL: &str = "evaluation.toml";
const RESULTS: &str = "results.csv";

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

/// All rows, in the order of image, start and method, whatever the order they were computed in, and by how many
/// processes.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    rows: BTreeMap<Key, Row>,
}

impl Results {
    /// The rows of the evaluation in `folder`; none when it has no file of them yet.
    ///
    /// # Errors
    /// [`EvaluateError::Folder`].
    pub fn read(folder: &Path) -> Result<Self, EvaluateError> {
        let mut results = Self { folder: folder.to_owned(), rows: BTreeMap::new() };
        row_file::read(&folder.join(RESULTS))?.into_iter().for_each(|row| results.insert(row));
        Ok(results)
    }

    /// The rows that are there by now.
    pub(super) fn again(&self) -> Result<Self, EvaluateError> {
        Self::read(&self.folder)
    }

    fn insert(&mut self, row: Row) {
        self.rows.insert(key(&row), row);
    }

    /// Adds a row to the file, and takes in what other processes have added: a reader sees all rows before, or
    /// this one too.
    ///
    /// # Errors
    /// [`EvaluateError::Folder`].
    pub fn add(&mut self, row: Row) -> Result<(), EvaluateError> {
        let add = |rows: &mut Vec<Row>| {
            let others = std::mem::take(rows).into_iter().chain([row]);
            let sorted: BTreeMap<Key, Row> = others.map(|row| (key(&row), row)).collect();
            rows.extend(sorted.into_values());
        };
        let rows = row_file::add(&self.folder.join(RESULTS), &self.folder.join(PROTOCOL), add)?;
        rows.into_iter().for_each(|row| self.insert(row));
        Ok(())
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

fn key(row: &Row) -> Key {
    (row.image, row.start, row.method.clone())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;

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

    /// Folders of evaluations without rows.
    fn folders<const N: usize>(inside: &Path) -> [PathBuf; N] {
        std::array::from_fn(|k| {
            let folder = inside.join(k.to_string());
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(PROTOCOL), "").unwrap();
            folder
        })
    }

    #[test]
    fn rows_survive_their_file_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = folders(dir.path());
        let rows = [row(10, 1, "tv", 30.1), row(2, 2, "flow", f64::NAN), row(2, 1, "flow", 1.0 / 7.0)];
        let mut first = Results::read(&one).unwrap();
        rows.iter().for_each(|row| first.add(row.clone()).unwrap());
        let mut second = Results::read(&two).unwrap();
        rows.iter().rev().for_each(|row| second.add(row.clone()).unwrap());
        assert_eq!(fs::read(one.join(RESULTS)).unwrap(), fs::read(two.join(RESULTS)).unwrap());
        let read = Results::read(&one).unwrap();
        assert_eq!(read.get(2, 1, "flow"), Some(&rows[2]));
        assert!(read.get(2, 2, "flow").unwrap().psnr_db.is_nan() && read.n_rows() == 3);
        fs::write(one.join(RESULTS), "image,start\n1,x\n").unwrap();
        assert!(matches!(Results::read(&one), Err(EvaluateError::Folder(_))));
    }

    #[test]
    fn rows_of_all_writers_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let [folder] = folders(dir.path());
        std::thread::scope(|scope| {
            for image in 1..=8 {
                let mut results = Results::read(&folder).unwrap();
                scope.spawn(move || (1..=10).for_each(|start| results.add(row(image, start, "flow", 20.0)).unwrap()));
            }
        });
        assert_eq!(Results::read(&folder).unwrap().n_rows(), 80);
    }
}
