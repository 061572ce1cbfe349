//! The algorithms, as state machines that ask for what they need.
//!
//! The state of a solver is `Copy`: it can be saved at any request and resumed later with the same bits.

mod ask;
mod conjugate_gradient;
mod descent;
mod directional;
mod error;
mod gradient_like;
mod graduated_flow;
mod line_search;
mod preconditioned;
mod saved;
mod step_size;

pub use ask::{Answer, Request, Solved, Solver, Status};
pub use conjugate_gradient::{ConjugateGradient, Krylov};
pub use directional::Directional;
pub use error::{AnswerError, SettingsError};
pub use gradient_like::GradientLike;
pub use graduated_flow::{FlowStep, GraduatedFlow};
pub use line_search::{Backtracking, LineSearch, Verdict};
pub use preconditioned::Preconditioned;
pub use saved::StateError;
pub use step_size::StepCandidate;
