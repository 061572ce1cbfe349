//! The gradient of a convolution's weights: d_w[o][i][k] = sum over pixels of d_out[o][p] in[i][p + k], summed over one
//! or two pairs (d_out, in).
//!
//! It is the transpose of [`super::conv`] in the weights, so it multiplies what that multiplies: d_out is split into
//! the phases whose sums the convolution joins, and meets the same planes of the input. What comes out is the gradient
//! of the weights as they are packed, `[input][product][output]`; [`fold`] takes it to the kernels.
//!
//! Vectors run over outputs, so that nothing is ever summed across a vector: the phases have their outputs innermost,
//! and every value of the input meets all of them. With the columns turned round, last first, what a value meets at
//! neighbouring columns is contiguous and in the order of the products, which makes one long row of 2 or 3 times as
//! many values as there are outputs. A task owns a few input channels and walks over the whole image, so sums do not
//! depend on threads.

use super::super::blocked::{Activation, Blocked, Concat};
use super::super::engine::Engine;
use super::super::simd::{load, load_first, store_first};
use super::conv_tile::{Pack, Prologue, TileShape};
use super::stencil::{MAX_TAPS, Product, Stencil};
use super::weight_phases::{Shape, SplitRow, VECTORS};
use crate::unet::operation::Kernel;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Input channels of one task.
const INPUTS: usize = 4;
/// Grid pixels whose products are summed in one chain of additions, about.
const PIXELS: usize = 1024;

/// The weight gradient of one convolution.
#[derive(Clone, Copy)]
pub(crate) struct WeightGradient<'a> {
    pub(crate) stencil: Stencil,
    pub(crate) n_in: usize,
    /// Layout of the convolution's output.
    pub(crate) output: Blocked,
    /// Gradient of the output with the input that it meets.
    pub(crate) pairs: &'a [(Activation<'a>, Concat<'a>)],
}

/// Number of products over all phases.
pub(crate) fn n_products(stencil: Stencil) -> usize {
    (0..stencil.n_phases()).map(|phase| stencil.products(phase).count()).sum()
}

/// Values of the phases of `pairs` pairs.
pub(crate) fn room(stencil: Stencil, output: Blocked, pairs: usize) -> usize {
    pairs * Shape::new(stencil, output).len()
}

/// Scratch values that a task needs for `pairs` pairs.
pub(crate) fn scratch_len(stencil: Stencil, output: Blocked, pairs: usize) -> usize {
    let tile = Shape::new(stencil, output).tile(stencil);
    let transposed = stencil.rows.upscale() * output.width * output.channels;
    (pairs * INPUTS * tile.channel_stride + tile.work_len()).max(transposed)
}

impl WeightGradient<'_> {
    /// out `[input][product][output]` = the sum over all pairs, d_bias = the sums of the first pair's d_out.
    ///
    /// `phases` is memory of [`room`] values.
    pub(crate) fn run(&self, engine: &Engine, phases: &mut [f32], out: &mut [f32], d_bias: &mut [f32]) {
        let (stencil, shape) = (self.stencil, Shape::new(self.stencil, self.output));
        let phases = &mut phases[..self.pairs.len() * shape.len()];
        for ((d_out, _), phases) in self.pairs.iter().zip(phases.chunks_exact_mut(shape.len())) {
            phases.par_chunks_mut(shape.row_len()).enumerate().for_each(|(row, phases)| {
                engine.with_scratch(|pixels| {
                    engine.arch.dispatch(SplitRow { stencil, shape, d_out: *d_out, row, pixels, phases });
                });
            });
        }
        let phases = &*phases;
        for (o, d_bias) in d_bias.iter_mut().enumerate() {
            let rows = phases[..shape.len()].chunks_exact(shape.row_len());
            *d_bias = rows.map(|row| f64::from(row[shape.sums()][o])).sum::<f64>() as f32;
        }
        let per_input = n_products(stencil) * shape.n_out;
        out[..self.n_in * per_input].par_chunks_mut(INPUTS * per_input).enumerate().for_each(|(chunk, out)| {
            engine.with_scratch(|scratch| self.run_inputs(engine, chunk * INPUTS, phases, out, scratch));
        });
    }

    fn run_inputs(&self, engine: &Engine, first: usize, phases: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        let (stencil, shape, n_in) =
            (self.stencil, Shape::new(self.stencil, self.output), INPUTS.min(self.n_in - first));
        let tile_shape = shape.tile(stencil);
        let (work, tiles) = scratch.split_at_mut(tile_shape.work_len());
        let tile_len = n_in * tile_shape.channel_stride;
        for ((_, input), tile) in self.pairs.iter().zip(tiles.chunks_exact_mut(tile_len)) {
            let (input, prologue) = (input.window(first, n_in), Prologue::Identity);
            engine.arch.dispatch(Pack { shape: tile_shape, rows: 0..shape.height, input, prologue, tile, work });
        }
        let tiles = &tiles[..self.pairs.len() * tile_len];
        engine.arch.dispatch(Correlate { stencil, shape, tile_shape, n_in, tile_len, phases, tiles, out });
    }
}

