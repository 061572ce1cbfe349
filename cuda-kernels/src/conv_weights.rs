//! Entries of conv_weights.cu: gradients of a convolution's weights and bias.

use crate::entry::{Address, BLOCK, entries};

/// Steady channels of a thread, and moving channels of a thread of a 1x1 convolution.
pub const CHANNELS: usize = 8;
/// Values of shared memory in which both tiles stand.
pub const SHARED: usize = 4 * 2048;
/// Values that a block of `conv_weights_finish` adds up.
pub const FINISHED: usize = 32;

/// One tensor, or two side by side; null for none.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Operand {
    pub first: Address<f32>,
    pub second: Address<f32>,
}

/// The record of the same name in conv_weights.cu, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct WeightGradient {
    pub lanes: Address<i32>,
    pub steady: [Operand; 2],
    pub moving: [Operand; 2],
    pub partial: Address<f32>,
    pub n_steady: i32,
    pub n_steady_first: i32,
    pub steady_height: i32,
    pub steady_width: i32,
    pub n_moving: i32,
    pub n_moving_first: i32,
    pub moving_height: i32,
    pub moving_width: i32,
    pub n_lanes: i32,
    pub n_units: i32,
    pub units_per_split: i32,
    pub groups: i32,
    pub columns: i32,
    pub unused: i32,
}

/// The record of the same name in conv_weights.cu.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct WeightFinish {
    pub lanes: Address<i32>,
    pub partial: Address<f32>,
    pub sums: Address<f32>,
    pub d_weight: Address<f32>,
    pub d_bias: Address<f32>,
    pub n_steady: i32,
    pub n_moving: i32,
    pub n_taps: i32,
    pub n_splits: i32,
    pub n_lanes: i32,
    pub stride: i32,
    pub swapped: i32,
    pub factor: f32,
}

entries! { "conv_weights";
    /// 3x3.
    Same = "conv_weights_same" [BLOCK] { at: WeightGradient }
    /// 3x3 with stride 2.
    Down = "conv_weights_down" [BLOCK] { at: WeightGradient }
    /// Doubling, then 3x3.
    Up = "conv_weights_up" [BLOCK] { at: WeightGradient }
    /// 1x1.
    Point = "conv_weights_point" [BLOCK] { at: WeightGradient }
    /// Sums over the pixels of every channel.
    Sums = "conv_weights_sums" [BLOCK] {
        lanes: Address<i32>, d: Address<f32>, sums: Address<f32>, n_out: i32, n_pixels: i32, stride: i32,
    }
    /// The gradients from all splits and lanes.
    Finish = "conv_weights_finish" [BLOCK] { at: WeightFinish }
}
