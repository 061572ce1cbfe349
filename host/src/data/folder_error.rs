//! Errors of the files in a folder of results.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// A file in a folder of results that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file is damaged.
    #[error("{} cannot be understood: {what}; mend it, or name another folder", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fault.
        what: String,
    },
    /// The file system refuses.
    #[error("{}: cannot be read or written; check the folder and the room on the disk", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The word of the file system.
        #[source]
        source: io::Error,
    },
}

impl FolderError {
    /// Names the file that is damaged.
    pub(crate) fn damaged<E: Display>(path: &Path) -> impl Fn(E) -> Self {
        |what| Self::Damaged { path: path.to_owned(), what: what.to_string() }
    }

    /// Names the file that the file system refuses.
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        |source| Self::File { path: path.to_owned(), source }
    }
}