/// Products of a phase that read the same plane and row at neighbouring columns.
#[derive(Clone, Copy)]
struct Run {
    phase: usize,
    first: Product,
    /// Products before the first, of all phases.
    before: usize,
    n_products: usize,
}

impl Run {
    /// Most of one stencil.
    const MOST: usize = 8;

    /// The runs of a stencil, and how many there are.
    fn all(stencil: Stencil) -> ([Option<Self>; Self::MOST], usize) {
        let (mut runs, mut n, mut before) = ([None::<Self>; Self::MOST], 0, 0);
        for phase in 0..stencil.n_phases() {
            for product in stencil.products(phase) {
                match runs[..n].last_mut() {
                    Some(Some(run)) if run.phase == phase && run.goes_on_with(product) => run.n_products += 1,
                    _ => {
                        runs[n] = Some(Self { phase, first: product, before, n_products: 1 });
                        n += 1;
                    }
                }
                before += 1;
            }
        }
        (runs, n)
    }

    fn goes_on_with(&self, next: Product) -> bool {
        let (row, col) = self.first.delta;
        self.first.plane == next.plane && next.delta == (row, col + self.n_products as isize)
    }
}

/// out[input][product][output] = sum over pairs and grid pixels of phase[output][p] tile[input][offset of product + p].
struct Correlate<'a> {
    stencil: Stencil,
    shape: Shape,
    tile_shape: TileShape,
    n_in: usize,
    tile_len: usize,
    /// Of each pair as in [`Shape`].
    phases: &'a [f32],
    /// `[pair][input][channel_stride]`.
    tiles: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (runs, n_runs) = Run::all(self.stencil);
        for run in runs[..n_runs].iter().flatten() {
            // 20 or 12 accumulators of 32 registers, or 12 of 16. With 20, d_out is read less often, for which a vector
            // more is not too much.
            let n_vectors = (run.n_products * self.shape.n_out).div_ceil(S::F32_LANES);
            if S::REGISTER_COUNT >= 32 && n_vectors.next_multiple_of(VECTORS) <= n_vectors.next_multiple_of(3) + 1 {
                self.correlate::<S, VECTORS>(simd, run);
            } else {
                self.correlate::<S, 3>(simd, run);
            }
        }
    }
}

