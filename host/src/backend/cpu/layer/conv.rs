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
use super::stencil::{Join, Stencil};
use pulp::{Simd, WithSimd};
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
                            product.weight(|row, col| weight(o, i, row, col))
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
        let grid_pixels = output.height * output.width / self.stencil.pixels_per_point();
        2.0 * (grid_pixels * products * self.n_in * self.n_out) as f64
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

    /// Scratch values that a task needs for the sums of all phases.
    fn staging_len(&self, output: Blocked) -> usize {
        self.stencil.n_phases() * output.block_len() / self.stencil.pixels_per_point()
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
        let of_term = |w: &&PackedConv| w.tile_len(output) + w.tile_shape(output).work_len();
        let staging = weights.first().map_or(0, |w| w.staging_len(output));
        weights.iter().map(of_term).sum::<usize>() + staging
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
        let (stencil, rows, pixels) =
            (first.weights.stencil, self.output.block_rows(block), self.output.block_pixels(block));
        let (up_rows, up_cols) = (stencil.rows.upscale(), stencil.cols.upscale());
        let grid_rows = rows.start / up_rows..rows.end / up_rows;
        let grid_width = self.output.width / up_cols;
        let grid_pixels = grid_rows.len() * grid_width;

        let (staging, mut rest) = scratch.split_at_mut(first.weights.staging_len(self.output));
        let mut tiles: [&[f32]; MAX_TERMS] = [&[]; MAX_TERMS];
        for (term, slot) in self.terms.iter().zip(&mut tiles) {
            let (tile, behind) = rest.split_at_mut(term.weights.tile_len(self.output));
            let (shape, rows) = (term.weights.tile_shape(self.output), grid_rows.clone());
            let (work, behind) = behind.split_at_mut(shape.work_len());
            rest = behind;
            engine.arch.dispatch(Pack { shape, rows, input: term.input, prologue: term.prologue, tile, work });
            *slot = tile;
        }

        let staged = stencil.n_phases() > 1 || self.epilogue.accumulates();
        let phase_len = self.output.channels * grid_pixels;
        for phase in 0..stencil.n_phases() {
            let target = if staged { &mut *staging } else { &mut *out };
            let target = &mut target[phase * phase_len..][..phase_len];
            self.sweep(engine, phase, &tiles, (grid_width, grid_pixels), target);
        }
        if staged {
            let accumulate = self.epilogue.accumulates();
            engine.arch.dispatch(Unstage { stencil, accumulate, grid_width, phase_len, staging, out });
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

/// Brings staged sums `[phase][channel][grid pixel]` to their pixels, `=` or `+=`.
struct Unstage<'a> {
    stencil: Stencil,
    accumulate: bool,
    grid_width: usize,
    phase_len: usize,
    staging: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Unstage<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if self.accumulate { self.join(|to, v| *to += v) } else { self.join(|to, v| *to = v) }
    }
}

impl Unstage<'_> {
    #[inline(always)]
    fn join(self, put: impl Fn(&mut f32, f32) + Copy) {
        let Self { stencil, grid_width: width, phase_len, staging, out, .. } = self;
        let per_point = stencil.pixels_per_point();
        // Rows of the grid, over all channels, and the output pixels they make.
        for (row, out) in out.chunks_exact_mut(width * per_point).enumerate() {
            let m = |phase: usize| &staging[phase * phase_len + row * width..][..width];
            match (stencil.rows.join, stencil.cols.join) {
                (Join::Winograd, _) => {
                    let (even, odd) = out.split_at_mut(width);
                    for ((((even, odd), m_0), m_1), (m_2, m_3)) in
                        even.iter_mut().zip(odd).zip(m(0)).zip(m(1)).zip(m(2).iter().zip(m(3)))
                    {
                        put(even, m_0 + (m_1 + m_2));
                        put(odd, (m_1 - m_2) - m_3);
                    }
                }
                (Join::EvenOdd, _) => {
                    let (even, odd) = out.split_at_mut(2 * width);
                    interleave(even, m(0), m(1), put);
                    interleave(odd, m(2), m(3), put);
                }
                (Join::Whole, _) => out.iter_mut().zip(m(0)).for_each(|(to, &v)| put(to, v)),
            }
        }
    }
}

#[inline(always)]
fn interleave(out: &mut [f32], even: &[f32], odd: &[f32], put: impl Fn(&mut f32, f32)) {
    for ((pair, &even), &odd) in out.chunks_exact_mut(2).zip(even).zip(odd) {
        put(&mut pair[0], even);
        put(&mut pair[1], odd);
    }
}
