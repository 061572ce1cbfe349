//! Entries of attention_training.cu: self-attention in training.

use crate::entry::{Address, BLOCK, entries};

/// Rows and columns that a block of a product makes, and rows of one of the others.
pub const SIDE: usize = 64;
/// See [`SIDE`].
pub const ROWS: usize = 8;

/// The record of the same name in attention_training.cu, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Pair {
    pub a: Address<f32>,
    pub b: Address<f32>,
    pub weight: Address<f32>,
    pub a_lane: i64,
    pub a_head: i64,
    pub b_lane: i64,
    pub b_head: i64,
    pub a_row: i32,
    pub a_inner: i32,
    pub b_inner: i32,
    pub b_col: i32,
}

/// Likewise.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Product {
    pub lanes: Address<i32>,
    pub pairs: [Pair; 2],
    pub out: Address<f32>,
    pub out_lane: i64,
    pub out_head: i64,
    pub alpha: f32,
    pub n_pairs: i32,
    pub heads: i32,
    pub rows: i32,
    pub inner: i32,
    pub cols: i32,
}

entries! { "attention_training";
    /// alpha (A B + A B).
    Multiply = "attention_training_product" [BLOCK] { at: Product }
    /// Rows to probabilities.
    Softmax = "attention_training_softmax" [BLOCK] {
        lanes: Address<i32>, matrix: Address<f32>, heads: i32, n: i32,
    }
    /// Rows less their mean under P.
    Centre = "attention_training_centre" [BLOCK] {
        lanes: Address<i32>,
        p: Address<f32>,
        t: Address<f32>,
        d: Address<f32>,
        matrix: Address<f32>,
        heads: i32,
        n: i32,
    }
}
