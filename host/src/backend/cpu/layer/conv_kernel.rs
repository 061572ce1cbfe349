//! The inner loops of every convolution: 6 output channels x 4 vectors of pixels (2 vectors where registers are few),
//! all input channels and products summed in registers.

use super::super::simd::{for_each_vector, load, load_first, store_first};
use super::stencil::{Merge, Stencil};
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
    /// Which block of [`CHANNELS`] output channels; the last may have fewer in `out`.
    pub(crate) channels: usize,
    /// Pixels per row and per channel of the output.
    pub(crate) width: usize,
    pub(crate) pixels: usize,
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // 24 accumulators of 32 registers, or 12 of 16.
        if S::REGISTER_COUNT >= 32 { sweep::<S, 4>(simd, self) } else { sweep::<S, 2>(simd, self) }
    }
}

#[inline(always)]
fn sweep<S: Simd, const N: usize>(simd: S, task: Sweep<'_>) {
    let Sweep { terms, channels, width, pixels, out } = task;
    let per_row = width.div_ceil(S::F32_LANES);
    let n_vectors = per_row * (pixels / width);
    for first in (0..n_vectors).step_by(N) {
        // The last group repeats its last vector where fewer than N are left.
        let mut at = [(0, 0); N];
        for (j, at) in at.iter_mut().enumerate() {
            let vector = (first + j).min(n_vectors - 1);
            *at = (vector / per_row, vector % per_row * S::F32_LANES);
        }
        let sums = accumulate::<S, N>(simd, terms, channels, &at);
        for (sums, out) in sums.iter().zip(out.chunks_mut(pixels)) {
            for (sum, (row, col)) in sums.iter().zip(at) {
                store_first(simd, out, row * width + col, S::F32_LANES.min(width - col), *sum);
            }
        }
    }
}

#[inline(always)]
fn accumulate<S: Simd, const N: usize>(
    simd: S,
    terms: &[TileTerm<'_>],
    block: usize,
    at: &[(usize, usize); N],
) -> [[S::f32s; N]; CHANNELS] {
    let mut sums = [[simd.splat_f32s(0.0); N]; CHANNELS];
    for term in terms {
        let mut base = [0; N];
        for (base, (row, col)) in base.iter_mut().zip(at) {
            *base = row * term.row_stride + col;
        }
        let n_inputs = term.tile.len() / term.channel_stride;
        let per_block = n_inputs * term.offsets.len() * CHANNELS;
        let mut weights = term.weights[block * per_block..][..per_block].chunks_exact(CHANNELS);
        for tile in term.tile.chunks_exact(term.channel_stride) {
            for (&offset, weights) in term.offsets.iter().zip(&mut weights) {
                let mut x = [simd.splat_f32s(0.0); N];
                for (x, base) in x.iter_mut().zip(base) {
                    *x = load::<S>(tile, base + offset);
                }
                for (sums, &weight) in sums.iter_mut().zip(weights) {
                    let weight = simd.splat_f32s(weight);
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = simd.mul_add_e_f32s(weight, x, *sum);
                    }
                }
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
                Merge::Winograd => {
                    let (even, odd) = out.split_at_mut(width);
                    join_winograd(simd, even, odd, [m(0), m(1), m(2), m(3)], accumulate);
                }
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

/// The two rows of F(2, 3), `=` or `+=`.
#[inline(always)]
fn join_winograd<S: Simd>(simd: S, even: &mut [f32], odd: &mut [f32], m: [&[f32]; 4], accumulate: bool) {
    let [m_0, m_1, m_2, m_3] = m;
    for_each_vector::<S>(
        even.len(),
        #[inline(always)]
        |at, valid, _| {
            let (m_1, m_2) = (load_first(simd, m_1, at, valid), load_first(simd, m_2, at, valid));
            let (m_0, m_3) = (load_first(simd, m_0, at, valid), load_first(simd, m_3, at, valid));
            let mut first = simd.add_f32s(simd.add_f32s(m_1, m_2), m_0);
            let mut second = simd.sub_f32s(simd.sub_f32s(m_1, m_2), m_3);
            if accumulate {
                first = simd.add_f32s(load_first(simd, even, at, valid), first);
                second = simd.add_f32s(load_first(simd, odd, at, valid), second);
            }
            store_first(simd, even, at, valid, first);
            store_first(simd, odd, at, valid, second);
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
