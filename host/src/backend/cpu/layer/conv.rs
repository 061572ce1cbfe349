//! Convolution: out[o][p] = bias[o] + sum over i, k of w[o][i][k] in[i][p + k], for every sampling in [`Stencil`].
//!
//! A task takes one block of output rows: it packs the input rows it needs (applying the norm and SiLU before the
//! convolution), multiplies, and finishes its block while that is in cache (bias, residual, statistics; or, backwards,
//! the slope of the SiLU and the sums of the norm). The vjp to the input is the same code with transposed weights.
//! Where an image has more threads than blocks, several tasks share the output channels of a block; each packs for
//! itself.

use super::super::blocked::{Blocked, Concat};
use super::super::engine::Engine;
use super::super::flop::Flop;
use super::conv_kernel::{CHANNELS, Join, MOST_CHANNELS_AT_A_TIME, Sweep, TileTerm, channels_at_a_time};
use super::conv_tile::{Pack, Prologue, TileShape};
use super::group_norm::{BlockMoments, BlockVjpSums, InputGradientBlock, Normalisation};
use super::stencil::{MAX_TAPS, Stencil};
use crate::unet::operation::Kernel;
use rayon::prelude::*;
use std::ops::Range;

/// Weights of one convolution in the order in which the inner loops read them.
#[derive(Debug, Clone)]
pub(crate) struct PackedConv {
    pub(crate) stencil: Stencil,
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    /// For each output phase `[block of output channels][input channel][product][CHANNELS]`.
    phases: Vec<Vec<f32>>,
}

impl PackedConv {
    /// Packs the weights of a kernel.
    pub(crate) fn forward(stencil: Stencil, kernel: &Kernel, parameters: &[f32]) -> Self {
        let mut packed = Self::zeros(stencil, kernel.n_out, kernel.n_in);
        packed.repack_forward(kernel, parameters);
        packed
    }

    /// The transpose of [`PackedConv::forward`] of the same kernel, onto its input channels `inputs` only; `stencil` is
    /// the transposed one.
    pub(crate) fn transposed(stencil: Stencil, inputs: Range<usize>, kernel: &Kernel, parameters: &[f32]) -> Self {
        let mut packed = Self::zeros(stencil, inputs.len(), kernel.n_out);
        packed.repack_transposed(inputs.start, kernel, parameters);
        packed
    }

    /// All weights zero, in memory of the right size.
    pub(crate) fn zeros(stencil: Stencil, n_out: usize, n_in: usize) -> Self {
        let len = |phase| n_out.div_ceil(CHANNELS) * n_in * stencil.products(phase).count() * CHANNELS;
        Self { stencil, n_in, n_out, phases: (0..stencil.n_phases()).map(|phase| vec![0.0; len(phase)]).collect() }
    }

    /// [`PackedConv::forward`] with other weights, in the same memory.
    pub(crate) fn repack_forward(&mut self, kernel: &Kernel, parameters: &[f32]) {
        let (weights, n_in, side) = (&parameters[kernel.weight.clone()], kernel.n_in, kernel.sampling.side());
        self.pack(side, |o, i, row, col| weights[((o * n_in + i) * side + row) * side + col]);
    }

    /// [`PackedConv::transposed`] onto the input channels from `first` on with other weights, in the same memory.
    pub(crate) fn repack_transposed(&mut self, first: usize, kernel: &Kernel, parameters: &[f32]) {
        let (weights, n_in, side) = (&parameters[kernel.weight.clone()], kernel.n_in, kernel.sampling.side());
        self.pack(side, |i, o, row, col| weights[((o * n_in + first + i) * side + row) * side + col]);
    }

