//! The inner loops of every convolution: 6 output channels x 4 vectors of pixels (2 vectors where registers are few),
//! all input channels and products summed in registers.

use super::super::simd::{for_each_vector, load, load_first, store_first};
use super::stencil::{Merge, Stencil};
use super::winograd::{PLANES, ROWS, join};
use pulp::{Simd, WithSimd};

/// Output channels summed at a time; packed weights are padded to a multiple of it.
pub(crate) const CHANNELS: usize = 6;

/// One packed input with the weights that meet it.
#[derive(Clone, Copy)]
pub(crate) struct TileTerm<'a> {
    /// `[input channel][channel_stride]`.
    pub(crate) tile: &'a [f32],
    pub(crate) channel_stride: usize,
    pub(crate) row_stride: usize,
    /// Offset in a channel's tile of each product.
    pub(crate) offsets: &'a [usize],
    /// `[block of output channels][input channel][product][CHANNELS]`.
    pub(crate) weights: &'a [f32],
}

/// out[channel][pixel] = sum over terms, input channels and products, in this order for every pixel.
pub(crate) struct Sweep<'a> {
    pub(crate) terms: &'a [TileTerm<'a>],
    /// Number of the block of [`CHANNELS`] output channels that is the first in `out`; the last may have fewer.
    pub(crate) block: usize,
    /// Pixels per row and per channel of the output.
    pub(crate) width: usize,
    pub(crate) pixels: usize,
    pub(crate) out: &'a mut [f32],
}

/// Most of [`channels_at_a_time`], and a multiple of each.
pub(crate) const MOST_CHANNELS_AT_A_TIME: usize = 2 * CHANNELS;

/// Output channels that are best summed at a time: more where there are few pixels, by [`Sweep`]'s choice of sums.
pub(crate) fn channels_at_a_time(pixels: usize) -> usize {
    if pixels <= 32 { MOST_CHANNELS_AT_A_TIME } else { CHANNELS }
}

impl WithSimd for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n_vectors = self.width.div_ceil(S::F32_LANES) * (self.pixels / self.width);
        // 24 accumulators of 32 registers, or 12 of 16.
        if S::REGISTER_COUNT < 32 {
            sweep::<S, 2, 1>(simd, self);
        } else if n_vectors <= 2 && self.out.len() > CHANNELS * self.pixels {
            sweep::<S, 2, 2>(simd, self);
        } else {
            sweep::<S, 4, 1>(simd, self);
        }
    }
}

