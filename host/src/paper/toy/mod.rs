//! The two-dimensional experiment of \[FKD24, section 4.1, Fig. 1\]: both algorithms from 10^4 starts, for 100 values
//! of `t_max`.
//!
//! The algorithms themselves are those of `gradus_core::toy`; 2.6e9 iterations of them would take half an hour. So
//! [`rates`] is a second implementation, for throughput only: 8 or 16 trajectories in a vector, no records, no state to
//! resume. Tests hold it against core's solvers, trajectory by trajectory. Nothing is left out: every trajectory makes
//! every iteration, and every iterate is judged.
//!
//! Results do not depend on the number of threads: trajectories do not meet, and counts are integers.

mod descent;
mod experiment;
mod figure;
mod lanes;
mod levels;
mod paths;
mod rates;

pub use experiment::{Algorithm, ITERATIONS, N_T_MAX, REACH, REFERENCES, SIDE, starts, t_max};
pub use figure::{FigureError, by_iteration_csv, panels, rates_csv, starts_csv};
pub use paths::{PATH_STARTS, path};
pub use rates::{Observer, Rates, Work, rates};
