//! Self-attention over the pixels of one image, head by head: with q, k, v of `c` channels each,
//!
//! ```text
//! S[i][j] = q_i . k_j / sqrt(c),   P = softmax over j,   mixed_i = sum over j of P[i][j] v_j.
//! ```
//!
//! Channels of qkv stand as `[head][q | k | v][c]`. A task takes a block of rows as queries, a few dozen pixels at a
//! time; the forward pass keeps log sum exp S per pixel, from which the vjp recomputes P. In the vjp every block is
//! taken once as queries and once as keys, by two tasks: one alone writes d_q of its pixels, the other d_k and d_v.

use super::super::blocked::{Activation, Blocked};
use super::super::engine::Engine;
use super::super::simd::{exp, for_each_vector, load_first, store_first};
use super::matmul::{MatMul, Matrix, Rows, RowsMut, Size};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Pixels of the task's block handled at a time.
const PIXELS: usize = 64;

/// Shape of one self-attention; `mixed` is the layout of its output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) mixed: Blocked,
}

/// One of q, k and v.
#[derive(Debug, Clone, Copy)]
enum Part {
    Query = 0,
    Key = 1,
    Value = 2,
}

/// A few pixels of one head, from `first` on in a block.
#[derive(Debug, Clone, Copy)]
struct Pixels {
    block: usize,
    head: usize,
    first: usize,
}

/// The inputs of the vjp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VjpInputs<'a> {
    pub(crate) qkv: Activation<'a>,
    pub(crate) d_mixed: Activation<'a>,
    /// log sum exp S, and mixed . d_mixed, both `[block][head][pixel]`.
    pub(crate) log_sums: &'a [f32],
    pub(crate) products: &'a [f32],
}