    fn pack(&mut self, side: usize, weight: impl Fn(usize, usize, usize, usize) -> f32) {
        let (stencil, n_in, n_out) = (self.stencil, self.n_in, self.n_out);
        for (block, first) in (0..n_out).step_by(CHANNELS).enumerate() {
            for i in 0..n_in {
                // The kernels of a block side by side, so that each product is one combination of vectors.
                let mut kernels = [[0.0; CHANNELS]; MAX_TAPS];
                for (tap, kernels) in kernels.iter_mut().enumerate().take(side * side) {
                    let outputs = first..n_out;
                    kernels.iter_mut().zip(outputs).for_each(|(w, o)| *w = weight(o, i, tap / side, tap % side));
                }
                for (phase, packed) in self.phases.iter_mut().enumerate() {
                    let n_products = stencil.products(phase).count();
                    let packed = packed[(block * n_in + i) * n_products * CHANNELS..].chunks_exact_mut(CHANNELS);
                    for (product, packed) in stencil.products(phase).zip(packed) {
                        packed.copy_from_slice(&product.weights(side, &kernels));
                    }
                }
            }
        }
    }

    /// Work for an output of this layout.
    pub(crate) fn flop(&self, output: Blocked) -> Flop {
        let products: usize = (0..self.stencil.n_phases()).map(|phase| self.stencil.products(phase).count()).sum();
        let grid_pixels = output.height * output.width / self.stencil.pixels_per_point();
        let of = |products: usize| 2.0 * (grid_pixels * products * self.n_in * self.n_out) as f64;
        Flop { done: of(products), direct: of(self.stencil.direct_products()) }
    }

    /// Geometry of the tiles for an output of this layout.
    fn tile_shape(&self, output: Blocked) -> TileShape {
        let (up_rows, up_cols) = (self.stencil.rows.upscale(), self.stencil.cols.upscale());
        TileShape::new(self.stencil, output.height / up_rows, output.width / up_cols, output.rows / up_rows)
    }

    /// Scratch values that a task needs for its tile.
    fn tile_len(&self, output: Blocked) -> usize {
        self.n_in * self.tile_shape(output).channel_stride
    }

    /// Scratch values that a task needs for the sums of all phases of a few channels.
    fn staging_len(&self, output: Blocked) -> usize {
        let grid_pixels = output.rows * output.width / self.stencil.pixels_per_point();
        self.stencil.n_phases() * channels_at_a_time(grid_pixels) * grid_pixels
    }
}

/// An input with its weights.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    pub(crate) weights: &'a PackedConv,
    pub(crate) input: Concat<'a>,
    pub(crate) prologue: Prologue<'a>,
}

/// Work on a block of the output after the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Epilogue<'a> {
    /// `=`.
    Store,
    /// `+=`.
    Add,
    /// Adds bias, then shift, then residual; with the statistics of the result.
    Forward { bias: &'a [f32], shift: Option<&'a [f32]>, residual: Option<Concat<'a>> },
    /// The sums that a norm's vjp needs, of d_z; with `silu` that is d_s s'(z) at z = norm(x).
    NormSums { norm: &'a Normalisation, normalised: Concat<'a>, silu: bool },
    /// Adds a norm's vjp d_x = p d_z + q x + r; with `+=` to what was there when `accumulate`.
    NormVjp { gradient: InputGradientBlock<'a>, accumulate: bool },
}

impl Epilogue<'_> {
    fn accumulates(&self) -> bool {
        matches!(self, Self::Add | Self::NormVjp { accumulate: true, .. })
    }
}

/// A sum of convolutions with a common output.
pub(crate) struct Convolution<'a> {
    pub(crate) terms: &'a [Term<'a>],
    pub(crate) output: Blocked,
    pub(crate) epilogue: Epilogue<'a>,
}

/// The output of one task: channels of a block, from `channel` on.
#[derive(Clone, Copy)]
struct Part {
    block: usize,
    channel: usize,
}

/// Most terms of one convolution: the 3x3 one and the 1x1 shortcut.
const MAX_TERMS: usize = 2;
/// Most phases.
const MAX_PHASES: usize = 6;
/// Most products of one phase: 4x4, backwards through a doubling.
const MAX_PRODUCTS: usize = 16;

