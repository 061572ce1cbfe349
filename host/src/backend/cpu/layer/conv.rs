//! Convolution: out[o][p] = bias[o] + sum over i, k of w[o][i][k] in[i][p + k], for every sampling in [`Stencil`].
//!
//! A task takes one block of output rows: it packs the input rows it needs (applying the norm and SiLU before the
//! convolution), multiplies, and finishes its block while that is in cache (bias, residual, statistics; or, backwards,
//! the slope of the SiLU and the sums of the norm). The vjp to the input is the same code with transposed weights.

use super::super::blocked::{Blocked, Concat};
use super::super::engine::Engine;
use super::conv_kernel::{CHANNELS, Sweep, TileTerm};
use super::conv_tile::{Pack, Prologue, TileShape};
use super::group_norm::{BlockMoments, BlockVjpSums, InputGradientBlock, Normalisation};
use super::stencil::Stencil;
use rayon::prelude::*;

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
    /// Packs `weights[out][in][row][col]` with `side` x `side` kernels.
    pub(crate) fn forward(stencil: Stencil, n_out: usize, n_in: usize, side: usize, weights: &[f32]) -> Self {
        Self::pack(stencil, n_out, n_in, |o, i, row, col| weights[((o * n_in + i) * side + row) * side + col])
    }

    /// The transpose of [`PackedConv::forward`] of the same `weights`, onto input channels `inputs` only;
    /// `stencil` is the transposed one.
    pub(crate) fn transposed(
        stencil: Stencil,
        inputs: std::ops::Range<usize>,
        (n_out, n_in): (usize, usize),
        side: usize,
        weights: &[f32],
    ) -> Self {
        let first = inputs.start;
        Self::pack(stencil, inputs.len(), n_out, |i, o, row, col| {
            weights[((o * n_in + first + i) * side + row) * side + col]
        })
    }

    fn pack(stencil: Stencil, n_out: usize, n_in: usize, weight: impl Fn(usize, usize, usize, usize) -> f32) -> Self {
        let pack_phase = |phase| {
            let mut packed = Vec::new();
            for block in (0..n_out).step_by(CHANNELS) {
                for i in 0..n_in {
                    for product in stencil.products(phase) {
                        packed.extend((block..block + CHANNELS).map(|o| {
                            if o >= n_out {
                                return 0.0;
                            }
                            product.taps().map(|(row, col)| weight(o, i, row, col)).sum()
                        }));
                    }
                }
            }
            packed
        };
        Self { stencil, n_in, n_out, phases: (0..stencil.n_phases()).map(pack_phase).collect() }
    }

    /// Floating-point operations for an output of this layout, two for each product.
    pub(crate) fn flop(&self, output: Blocked) -> f64 {
        let products: usize = (0..self.stencil.n_phases()).map(|phase| self.stencil.products(phase).count()).sum();
        let grid_pixels = output.height * output.width / self.stencil.n_phases();
        2.0 * (grid_pixels * products * self.n_in * self.n_out) as f64
    }

    /// Geometry of the tiles for an output of this layout.
    fn tile_shape(&self, output: Blocked) -> TileShape {
        let up = self.stencil.upscale();
        TileShape::new(self.stencil, output.height / up, output.width / up, output.rows / up)
    }

    /// Scratch values that a task needs for its tile.
    fn tile_len(&self, output: Blocked) -> usize {
        self.n_in * self.tile_shape(output).channel_stride
    }
}

/// An input with its weights.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    pub(crate) weights: &'a PackedConv,
    pub(crate) input: Concat<'a>,
    pub(crate) prologue: Prologue<'a>,
}

