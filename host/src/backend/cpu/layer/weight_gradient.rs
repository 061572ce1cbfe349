//! The gradient of a convolution's weights: d_w[o][i][k] = sum over pixels of d_out[o][p] in[i][p + k], summed over one
//! or two pairs (d_out, in).
//!
//! It is the transpose of [`super::conv`] in the weights, so it multiplies what that multiplies: d_out is split into the
//! phases whose sums the convolution joins, and meets the same planes of the input. What comes out is the gradient of the
//! weights as they are packed, `[input][product][output]`; [`fold`] takes it to the kernels. A task owns a few input
//! channels and walks over the whole image, so sums do not depend on threads.

use super::super::blocked::{Blocked, Concat, View};
use super::super::engine::Engine;
use super::super::simd::{Sum, for_each_vector, load, load_first, store_first};
use super::conv_tile::{Pack, Prologue, TileShape};
use super::stencil::{Merge, Stencil};
use super::winograd;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Input channels of one task.
const INPUTS: usize = 4;
/// Output channels summed at a time.
const OUTPUTS: usize = 6;
/// Grid pixels whose products are summed in registers; the input's then stay in the first-level cache from one group of
/// outputs to the next.
const PIXELS: usize = 512;
/// Values of a cache line of 64 bytes.
const LINE: usize = 16;

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

/// Values of one pair's d_out when split into phases.
fn phases_len(stencil: Stencil, output: Blocked) -> usize {
    let (height, width) = grid(stencil, output);
    stencil.n_phases() * output.channels * height * padded(width)
}

/// Values of the phases of `pairs` pairs, with room to begin at a cache line.
pub(crate) fn room(stencil: Stencil, output: Blocked, pairs: usize) -> usize {
    pairs * phases_len(stencil, output) + LINE
}

/// Grid rows and columns.
fn grid(stencil: Stencil, output: Blocked) -> (usize, usize) {
    (output.height / stencil.rows.upscale(), output.width / stencil.cols.upscale())
}

/// Distance of the rows of a phase: `width` and zeros up to the next cache line, so that no vector straddles two.
fn padded(width: usize) -> usize {
    width.next_multiple_of(LINE)
}

/// Scratch values that a task needs for `pairs` pairs.
pub(crate) fn scratch_len(stencil: Stencil, output: Blocked, pairs: usize) -> usize {
    let shape = tile_shape(stencil, output);
    pairs * INPUTS * shape.channel_stride + shape.work_len()
}

/// The whole image in one tile.
fn tile_shape(stencil: Stencil, output: Blocked) -> TileShape {
    let (height, width) = grid(stencil, output);
    TileShape::new(stencil, height, width, height)
}

impl WeightGradient<'_> {
    /// out `[input][product][output]` = the sum over all pairs, d_bias = the sums of the first pair's d_out.
    ///
    /// `phases` is memory of [`room`] values.
    pub(crate) fn run(&self, engine: &Engine, phases: &mut [f32], out: &mut [f32], d_bias: &mut [f32]) {
        let (stencil, n_out) = (self.stencil, self.output.channels);
        let len = phases_len(stencil, self.output);
        let first = phases.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        let phases = &mut phases[first..];
        for ((d_out, _), phases) in self.pairs.iter().zip(phases.chunks_exact_mut(len)).rev() {
            let channels = phases.par_chunks_mut(len / n_out).zip(d_bias.par_iter_mut()).enumerate();
            channels.for_each(|(channel, (phases, sum))| {
                *sum = engine.arch.dispatch(SplitChannel { stencil, d_out: *d_out, channel, phases });
            });
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
        let grid = grid(self.stencil, self.output);
        for ((_, input), tile) in self.pairs.iter().zip(tiles.chunks_exact_mut(tile_len)) {
            let (input, prologue) = (input.window(first, n), Prologue::Identity);
            engine.arch.dispatch(Pack { shape, rows: 0..grid.0, input, prologue, tile, work });
            shape.clear_slack(tile);
        }
        let phases = &phases[..self.pairs.len() * phases_len(self.stencil, self.output)];
        let tiles = &tiles[..self.pairs.len() * tile_len];
        engine.arch.dispatch(Correlate {
            stencil: self.stencil,
            shape,
            grid,
            n_pairs: self.pairs.len(),
            n_out: self.output.channels,
            n_in: n,
            phases,
            tiles,
            out,
        });
    }
}

/// Splits a channel of d_out into `[phase][grid pixel]`, the transpose of joining the phases, and sums it.
struct SplitChannel<'a> {
    stencil: Stencil,
    d_out: View<'a>,
    channel: usize,
    phases: &'a mut [f32],
}

