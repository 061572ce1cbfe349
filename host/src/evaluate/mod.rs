//! The paper's tables and figures on images \[FKD24, section 4.2\]: which methods, on which images, from which starts, and
//! what came out.
//!
//! An evaluation lives in a folder. `evaluation.toml` holds everything that determines a number, `results.csv` one row for
//! every finished reconstruction; a row is there completely or not at all. An evaluation that was stopped goes on where it
//! was; one with other settings is refused the folder. Rows depend neither on threads nor on jobs, nor on what else is run; the
//! device is one of the settings, because rows of another agree to rounding only.
//!
//! To add a method, add a [`Contender`] to [`CONTENDERS`] and its key to the tables.

mod bench;
mod contenders;
mod dataset;
mod figures;
mod plan;
mod protocol;
mod results;
mod runner;
mod summary;
mod sweep;

pub use contenders::{CONTENDERS, Contender, Published, TABLES, TableKind, contender, table};
pub use dataset::{Dataset, DatasetError};
pub use figures::{Figures, figures};
pub use plan::{Costs, Plan, plan, seconds_of};
pub use protocol::{AlphaSource, Protocol};
pub use results::{Results, Row};
pub use runner::{Evaluation, Job, RunEnd, jobs_of};
pub use summary::{Line, Statistic, Summary, summary};
pub use sweep::{SWEEP_FACTORS, Sweep, sweep};

use crate::metrics::MetricError;
use crate::reconstruct::ReconstructError;
use crate::simulate::SimulateError;
use std::path::PathBuf;

/// Why an evaluation cannot go on.
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
    #[error("{} holds an evaluation with other settings: {}; name another folder with --output, or give the same \
             settings", folder.display(), differences.join("; "))]
    OtherSettings {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        differences: Vec<String>,
    },
    /// The folder holds something else.
    #[error("{} holds files, but no evaluation.toml; name a new folder or that of an evaluation with --output", .0.display())]
    NotAnEvaluation(PathBuf),
    /// A file of the folder cannot be read.
    #[error("{} cannot be understood: {what}; mend it, or name another folder with --output", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file system refuses.
    #[error("{}: cannot be read or written; check the folder and the room on the disk", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: std::io::Error,
    },
    /// Threads cannot be started.
    #[error("cannot start the threads of a job; ask for fewer --jobs or --threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}