impl Convolution<'_> {
    /// Scratch values that a task needs.
    pub(crate) fn scratch_len<'a>(weights: impl IntoIterator<Item = &'a PackedConv>, output: Blocked) -> usize {
        let mut weights = weights.into_iter().peekable();
        let staging = weights.peek().map_or(0, |first| first.staging_len(output));
        let of_term = |w: &PackedConv| w.tile_len(output) + w.tile_shape(output).work_len();
        staging + weights.map(of_term).sum::<usize>()
    }

    /// Output channels of a task: all of them, or as few as give every thread a part of a block.
    fn channels_of_task(&self, threads: usize) -> usize {
        let tasks = (threads / self.output.n_blocks()).max(1);
        self.output.channels.div_ceil(tasks).next_multiple_of(MOST_CHANNELS_AT_A_TIME)
    }

    /// Runs over all blocks of `out`. `sums[block][channel]` receives the epilogue's pair of sums.
    pub(crate) fn run(&self, engine: &Engine, out: &mut [f32], sums: &mut [[f32; 2]]) {
        let (output, channels) = (self.output, self.channels_of_task(engine.threads));
        out[..output.len()]
            .par_chunks_mut(output.block_len())
            .zip(sums.par_chunks_mut(output.channels))
            .enumerate()
            // The first idle thread takes the next block, so that no thread is idle long enough to fall asleep.
            .with_max_len(1)
            .for_each(|(block, (out, sums))| {
                let parts =
                    out.par_chunks_mut(channels * output.block_pixels(block)).zip(sums.par_chunks_mut(channels));
                parts.enumerate().with_max_len(1).for_each(|(part, (out, sums))| {
                    let part = Part { block, channel: part * channels };
                    engine.with_scratch(|scratch| self.run_part(engine, part, out, sums, scratch));
                });
            });
    }

    /// The output channels of a part, as many as `out` has room for.
    fn run_part(&self, engine: &Engine, part: Part, out: &mut [f32], sums: &mut [[f32; 2]], scratch: &mut [f32]) {
        let Some(first) = self.terms.first() else { return };
        let (stencil, rows) = (first.weights.stencil, self.output.block_rows(part.block));
        let (up_rows, up_cols) = (stencil.rows.upscale(), stencil.cols.upscale());
        let grid_rows = rows.start / up_rows..rows.end / up_rows;
        let grid_width = self.output.width / up_cols;
        let grid_pixels = grid_rows.len() * grid_width;
        let (staging, rest) = scratch.split_at_mut(first.weights.staging_len(self.output));
        let tiles = self.pack(engine, grid_rows, rest);

        let accumulate = self.epilogue.accumulates();
        let staged = stencil.n_phases() > 1 || accumulate;
        let phases = Phases::new(self);
        // A few channels through all phases at a time: their sums are still near when they are joined.
        let n_channels = channels_at_a_time(grid_pixels);
        for (chunk, out) in out.chunks_mut(n_channels * self.output.block_pixels(part.block)).enumerate() {
            let block = (part.channel + chunk * n_channels) / CHANNELS;
            let phase_len = out.len() / stencil.pixels_per_point();
            for phase in 0..stencil.n_phases() {
                let target = if staged { &mut staging[phase * phase_len..][..phase_len] } else { &mut *out };
                let terms = phases.terms(self, &tiles, phase);
                let terms = &terms[..self.terms.len()];
                engine.arch.dispatch(Sweep { terms, block, width: grid_width, pixels: grid_pixels, out: target });
            }
            if staged {
                engine.arch.dispatch(Join { stencil, accumulate, width: grid_width, phase_len, staging, out });
            }
        }
        self.finish(engine, part, out, sums);
    }

    /// The tile of every term.
    fn pack<'s>(&self, engine: &Engine, rows: Range<usize>, mut rest: &'s mut [f32]) -> [&'s [f32]; MAX_TERMS] {
        let mut tiles: [&[f32]; MAX_TERMS] = [&[]; MAX_TERMS];
        for (term, slot) in self.terms.iter().zip(&mut tiles) {
            let shape = term.weights.tile_shape(self.output);
            let (tile, behind) = rest.split_at_mut(term.weights.tile_len(self.output));
            let (work, behind) = behind.split_at_mut(shape.work_len());
            rest = behind;
            let (rows, input, prologue) = (rows.clone(), term.input, term.prologue);
            engine.arch.dispatch(Pack { shape, rows, input, prologue, tile, work });
            *slot = tile;
        }
        tiles
    }

    fn finish(&self, engine: &Engine, part: Part, out: &mut [f32], sums: &mut [[f32; 2]]) {
        let Part { block, channel: first } = part;
        let pixels = self.output.block_pixels(block);
        let channels = first..first + out.len() / pixels;
        match self.epilogue {
            Epilogue::Store | Epilogue::Add => {}
            Epilogue::Forward { bias, shift, residual } => {
                let (bias, shift) = (&bias[channels.clone()], shift.map(|shift| &shift[channels.clone()]));
                let residual = residual.map(|residual| residual.window(first, channels.len()));
                engine.arch.dispatch(BlockMoments { bias, shift, residual, block, pixels, out, moments: sums });
            }
            Epilogue::NormSums { norm, normalised, silu } => {
                engine.arch.dispatch(BlockVjpSums { norm, first, normalised, silu, block, pixels, d: out, sums });
            }
            Epilogue::NormVjp { gradient, .. } => {
                gradient.window(first, channels.len()).add_to(engine, block, pixels, out);
            }
        }
    }
}

