//! The gradient of a convolution's weights: d_w[o][i][k] = sum over pixels of d_out[o][p] in[i][p + k], summed over one
//! or two pairs (d_out, in).
//!
//! It is the transpose of [`super::conv`] in the weights, so it multiplies what that multiplies: d_out is split into the
//! phases whose sums the convolution joins, and meets the same planes of the input. What comes out is the gradient of the
//! weights as they are packed, `[input][product][output]`; [`fold`] takes it to the kernels. A task owns a few input
//! channels and walks over the whole image, so sums do not depend on threads.

use super::super::blocked::{Blocked, Concat, View};
use super::super::engine::Engine;
use super::super::simd::load_first;
use super::conv_tile::{Pack, Prologue, TileShape};
use super::stencil::{Merge, Stencil};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Input channels of one task.
const INPUTS: usize = 4;
/// Output channels summed at a time.
const OUTPUTS: usize = 6;

/// The weight gradient of one convolution.
#[derive(Clone, Copy)]
pub(crate) struct WeightGradient<'a> {
    pub(crate) stencil: Stencil,
    pub(crate) n_in: usize,
    /// Layout of the convolution's output.
    pub(crate) output: Blocked,
    /// Gradient of the output with the input that it meets.
    pub(crate) pairs: &'a [(View<'a>, Concat<'a>)],
}

/// Number of products over all phases.
pub(crate) fn n_products(stencil: Stencil) -> usize {
    (0..stencil.n_phases()).map(|phase| stencil.products(phase).count()).sum()
}

/// Values of d_out when split into phases, for one pair.
pub(crate) fn phases_len(stencil: Stencil, output: Blocked) -> usize {
    stencil.n_phases() * output.len() / stencil.pixels_per_point()
}

/// Scratch values that a task needs for `pairs` pairs.
pub(crate) fn scratch_len(stencil: Stencil, output: Blocked, pairs: usize) -> usize {
    let shape = tile_shape(stencil, output);
    pairs * INPUTS * shape.channel_stride + shape.work_len()
}

/// The whole image in one tile.
fn tile_shape(stencil: Stencil, output: Blocked) -> TileShape {
    let (height, width) = (output.height / stencil.rows.upscale(), output.width / stencil.cols.upscale());
    TileShape::new(stencil, height, width, height)
}

impl WeightGradient<'_> {
    /// out `[input][product][output]` = the sum over all pairs; `phases` has room for all of them.
    pub(crate) fn run(&self, engine: &Engine, phases: &mut [f32], out: &mut [f32]) {
        let (stencil, n_out) = (self.stencil, self.output.channels);
        let len = phases_len(stencil, self.output);
        for ((d_out, _), phases) in self.pairs.iter().zip(phases.chunks_exact_mut(len)) {
            split(stencil, self.output, *d_out, phases);
        }
        let phases = &*phases;
        let per_input = n_products(stencil) * n_out;
        out[..self.n_in * per_input].par_chunks_mut(INPUTS * per_input).enumerate().for_each(|(chunk, out)| {
            engine.with_scratch(|scratch| self.run_inputs(engine, chunk * INPUTS, phases, out, scratch));
        });
    }

    fn run_inputs(&self, engine: &Engine, first: usize, phases: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        let (shape, n) = (tile_shape(self.stencil, self.output), INPUTS.min(self.n_in - first));
        let (work, tiles) = scratch.split_at_mut(shape.work_len());
        let tile_len = n * shape.channel_stride;
        let height = self.output.height / self.stencil.rows.upscale();
        for ((_, input), tile) in self.pairs.iter().zip(tiles.chunks_exact_mut(tile_len)) {
            let (input, prologue) = (input.window(first, n), Prologue::Identity);
            engine.arch.dispatch(Pack { shape, rows: 0..height, input, prologue, tile, work });
        }
        let width = self.output.width / self.stencil.cols.upscale();
        let phases = &phases[..self.pairs.len() * phases_len(self.stencil, self.output)];
        let tiles = &tiles[..self.pairs.len() * tile_len];
        engine.arch.dispatch(Correlate {
            stencil: self.stencil,
            shape,
            grid: (height, width),
            n_pairs: self.pairs.len(),
            n_out: self.output.channels,
            n_in: n,
            phases,
            tiles,
            out,
        });
    }
}

/// Splits d_out into `[phase][output][grid pixel]`: the transpose of joining the phases.
fn split(stencil: Stencil, layout: Blocked, d_out: View<'_>, phases: &mut [f32]) {
    let (up_rows, up_cols) = (stencil.rows.upscale(), stencil.cols.upscale());
    let (height, width) = (layout.height / up_rows, layout.width / up_cols);
    let (grid, channels) = (height * width, layout.channels);
    let start = |phase: usize, channel: usize, row: usize| (phase * channels + channel) * grid + row * width;
    for (channel, row) in (0..channels).flat_map(|channel| (0..height).map(move |row| (channel, row))) {
        match stencil.rows.merge {
            Merge::Whole => phases[start(0, channel, row)..][..width].copy_from_slice(d_out.row(channel, row)),
            Merge::EvenOdd => {
                for phase in 0..4 {
                    let source = d_out.row(channel, 2 * row + phase / 2).chunks_exact(2);
                    let target = &mut phases[start(phase, channel, row)..][..width];
                    target.iter_mut().zip(source).for_each(|(to, pair)| *to = pair[phase % 2]);
                }
            }
            Merge::Winograd => {
                let (even, odd) = (d_out.row(channel, 2 * row), d_out.row(channel, 2 * row + 1));
                phases[start(0, channel, row)..][..width].copy_from_slice(even);
                let mut combine = |phase: usize, f: fn(f32, f32) -> f32| {
                    let target = &mut phases[start(phase, channel, row)..][..width];
                    target.iter_mut().zip(even.iter().zip(odd)).for_each(|(to, (&even, &odd))| *to = f(even, odd));
                };
                combine(1, |even, odd| even + odd);
                combine(2, |even, odd| even - odd);
                combine(3, |_, odd| -odd);
            }
        }
    }
}

