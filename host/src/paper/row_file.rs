//! Rows of an evaluation in a csv file, to which several processes add.

use crate::data::folder_error::FolderError;
use crate::data::{read_file, write_atomically};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// The rows of a file; none where it is not there yet.
///
/// # Errors
/// [`FolderError`] names the file, and the line where there is one.
pub(super) fn read<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>, FolderError> {
    let bytes = match read_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(FolderError::file(path))?,
    };
    let rows: Result<Vec<R>, csv::Error> = csv::Reader::from_reader(bytes.as_slice()).deserialize().collect();
    rows.map_err(FolderError::damaged(path))
}

/// Adds to the rows of a file, and takes in what other processes have added: a reader sees all rows before, or
/// the new ones too. `settings` is the file that is locked meanwhile: it is written once and never replaced.
///
/// # Errors
/// [`FolderError`] names the file, and the line where there is one.
pub(super) fn add<R: Serialize + DeserializeOwned>(
    path: &Path,
    settings: &Path,
    change: impl FnOnce(&mut Vec<R>),
) -> Result<Vec<R>, FolderError> {
    // Held until the rows are written; the system lets it go when its holder is killed.
    let _lock = locked(settings).map_err(FolderError::file(path))?;
    let mut rows = read(path)?;
    change(&mut rows);
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row)).map_err(FolderError::damaged(path))?;
    let bytes = writer.into_inner().map_err(FolderError::damaged(path))?;
    write_atomically(path, &bytes).map_err(FolderError::file(path))?;
    Ok(rows)
}

/// The file, open and locked as soon as nobody else holds it. A file system without locks has none to wait for.
fn locked(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match file.lock() {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Row {
        writer: u32,
        number: u32,
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, settings) = (dir.path().join("rows.csv"), dir.path().join("settings.toml"));
        std::fs::write(&settings, "").unwrap();
        assert!(read::<Row>(&path).unwrap().is_empty());
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (path, settings) = (&path, &settings);
                scope.spawn(move || {
                    for number in 0..10 {
                        let row = Row { writer, number };
                        assert!(add(path, settings, |rows| rows.push(row)).unwrap().contains(&row));
                    }
                });
            }
        });
        assert_eq!(read::<Row>(&path).unwrap().len(), 40);
    }

    #[test]
    fn damaged_rows_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        std::fs::write(&path, "writer,number\n1,x\n").unwrap();
        assert!(matches!(read::<Row>(&path), Err(FolderError::Damaged { .. })));
        assert!(matches!(add(&path, &path, |_: &mut Vec<Row>| ()), Err(FolderError::Damaged { .. })));
    }
}
