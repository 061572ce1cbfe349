//! Entries of residual.cu: gradients of what is added to a convolution.

use crate::entry::{Address, BLOCK, entries};

entries! { "residual";
    /// d_x = or += a part of d_out.
    Backward = "residual_backward" [BLOCK] {
        lanes: Address<i32>,
        d_out: Address<f32>,
        d_x: Address<f32>,
        stride: i32,
        first: i32,
        n: i32,
        accumulate: i32,
    }
}
