//! Training of priors: a stream of noisy images, denoising score matching through the energy, and runs that survive.
//!
//! [`Trainer`] is a run in memory; [`train`] runs one in a folder:
//!
//! | file | holds |
//! |---|---|
//! | `checkpoint.safetensors` | everything from which the run continues with the same bits |
//! | `weights.safetensors` | the averaged weights at the last validation |
//! | `best.safetensors` | those of the best validation so far |
//! | `config.toml` | the run's description |
//! | `losses.csv`, `validation.csv`, `report.html` | its course |
//!
//! Every file is replaced as a whole, so that a reader, or the next run, never finds half of one.

mod adam;
mod batch;
mod begin;
mod checkpoint;
mod config;
mod device;
mod folder;
#[cfg(test)]
mod guide_tests;
mod history;
mod images;
mod initial;
mod run;
mod trainer;
mod validation;

pub use checkpoint::CheckpointError;
pub use config::{
    ConfigError, DataConfig, Loss, OptimiserConfig, PRESETS, Phase, Smoothing, TrainingConfig, ValidationConfig,
    preset, renamed,
};
pub use folder::{FolderError, Slices};
pub use history::{History, LossRow, STEPS_A_ROW, ValidationRow};
pub use images::{Images, ImagesError};
pub use run::{CHECKPOINT, Progress, RunEnd, train};
pub use trainer::Trainer;
pub use validation::{LEVELS, denoising_db};

use crate::backend::cpu::NetworkError;
use crate::backend::cuda::DeviceError;
use crate::memory::TooLittleMemory;
use crate::prior::PriorError;
use crate::report::ReportError;
use crate::unet::WeightsError;
use std::error::Error;
use std::path::PathBuf;

/// Reasons for which a training run cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The run's description makes no sense.
    #[error("the training configuration makes no sense")]
    Config(#[from] ConfigError),
    /// There are no images.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The network cannot be made.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The first weights cannot be read.
    #[error(transparent)]
    Initial(#[from] PriorError),
    /// The first weights are those of another network.
    #[error("`initial`: {} holds weights of another network than `network`; copy its numbers from there", .0.display())]
    AnotherNetwork(PathBuf),
    /// The run does not fit into memory.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
    /// The GPU cannot be used, or stopped working.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A longer description that does not continue the run.
    #[error(
        "the run made its steps under another description; only later phases, validation and checkpoints may change"
    )]
    AnotherRun,
    /// The weights cannot be put together.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A validation image cannot be scanned or reconstructed.
    #[error("the validation failed")]
    Validation(#[source] Box<dyn Error + Send + Sync>),
    /// The page cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The optimisation has left all bounds.
    #[error(
        "diverged in step {step}: loss {loss:.3e} per pixel, gradient norm {gradient_norm:.3e}; lower `learning_rate`, \
         or lengthen `warm_up`; nothing of this step has been kept"
    )]
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// Its loss per pixel.
        loss: f64,
        /// Norm of its gradient.
        gradient_norm: f64,
    },
    /// The file system refuses to read.
    #[error("{}: cannot be read; --resume needs the folder of a training run", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The file system's words.
        #[source]
        source: std::io::Error,
    },
    /// The file system refuses to write.
    #[error("{}: cannot be written; check the room on the disk; the last checkpoint is as it was", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The file system's words.
        #[source]
        source: std::io::Error,
    },
}
