//! Entries of conv.cu: every convolution of the network, forward and backward.

use crate::entry::{Address, entries};

/// Output channels of a thread; weights are padded to multiples of it.
pub const OUTPUTS: usize = 8;

/// The share of a layer that a block computes: `Layout` in conv.cu, and in conv_tensor.cu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Rows and columns.
    pub sides: (usize, usize),
    /// Output channels.
    pub outputs: usize,
    /// Threads.
    pub threads: u32,
}

/// Small levels, which would not fill a device otherwise.
pub const SMALL: Tile = Tile { sides: (8, 8), outputs: OUTPUTS, threads: 256 };
/// Most levels.
pub const MEDIUM: Tile = Tile { sides: (8, 16), outputs: OUTPUTS, threads: 256 };
/// Levels of very many tiles.
pub const LARGE: Tile = Tile { sides: (8, 16), outputs: 3 * OUTPUTS, threads: 192 };

/// Threads that sum up a group of a norm's channels, in conv_norm.cuh.
pub(crate) const TEAM: f64 = 16.0;

/// The work on the input: `Prologue` in conv.cuh.
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

/// Bits of what is done to the output: `Epilogue` in conv.cuh.
pub mod epilogue {
    /// Added to what is there.
    pub const ACCUMULATE: i32 = 1;
    /// The vjp of a SiLU.
    pub const SILU_VJP: i32 = 2;
    /// Sums for the vjp of a norm.
    pub const NORM_SUMS: i32 = 4;
    /// The vjp of a norm is added.
    pub const NORM_INPUT: i32 = 8;
}

/// The record of the same name in conv.cuh, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct NormOfOutput {
    pub sums: Address<[f64; 2]>,
    pub second_sums: Address<[f64; 2]>,
    pub gain: Address<f32>,
    pub bias: Address<f32>,
    pub coefficients: Address<[f32; 4]>,
    pub counters: Address<u32>,
    pub eps: f64,
    pub n_channels: i32,
    pub n_groups: i32,
    pub n_second_tiles: i32,
    pub unused: i32,
}

impl NormOfOutput {
    /// Nothing is summed up.
    pub const NONE: Self = Self {
        sums: Address::NULL,
        second_sums: Address::NULL,
        gain: Address::NULL,
        bias: Address::NULL,
        coefficients: Address::NULL,
        counters: Address::NULL,
        eps: 0.0,
        n_channels: 0,
        n_groups: 0,
        n_second_tiles: 0,
        unused: 0,
    };
}

/// The record of the same name in conv.cuh, which says what is what.
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
    pub d_z: Address<f32>,
    pub out: Address<f32>,
    pub more: Address<f32>,
    pub more_second: Address<f32>,
    pub more_weights: Address<f32>,
    pub norm: NormOfOutput,
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
    pub n_norm: i32,
    pub first_of_norm: i32,
    pub n_more_first: i32,
    pub n_more: i32,
}

entries! { "conv";
    /// 3x3, and its vjp.
    Same = "conv_same" [MEDIUM.threads] { at: Convolution }
    /// The same for small levels.
    SameSmall = "conv_same_small" [SMALL.threads] { at: Convolution }
    /// The same for large ones.
    SameLarge = "conv_same_large" [LARGE.threads] { at: Convolution }
    /// 1x1, and its vjp.
    Point = "conv_point" [MEDIUM.threads] { at: Convolution }
    /// The same for small levels.
    PointSmall = "conv_point_small" [SMALL.threads] { at: Convolution }
    /// The same for large ones.
    PointLarge = "conv_point_large" [LARGE.threads] { at: Convolution }
    /// 3x3 with stride 2.
    Down = "conv_down" [MEDIUM.threads] { at: Convolution }
    /// Doubling, then 3x3; and the vjp of 3x3 with stride 2.
    Phases = "conv_phases" [MEDIUM.threads] { at: Convolution }
    /// The same for small levels.
    PhasesSmall = "conv_phases_small" [SMALL.threads] { at: Convolution }
    /// The vjp of doubling, then 3x3.
    UpVjp = "conv_up_vjp" [MEDIUM.threads] { at: Convolution }
}