/// out[input][product][output] = sum over pairs and grid pixels of phase[output][p] tile[input][offset of product + p].
struct Correlate<'a> {
    stencil: Stencil,
    shape: TileShape,
    grid: (usize, usize),
    n_pairs: usize,
    n_out: usize,
    n_in: usize,
    /// `[pair][phase][output][grid pixel]`.
    phases: &'a [f32],
    /// `[pair][input][channel_stride]`.
    tiles: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // 24 accumulators of 32 registers, or 12 of 16.
        if S::REGISTER_COUNT >= 32 { self.correlate::<S, 4>(simd) } else { self.correlate::<S, 2>(simd) }
    }
}

impl Correlate<'_> {
    #[inline(always)]
    fn correlate<S: Simd, const N: usize>(self, simd: S) {
        let (grid_pixels, n_products) = (self.grid.0 * self.grid.1, n_products(self.stencil));
        let mut first_product = 0;
        for phase in 0..self.stencil.n_phases() {
            let in_phase = self.stencil.products(phase).count();
            let mut offsets = [0; 16];
            for (offset, product) in offsets.iter_mut().zip(self.stencil.products(phase)) {
                *offset = self.shape.offset(product.plane, product.delta);
            }
            let n_columns = self.n_in * in_phase;
            for column in (0..n_columns).step_by(N) {
                // Columns and outputs beyond the last repeat it, and are not stored.
                let mut starts = [(0, 0); N];
                for (j, start) in starts.iter_mut().enumerate() {
                    let (input, product) =
                        ((column + j).min(n_columns - 1) / in_phase, (column + j).min(n_columns - 1) % in_phase);
                    *start = (
                        input * self.shape.channel_stride + offsets[product],
                        (input * n_products + first_product + product) * self.n_out,
                    );
                }
                for output in (0..self.n_out).step_by(OUTPUTS) {
                    let mut rows = [0; OUTPUTS];
                    for (i, row) in rows.iter_mut().enumerate() {
                        *row = (phase * self.n_out + (output + i).min(self.n_out - 1)) * grid_pixels;
                    }
                    let sums = self.sums::<S, N>(simd, &rows, &starts);
                    for (sums, o) in sums.iter().zip(output..self.n_out) {
                        for (&sum, &(_, target)) in sums.iter().zip(&starts).take(n_columns - column) {
                            self.out[target + o] = simd.reduce_sum_f32s(sum);
                        }
                    }
                }
            }
            first_product += in_phase;
        }
    }

    #[inline(always)]
    fn sums<S: Simd, const N: usize>(
        &self,
        simd: S,
        rows: &[usize; OUTPUTS],
        starts: &[(usize, usize); N],
    ) -> [[S::f32s; N]; OUTPUTS] {
        let (height, width) = self.grid;
        let mut sums = [[simd.splat_f32s(0.0); N]; OUTPUTS];
        let pairs = self.phases.chunks_exact(self.phases.len() / self.n_pairs);
        for (phases, tile) in pairs.zip(self.tiles.chunks_exact(self.tiles.len() / self.n_pairs)) {
            for row in 0..height {
                for col in (0..width).step_by(S::F32_LANES) {
                    let valid = S::F32_LANES.min(width - col);
                    let mut x = [simd.splat_f32s(0.0); N];
                    for (x, start) in x.iter_mut().zip(starts) {
                        *x = load_first(simd, tile, start.0 + row * self.shape.row_stride + col, valid);
                    }
                    for (sums, start) in sums.iter_mut().zip(rows) {
                        let d = load_first(simd, phases, start + row * width + col, valid);
                        for (sum, x) in sums.iter_mut().zip(x) {
                            *sum = simd.mul_add_e_f32s(d, x, *sum);
                        }
                    }
                }
            }
        }
        sums
    }
}

/// d_w `[output][input][row][col]` = the gradient `[input][product][output]` of packed weights, summed over `lanes`.
pub(crate) fn fold<'a>(
    stencil: Stencil,
    (n_out, n_in): (usize, usize),
    side: usize,
    factor: f32,
    lanes: impl Iterator<Item = &'a [f32]> + Clone,
    d_w: &mut [f32],
) {
    d_w.fill(0.0);
    let n_products = n_products(stencil);
    for i in 0..n_in {
        let products = (0..stencil.n_phases()).flat_map(|phase| stencil.products(phase));
        for (index, product) in products.enumerate() {
            let start = (i * n_products + index) * n_out;
            for o in 0..n_out {
                let sum: f32 = lanes.clone().map(|lane| lane[start + o]).sum();
                product.spread(factor * sum, |row, col, share| {
                    d_w[((o * n_in + i) * side + row) * side + col] += share;
                });
            }
        }
    }
}
