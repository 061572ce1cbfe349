//! Graduated optimisation with a diffusion prior: the solver that decides.
//!
//! Minimises `f(x) = F(x, t_min)` with `F(x, t) = 1/2 |A x - y|^2 + alpha_t R(x, t)`, where `R(., t)` is minus the
//! logarithm of the data distribution diffused to time `t`: convex for large `t`, the wanted prior for small `t`
//! \[FKD24, eq. 8 and 15\]. Three algorithms follow the minimiser down:
//!
//! * the default method of [`solver`]: a few steps along directions for which the data term is solved; the first choose
//!   where the descent starts, the others are descent steps of `f` by the test of Armijo;
//! * [`GraduatedFlow`], Algorithm 1: one step along `d = -t grad F(x, t)` at each level of a schedule;
//! * [`GradientLike`], Algorithm 2: the same, and every step is a descent step of `f`.
//!
//! Two rivals, which sample rather than minimise, go through the same requests: [`DecomposedDiffusion`] and
//! [`DiffPir`].
//!
//! A solver is a state machine over scalars ([`Solver`]). It asks ([`Request`]) for directions, differences of `f` and
//! updates, is told numbers ([`Answer`]) and never sees a vector, so vectors may live in RAM, on a GPU or behind a DMA
//! engine. [`drive`] connects a solver with an [`Evaluator`], [`drive_in_lockstep`] several with a [`Batch`];
//! [`Buffers`] is the plain evaluator over caller-owned `f32` slices.
//!
//! ```
//! use gradus_core::{drive, toy, Buffers, Solver, Status};
//!
//! let mut solver = toy::gradient_like(1.0, 1300)?;
//! let mut problem = toy::Toy::new();
//! let mut memory = [0.0; Buffers::<toy::Toy>::floats(2)];
//! let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective())?;
//! buffers.set_iterate(&[3.0, 2.0])?;
//! let status = drive(&mut solver, &mut buffers, |_, _| core::ops::ControlFlow::Continue(()));
//! assert_eq!(status, Ok(Status::ScheduleDone));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! No heap, no `unsafe`, no panic: sizes are checked when things are built, ends are statuses, and a NaN or infinity
//! in an answer is an error, never a step. All arithmetic is `f32` with `libm`, so the same run gives the same bits on
//! every target; sums are compensated. The page [`firmware`] says what this costs on a microcontroller.
//!
//! \[CLY24\] Chung, Lee, Ye: Decomposed Diffusion Sampler for Accelerating Large-Scale Inverse Problems, ICLR 2024.
//!
//! \[Efr11\] Efron: Tweedie's Formula and Selection Bias, J. Amer. Statist. Assoc. 106, 2011.
//!
//! \[FKD24\] Fernsel, Kereta, Denker: Convergence Properties of Score-Based Models for Linear Inverse Problems Using
//! Graduated Optimisation, MLSP 2024, arXiv:2404.18699.
//!
//! \[HS52\] Hestenes, Stiefel: Methods of Conjugate Gradients for Solving Linear Systems, J. Res. Natl. Bur. Stand. 49,
//! 1952.
//!
//! \[SMDS11\] Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
//!
//! \[SME21\] Song, Meng, Ermon: Denoising Diffusion Implicit Models, ICLR 2021.
//!
//! \[ZZL23\] Zhu, Zhang, Liang, Cao, Wen, Timofte, Van Gool: Denoising Diffusion Models for Plug-and-Play Image
//! Restoration, CVPR Workshops 2023.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::integer_division,
    clippy::unreachable,
    clippy::as_conversions
)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions))]

#[cfg(test)]
extern crate std;

pub mod diffusion;
pub mod firmware;
pub mod math;
pub mod noise;
pub mod prior;
pub mod problem;
pub mod schedule;
pub mod solver;
pub mod toy;
pub mod trace;

mod buffers;
mod driver;
mod lockstep;
mod words;

pub use buffers::{Buffers, BuffersError, Vectors, WrongLength};
pub use diffusion::PerturbationKernel;
pub use driver::{DriveError, drive};
pub use lockstep::{End, Room, Run, drive_in_lockstep};
pub use noise::Draw;
pub use prior::GaussianMixture;
pub use problem::{Batch, Evaluator, LinearModel, Problem};
pub use schedule::{Homotopy, Level, RegularisationWeight, Schedule, ScheduleError, Spacing};
pub use solver::*;
pub use trace::{Certificate, Outcome, Record};
