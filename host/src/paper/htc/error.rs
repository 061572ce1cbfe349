//! Errors of the challenge's evaluation.

use crate::data::file_error::ImageError;
use crate::data::folder_error::FolderError;
use crate::data::scan::ScanError;
use crate::metrics::MetricError;
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
    /// A file of the folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}
