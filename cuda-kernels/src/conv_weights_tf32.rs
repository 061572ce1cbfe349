//! Entries of conv_weights_tf32.cu: gradients of the weights on tensor cores.

use crate::conv_weights::WeightGradient;
use crate::entry::{BLOCK, entries};

/// Steady and moving channels of a warp.
pub const CHANNELS: (usize, usize) = (16, 8);

entries! { "conv_weights_tf32";
    /// 3x3.
    Same = "conv_weights_same_tf32" [BLOCK] { at: WeightGradient }
    /// 3x3 with stride 2.
    Down = "conv_weights_down_tf32" [BLOCK] { at: WeightGradient }
    /// Doubling, then 3x3.
    Up = "conv_weights_up_tf32" [BLOCK] { at: WeightGradient }
}
