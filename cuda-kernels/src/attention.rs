//! Entries of attention.cu: self-attention over the pixels of an image.

use crate::entry::{Address, BLOCK, entries};

/// Pixels, and channels of a result, that a block makes.
pub const PIXELS: usize = 32;
/// See [`PIXELS`].
pub const CHANNELS: usize = 48;
/// Pixels on the other side that it walks over at a time.
pub const OTHER_PIXELS: usize = 64;

/// The record of the same name in attention.cu, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Attention {
    pub lanes: Address<i32>,
    pub qkv: Address<f32>,
    pub d_mixed: Address<f32>,
    pub log_sums: Address<f32>,
    pub products: Address<f32>,
    pub out: Address<f32>,
    pub scale: f32,
    pub n_channels: i32,
    pub n_pixels: i32,
    /// The record ends at a multiple of 8 bytes.
    pub rest: i32,
}

entries! { "attention";
    /// mixed = P v, and the log of the sum of exponentials of each query's scores.
    Forward = "attention_forward" [BLOCK] { at: Attention }
    /// mixed . d_mixed of each pixel.
    Products = "attention_products" [BLOCK] { at: Attention }
    /// d_q.
    VjpQuery = "attention_vjp_query" [BLOCK] { at: Attention }
    /// d_k and d_v.
    VjpKeyValue = "attention_vjp_key_value" [BLOCK] { at: Attention }
}