/// Places of each phase's products in the tiles of each term.
struct Phases {
    /// Distances between channels and between rows.
    strides: [(usize, usize); MAX_TERMS],
    offsets: [[[usize; MAX_PRODUCTS]; MAX_PHASES]; MAX_TERMS],
    counts: [[usize; MAX_PHASES]; MAX_TERMS],
}

impl Phases {
    fn new(convolution: &Convolution<'_>) -> Self {
        let mut offsets = [[[0; MAX_PRODUCTS]; MAX_PHASES]; MAX_TERMS];
        let mut counts = [[0; MAX_PHASES]; MAX_TERMS];
        let mut strides = [(0, 0); MAX_TERMS];
        let targets = offsets.iter_mut().zip(&mut counts).zip(&mut strides);
        for (term, ((offsets, counts), strides)) in convolution.terms.iter().zip(targets) {
            let (stencil, shape) = (term.weights.stencil, term.weights.tile_shape(convolution.output));
            *strides = (shape.channel_stride, shape.row_stride);
            for (phase, (offsets, count)) in (0..stencil.n_phases()).zip(offsets.iter_mut().zip(counts)) {
                for (product, offset) in stencil.products(phase).zip(offsets) {
                    *offset = shape.offset(product.plane, product.delta);
                    *count += 1;
                }
            }
        }
        Self { strides, offsets, counts }
    }

    /// The terms of one phase; the last is repeated where there are fewer than [`MAX_TERMS`].
    fn terms<'a>(
        &'a self,
        convolution: &'a Convolution<'_>,
        tiles: &[&'a [f32]; MAX_TERMS],
        phase: usize,
    ) -> [TileTerm<'a>; MAX_TERMS] {
        let term = |index: usize| {
            let weights = convolution.terms[index].weights;
            let (channel_stride, row_stride) = self.strides[index];
            TileTerm {
                tile: tiles[index],
                channel_stride,
                row_stride,
                offsets: &self.offsets[index][phase][..self.counts[index][phase]],
                weights: &weights.phases[phase],
            }
        };
        [term(0), term(convolution.terms.len() - 1)]
    }
}
