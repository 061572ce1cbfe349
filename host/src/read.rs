//! Reading whole files, and no more than files.
use crate::limits::{self, DESCRIPTION_BYTES};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The contents of a regular file. A device or a pipe may have no end.
///
/// # Errors
/// Those of the file system; `InvalidInput` for what is no regular file, `OutOfMemory` for one that does not fit.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    if limits::memory().is_some_and(|most| length > most) {
        return Err(too_large(length));
    }
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX)).map_err(|_| too_large(length))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a description: a file of TOML.
///
/// # Errors
/// As [`read_file`]; `InvalidData` for what is too long for a description, or no UTF-8.
pub fn read_description(path: &Path) -> io::Result<String> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > DESCRIPTION_BYTES {
        return Err(too_large(length));
    }
    io::read_to_string(file.take(DESCRIPTION_BYTES))
}

/// Opening a pipe waits for its other end, so its kind is looked at before.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return File::open(path);
    }
    let found = if kind.is_dir() { "it is a folder" } else { "it is a device or a pipe: save it as a file first" };
    Err(io::Error::new(ErrorKind::InvalidInput, found))
}

fn too_large(length: u64) -> io::Error {
    io::Error::new(ErrorKind::OutOfMemory, format!("its {length} bytes are more than memory can take"))
}
