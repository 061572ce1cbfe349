//! The paper's tables and figures on images \[FKD24, section 4.2\]: which methods, on which images, from which starts,
//! and what came out.
//!
//! An evaluation lives in a folder. `evaluation.toml` holds everything that determines a number, `results.csv` one row
//! for every finished reconstruction; a row is there completely or not at all. An evaluation that was stopped goes on
//! where it was; one with other settings is refused the folder. Rows depend neither on threads nor on jobs, nor on what
//! else is run; the device is one of the settings, because rows of another agree to rounding only.
//!
//! To add a method, add a [`Contender`] to [`CONTENDERS`] and its key to the tables.

mod bench;
mod contenders;
mod dataset;
mod error;
mod figures;
mod job;
mod plan;
mod protocol;
mod published;
mod results;
mod runner;
mod summary;
mod sweep;

pub use contenders::{CONTENDERS, Contender, Scale, contender, methods};
pub use dataset::{Dataset, DatasetError};
pub use error::EvaluateError;
pub use figures::{Figures, figures};
pub use job::{Job, jobs_of};
pub use plan::{Costs, Plan, plan, seconds_of};
pub(crate) use protocol::differences;
pub use protocol::{AlphaSource, Protocol, checksum};
pub use published::{Published, TABLES, TableKind, table};
pub use results::{Results, Row};
pub use runner::{Evaluation, RunEnd};
pub use summary::{Line, Statistic, Summary, summary};
pub use sweep::{SWEEP_FACTORS, Sweep, sweep};
