//! The algorithms, as state machines that ask for what they need.
//!
//! [`Preconditioned`] is the default method; [`GraduatedFlow`] and [`GradientLike`] are Algorithms 1 and 2 of
//! \[FKD24\]. Each is a file with its box, whose lines name its states; what they share is in `descent.rs`. The state
//! of a solver is `Copy`: it can be saved at any request and resumed later with the same bits.
//!
//! # Symbols
//! | in \[FKD24\] | in the boxes | here |
//! |---|---|---|
//! | `t_i`, `I` | `t_i`, `I` | [`Level::t`](crate::Level::t), [`Schedule::len`](crate::Schedule::len) |
//! | `alpha_t` | `alpha_i` | [`Level::prior_weight`](crate::Level::prior_weight) |
//! | `gamma_t`, `nu_t` | `sigma_i = nu_t/gamma_t` | `mean_scale`, `std` of the [kernel](crate::PerturbationKernel) |
//! | `lambda_i` | `lambda_i` | [`Record::step`](crate::Record::step), a step length |
//! | `beta` in Algorithm 2, `tau` in section 4.2 | `tau` | [`Backtracking::shrink`] |
//! | `c` | `c` | [`Backtracking::sufficient_decrease`] |
//! | `epsilon` | `eps` | `tolerance` |
//! | `<grad f(x_i), d_i>` | likewise | [`Directional::slope`] |
//! | - | `mu_i` | [`Request::Solve`]: `damping` |

mod ask;
mod conjugate_gradient;
mod descent;
mod directional;
mod effort;
mod error;
mod gradient_like;
mod graduated_flow;
mod line_search;
mod preconditioned;
mod saved;
mod step_size;

pub use ask::{Answer, Request, Solver, Status};
pub use conjugate_gradient::{ConjugateGradient, Krylov};
pub use directional::Directional;
pub use effort::{Effort, Solved};
pub use error::{AnswerError, SettingsError};
pub use gradient_like::GradientLike;
pub use graduated_flow::GraduatedFlow;
pub use line_search::{Backtracking, LineSearch, Verdict};
pub use preconditioned::Preconditioned;
pub use saved::StateError;
pub use step_size::{FlowStep, StepCandidate};
