//! Entries of conv_tf32.cu: convolutions on tensor cores.

use crate::conv::Convolution;
use crate::entry::entries;

/// Threads of a block.
pub const THREADS: u32 = 192;
/// Rows and columns of a tile.
pub const TILE: (usize, usize) = (8, 16);
/// Output channels of a block.
pub const OUTPUTS: usize = 24;

entries! { "conv_tf32";
    /// 3x3, and its vjp.
    Same = "conv_same_tf32" [THREADS] { at: Convolution }
    /// 1x1, and its vjp.
    Point = "conv_point_tf32" [THREADS] { at: Convolution }
}
