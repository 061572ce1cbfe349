//! Hidden files and folders under which results are made before they get their names.
//!
//! A name is random and made exclusively, so nobody's is ever taken over. Its maker holds a lock on it for as long as
//! it lives, which the system lets go when the maker is killed: what [`sweep`] can lock belongs to nobody any more.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const PREFIX: &str = ".gradus-";
/// Names are 64 random bits: one that is taken is a rare accident, many are a fault.
const TRIES: usize = 16;

/// A hidden file or folder; removed when dropped, unless it has been given another name.
#[derive(Debug)]
pub struct Hidden {
    path: PathBuf,
    /// Open and locked. Locks are what files are swept by, not what keeps them apart: where a file system has none,
    /// nothing is swept.
    handle: File,
}

impl Hidden {
    /// A new file in `folder`, open for writing.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn file(folder: &Path) -> io::Result<Self> {
        Self::new(folder, "part", |path| OpenOptions::new().write(true).create_new(true).open(path))
    }

    /// A new folder in `folder`.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn folder(folder: &Path) -> io::Result<Self> {
        Self::new(folder, "run", |path| fs::create_dir(path).and_then(|()| File::open(path)))
    }

    fn new(folder: &Path, ending: &str, make: impl Fn(&Path) -> io::Result<File>) -> io::Result<Self> {
        for _ in 0..TRIES {
            let random = RandomState::new().build_hasher().finish();
            let path = folder.join(format!("{PREFIX}{}-{random:016x}.{ending}", this_boot().unwrap_or("0")));
            let handle = match make(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made?,
            };
            // Between its making and its locking it looks as if it were nobody's.
            let swept = matches!(handle.try_lock(), Err(TryLockError::WouldBlock)) || !path.exists();
            if !swept {
                return Ok(Self { path, handle });
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, "no name is free"))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The opened file.
    #[must_use]
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Leaves it in its folder under the name without the dot, for people to find; returns that.
    #[must_use]
    pub fn show(self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().trim_start_matches('.').to_owned();
        let shown = self.path.with_file_name(name);
        match fs::rename(&self.path, &shown) {
            Ok(()) => shown,
            // Under its hidden name it would be removed.
            Err(_) => std::mem::ManuallyDrop::new(self).path.clone(),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing half-written stays; there is nobody left to tell if even that fails, nor if it has got its name.
        let _ = if self.path.is_dir() { fs::remove_dir_all(&self.path) } else { fs::remove_file(&self.path) };
    }
}

/// True if a name is one of a hidden file or folder.
#[must_use]
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
}

/// Removes from `folder` what killed runs have left there.
///
/// Only names of this machine since its last start, whose locks the system has let go, are sure to belong to nobody.
pub fn sweep(folder: &Path) {
    let Some(boot) = this_boot() else { return };
    let ours = format!("{PREFIX}{boot}-");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours)) {
        let (path, kind) = (entry.path(), entry.file_type());
        let Some(kind) = kind.ok().filter(|kind| kind.is_file() || kind.is_dir()) else { continue };
        let lock = File::open(&path).ok().filter(|file| file.try_lock().is_ok());
        if lock.is_some() {
            // Left by somebody who is gone: no run depends on its removal.
            let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// A mark of this start of the machine, the same in all its containers; `None` where the system has none.
fn this_boot() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.get(..8).map(str::to_owned);
    BOOT.get_or_init(read).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_spares_what_is_held_and_what_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let (file, run) = (Hidden::file(folder.path()).unwrap(), Hidden::folder(folder.path()).unwrap());
        let boot = this_boot().unwrap_or("0");
        let others = ["x.part", ".gradus-elsewhere-1.part", ".image.npy.77-1.part"];
        others.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        fs::create_dir(folder.path().join(format!("{PREFIX}{boot}-1.run"))).unwrap();
        fs::write(folder.path().join(format!("{PREFIX}{boot}-1.run/image.dcm")), "old").unwrap();
        fs::write(folder.path().join(format!("{PREFIX}{boot}-2.part")), "old").unwrap();
        sweep(folder.path());
        let swept = usize::from(this_boot().is_none()) * 2;
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2 + others.len() + swept);
        assert!(file.path().exists() && run.path().exists());
        drop((file, run));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), others.len() + swept);
    }

    #[test]
    fn what_is_shown_stays() {
        let folder = tempfile::tempdir().unwrap();
        let run = Hidden::folder(folder.path()).unwrap();
        fs::write(run.path().join("image.npy"), "x").unwrap();
        let shown = run.show();
        sweep(folder.path());
        assert!(shown.join("image.npy").exists() && !is_hidden(&shown));
    }
}
