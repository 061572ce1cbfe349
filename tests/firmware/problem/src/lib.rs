//! The work of the firmware image, shared with the machine that checks it: the toy trajectory of the core, and a
//! small reconstruction whose projector is a device that answers later.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod accelerator;
pub mod fault;
pub mod linear_solve;
pub mod lines;
pub mod named_runs;
pub mod patch_prior;
pub mod projector;
pub mod run;
pub mod scan;
pub mod scanner;
pub mod trace_ring;
