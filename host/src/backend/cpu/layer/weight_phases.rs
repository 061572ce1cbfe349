//! A gradient d_out split into the phases whose sums a convolution joins, with outputs innermost: what
//! [`super::weight_gradient`] multiplies the input by.

use super::super::aligned::LINE;
use super::super::blocked::{Activation, Blocked};
use super::super::simd::{for_each_vector, load_first, store_first};
use super::conv_tile::TileShape;
use super::stencil::{Merge, Stencil};
use super::winograd;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Most vectors of outputs that are multiplied at a time.
pub(super) const VECTORS: usize = 5;

/// The layout of a split d_out: `[grid row][phase][column, last first][output]`, with a column of zeros at either
/// end; behind the phases of a row, the sums of its pixels.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) n_phases: usize,
    pub(super) n_out: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Shape {
    pub(super) fn new(stencil: Stencil, output: Blocked) -> Self {
        let (height, width) = (output.height / stencil.rows.upscale(), output.width / stencil.cols.upscale());
        Self { n_phases: stencil.n_phases(), n_out: output.channels, height, width }
    }

    /// Values of one phase in a row.
    pub(super) fn phase_len(&self) -> usize {
        (self.width + 2) * self.n_out
    }

    /// Range of the sums of a row.
    pub(super) fn sums(&self) -> Range<usize> {
        let start = self.n_phases * self.phase_len();
        start..start + self.n_out
    }

    /// Distance of rows; vectors that are not stored reach beyond the last phase.
    pub(super) fn row_len(&self) -> usize {
        self.sums().end.next_multiple_of(LINE) + VECTORS * LINE
    }

    pub(super) fn len(&self) -> usize {
        self.height * self.row_len()
    }

    /// The input of the whole image in one tile.
    pub(super) fn tile(&self, stencil: Stencil) -> TileShape {
        TileShape::new(stencil, self.height, self.width, self.height)
    }
}

/// Splits a grid row of d_out into its phases, the transpose of joining them, and sums its pixels.
pub(super) struct SplitRow<'a> {
    pub(super) stencil: Stencil,
    pub(super) shape: Shape,
    pub(super) d_out: Activation<'a>,
    pub(super) row: usize,
    /// Room for the row's pixels `[row][column, last first][output]`.
    pub(super) pixels: &'a mut [f32],
    pub(super) phases: &'a mut [f32],
}

impl WithSimd for SplitRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stencil, shape, d_out, row, pixels, phases } = self;
        let (n_out, n_rows, width) = (shape.n_out, stencil.rows.upscale(), d_out.layout().width);
        let pixels = &mut pixels[..n_rows * width * n_out];
        transpose(d_out, n_rows * row, pixels);
        let (phases, sums) = phases.split_at_mut(shape.sums().start);
        add_up(simd, pixels, &mut sums[..n_out]);
        for phase in phases.chunks_exact_mut(shape.phase_len()) {
            phase[..n_out].fill(0.0);
            phase[shape.phase_len() - n_out..].fill(0.0);
        }
        let start = |phase: usize| phase * shape.phase_len() + n_out;
        match stencil.rows.merge {
            Merge::Whole => phases[start(0)..][..pixels.len()].copy_from_slice(pixels),
            Merge::EvenOdd => {
                for (index, pixels) in pixels.chunks_exact(width * n_out).enumerate() {
                    for (at, pair) in pixels.chunks_exact(2 * n_out).enumerate() {
                        // The columns are turned round.
                        let (odd, even) = pair.split_at(n_out);
                        phases[start(2 * index) + at * n_out..][..n_out].copy_from_slice(even);
                        phases[start(2 * index + 1) + at * n_out..][..n_out].copy_from_slice(odd);
                    }
                }
            }
            Merge::Winograd => for_each_vector::<S>(
                width * n_out,
                #[inline(always)]
                |at, valid, _| {
                    let mut d = [simd.splat_f32s(0.0); winograd::ROWS];
                    for (index, d) in d.iter_mut().enumerate() {
                        *d = load_first(simd, pixels, index * width * n_out + at, valid);
                    }
                    for (phase, m) in winograd::split(simd, d).into_iter().enumerate() {
                        store_first(simd, phases, start(phase) + at, valid, m);
                    }
                },
            ),
        }
    }
}

/// As many rows of one block as `to` has room for, from row `first_row` on, to `[row][column, last first][channel]`, in
/// squares of [`SQUARE`] channels and columns.
#[inline(always)]
fn transpose(from: Activation<'_>, first_row: usize, to: &mut [f32]) {
    let (n_out, width) = (from.layout().channels, from.layout().width);
    let (from, distance) = from.row_on(first_row);
    let whole = |n: usize| n - n % SQUARE;
    for (row, to) in to.chunks_exact_mut(width * n_out).enumerate() {
        for first in (0..whole(n_out)).step_by(SQUARE) {
            let mut rows = [&[][..]; SQUARE];
            for (i, values) in rows.iter_mut().enumerate() {
                *values = from[(first + i) * distance + row * width..][..width].as_chunks::<SQUARE>().0;
            }
            let [a, b, c, d] = rows;
            let squares = to.rchunks_exact_mut(SQUARE * n_out).zip(a).zip(b).zip(c).zip(d);
            for ((((to, a), b), c), d) in squares {
                for (column, to) in to.chunks_exact_mut(n_out).rev().enumerate() {
                    to[first..first + SQUARE].copy_from_slice(&[a[column], b[column], c[column], d[column]]);
                }
            }
        }
        for channel in 0..n_out {
            let done = if channel < whole(n_out) { whole(width) } else { 0 };
            let values = &from[channel * distance + row * width..][done..width];
            to.chunks_exact_mut(n_out).rev().skip(done).zip(values).for_each(|(to, &value)| to[channel] = value);
        }
    }
}

/// Side of the squares of a transposition.
const SQUARE: usize = 4;

/// The sums over pixels.
#[inline(always)]
fn add_up<S: Simd>(simd: S, pixels: &[f32], sums: &mut [f32]) {
    let n_out = sums.len();
    for first in (0..n_out).step_by(S::F32_LANES) {
        let valid = S::F32_LANES.min(n_out - first);
        let mut sum = simd.splat_f32s(0.0);
        for pixel in pixels.chunks_exact(n_out) {
            sum = simd.add_f32s(sum, load_first(simd, pixel, first, valid));
        }
        store_first(simd, sums, first, valid, sum);
    }
}
