//! Files that are either whole or not there, also after the power failed.
use super::hidden::Hidden;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes `contents` to a new file beside `path`, flushes it to the disk and renames it to `path`.
///
/// A reader of `path` sees the old contents or the new, never a part, even if the program is killed or the power fails.
///
/// # Errors
/// Those of the file system; then `path` is as it was and the new file beside it is gone.
pub fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = folder_of(path)?;
    let written = write_beside(&folder, contents)?;
    fs::rename(written.path(), path)?;
    sync_folder(&folder)
}

/// Writes a file that must not be there yet, whole or not at all; `false` when somebody else has made it.
///
/// # Errors
/// Those of the file system; then there is no file of ours.
pub fn write_once(path: &Path, contents: &[u8]) -> io::Result<bool> {
    let folder = folder_of(path)?;
    let written = write_beside(&folder, contents)?;
    match fs::hard_link(written.path(), path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        // A file system without links: the last of two who begin at the same moment wins.
        Err(_) if !path.exists() => fs::rename(written.path(), path)?,
        linked => linked?,
    }
    sync_folder(&folder).map(|()| true)
}

fn write_beside(folder: &Path, contents: &[u8]) -> io::Result<Hidden> {
    let hidden = Hidden::file(folder)?;
    let mut file = hidden.handle();
    file.write_all(contents)?;
    file.sync_all()?;
    Ok(hidden)
}

fn folder_of(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(_)) if folder.as_os_str().is_empty() => Ok(PathBuf::from(".")),
        (Some(folder), Some(_)) => Ok(folder.to_owned()),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "the path names no file")),
    }
}

/// Makes a folder that must not be there yet, and those above it that are missing, to last; returns all that it made,
/// the outermost first.
///
/// # Errors
/// Those of the file system; `AlreadyExists` when something of that name is there.
pub fn make_folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    /// Others may remove an empty folder above as soon as it is made.
    const TRIES: usize = 16;
    let above = folder_of(path)?;
    let mut made = Vec::new();
    for _ in 0..TRIES {
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match make_folder(&above) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                outer => made = outer?,
            },
            created => {
                created?;
                sync_folder(&above)?;
                made.push(path.to_owned());
                return Ok(made);
            }
        }
    }
    Err(io::Error::new(ErrorKind::NotFound, "the folder above is removed again and again"))
}

/// Makes the names in a folder last: a file's own flush does not.
///
/// # Errors
/// Those of the disk. A file system that cannot flush folders, or does not let us, is none.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let cannot = |kind| matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied);
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if cannot(error.kind()) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_file_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_rename_removes_the_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("taken");
        fs::create_dir_all(target.join("full")).unwrap();
        assert!(write_atomically(&target, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_atomically(Path::new("/"), b"x").is_err());
    }
    #[test]
    fn a_file_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("a.toml");
        make_folder(path.parent().unwrap()).unwrap();
        let wins: usize = std::thread::scope(|scope| {
            let write = |k: u8| write_once(&path, &[k; 1000]).unwrap();
            let threads: Vec<_> = (0..8).map(|k| scope.spawn(move || usize::from(write(k)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
        let read = fs::read(&path).unwrap();
        assert!(read.len() == 1000 && read.iter().all(|byte| *byte == read[0]));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(make_folder(path.parent().unwrap()).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
