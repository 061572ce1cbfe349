//! Errors of reports.
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A picture has no pixels, or too many.
    #[error("picture {caption:?} cannot be encoded; check the size of its image")]
    Picture {
        /// The picture's caption.
        caption: String,
        /// The encoder's words.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The file system refuses to write.
    #[error("{}: the report cannot be written; check the folder and the room on the disk", path.display())]
    Write {
        /// The page's file.
        path: PathBuf,
        /// The file system's words.
        #[source]
        source: io::Error,
    },
}
