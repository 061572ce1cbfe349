//! The entry of conv_pack.cu: weights as the convolutions read them.

use crate::entry::{Address, BLOCK, entries};

/// The record of the same name in conv_pack.cu, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct PackRecord {
    pub packed: Address<f32>,
    pub first: i32,
    pub output_stride: i32,
    pub input_stride: i32,
    pub n_out: i32,
    pub n_in: i32,
    pub n_padded: i32,
    pub phases: i32,
    pub taps: i32,
    pub side: i32,
    pub spans: [[[u8; 2]; 4]; 2],
    pub parts: i32,
}

entries! { "conv_pack";
    /// Packs the weights of as many convolutions as the grid has rows.
    Pack = "conv_pack" [BLOCK] { records: Address<PackRecord>, parameters: Address<f32> }
}
