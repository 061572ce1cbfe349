//! Entries of conv.cu: every convolution of the network, forward and backward.

use crate::entry::{Address, entries};

/// Threads of a block at most: 8 warps, each with [`OUTPUTS`] outputs.
pub const MAX_THREADS: u32 = 256;
/// Output channels of a warp.
pub const OUTPUTS: usize = 8;
/// Rows and columns of a tile.
pub const TILE: (usize, usize) = (8, 16);

/// What is done to the input: `Prologue` in conv.cu.
pub mod prologue {
    /// Nothing.
    pub const IDENTITY: i32 = 0;
    /// A normalisation.
    pub const NORM: i32 = 1;
    /// A normalisation and a SiLU.
    pub const NORM_SILU: i32 = 2;
    /// The vjp of a normalisation.
    pub const NORM_VJP: i32 = 3;
}

/// Bits of what is done to the output: `Epilogue` in conv.cu.
pub mod epilogue {
    /// Added to what is there.
    pub const ACCUMULATE: i32 = 1;
    /// The vjp of a SiLU.
    pub const SILU_VJP: i32 = 2;
}

/// The record of the same name in conv.cu, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Convolution {
    pub lanes: Address<i32>,
    pub input: Address<f32>,
    pub second: Address<f32>,
    pub normalised: Address<f32>,
    pub affine: Address<[f32; 4]>,
    pub weights: Address<f32>,
    pub bias: Address<f32>,
    pub lane_shift: Address<f32>,
    pub side: Address<f32>,
    pub side_second: Address<f32>,
    pub side_affine: Address<[f32; 4]>,
    pub out: Address<f32>,
    pub n_first: i32,
    pub n_in: i32,
    pub in_height: i32,
    pub in_width: i32,
    pub n_out: i32,
    pub n_padded: i32,
    pub out_height: i32,
    pub out_width: i32,
    pub first_tap: i32,
    pub first_tap_per_phase: i32,
    pub lane_shift_stride: i32,
    pub n_side_first: i32,
    pub prologue: i32,
    pub epilogue: i32,
}

entries! { "conv";
    /// 3x3, and its vjp.
    Same = "conv_same" [MAX_THREADS] { at: Convolution }
    /// 1x1, and its vjp.
    Point = "conv_point" [MAX_THREADS] { at: Convolution }
    /// 3x3 with stride 2.
    Down = "conv_down" [MAX_THREADS] { at: Convolution }
    /// Doubling, then 3x3; and the vjp of 3x3 with stride 2.
    Phases = "conv_phases" [MAX_THREADS] { at: Convolution }
    /// The vjp of doubling, then 3x3.
    UpVjp = "conv_up_vjp" [MAX_THREADS] { at: Convolution }
}
