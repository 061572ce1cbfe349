//! The rows found so far, in a folder: `evaluation.toml` with the settings, `results.csv` with the rows.

use super::{HtcError, Task};
use crate::data::folder_error::FolderError;
use crate::data::{make_folder, read_file, write_atomically};
use crate::paper::row_file;
use crate::reconstruct::Settings;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const PROTOCOL: &str = "evaluation.toml";
const RESULTS: &str = "results.csv";

/// Everything that decides a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Version of the program.
    pub version: String,
    /// Name or file of the prior.
    pub prior: String,
    /// Of its weights' file.
    pub prior_checksum: String,
    /// The methods with their settings, the same for all phantoms and tasks.
    pub methods: Vec<Settings>,
}

/// The answer of one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The phantom.
    pub phantom: String,
    /// The question.
    pub task: String,
    /// Name of the method.
    pub method: String,
    /// Views of the scan.
    pub views: usize,
    /// From the first to the last of them.
    pub arc_deg: f64,
    /// Matthews' coefficient against the challenge's segmentation, cut half-way between air and material.
    pub matthews: Option<f64>,
    /// The same cut at Otsu's threshold.
    pub matthews_otsu: Option<f64>,
    /// Root mean square of the difference to the image from all views over that of the image, inside the disc.
    pub relative_rms: Option<f64>,
    /// Root mean square of the difference to the segmentation in its two best greys, over that of the image, inside the
    /// disc.
    pub segmentation_rms: Option<f64>,
    /// Of the reconstruction.
    pub seconds: f64,
}

/// The rows in a folder.
#[derive(Debug)]
pub struct Rows {
    folder: PathBuf,
    rows: Vec<Row>,
}

impl Rows {
    /// Begins an evaluation in `folder`, or goes on with the one that is there.
    ///
    /// # Errors
    /// [`HtcError::OtherSettings`] where something else is there, [`HtcError::Folder`].
    pub fn open(folder: &Path, protocol: &Protocol) -> Result<Self, HtcError> {
        let (settings, results) = (folder.join(PROTOCOL), folder.join(RESULTS));
        let text = toml::to_string(protocol).unwrap_or_default();
        match read_file(&settings) {
            Ok(there) if there == text.as_bytes() => {}
            Ok(_) => return Err(HtcError::OtherSettings(folder.to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                    return Err(HtcError::OtherSettings(folder.to_owned()));
                }
                make_folder(folder).map_err(FolderError::file(folder))?;
                write_atomically(&settings, text.as_bytes()).map_err(FolderError::file(&settings))?;
            }
            Err(error) => return Err(FolderError::file(&settings)(error).into()),
        }
        Ok(Self { rows: row_file::read(&results)?, folder: folder.to_owned() })
    }

    /// Adds a row to the file, which is there with it or without it.
    ///
    /// # Errors
    /// [`HtcError::Folder`].
    pub fn add(&mut self, row: Row) -> Result<(), HtcError> {
        let add = |rows: &mut Vec<Row>| rows.push(row);
        self.rows = row_file::add(&self.folder.join(RESULTS), &self.folder.join(PROTOCOL), add)?;
        Ok(())
    }

    /// The row of a question and a method, if there is one.
    #[must_use]
    pub fn get(&self, phantom: &str, task: Task, method: &str) -> Option<&Row> {
        let task = task.to_string();
        self.rows.iter().find(|row| row.phantom == phantom && row.task == task && row.method == method)
    }

    /// All rows, in the order in which they were found.
    #[must_use]
    pub fn all(&self) -> &[Row] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconstruct::Method;

    fn protocol() -> Protocol {
        let methods = vec![Method::Fbp.into(), Method::Solved.into()];
        Protocol { version: "1".into(), prior: "disc".into(), prior_checksum: "0".into(), methods }
    }

    #[test]
    fn rows_are_found_again_and_settings_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        let row = Row {
            phantom: "a".into(),
            task: Task::Limited.to_string(),
            method: "fbp".into(),
            views: 181,
            arc_deg: 90.0,
            matthews: Some(1.0 / 3.0),
            matthews_otsu: None,
            relative_rms: None,
            segmentation_rms: None,
            seconds: 0.25,
        };
        Rows::open(&folder, &protocol()).unwrap().add(row.clone()).unwrap();
        let again = Rows::open(&folder, &protocol()).unwrap();
        assert_eq!(again.get("a", Task::Limited, "fbp"), Some(&row));
        assert_eq!((again.get("a", Task::Sparse(20), "fbp"), again.all().len()), (None, 1));
        let other = Protocol { prior_checksum: "1".into(), ..protocol() };
        assert!(matches!(Rows::open(&folder, &other), Err(HtcError::OtherSettings(_))));
        std::fs::write(folder.join(RESULTS), "phantom,task\na").unwrap();
        assert!(matches!(Rows::open(&folder, &protocol()), Err(HtcError::Folder(FolderError::Damaged { .. }))));
        assert!(matches!(Rows::open(dir.path(), &protocol()), Err(HtcError::OtherSettings(_))));
    }
}
