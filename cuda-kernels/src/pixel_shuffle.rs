//! Entries of pixel_shuffle.cu: where images enter and leave the network.

use crate::entry::{Address, BLOCK, entries};

/// The scalars of a lane; the record of the same name in lane_scalars.cuh.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct LaneScalars {
    pub t: f32,
    pub input_scale: f32,
    pub input_shift: f32,
    pub output: f32,
    pub skip_scale: f32,
    pub skip_shift: f32,
}

/// The map: `Direction` in pixel_shuffle.cu.
pub mod direction {
    /// With its shift.
    pub const FORWARD: i32 = 0;
    /// Its transpose.
    pub const VJP: i32 = 1;
    /// Without its shift.
    pub const TANGENT: i32 = 2;
}

entries! { "pixel_shuffle";
    /// The network's input from an image.
    Unshuffle = "pixel_unshuffle" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<LaneScalars>,
        image: Address<f32>,
        activation: Address<f32>,
        n: i32,
        height: i32,
        width: i32,
        side: i32,
        direction: i32,
    }
    /// An image from the network's output.
    Shuffle = "pixel_shuffle" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<LaneScalars>,
        activation: Address<f32>,
        image: Address<f32>,
        out: Address<f32>,
        n: i32,
        height: i32,
        width: i32,
        side: i32,
        direction: i32,
    }
}
