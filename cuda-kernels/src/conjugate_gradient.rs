//! Entries of conjugate_gradient.cu: the linear solves of the default method.

use crate::entry::{Address, BLOCK, entries};
use crate::fan::Fan;
use crate::projector::Parallel;
use crate::vector::Sums;

/// The place of the recurrence of an entry of the list; the record of the same name in conjugate_gradient.cu.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Recurrence {
    pub conjugate_square: f64,
    pub damping: f32,
    pub tolerance: f32,
    pub least: u32,
    pub most: u32,
    pub made: u32,
    pub answers: u32,
    pub asks: u32,
    pub scalar: f32,
    pub initial_square: f32,
    pub residual_square: f32,
}

/// The record of the same name in conjugate_gradient.cu, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Solve {
    pub lanes: Address<i32>,
    pub recurrences: Address<Recurrence>,
    pub r: Address<f32>,
    pub p: Address<f32>,
    pub transposed: Address<f32>,
    pub d: Address<f32>,
    pub seen: Address<f32>,
    pub roots: Address<f32>,
    pub s: Address<f32>,
    pub weighted: Address<f32>,
    pub of_direction: Address<f32>,
    pub sums: Sums,
}

impl Recurrence {
    /// The value of `asks` at the end: `DONE` in conjugate_gradient.cu.
    pub const DONE: u32 = 3;
}

entries! { "conjugate_gradient";
    /// d <- 0, A d <- 0, and |r|^2.
    Begin = "solve_begin" [BLOCK] { at: Solve, n: i32, n_values: i32 }
    /// p <- r + b p, and |p|^2.
    Conjugate = "solve_conjugate" [BLOCK] { at: Solve, height: i32, width: i32 }
    /// s <- W^(1/2) A p, and |s|^2.
    Project = "solve_project" [BLOCK] { at: Solve, beam: Parallel }
    /// d, A d and r after a step along p, and |r|^2.
    Advance = "solve_advance" [BLOCK] { at: Solve, beam: Parallel }
    /// `solve_project` of a fan.
    ProjectFan = "solve_project_fan" [BLOCK] { at: Solve, beam: Fan }
    /// `solve_advance` of a fan.
    AdvanceFan = "solve_advance_fan" [BLOCK] { at: Solve, beam: Fan }
}
