//! The folder of a series: its settings, a record for each slice that is done, claims of those under way.
use super::record::Record;
use crate::data::folder_error::FolderError;
use crate::data::hidden::sweep;
use crate::data::{make_folder, read_description, read_file, write_atomically, write_once};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The settings, written once.
const SETTINGS: &str = "series.toml";
/// The records of single slices.
const RECORDS: &str = "slices";
/// Marks of slices that somebody works on.
const CLAIMS: &str = ".claims";

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeriesFolderError {
    /// It has the results of other settings.
    #[error(
        "{} holds a series with other settings: {}; name another folder with --output, or repeat its settings",
        path.display(), differences.join("; ")
    )]
    OtherSettings {
        /// The folder.
        path: PathBuf,
        /// Each setting that differs, now and there.
        differences: Vec<String>,
    },
    /// A file in it cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// A series with what has been done of it.
#[derive(Debug)]
pub struct SeriesFolder {
    path: PathBuf,
}

fn file<T>(path: &Path, done: io::Result<T>) -> Result<T, FolderError> {
    done.map_err(FolderError::file(path))
}

impl SeriesFolder {
    /// True if there are settings of a series in a folder.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        path.join(SETTINGS).exists()
    }

    /// Begins the series of these settings in a folder, or goes on with it.
    ///
    /// # Errors
    /// [`SeriesFolderError::OtherSettings`] names what differs from the series that is there.
    pub fn open(path: &Path, settings: &Table) -> Result<Self, SeriesFolderError> {
        let (name, text) = (path.join(SETTINGS), toml::to_string(settings).unwrap_or_default());
        if !name.exists() {
            file(&name, write_once(&name, text.as_bytes()))?;
        }
        let there = file(&name, read_description(&name))?;
        let damaged = |error: toml::de::Error| FolderError::damaged(&name)(error.message());
        let there: Table = toml::from_str(&there).map_err(damaged)?;
        // As it would come back from the file.
        let here: Table = toml::from_str(&text).map_err(damaged)?;
        let differences = differences(&here, &there);
        if !differences.is_empty() {
            return Err(SeriesFolderError::OtherSettings { path: path.to_owned(), differences });
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what processes need to work in the folder, and takes away what killed ones have left. Nobody else may work
    /// in it meanwhile.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn clear(&self) -> Result<(), SeriesFolderError> {
        let claims = self.path.join(CLAIMS);
        match fs::remove_dir_all(&claims) {
            Err(error) if error.kind() != ErrorKind::NotFound => file(&claims, Err(error))?,
            _ => {}
        }
        for name in [RECORDS, CLAIMS] {
            let folder = self.path.join(name);
            if !folder.is_dir() {
                file(&folder, make_folder(&folder).map(drop))?;
            }
        }
        let inner = file(&self.path, fs::read_dir(&self.path))?.flatten().map(|entry| entry.path());
        inner.filter(|path| path.is_dir()).for_each(|folder| sweep(&folder));
        Ok(())
    }

    /// Takes a slice to work on; `false` where somebody else has it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn claim(&self, slice: usize) -> Result<bool, SeriesFolderError> {
        let path = self.path.join(CLAIMS).join(slice.to_string());
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            made => Ok(file(&path, made.map(|_| true))?),
        }
    }

    /// Keeps the record of a slice, whose image must be kept already.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep(&self, record: &Record) -> Result<(), SeriesFolderError> {
        let path = self.record(record.slice);
        let text = serde_json::to_string_pretty(record).unwrap_or_default();
        Ok(file(&path, write_atomically(&path, text.as_bytes()))?)
    }

    /// The records that are there, of a range of slices, in order.
    ///
    /// # Errors
    /// [`SeriesFolderError::Folder`].
    pub fn records(&self, slices: Range<usize>) -> Result<Vec<Record>, SeriesFolderError> {
        let mut records = Vec::new();
        for slice in slices {
            let path = self.record(slice);
            let bytes = match read_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => file(&path, read)?,
            };
            records.push(serde_json::from_slice(&bytes).map_err(FolderError::damaged(&path))?);
        }
        Ok(records)
    }

    /// True if there is a record of any slice.
    ///
    /// # Errors
    /// [`SeriesFolderError::Folder`].
    pub fn is_begun(&self) -> Result<bool, SeriesFolderError> {
        let records = self.path.join(RECORDS);
        match fs::read_dir(&records) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            read => Ok(file(&records, read)?.flatten().any(|entry| entry.path().extension().is_some())),
        }
    }

    fn record(&self, slice: usize) -> PathBuf {
        self.path.join(RECORDS).join(format!("{slice:05}.json"))
    }

    /// Takes the claims away: nobody works on anything any more.
    pub fn finish(&self) {
        // Claims of a finished series mean nothing.
        let _ = fs::remove_dir_all(self.path.join(CLAIMS));
    }
}

/// Every setting of two that is not the same: `name is ... here, and ... there`.
fn differences(here: &Table, there: &Table) -> Vec<String> {
    let (here, there) = (leaves(here), leaves(there));
    let names: std::collections::BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    let shown = |value: Option<&String>| value.map_or_else(|| "not given".to_owned(), Clone::clone);
    let differs = names.into_iter().filter(|name| here.get(*name) != there.get(*name));
    differs.map(|name| format!("{name} is {}, and was {}", shown(here.get(name)), shown(there.get(name)))).collect()
}

/// The settings of a table and of those in it, by names with dots.
fn leaves(table: &Table) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                leaves.extend(self::leaves(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
            other => drop(leaves.insert(name.clone(), other.to_string())),
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn other_settings_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let first = settings("slices = 'all'\n[run]\nseed = 1\nnoise = 0.1");
        SeriesFolder::open(dir.path(), &first).unwrap();
        SeriesFolder::open(dir.path(), &first).unwrap();
        let other = settings("slices = 'all'\nprior = 'ct'\n[run]\nseed = 2\nnoise = 0.1");
        let error = SeriesFolder::open(dir.path(), &other).unwrap_err().to_string();
        assert!(error.contains("run.seed is 2, and was 1") && error.contains("prior is \"ct\", and was not given"));
        assert!(!error.contains("noise"), "{error}");
    }

    #[test]
    fn records_come_back_in_order_and_claims_are_exclusive() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SeriesFolder::open(dir.path(), &settings("a = 1")).unwrap();
        folder.clear().unwrap();
        let record = |slice| Record { slice, psnr: Some(30.0 + slice as f64), ..Record::default() };
        [7, 3].into_iter().for_each(|slice| folder.keep(&record(slice)).unwrap());
        assert_eq!(folder.records(0..9).unwrap(), [record(3), record(7)]);
        assert!(folder.claim(1).unwrap() && !folder.claim(1).unwrap() && folder.claim(2).unwrap());
        folder.clear().unwrap();
        assert!(folder.claim(1).unwrap(), "a killed process holds nothing");
        assert_eq!(folder.records(4..9).unwrap(), [record(7)]);
    }
}
