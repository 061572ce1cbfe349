//! Entries of projector.cu: Joseph's projector and its transpose.

use crate::entry::{Address, BLOCK, entries};

/// Places are counted in 1 / `UNITS_PER_PIXEL` pixels.
pub const UNITS_PER_PIXEL: f64 = 4_294_967_296.0;

/// Side of the squares that a block turns over: `projector_transpose` and `solve_conjugate`.
pub const SQUARE: usize = 32;

/// One angle; the record of the same name in projector.cuh.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct View {
    pub first: i64,
    pub per_line: i64,
    pub step: i64,
    pub length: f32,
    pub inverse_step: f32,
    pub n_bins_near: i32,
    pub along_rows: i32,
}

/// A parallel beam; the record of the same name in projector.cuh.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Parallel {
    pub views: Address<View>,
    pub height: i32,
    pub width: i32,
    pub n_views: i32,
    pub n_bins: i32,
}

entries! { "projector";
    /// sinogram = A image.
    Forward = "projector_forward" [BLOCK] {
        lanes: Address<i32>,
        beam: Parallel,
        image: Address<f32>,
        transposed: Address<f32>,
        sinogram: Address<f32>,
    }
    /// image = A^T sinogram.
    Adjoint = "projector_adjoint" [BLOCK] {
        lanes: Address<i32>, beam: Parallel, sinogram: Address<f32>, image: Address<f32>,
    }
    /// Rows become columns.
    Transpose = "projector_transpose" [BLOCK] {
        lanes: Address<i32>, image: Address<f32>, transposed: Address<f32>, height: i32, width: i32,
    }
}
