//! Entries of solve.cu: the mirrors of the default method's approach, and the weights of the data term.

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
