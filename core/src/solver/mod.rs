//! The algorithms, as state machines that ask for what they need.
//!
//! [`Preconditioned`] is the default method; [`GraduatedFlow`] and [`GradientLike`] are Algorithms 1 and 2 of
//! \[FKD24\]. [`DecomposedDiffusion`] and [`DiffPir`] are rivals with the same prior. Each is a file with its box,
//! whose lines name its states; what the first three share is in `descent.rs`, the rivals in `sampler.rs`. The state of
//! a solver is `Copy`: it can be saved at any request and resumed later with the same bits.
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
//!
//! # Rivals
//! The default method and the rivals share the network, the levels, the denoised image at each, and the solve for the
//! data near it. They differ in what is done between two levels, and in the end:
//!
//! | | default | [`DecomposedDiffusion`] | [`DiffPir`] |
//! |---|---|---|---|
//! | next iterate: the solved image and | nothing | fresh noise, and the denoised, shrunk | and the solved, too |
//! | `mu_i` | `sigma_y^2/sigma_i^2` | 0, or the same at all levels | `lambda sigma_y^2/sigma_i^2` |
//! | levels, as published | 8 to 12, equal ratios | 50, equal steps of `t` | 100, closer to each other at small `t` |
//! | symmetries of the prior | another at each level | none | none |
//! | last levels | steps that descend on `f`, by Armijo's test | as the others | as the others |
//! | result | a stationary point of `f`, or near one | a sample; `eta = 0`: a function of `x_1` | likewise, `zeta` |

mod ask;
mod conjugate_gradient;
mod dds;
mod descent;
mod diffpir;
mod directional;
mod effort;
mod error;
mod gradient_like;
mod graduated_flow;
mod line_search;
mod preconditioned;
mod sampler;
mod saved;
mod step_size;

pub use ask::{Answer, Request, Solver, Status};
pub use conjugate_gradient::{ConjugateGradient, Krylov};
pub use dds::DecomposedDiffusion;
pub use diffpir::DiffPir;
pub use directional::Directional;
pub use effort::{Effort, Solved};
pub use error::{AnswerError, SettingsError};
pub use gradient_like::GradientLike;
pub use graduated_flow::GraduatedFlow;
pub use line_search::{Backtracking, LineSearch, Verdict};
pub use preconditioned::Preconditioned;
pub use saved::StateError;
pub use step_size::{FlowStep, StepCandidate};
