//! The folder of a run: complete, or not there.

use crate::ending::Failure;
use miette::miette;
use std::path::{Path, PathBuf};

/// A folder under way: files go into a hidden one beside it, which takes its name when all are written.
#[derive(Debug)]
pub struct RunFolder {
    staging: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl RunFolder {
    /// Where a run goes: the folder named, which must not hold anything yet, or a new one `runs/NAME`, `runs/NAME-2`, ...
    pub fn place(named: Option<&Path>, name: &str) -> Result<PathBuf, Failure> {
        if let Some(path) = named {
            let taken = path.exists() && !std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
            if taken {
                let path = path.display();
                return Err(miette!("{path} exists already; name a new or empty folder with --output"));
            }
            return Ok(path.to_owned());
        }
        let runs = Path::new("runs");
        let numbered = (2..).map(|k| runs.join(format!("{name}-{k}")));
        let free = std::iter::once(runs.join(name)).chain(numbered).find(|path| !path.exists());
        free.ok_or_else(|| miette!("no free folder name under runs/"))
    }

    /// Starts a folder that will stand at `target`.
    pub fn create(target: PathBuf) -> Result<Self, Failure> {
        let name = target.file_name().ok_or_else(|| miette!("{} does not name a folder", target.display()))?;
        let staging = target.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
        std::fs::create_dir_all(&staging)
            .map_err(|error| miette!("cannot make the folder {}: {error}", target.display()))?;
        Ok(Self { staging, target, finished: false })
    }

    /// The path of a file to be written.
    pub fn file(&self, name: &str) -> PathBuf {
        self.staging.join(name)
    }

    /// Writes a text file.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.file(name);
        std::fs::write(&path, text)
            .map_err(|error| miette!("cannot write {}: {error}", self.target.join(name).display()))
    }

    /// Gives the folder its name.
    pub fn finish(mut self) -> Result<PathBuf, Failure> {
        if self.target.is_dir() {
            // Empty by `place`; if it has been filled since, this fails and nothing is lost.
            std::fs::remove_dir(&self.target).map_err(|error| miette!("{}: {error}", self.target.display()))?;
        }
        std::fs::rename(&self.staging, &self.target)
            .map_err(|error| miette!("cannot name the folder {}: {error}", self.target.display()))?;
        self.finished = true;
        Ok(self.target.clone())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing half-written stays; there is nobody left to tell if even that fails.
            let _ = std::fs::remove_dir_all(&self.staging);
        }
    }
}
