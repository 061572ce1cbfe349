//! Errors of an evaluation.

use super::DatasetError;
use crate::data::folder_error::FolderError;
use crate::metrics::MetricError;
use crate::reconstruct::ReconstructError;
use crate::simulate::SimulateError;
use std::path::PathBuf;

/// Reasons why an evaluation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The images cannot be had.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// An image cannot be scanned.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// An image cannot be reconstructed.
    #[error(transparent)]
    Reconstruct(#[from] ReconstructError),
    /// A result cannot be compared with the truth.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The folder holds an evaluation with other settings.
    #[error("{} holds an evaluation with other settings: {}; name another folder, or give the same settings",
            folder.display(), differences.join("; "))]
    OtherSettings {
        /// The folder.
        folder: PathBuf,
        /// The differences.
        differences: Vec<String>,
    },
    /// The folder holds something else.
    #[error("{} holds files, but no {file}; name a new folder or that of an evaluation", folder.display())]
    NotAnEvaluation {
        /// The folder.
        folder: PathBuf,
        /// The file that names its settings.
        file: &'static str,
    },
    /// The image is none of the benchmark's.
    #[error("the image {0}")]
    Image(String),
    /// The settings of a contender are not there.
    #[error("the evaluation has no settings for {0}; name another folder")]
    NoSettings(String),
    /// A file of the folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}