impl WithSimd for SplitChannel<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let Self { stencil, d_out, channel, phases } = self;
        let (layout, n_rows) = (d_out.layout(), stencil.rows.upscale());
        let (grid, (height, width)) = (phases.len() / stencil.n_phases(), grid(stencil, layout));
        let mut sum = Sum::zero(simd);
        for group in 0..height {
            let start = |phase: usize| phase * grid + group * padded(width);
            for phase in 0..stencil.n_phases() {
                phases[start(phase) + width..start(phase) + padded(width)].fill(0.0);
            }
            let row = |index: usize| d_out.row(channel, n_rows * group + index);
            match stencil.rows.merge {
                Merge::Whole => phases[start(0)..][..width].copy_from_slice(row(0)),
                Merge::EvenOdd => {
                    for phase in 0..4 {
                        let target = &mut phases[start(phase)..][..width];
                        let source = row(phase / 2).chunks_exact(2);
                        target.iter_mut().zip(source).for_each(|(to, pair)| *to = pair[phase % 2]);
                    }
                }
                Merge::Winograd => for_each_vector::<S>(
                    width,
                    #[inline(always)]
                    |at, valid, _| {
                        let mut d = [simd.splat_f32s(0.0); winograd::ROWS];
                        for (index, d) in d.iter_mut().enumerate() {
                            *d = load_first(simd, row(index), at, valid);
                        }
                        for (phase, m) in winograd::split(simd, d).into_iter().enumerate() {
                            store_first(simd, phases, start(phase) + at, valid, m);
                        }
                    },
                ),
            }
            for index in 0..n_rows {
                for_each_vector::<S>(
                    layout.width,
                    #[inline(always)]
                    |at, valid, part| sum.add(simd, part, valid, load_first(simd, row(index), at, valid)),
                );
            }
        }
        sum.total() as f32
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
    /// `[pair][output][phase][grid pixel]`.
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
        let (n_phases, n_products) = (self.stencil.n_phases(), n_products(self.stencil));
        let grid_pixels = self.grid.0 * padded(self.grid.1);
        let n_rows = (PIXELS / self.grid.1).max(1);
        let mut first_product = 0;
        for phase in 0..n_phases {
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
                for first in (0..self.grid.0).step_by(n_rows) {
                    let grid_rows = first..(first + n_rows).min(self.grid.0);
                    for output in (0..self.n_out).step_by(OUTPUTS) {
                        let mut rows = [0; OUTPUTS];
                        for (i, row) in rows.iter_mut().enumerate() {
                            *row = ((output + i).min(self.n_out - 1) * n_phases + phase) * grid_pixels;
                        }
                        let sums = self.sums::<S, N>(simd, grid_rows.clone(), &rows, &starts);
                        for (sums, o) in sums.iter().zip(output..self.n_out) {
                            for (&sum, &(_, target)) in sums.iter().zip(&starts).take(n_columns - column) {
                                let before = if first > 0 { self.out[target + o] } else { 0.0 };
                                self.out[target + o] = before + simd.reduce_sum_f32s(sum);
                            }
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
        grid_rows: Range<usize>,
        rows: &[usize; OUTPUTS],
        starts: &[(usize, usize); N],
    ) -> [[S::f32s; N]; OUTPUTS] {
        let width = padded(self.grid.1);
        let mut sums = [[simd.splat_f32s(0.0); N]; OUTPUTS];
        let pairs = self.phases.chunks_exact(self.phases.len() / self.n_pairs);
        for (phases, tile) in pairs.zip(self.tiles.chunks_exact(self.tiles.len() / self.n_pairs)) {
            for row in grid_rows.clone() {
                for col in (0..width).step_by(S::F32_LANES) {
                    let mut x = [simd.splat_f32s(0.0); N];
                    for (x, start) in x.iter_mut().zip(starts) {
                        *x = load::<S>(tile, start.0 + row * self.shape.row_stride + col);
                    }
                    for (sums, start) in sums.iter_mut().zip(rows) {
                        let d = load::<S>(phases, start + row * width + col);
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
    lanes: impl Iterator<Item = &'a [f32]> + Clone + Sync,
    d_w: &mut [f32],
) {
    /// Outputs of one task.
    const OUTPUTS: usize = 16;
    let (n_products, per_output) = (n_products(stencil), n_in * side * side);
    d_w.par_chunks_mut(OUTPUTS * per_output).enumerate().for_each(|(chunk, d_w)| {
        d_w.fill(0.0);
        for i in 0..n_in {
            let products = (0..stencil.n_phases()).flat_map(|phase| stencil.products(phase));
            for (index, product) in products.enumerate() {
                let start = (i * n_products + index) * n_out + chunk * OUTPUTS;
                let mut sums = [0.0; OUTPUTS];
                for lane in lanes.clone() {
                    let values = &lane[start..][..d_w.len() / per_output];
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
                for (d_w, sum) in d_w.chunks_exact_mut(per_output).zip(sums) {
                    product.spread(factor * sum, |row, col, share| d_w[(i * side + row) * side + col] += share);
                }
            }
        }
    });
}