impl Correlate<'_> {
    /// All products of a run, `N` vectors at a time.
    #[inline(always)]
    fn correlate<S: Simd, const N: usize>(&mut self, simd: S, run: &Run) {
        let Shape { n_out, height, width, .. } = self.shape;
        let (vector, len) = (S::F32_LANES, run.n_products * n_out);
        let per_input = self.out.len() / self.n_in;
        let n_rows = (PIXELS / width).max(1);
        for start in (0..len).step_by(N * vector) {
            for first in (0..height).step_by(n_rows) {
                // Vectors and inputs beyond the last are not stored.
                let sums = self.sums::<S, N>(simd, run, first..(first + n_rows).min(height), start);
                for (input, sums) in sums.iter().enumerate().take(self.n_in) {
                    let out = &mut self.out[input * per_input + run.before * n_out..][..len];
                    for (&sum, at) in sums.iter().zip((start..len).step_by(vector)) {
                        let valid = vector.min(len - at);
                        let before = if first > 0 { load_first(simd, out, at, valid) } else { simd.splat_f32s(0.0) };
                        store_first(simd, out, at, valid, simd.add_f32s(before, sum));
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn sums<S: Simd, const N: usize>(
        &self,
        simd: S,
        run: &Run,
        grid_rows: Range<usize>,
        start: usize,
    ) -> [[S::f32s; N]; INPUTS] {
        let Self { shape, tile_shape, .. } = self;
        let Shape { n_out, width, .. } = *shape;
        let (delta_row, delta_col) = run.first.delta;
        let offset = tile_shape.offset(run.first.plane, (delta_row, 0));
        // What the last column meets, which comes first.
        let first = run.phase * shape.phase_len() + 1_usize.saturating_add_signed(delta_col) * n_out + start;
        let reach = N * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); N]; INPUTS];
        let pairs = self.phases.chunks_exact(shape.len()).zip(self.tiles.chunks_exact(self.tile_len));
        for (phases, tile) in pairs {
            for row in grid_rows.clone() {
                let d = &phases[row * shape.row_len() + first..][..(width - 1) * n_out + reach];
                let x: [&[f32]; INPUTS] = std::array::from_fn(|input| {
                    let start = input.min(self.n_in - 1) * tile_shape.channel_stride + offset;
                    &tile[start + row * tile_shape.row_stride..][..width]
                });
                for (col, d) in d.windows(reach).step_by(n_out).enumerate().take(width) {
                    let d: [S::f32s; N] = std::array::from_fn(|j| load::<S>(d, j * S::F32_LANES));
                    for (sums, x) in sums.iter_mut().zip(x) {
                        let x = simd.splat_f32s(x[width - 1 - col]);
                        for (sum, d) in sums.iter_mut().zip(d) {
                            *sum = simd.mul_add_e_f32s(d, x, *sum);
                        }
                    }
                }
            }
        }
        sums
    }
}

/// The gradient of a kernel's weights, in its place in that of all parameters: `factor` times the gradient
/// `[input][product][output]` of packed ones.
pub(crate) fn fold(stencil: Stencil, kernel: &Kernel, factor: f32, d_packed: &[f32], gradient: &mut [f32]) {
    /// Outputs of one task.
    const OUTPUTS: usize = 8;
    let (side, &Kernel { n_out, n_in, .. }) = (kernel.sampling.side(), kernel);
    let (n_products, per_output) = (n_products(stencil), n_in * side * side);
    gradient[kernel.weight.clone()].par_chunks_mut(OUTPUTS * per_output).enumerate().for_each(|(chunk, d_w)| {
        let n = d_w.len() / per_output;
        for i in 0..n_in {
            let mut kernels = [[0.0; OUTPUTS]; MAX_TAPS];
            let products = (0..stencil.n_phases()).flat_map(|phase| stencil.products(phase));
            for (index, product) in products.enumerate() {
                let start = (i * n_products + index) * n_out + chunk * OUTPUTS;
                let mut weights = [0.0; OUTPUTS];
                weights.iter_mut().zip(&d_packed[start..][..n]).for_each(|(to, from)| *to = factor * from);
                product.spread(side, weights, &mut kernels);
            }
            for (o, d_w) in d_w.chunks_exact_mut(per_output).enumerate() {
                let kernel = &mut d_w[i * side * side..][..side * side];
                kernel.iter_mut().zip(&kernels).for_each(|(d_w, kernel)| *d_w = kernel[o]);
            }
        }
    });
}