impl Attention {
    /// Channels of one head.
    fn channels(&self) -> usize {
        self.mixed.channels / self.heads
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.channels() as f64).sqrt()) as f32
    }

    fn n_pixels(&self) -> usize {
        self.mixed.height * self.mixed.width
    }

    /// Values per image in the buffers with one value per head and pixel.
    pub(crate) fn per_pixel_len(&self) -> usize {
        self.heads * self.n_pixels()
    }

    pub(crate) fn scratch_len(&self) -> usize {
        2 * self.n_pixels() * PIXELS
    }

    /// The values per head and pixel of one block.
    fn per_pixel<'a>(&self, values: &'a [f32], block: usize, head: usize) -> &'a [f32] {
        let pixels = self.mixed.block_pixels(block);
        &values[block * self.heads * self.mixed.rows * self.mixed.width + head * pixels..][..pixels]
    }

    /// The channels of one part of one head in one block.
    fn part<'a>(&self, qkv: Activation<'a>, block: usize, head: usize, part: Part) -> &'a [f32] {
        let c = self.channels();
        qkv.block_channels(block, (3 * head + part as usize) * c, c)
    }

    /// mixed = attention(qkv); also `log_sums`.
    pub(crate) fn forward(&self, engine: &Engine, qkv: Activation<'_>, mixed: &mut [f32], log_sums: &mut [f32]) {
        let per_block = self.heads * self.mixed.rows * self.mixed.width;
        mixed.par_chunks_mut(self.mixed.block_len()).zip(log_sums.par_chunks_mut(per_block)).enumerate().for_each(
            |(block, (mixed, log_sums))| {
                engine.with_scratch(|scratch| self.forward_block(engine, block, qkv, mixed, log_sums, scratch));
            },
        );
    }

    fn forward_block(
        &self,
        engine: &Engine,
        block: usize,
        qkv: Activation<'_>,
        mixed: &mut [f32],
        log_sums: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (c, pixels) = (self.channels(), self.mixed.block_pixels(block));
        for head in 0..self.heads {
            let queries = self.part(qkv, block, head, Part::Query);
            for first in (0..pixels).step_by(PIXELS) {
                let n = PIXELS.min(pixels - first);
                let scores = &mut scratch[..self.n_pixels() * n];
                let keys = |block| self.part(qkv, block, head, Part::Key);
                self.all_rows(engine, keys, Rows { values: &queries[first..], stride: pixels }, n, scores);
                let log_sums = &mut log_sums[head * pixels + first..][..n];
                engine.arch.dispatch(Softmax { scores, n, scale: self.scale(), log_sums });
                let values = |block| self.part(qkv, block, head, Part::Value);
                self.sum_rows(
                    engine,
                    values,
                    scores,
                    n,
                    RowsMut { values: &mut mixed[head * c * pixels + first..], stride: pixels },
                );
            }
        }
    }

    /// out[r][col] = sum over channels of rows[channel][r] cols[channel][col], for the pixels r of all blocks.
    fn all_rows<'a>(
        &self,
        engine: &Engine,
        rows: impl Fn(usize) -> &'a [f32],
        cols: Rows<'_>,
        n: usize,
        out: &mut [f32],
    ) {
        let per_block = self.mixed.rows * self.mixed.width;
        for (block, out) in out.chunks_mut(per_block * n).enumerate() {
            let m = self.mixed.block_pixels(block);
            engine.arch.dispatch(MatMul {
                a: Matrix { values: rows(block), row_stride: 1, col_stride: m },
                b: cols,
                size: Size { rows: m, sums: self.channels(), cols: n },
                accumulate: false,
                out: RowsMut { values: out, stride: n },
            });
        }
    }

    /// out[channel][col] = sum over the pixels r of all blocks of rows[channel][r] matrix[r][col].
    fn sum_rows<'a>(
        &self,
        engine: &Engine,
        rows: impl Fn(usize) -> &'a [f32],
        matrix: &[f32],
        n: usize,
        out: RowsMut<'_>,
    ) {
        let per_block = self.mixed.rows * self.mixed.width;
        for (block, b) in matrix.chunks(per_block * n).enumerate() {
            let pixels = self.mixed.block_pixels(block);
            engine.arch.dispatch(MatMul {
                a: Matrix { values: rows(block), row_stride: pixels, col_stride: 1 },
                b: Rows { values: b, stride: n },
                size: Size { rows: self.channels(), sums: pixels, cols: n },
                accumulate: block > 0,
                out: RowsMut { values: out.values, stride: out.stride },
            });
        }
    }

    /// products = mixed . d_mixed per head and pixel.
    pub(crate) fn products(&self, mixed: Activation<'_>, d_mixed: Activation<'_>, products: &mut [f32]) {
        let (c, mut rest) = (self.channels(), products);
        for block in 0..self.mixed.n_blocks() {
            for head in 0..self.heads {
                let (products, behind) = rest.split_at_mut(self.mixed.block_pixels(block));
                rest = behind;
                products.fill(0.0);
                for channel in head * c..(head + 1) * c {
                    let pair = mixed.block(block, channel).iter().zip(d_mixed.block(block, channel));
                    products.iter_mut().zip(pair).for_each(|(product, (&a, &b))| *product += a * b);
                }
            }
        }
    }

    /// d_qkv = J^T d_mixed.
    pub(crate) fn vjp(&self, engine: &Engine, inputs: VjpInputs<'_>, d_qkv: &mut [f32]) {
        d_qkv.par_chunks_mut(3 * self.mixed.block_len()).enumerate().for_each(|(block, d_qkv)| {
            let pixels = self.mixed.block_pixels(block);
            let part = self.channels() * pixels;
            d_qkv.par_chunks_mut(3 * part).enumerate().for_each(|(head, d_qkv)| {
                let (d_q, d_kv) = d_qkv.split_at_mut(part);
                let firsts = || (0..pixels).step_by(PIXELS);
                let mut queries = |scratch: &mut [f32]| {
                    firsts().for_each(|first| {
                        self.vjp_queries(engine, inputs, Pixels { block, head, first }, d_q, scratch)
                    });
                };
                let mut keys = |scratch: &mut [f32]| {
                    firsts()
                        .for_each(|first| self.vjp_keys(engine, inputs, Pixels { block, head, first }, d_kv, scratch));
                };
                rayon::join(|| engine.with_scratch(&mut queries), || engine.with_scratch(&mut keys));
            });
        });
    }

    /// d_q of a few pixels: rows are keys, columns these queries.
    fn vjp_queries(&self, engine: &Engine, inputs: VjpInputs<'_>, at: Pixels, d_q: &mut [f32], scratch: &mut [f32]) {
        let Pixels { block, head, first } = at;
        let (c, pixels) = (self.channels(), self.mixed.block_pixels(block));
        let n = PIXELS.min(pixels - first);
        let (scores, d_scores) = scratch[..2 * self.n_pixels() * n].split_at_mut(self.n_pixels() * n);
        let part = |part| move |block| self.part(inputs.qkv, block, head, part);
        let queries = &self.part(inputs.qkv, block, head, Part::Query)[first..];
        self.all_rows(engine, part(Part::Key), Rows { values: queries, stride: pixels }, n, scores);
        let d_mixed = &inputs.d_mixed.block_channels(block, head * c, c)[first..];
        self.all_rows(engine, part(Part::Value), Rows { values: d_mixed, stride: pixels }, n, d_scores);
        engine.arch.dispatch(SoftmaxVjp {
            scores,
            d_scores,
            n,
            scale: self.scale(),
            log_sums: PerPixel::Columns(&self.per_pixel(inputs.log_sums, block, head)[first..]),
            products: PerPixel::Columns(&self.per_pixel(inputs.products, block, head)[first..]),
        });
        self.sum_rows(engine, part(Part::Key), d_scores, n, RowsMut { values: &mut d_q[first..], stride: pixels });
    }

    /// d_k and d_v of a few pixels: rows are queries, columns these keys.
    fn vjp_keys(&self, engine: &Engine, inputs: VjpInputs<'_>, at: Pixels, d_kv: &mut [f32], scratch: &mut [f32]) {
        let Pixels { block, head, first } = at;
        let (c, pixels) = (self.channels(), self.mixed.block_pixels(block));
        let n = PIXELS.min(pixels - first);
        let (scores, d_scores) = scratch[..2 * self.n_pixels() * n].split_at_mut(self.n_pixels() * n);
        let queries = |block| self.part(inputs.qkv, block, head, Part::Query);
        let d_mixed = |block| inputs.d_mixed.block_channels(block, head * c, c);
        self.all_rows(
            engine,
            queries,
            Rows { values: &self.part(inputs.qkv, block, head, Part::Key)[first..], stride: pixels },
            n,
            scores,
        );
        self.all_rows(
            engine,
            d_mixed,
            Rows { values: &self.part(inputs.qkv, block, head, Part::Value)[first..], stride: pixels },
            n,
            d_scores,
        );
        let per_block = self.mixed.rows * self.mixed.width * n;
        for (rows, (scores, d_scores)) in scores.chunks_mut(per_block).zip(d_scores.chunks_mut(per_block)).enumerate() {
            engine.arch.dispatch(SoftmaxVjp {
                scores,
                d_scores,
                n,
                scale: self.scale(),
                log_sums: PerPixel::Rows(self.per_pixel(inputs.log_sums, rows, head)),
                products: PerPixel::Rows(self.per_pixel(inputs.products, rows, head)),
            });
        }
        let (d_k, d_v) = d_kv.split_at_mut(c * pixels);
        self.sum_rows(engine, queries, d_scores, n, RowsMut { values: &mut d_k[first..], stride: pixels });
        self.sum_rows(engine, d_mixed, scores, n, RowsMut { values: &mut d_v[first..], stride: pixels });
    }
}

