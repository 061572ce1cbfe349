//! Entries of conv_tensor.cu: convolutions on tensor cores.

use crate::conv::{Convolution, Tile};
use crate::entry::entries;

/// Output channels of a block; weights are padded to multiples of it, and to multiples of [`INPUTS`].
pub const OUTPUTS: usize = 16;
/// Input channels of a product.
pub const INPUTS: usize = 8;

/// Most levels.
pub const SMALL: Tile = Tile { sides: (8, 8), outputs: OUTPUTS, threads: 192 };
/// Levels of many tiles.
pub const LARGE: Tile = Tile { sides: (8, 16), outputs: OUTPUTS, threads: 192 };

entries! { "conv_tensor";
    /// 3x3, and its vjp; f32 by compensation.
    Same = "conv_same_compensated" [SMALL.threads] { at: Convolution }
    /// The same for large levels.
    SameLarge = "conv_same_compensated_large" [LARGE.threads] { at: Convolution }
    /// 1x1, and its vjp; f32 by compensation.
    Point = "conv_point_compensated" [SMALL.threads] { at: Convolution }
    /// The same for large levels.
    PointLarge = "conv_point_compensated_large" [LARGE.threads] { at: Convolution }
    /// 3x3, and its vjp; factors rounded to TF32.
    SameTf32 = "conv_same_tf32" [SMALL.threads] { at: Convolution }
    /// The same for large levels.
    SameLargeTf32 = "conv_same_tf32_large" [LARGE.threads] { at: Convolution }
    /// 1x1, and its vjp; factors rounded to TF32.
    PointTf32 = "conv_point_tf32" [SMALL.threads] { at: Convolution }
    /// The same for large levels.
    PointLargeTf32 = "conv_point_tf32_large" [LARGE.threads] { at: Convolution }
}
