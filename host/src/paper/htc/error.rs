//! Errors of the challenge's evaluation.

use crate::data::file_error::ImageError;
use crate::data::scan::ScanError;
use crate::metrics::MetricError;
use crate::paper::row_file::RowFileError;
use crate::reconstruct::ReconstructError;
use std::path::PathBuf;

/// Reasons why the evaluation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HtcError {
    /// The folder has nothing to evaluate.
    #[error(
        "there is no phantom in {}: give the folder with the challenge's files, in which NAME_recon_fbp_seg.mat lies \
         beside NAME_limited.mat or NAME_full.mat", .0.display()
    )]
    NoPhantoms(PathBuf),
    /// A file of a segmentation holds none.
    #[error("{} holds no image of 512 x 512 pixels; it should be a phantom's segmentation", .0.display())]
    Segmentation(PathBuf),
    /// A scan cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A scan is not on the challenge's grid.
    #[error("{} is no scan of 512 x 512 pixels; the challenge's are", .0.display())]
    Grid(PathBuf),
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A scan cannot be reconstructed.
    #[error(transparent)]
    Reconstruct(#[from] ReconstructError),
    /// A result cannot be compared.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The folder holds another evaluation.
    #[error("{} holds another evaluation, or one with other settings; name another folder", .0.display())]
    OtherSettings(PathBuf),
    /// A file of rows is damaged.
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
        source: std::io::Error,
    },
}

impl From<RowFileError> for HtcError {
    fn from(error: RowFileError) -> Self {
        match error {
            RowFileError::Damaged { path, what } => Self::Damaged { path, what },
            RowFileError::File { path, source } => Self::File { path, source },
        }
    }
}
