//! The folder of a run: complete, or empty.

use crate::claim::Claim;
use crate::ending::Failure;
use gradus::data::hidden::Hidden;
use gradus::data::{sync_folder, write_atomically};
use miette::miette;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A folder under way. Files go into a hidden one, which takes the name of the claimed folder when all are written; a
/// folder that was there before, and may be a mount point or a link's end, is filled instead.
#[derive(Debug)]
pub struct RunFolder {
    /// Dropped first: the folder around it may be one that goes with the claim.
    staging: Hidden,
    claim: Claim,
    is_named: bool,
}

impl RunFolder {
    /// Claims the folder of a run before its work begins, so that what cannot be written is found out at once: the one
    /// named, which must not hold anything yet, or a new one `runs/NAME`, `runs/NAME-2`, ...
    pub fn claim(named: Option<&Path>, name: &str) -> Result<Self, Failure> {
        let claim = Claim::take(named, name)?;
        let home = claim.parent().unwrap_or(claim.folder());
        let refused = |error| miette!("cannot write into {}: {error}; name another with --output", home.display());
        let staging = Hidden::folder(home).map_err(refused)?;
        Ok(Self { staging, is_named: named.is_some(), claim })
    }

    /// The folder that the files will stand in.
    pub fn path(&self) -> &Path {
        self.claim.folder()
    }

    /// The path of a file to be written.
    pub fn file(&self, name: &str) -> PathBuf {
        self.staging.path().join(name)
    }

    /// Writes a text file.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        write_atomically(&self.file(name), text.as_bytes())
            .map_err(|error| miette!("cannot write {}: {error}", self.claim.shown().join(name).display()))
    }

    /// Gives the files their place; returns the folder. Where somebody has filled it since, it is the next free one for
    /// a name that was made up, and an error for one that was given: who reads that folder must not find another's
    /// result.
    pub fn finish(mut self) -> Result<PathBuf, Failure> {
        let mut named = self.name();
        if named.is_err()
            && !self.is_named
            && let Ok(free) = Claim::free(self.claim.shown())
        {
            self.claim = free;
            named = self.name();
        }
        let folder = self.claim.shown().to_owned();
        match named {
            Ok(()) => {
                let lasting = sync_folder(self.claim.parent().unwrap_or(self.claim.folder()));
                let unsure = |error| miette!("the result is in {}, and may not last: {error}", folder.display());
                lasting.map_err(unsure)?;
                Ok(folder)
            }
            Err(error) => {
                let kept = self.staging.show();
                Err(miette!(
                    "cannot put the result into {}: {error}; it is whole in {}",
                    folder.display(),
                    kept.display()
                ))
            }
        }
    }

    /// Leaves what has been written for people to find, where the rest cannot be: the result of a long run is not
    /// thrown away for its page. `None` where `what` is not there.
    pub fn keep(self, what: &str) -> Option<PathBuf> {
        self.file(what).exists().then(|| self.staging.show())
    }

    fn name(&self) -> io::Result<()> {
        sync_folder(self.staging.path())?;
        match self.claim.parent() {
            Some(_) => fs::rename(self.staging.path(), self.claim.folder()),
            None => self.fill(),
        }
    }

    /// Moves the files into the folder, one after the other.
    fn fill(&self) -> io::Result<()> {
        if !self.claim.is_empty()? {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "somebody else has put files there"));
        }
        let mut moved = Vec::new();
        for entry in fs::read_dir(self.staging.path())? {
            let entry = entry?;
            let (from, to) = (entry.path(), self.claim.folder().join(entry.file_name()));
            if let Err(error) = fs::rename(&from, &to) {
                // Back, so that the files are together; where even that fails, each is in one of both folders.
                moved.iter().for_each(|(from, to)| drop(fs::rename(to, from)));
                return Err(error);
            }
            moved.push((from, to));
        }
        Ok(())
    }
}