/// `N` vectors of `BLOCKS` blocks of channels at a time.
#[allow(clippy::manual_memcpy)] // indices that are known leave the sums in registers
#[inline(always)]
fn sweep<S: Simd, const N: usize, const BLOCKS: usize>(simd: S, task: Sweep<'_>) {
    let Sweep { terms, block, width, pixels, out } = task;
    let vector = S::F32_LANES;
    let n_vectors = width.div_ceil(vector) * (pixels / width);
    for (chunk, out) in out.chunks_mut(BLOCKS * CHANNELS * pixels).enumerate() {
        let is_whole = out.len() == BLOCKS * CHANNELS * pixels && width.is_multiple_of(vector);
        let mut next = (0, 0);
        for first in (0..n_vectors).step_by(N) {
            // The last group repeats its last vector where fewer than N are left.
            let at: [(usize, usize); N] = std::array::from_fn(|j| {
                let (row, col) = next;
                if first + j + 1 < n_vectors {
                    next = if col + vector < width { (row, col + vector) } else { (row + 1, 0) };
                }
                (row, col)
            });
            let sums = accumulate::<S, N, BLOCKS>(simd, terms, block + chunk * BLOCKS, &at);
            if is_whole && first + N <= n_vectors {
                // Rows without rest make one row; loops of constant length leave the sums in registers.
                for b in 0..BLOCKS {
                    for c in 0..CHANNELS {
                        let out = &mut out[(b * CHANNELS + c) * pixels + first * vector..][..N * vector];
                        let out = S::as_mut_simd_f32s(out).0;
                        for j in 0..N {
                            out[j] = sums[b][c][j];
                        }
                    }
                }
            } else {
                let in_memory = sums;
                for (sums, out) in in_memory.iter().flatten().zip(out.chunks_mut(pixels)) {
                    for (sum, (row, col)) in sums.iter().zip(at) {
                        store_first(simd, out, row * width + col, vector.min(width - col), *sum);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn accumulate<S: Simd, const N: usize, const BLOCKS: usize>(
    simd: S,
    terms: &[TileTerm<'_>],
    block: usize,
    at: &[(usize, usize); N],
) -> [[[S::f32s; N]; CHANNELS]; BLOCKS] {
    let mut sums = [[[simd.splat_f32s(0.0); N]; CHANNELS]; BLOCKS];
    for term in terms {
        let mut base = [0; N];
        for (base, (row, col)) in base.iter_mut().zip(at) {
            *base = row * term.row_stride + col;
        }
        let n_inputs = term.tile.len() / term.channel_stride;
        let per_block = n_inputs * term.offsets.len() * CHANNELS;
        let weights = &term.weights[block * per_block..][..BLOCKS * per_block];
        let mut first = 0;
        for tile in term.tile.chunks_exact(term.channel_stride) {
            for &offset in term.offsets {
                let mut x = [simd.splat_f32s(0.0); N];
                for (x, base) in x.iter_mut().zip(base) {
                    *x = load::<S>(tile, base + offset);
                }
                for (b, sums) in sums.iter_mut().enumerate() {
                    let weights = &weights[b * per_block + first..][..CHANNELS];
                    for (sums, &weight) in sums.iter_mut().zip(weights) {
                        let weight = simd.splat_f32s(weight);
                        for (sum, x) in sums.iter_mut().zip(x) {
                            *sum = simd.mul_add_e_f32s(weight, x, *sum);
                        }
                    }
                }
                first += CHANNELS;
            }
        }
    }
    sums
}

/// Brings sums `[phase][channel][grid pixel]` to their pixels `[channel][pixel]`, `=` or `+=`.
pub(crate) struct Join<'a> {
    pub(crate) stencil: Stencil,
    pub(crate) accumulate: bool,
    /// Columns of the grid.
    pub(crate) width: usize,
    /// Distance between phases.
    pub(crate) phase_len: usize,
    pub(crate) staging: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stencil, accumulate, width, phase_len, staging, out } = self;
        // Rows of the grid, over all channels, and the output pixels they make.
        for (row, out) in out.chunks_exact_mut(width * stencil.pixels_per_point()).enumerate() {
            let m = |phase: usize| &staging[phase * phase_len + row * width..][..width];
            match stencil.rows.merge {
                Merge::Whole => add(simd, out, m(0), accumulate),
                Merge::Winograd => join_winograd(simd, out, std::array::from_fn(m), accumulate),
                Merge::EvenOdd => {
                    let (even, odd) = out.split_at_mut(2 * width);
                    interleave(even, m(0), m(1), accumulate);
                    interleave(odd, m(2), m(3), accumulate);
                }
            }
        }
    }
}

/// out = or += part.
#[inline(always)]
fn add<S: Simd>(simd: S, out: &mut [f32], part: &[f32], accumulate: bool) {
    for_each_vector::<S>(
        out.len(),
        #[inline(always)]
        |at, valid, _| {
            let before = if accumulate { load_first(simd, out, at, valid) } else { simd.splat_f32s(0.0) };
            store_first(simd, out, at, valid, simd.add_f32s(before, load_first(simd, part, at, valid)));
        },
    );
}

/// The four rows of F(4, 3), `=` or `+=`.
#[inline(always)]
fn join_winograd<S: Simd>(simd: S, out: &mut [f32], m: [&[f32]; PLANES], accumulate: bool) {
    let width = out.len() / ROWS;
    for_each_vector::<S>(
        width,
        #[inline(always)]
        |at, valid, _| {
            let mut sums = [simd.splat_f32s(0.0); PLANES];
            for (sum, m) in sums.iter_mut().zip(m) {
                *sum = load_first(simd, m, at, valid);
            }
            for (row, mut value) in join(simd, sums).into_iter().enumerate() {
                if accumulate {
                    value = simd.add_f32s(load_first(simd, out, row * width + at, valid), value);
                }
                store_first(simd, out, row * width + at, valid, value);
            }
        },
    );
}

/// out[2 i] = or += even[i], out[2 i + 1] = or += odd[i].
#[inline(always)]
fn interleave(out: &mut [f32], even: &[f32], odd: &[f32], accumulate: bool) {
    for ((pair, &even), &odd) in out.chunks_exact_mut(2).zip(even).zip(odd) {
        let (first, second) = if accumulate { (pair[0], pair[1]) } else { (0.0, 0.0) };
        (pair[0], pair[1]) = (first + even, second + odd);
    }
}
