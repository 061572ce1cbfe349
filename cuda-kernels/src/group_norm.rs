//! Entries of group_norm.cu: group normalisation.

use crate::entry::{Address, BLOCK, entries};

/// Pixels of a share of a channel.
pub const PIXELS: usize = 1024;

entries! { "group_norm";
    /// Mean and squared deviations of each share.
    Moments = "group_norm_moments" [BLOCK] {
        lanes: Address<i32>, x: Address<f32>, moments: Address<[f32; 2]>, n_pixels: i32,
    }
    /// Scale, shift, 1/deviation and -mean/deviation of each channel.
    Forward = "group_norm_forward" [BLOCK] {
        lanes: Address<i32>,
        first: Address<[f32; 2]>,
        second: Address<[f32; 2]>,
        gain: Address<f32>,
        bias: Address<f32>,
        affine: Address<[f32; 4]>,
        eps: f64,
        n_first: i32,
        n_channels: i32,
        n_pixels: i32,
    }
    /// d_x from d_z and x.
    InputGradient = "group_norm_input_gradient" [BLOCK] {
        lanes: Address<i32>,
        gradient: Address<[f32; 4]>,
        d_z: Address<f32>,
        x: Address<f32>,
        base: Address<f32>,
        d_x: Address<f32>,
        first: i32,
        n_channels: i32,
        n_pixels: i32,
        accumulate: i32,
    }
}