/// Softmax down the columns of `scores[row][n]` after scaling, with the log of the sum of exponentials per column.
pub(crate) struct Softmax<'a> {
    pub(crate) scores: &'a mut [f32],
    pub(crate) n: usize,
    pub(crate) scale: f32,
    pub(crate) log_sums: &'a mut [f32],
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { scores, n, scale, log_sums } = self;
        let factor = simd.splat_f32s(scale);
        for_each_vector::<S>(
            n,
            #[inline(always)]
            |at, valid, _| {
                let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                for row in scores.chunks_exact(n) {
                    largest = simd.max_f32s(largest, load_first(simd, row, at, valid));
                }
                let shift = simd.neg_f32s(simd.mul_f32s(largest, factor));
                let mut sum = simd.splat_f32s(0.0);
                for row in scores.chunks_exact_mut(n) {
                    let e = exp(simd, simd.mul_add_e_f32s(load_first(simd, row, at, valid), factor, shift));
                    sum = simd.add_f32s(sum, e);
                    store_first(simd, row, at, valid, e);
                }
                let inverse = simd.div_f32s(simd.splat_f32s(1.0), sum);
                for row in scores.chunks_exact_mut(n) {
                    let p = simd.mul_f32s(load_first(simd, row, at, valid), inverse);
                    store_first(simd, row, at, valid, p);
                }
                store_first(simd, log_sums, at, valid, sum);
                let mut shifts = [0.0; 16];
                store_first(simd, &mut shifts, 0, valid, shift);
                for (log_sum, shift) in log_sums[at..at + valid].iter_mut().zip(shifts) {
                    *log_sum = log_sum.ln() - shift;
                }
            },
        );
    }
}

/// One value for each column, or one for each row.
#[derive(Clone, Copy)]
enum PerPixel<'a> {
    Columns(&'a [f32]),
    Rows(&'a [f32]),
}

impl PerPixel<'_> {
    #[inline(always)]
    fn at<S: Simd>(&self, simd: S, row: usize, col: usize, valid: usize) -> S::f32s {
        match self {
            Self::Columns(values) => load_first(simd, values, col, valid),
            Self::Rows(values) => simd.splat_f32s(values[row]),
        }
    }
}

/// scores becomes P = exp(scale scores - log_sum); d_scores becomes P (d_scores - product) scale.
struct SoftmaxVjp<'a> {
    scores: &'a mut [f32],
    d_scores: &'a mut [f32],
    n: usize,
    scale: f32,
    log_sums: PerPixel<'a>,
    products: PerPixel<'a>,
}

impl WithSimd for SoftmaxVjp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let scale = simd.splat_f32s(self.scale);
        let rows = self.scores.chunks_exact_mut(self.n).zip(self.d_scores.chunks_exact_mut(self.n));
        for (row, (scores, d_scores)) in rows.enumerate() {
            for_each_vector::<S>(
                self.n,
                #[inline(always)]
                |at, valid, _| {
                    let shift = simd.neg_f32s(self.log_sums.at(simd, row, at, valid));
                    let p = exp(simd, simd.mul_add_e_f32s(load_first(simd, scores, at, valid), scale, shift));
                    store_first(simd, scores, at, valid, p);
                    let d = load_first(simd, d_scores, at, valid);
                    let d = simd.sub_f32s(d, self.products.at(simd, row, at, valid));
                    store_first(simd, d_scores, at, valid, simd.mul_f32s(simd.mul_f32s(p, scale), d));
                },
            );
        }
    }
}
