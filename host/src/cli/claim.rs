//! The folder of a run, made and held before the work begins.

use crate::ending::Failure;
use gradus::data::hidden::{is_hidden, sweep};
use gradus::data::make_folder;
use miette::miette;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The folder of runs whose folder is not named.
const RUNS: &str = "runs";
/// Longest name that is made up here; file systems take 255 bytes, of which "-METHOD" and "-2" need some.
const LONGEST_NAME: usize = 200;
/// The one entry that an empty file system may hold.
const OF_FILE_SYSTEM: &str = "lost+found";

/// An empty folder that no other run writes into while this one lives. Dropped empty, it goes again if it was made
/// here.
#[derive(Debug)]
pub struct Claim {
    shown: PathBuf,
    folder: PathBuf,
    /// The folder, if it is new, and those around it that were made for it; outermost first.
    made: Vec<PathBuf>,
    /// Held until the end of the process at the latest. A file system without locks leaves new folders to their makers,
    /// who are alone in making them, and empty ones to anybody.
    _lock: Option<File>,
}

/// Reasons for which a folder cannot be claimed.
enum Refusal {
    /// It holds something, or is no folder.
    Taken,
    /// Another run has claimed it.
    Busy,
    /// The file system refuses.
    Refused(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

impl Claim {
    /// Claims the folder named, which must be new or empty, or a new one `runs/NAME`, `runs/NAME-2`, ...
    pub fn take(named: Option<&Path>, name: &str) -> Result<Self, Failure> {
        let Some(path) = named else { return Self::free(&Path::new(RUNS).join(shortened(name))) };
        Self::at(path).map_err(|refusal| failure(path, &refusal))
    }

    /// Holds the folder of a run that is to go on, whatever is in it.
    pub fn resume(path: &Path) -> Result<Self, Failure> {
        sweep(path);
        let held = fs::canonicalize(path).map_err(Refusal::from).and_then(|folder| {
            let lock = lock(&folder)?;
            Ok(Self { shown: path.to_owned(), folder, made: Vec::new(), _lock: lock })
        });
        held.map_err(|refusal| match refusal {
            Refusal::Refused(error) => miette!("cannot read the folder {} of a run: {error}", path.display()),
            other => failure(path, &other),
        })
    }

    /// Claims `path`, or the first of `path-2`, `path-3`, ... that is free.
    pub fn free(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let numbered = (2..).map(|k| path.with_file_name(format!("{name}-{k}")));
        for path in std::iter::once(path.to_owned()).chain(numbered) {
            match Self::at(&path) {
                Err(Refusal::Taken | Refusal::Busy) => {}
                claimed => return claimed.map_err(|refusal| failure(&path, &refusal)),
            }
        }
        Err(miette!("no free folder name beside {}", path.display()))
    }

    fn at(shown: &Path) -> Result<Self, Refusal> {
        match Self::once(shown) {
            // Another run has just taken its own empty folder away.
            Err(Refusal::Refused(error)) if error.kind() == ErrorKind::NotFound => Self::once(shown),
            claimed => claimed,
        }
    }

    fn once(shown: &Path) -> Result<Self, Refusal> {
        // Without a dot at its end, which names no new folder.
        let path: PathBuf = shown.components().collect();
        let made = match make_folder(&path) {
            Ok(made) => made,
            Err(_) if path.is_dir() => Vec::new(),
            Err(_) if path.exists() => return Err(Refusal::Taken),
            Err(error) => return Err(error.into()),
        };
        let folder = fs::canonicalize(&path)?;
        let lock = lock(&folder)?;
        let claim = Self { shown: shown.to_owned(), folder, made, _lock: lock };
        claim.folder.parent().into_iter().chain([claim.folder()]).for_each(sweep);
        if claim.is_empty()? { Ok(claim) } else { Err(Refusal::Taken) }
    }

    /// True if nothing is in it but what runs hide.
    pub fn is_empty(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if !is_hidden(&path) && path.file_name().is_none_or(|name| name != OF_FILE_SYSTEM) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The folder as it was named.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The folder, whatever links lead to it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder around it, if this one was made here: only then is it the same file system, and may be written to.
    pub fn parent(&self) -> Option<&Path> {
        self.folder.parent().filter(|_| !self.made.is_empty())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            // Fails, as it should, where there is something in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn lock(folder: &Path) -> Result<Option<File>, Refusal> {
    let file = File::open(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Refusal::Busy),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn failure(path: &Path, refusal: &Refusal) -> Failure {
    let path = path.display();
    match refusal {
        Refusal::Taken => miette!("{path} exists already; name a new or empty folder with --output"),
        Refusal::Busy => miette!("another run is under way in {path}; name another folder, or wait until it has ended"),
        Refusal::Refused(error) if error.kind() == ErrorKind::InvalidInput => miette!("{path} does not name a folder"),
        Refusal::Refused(error) => {
            miette!("cannot write into the folder {path}: {error}; name another with --output")
        }
    }
}

/// The name, or as much of its beginning as a file system takes with something added.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}