/// What is done to a block of the output after the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Epilogue<'a> {
    /// `=`.
    Store,
    /// `+=`.
    Add,
    /// Adds bias, then shift, then residual; with the statistics of the result.
    Forward { bias: &'a [f32], shift: Option<&'a [f32]>, residual: Option<Concat<'a>> },
    /// d_z = d_s s'(z) at z = norm(x), with the sums that the norm's vjp needs.
    SiluVjp { norm: &'a Normalisation, normalised: Concat<'a> },
    /// The sums that a norm's vjp needs.
    NormSums { norm: &'a Normalisation, normalised: Concat<'a> },
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

/// Most terms of one convolution: the 3x3 one and the 1x1 shortcut.
const MAX_TERMS: usize = 2;
/// Most products of one output phase: 4x4, backwards through a doubling.
const MAX_PRODUCTS: usize = 16;

impl Convolution<'_> {
    /// Scratch values that a task needs.
    pub(crate) fn scratch_len(weights: &[&PackedConv], output: Blocked) -> usize {
        weights.iter().map(|w| w.tile_len(output)).sum::<usize>() + output.block_len()
    }

    /// Runs over all blocks of `out`. `sums[block][channel]` receives the epilogue's pair of sums.
    pub(crate) fn run(&self, engine: &Engine, out: &mut [f32], sums: &mut [[f32; 2]]) {
        let output = self.output;
        out[..output.len()]
            .par_chunks_mut(output.block_len())
            .zip(sums.par_chunks_mut(output.channels))
            .enumerate()
            .for_each(|(block, (out, sums))| {
                engine.with_scratch(|scratch| self.run_block(engine, block, out, sums, scratch));
            });
    }

    fn run_block(&self, engine: &Engine, block: usize, out: &mut [f32], sums: &mut [[f32; 2]], scratch: &mut [f32]) {
        let Some(first) = self.terms.first() else { return };
        let (stencil, rows) = (first.weights.stencil, self.output.block_rows(block));
        let (up, pixels) = (stencil.upscale(), self.output.block_pixels(block));
        let grid_rows = rows.start / up..rows.end / up;
        let (grid_width, grid_pixels) = (self.output.width / up, pixels / stencil.n_phases());

        let (staging, mut rest) = scratch.split_at_mut(out.len());
        let mut tiles: [&[f32]; MAX_TERMS] = [&[]; MAX_TERMS];
        for (term, slot) in self.terms.iter().zip(&mut tiles) {
            let (tile, behind) = rest.split_at_mut(term.weights.tile_len(self.output));
            rest = behind;
            let (shape, rows) = (term.weights.tile_shape(self.output), grid_rows.clone());
            engine.arch.dispatch(Pack { shape, rows, input: term.input, prologue: term.prologue, tile });
            *slot = tile;
        }

        let staged = stencil.n_phases() > 1 || self.epilogue.accumulates();
        for phase in 0..stencil.n_phases() {
            let target = if staged { &mut *staging } else { &mut *out };
            let target =
                &mut target[phase * self.output.channels * grid_pixels..][..self.output.channels * grid_pixels];
            self.sweep(engine, phase, &tiles, (grid_width, grid_pixels), target);
        }
        if staged {
            self.unstage(engine, up, (grid_width, grid_pixels), staging, out);
        }
        self.finish(engine, block, pixels, out, sums);
    }

    /// Sums the products of one output phase into `out[channel][grid pixel]`.
    fn sweep(
        &self,
        engine: &Engine,
        phase: usize,
        tiles: &[&[f32]; MAX_TERMS],
        (width, pixels): (usize, usize),
        out: &mut [f32],
    ) {
        let mut offsets = [[0; MAX_PRODUCTS]; MAX_TERMS];
        let mut counts = [0; MAX_TERMS];
        for ((term, offsets), count) in self.terms.iter().zip(&mut offsets).zip(&mut counts) {
            let shape = term.weights.tile_shape(self.output);
            for (product, offset) in term.weights.stencil.products(phase).zip(offsets) {
                *offset = shape.offset(product.plane, product.delta);
                *count += 1;
            }
        }
        let term = |index: usize| {
            let shape = self.terms[index].weights.tile_shape(self.output);
            TileTerm {
                tile: tiles[index],
                channel_stride: shape.channel_stride,
                row_stride: shape.row_stride,
                offsets: &offsets[index][..counts[index]],
                weights: &self.terms[index].weights.phases[phase],
            }
        };
        let terms = [term(0), term(self.terms.len() - 1)];
        engine.arch.dispatch(Sweep { terms: &terms[..self.terms.len()], width, pixels, out });
    }

    /// Brings staged sums `[phase][channel][grid pixel]` to their pixels, `=` or `+=`.
    fn unstage(
        &self,
        engine: &Engine,
        up: usize,
        (grid_width, grid_pixels): (usize, usize),
        staging: &[f32],
        out: &mut [f32],
    ) {
        let accumulate = self.epilogue.accumulates();
        let (width, channels) = (grid_width * up, self.output.channels);
        engine.arch.dispatch(
            #[inline(always)]
            || {
                for (index, out) in out.chunks_exact_mut(width).enumerate() {
                    let (channel, row) =
                        (index / (grid_pixels / grid_width * up), index % (grid_pixels / grid_width * up));
                    let source = |col_phase| {
                        let phase = row % up * up + col_phase;
                        &staging[(phase * channels + channel) * grid_pixels + row / up * grid_width..][..grid_width]
                    };
                    match (up, accumulate) {
                        (1, _) => out.iter_mut().zip(source(0)).for_each(|(to, &v)| *to += v),
                        (_, false) => interleave(out, source(0), source(1), |to, v| *to = v),
                        (_, true) => interleave(out, source(0), source(1), |to, v| *to += v),
                    }
                }
            },
        );
    }

    fn finish(&self, engine: &Engine, block: usize, pixels: usize, out: &mut [f32], sums: &mut [[f32; 2]]) {
        match self.epilogue {
            Epilogue::Store | Epilogue::Add => {}
            Epilogue::Forward { bias, shift, residual } => {
                engine.arch.dispatch(BlockMoments { bias, shift, residual, block, pixels, out, moments: sums });
            }
            Epilogue::SiluVjp { norm, normalised } => {
                engine.arch.dispatch(BlockVjpSums { norm, normalised, silu: true, block, pixels, d: out, sums });
            }
            Epilogue::NormSums { norm, normalised } => {
                engine.arch.dispatch(BlockVjpSums { norm, normalised, silu: false, block, pixels, d: out, sums });
            }
            Epilogue::NormVjp { gradient, .. } => gradient.add_to(engine, block, pixels, out),
        }
    }
}

#[inline(always)]
fn interleave(out: &mut [f32], even: &[f32], odd: &[f32], mut put: impl FnMut(&mut f32, f32)) {
    for ((pair, &even), &odd) in out.chunks_exact_mut(2).zip(even).zip(odd) {
        put(&mut pair[0], even);
        put(&mut pair[1], odd);
    }
}
