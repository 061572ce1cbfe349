//! Entries of solve.cu: the linear solves of the default method, the mirrors of its approach, and the weights of
//! the data term.

use crate::entry::{Address, BLOCK, entries};

/// `struct MirrorScalars` of solve.cu, one per entry of the list of lanes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MirrorScalars {
    /// Factor of the mirrored image.
    pub factor: f32,
    /// Not 0 where it is added to what is there.
    pub adds: u32,
    /// Not 0 where the first row becomes the last.
    pub rows: u32,
    /// Not 0 where the first column becomes the last.
    pub cols: u32,
}

entries! { "solve";
    /// p <- r + beta p, and |p|^2.
    Conjugate = "solve_conjugate" [BLOCK] {
        lanes: Address<i32>, momenta: Address<f32>, r: Address<f32>, p: Address<f32>, partial: Address<f64>, n: i32,
    }
    /// d <- d + a p, r <- r - a (normal + mu p), and |r|^2.
    Advance = "solve_advance" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<[f32; 2]>,
        p: Address<f32>,
        normal: Address<f32>,
        d: Address<f32>,
        r: Address<f32>,
        partial: Address<f64>,
        n: i32,
    }
    /// out = 0.
    Clear = "solve_clear" [BLOCK] { lanes: Address<i32>, out: Address<f32>, n: i32 }
    /// out = factor M x, or added to out.
    Mirror = "solve_mirror" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<MirrorScalars>,
        x: Address<f32>,
        out: Address<f32>,
        height: i32,
        width: i32,
    }
    /// out = w s.
    Weigh = "solve_weigh" [BLOCK] {
        lanes: Address<i32>, w: Address<f32>, s: Address<f32>, out: Address<f32>, n: i32,
    }
}
