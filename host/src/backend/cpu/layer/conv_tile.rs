//! Packing: copies the rows that a task of a convolution reads into its scratch tile, zero-padded, and applies on the
//! way whatever comes before the convolution.

use super::super::aligned::LINE;
use super::super::blocked::Concat;
use super::super::simd::{for_each_vector, load_first, store_first};
use super::group_norm::{InputGradient, Normalisation};
use super::silu::silu;
use super::stencil::{Split, Stencil};
use super::winograd::{ROWS, planes, point_planes};
use pulp::{Simd, WithSimd};
use std::array::from_fn;
use std::ops::Range;

/// Work on an activation before it is convolved.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prologue<'a> {
    /// Nothing.
    Identity,
    /// Group normalisation, with `silu` a SiLU behind it.
    Norm { norm: &'a Normalisation, silu: bool },
    /// The vjp of a group normalisation of the activation named: d_x = p d_z + q x + r.
    NormVjp(&'a InputGradient, Concat<'a>),
}

/// Geometry of a tile: `[channel][plane][row][col]` with a halo, over the grid of a stencil. Rows begin at a cache
/// line, and where there is a halo, one line of zeros stands before each row; its first value also ends the row before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TileShape {
    stencil: Stencil,
    /// Grid rows and columns of the whole image.
    grid_height: usize,
    grid_width: usize,
    /// Most grid rows of a tile.
    rows: usize,
    /// Grid rows above and columns left of those of the task.
    halo: (usize, usize),
    /// Distance between rows.
    pub(crate) row_stride: usize,
    /// Distance between planes.
    plane_stride: usize,
    /// Distance between channels.
    pub(crate) channel_stride: usize,
}

impl TileShape {
    /// Values behind the last row of a plane that a vector may read; they only reach what is not stored.
    const SLACK: usize = LINE;

    /// Tiles of up to `rows` grid rows.
    pub(crate) fn new(stencil: Stencil, grid_height: usize, grid_width: usize, rows: usize) -> Self {
        let ((above, below), (left, right)) = (stencil.rows.halo(), stencil.cols.halo());
        let left = if left + right > 0 { LINE } else { 0 };
        let row_stride = (left + grid_width).next_multiple_of(LINE);
        let plane_stride = (rows + above + below) * row_stride + Self::SLACK;
        let channel_stride = stencil.n_planes() * plane_stride;
        let halo = (above, left);
        Self { stencil, grid_height, grid_width, rows, halo, row_stride, plane_stride, channel_stride }
    }

    /// Values that packing needs besides the tile: a row of zeros and the input rows of one channel.
    pub(crate) fn work_len(&self) -> usize {
        match self.stencil.rows.split {
            Split::Winograd => (ROWS * self.rows + 3) * self.grid_width,
            Split::WinogradPoint => (ROWS * self.rows + 1) * self.grid_width,
            Split::Whole | Split::EvenOdd => 0,
        }
    }

    /// Offset in a channel's planes at which the product with `plane` and `delta` finds grid point (0, 0) of the task.
    pub(crate) fn offset(&self, plane: usize, delta: (isize, isize)) -> usize {
        let (row, col) = self.halo;
        let (row, col) = (row.saturating_add_signed(delta.0), col.saturating_add_signed(delta.1));
        plane * self.plane_stride + row * self.row_stride + col
    }
}

/// Fills `tile` with the rows around grid rows `rows`.
pub(crate) struct Pack<'a> {
    pub(crate) shape: TileShape,
    pub(crate) rows: Range<usize>,
    pub(crate) input: Concat<'a>,
    pub(crate) prologue: Prologue<'a>,
    pub(crate) tile: &'a mut [f32],
    pub(crate) work: &'a mut [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.shape.stencil.rows.split {
            Split::Winograd => self.pack_winograd(
                simd,
                1,
                #[inline(always)]
                |d| planes(simd, d),
            ),
            Split::WinogradPoint => self.pack_winograd(
                simd,
                0,
                #[inline(always)]
                |d| point_planes(simd, d),
            ),
            Split::Whole | Split::EvenOdd => self.pack_planes(simd),
        }
    }
}

impl Pack<'_> {
    #[inline(always)]
    fn pack_planes<S: Simd>(&mut self, simd: S) {
        let shape = self.shape;
        let Stencil { rows: row_axis, cols: col_axis } = shape.stencil;
        let ((above, below), left) = (row_axis.halo(), shape.halo.1);
        let tile_rows = self.rows.len() + above + below;
        for plane in 0..shape.stencil.n_planes() {
            let (row_plane, col_plane) = shape.stencil.planes(plane);
            let start = plane * shape.plane_stride;
            for tile in self.tile.chunks_exact_mut(shape.channel_stride) {
                tile[start + tile_rows * shape.row_stride] = 0.0;
            }
            for index in 0..tile_rows {
                let at = start + index * shape.row_stride..start + (index + 1) * shape.row_stride;
                let row = (self.rows.start + index).wrapping_sub(above);
                let mut tiles = self.tile.chunks_exact_mut(shape.channel_stride).enumerate();
                if row >= shape.grid_height {
                    tiles.for_each(|(_, tile)| tile[at.clone()].fill(0.0));
                    continue;
                }
                let row = if row_axis.split == Split::EvenOdd { 2 * row + row_plane } else { row };
                for activation in self.input.activations() {
                    let (source, distance) = activation.row_on(row);
                    for (number, (channel, tile)) in tiles.by_ref().take(activation.channels()).enumerate() {
                        let target = inside(&mut tile[at.clone()], left, shape.grid_width);
                        let source = &source[number * distance..][..activation.layout().width];
                        match self.prologue {
                            _ if col_axis.split == Split::EvenOdd => take_phase(target, source, col_plane),
                            Prologue::Identity => copy(simd, target, source),
                            prologue => pack_rows(simd, target, self.input, prologue, channel, row),
                        }
                    }
                }
            }
        }
    }

    /// Combines every `N` input rows of a channel, of which neighbours share 2 `halo`, to `P` planes.
    #[inline(always)]
    fn pack_winograd<S: Simd, const N: usize, const P: usize>(
        &mut self,
        simd: S,
        halo: usize,
        combine: impl Fn([S::f32s; N]) -> [S::f32s; P] + Copy,
    ) {
        let (first, n_rows) = (ROWS * self.rows.start, ROWS * self.shape.grid_height);
        let input_row = |index: usize| {
            let row = (first + index).wrapping_sub(halo);
            (row < n_rows).then_some(row)
        };
        self.work[..self.shape.grid_width].fill(0.0);
        if matches!(self.prologue, Prologue::Identity) {
            self.combine_in_place(simd, input_row, combine);
        } else {
            self.combine_packed(simd, halo, input_row, combine);
        }
    }

    /// The rows of a channel are first packed side by side.
    #[inline(always)]
    fn combine_packed<S: Simd, const N: usize, const P: usize>(
        &mut self,
        simd: S,
        halo: usize,
        input_row: impl Fn(usize) -> Option<usize> + Copy,
        combine: impl Fn([S::f32s; N]) -> [S::f32s; P] + Copy,
    ) {
        let Self { shape, ref rows, input, prologue, .. } = *self;
        let (width, n_rows) = (shape.grid_width, rows.len());
        let (zeros, work) = self.work.split_at_mut(width);
        let work = &mut work[..(ROWS * n_rows + 2 * halo) * width];
        for (channel, tile) in self.tile.chunks_exact_mut(shape.channel_stride).enumerate() {
            pack_side_by_side(simd, work, input, prologue, channel, input_row);
            for index in 0..n_rows {
                let mut sources = [&*zeros; N];
                for (source, row) in sources.iter_mut().zip(work[ROWS * index * width..].chunks_exact(width)) {
                    *source = row;
                }
                combine_row(simd, shape, index, n_rows, sources, tile, combine);
            }
        }
    }

    /// The rows are combined where they stand.
    #[inline(always)]
    fn combine_in_place<S: Simd, const N: usize, const P: usize>(
        &mut self,
        simd: S,
        input_row: impl Fn(usize) -> Option<usize>,
        combine: impl Fn([S::f32s; N]) -> [S::f32s; P] + Copy,
    ) {
        let Self { shape, ref rows, input, .. } = *self;
        let (zeros, n_rows) = (&self.work[..shape.grid_width], rows.len());
        for index in 0..n_rows {
            let mut tiles = self.tile.chunks_exact_mut(shape.channel_stride);
            for activation in input.activations() {
                // Where the rows of the first channel are, and how far those of the next one.
                let mut places = [(zeros, 0); N];
                for (i, place) in places.iter_mut().enumerate() {
                    if let Some(row) = input_row(ROWS * index + i) {
                        *place = activation.row_on(row);
                    }
                }
                for (channel, tile) in tiles.by_ref().take(activation.channels()).enumerate() {
                    let mut sources = [zeros; N];
                    for (source, (values, distance)) in sources.iter_mut().zip(places) {
                        *source = &values[channel * distance..][..shape.grid_width];
                    }
                    combine_row(simd, shape, index, n_rows, sources, tile, combine);
                }
            }
        }
    }
}

/// Rows of a channel, one behind the other; those outside the image are zeros.
#[inline(always)]
fn pack_side_by_side<S: Simd>(
    simd: S,
    to: &mut [f32],
    input: Concat<'_>,
    prologue: Prologue<'_>,
    channel: usize,
    input_row: impl Fn(usize) -> Option<usize>,
) {
    let layout = input.first.layout();
    let (n, mut index) = (to.len() / layout.width, 0);
    while index < n {
        // Rows of one block are contiguous, and packed together.
        let together = input_row(index).map_or(1, |row| layout.block_rows(row / layout.rows).end - row);
        let end = n.min(index + together);
        let to = &mut to[index * layout.width..end * layout.width];
        match input_row(index) {
            Some(row) => pack_rows(simd, to, input, prologue, channel, row),
            None => to.fill(0.0),
        }
        index = end;
    }
}

/// Combines `N` input rows of a channel to grid row `index` of `n_rows` in its `P` planes.
#[inline(always)]
fn combine_row<S: Simd, const N: usize, const P: usize>(
    simd: S,
    shape: TileShape,
    index: usize,
    n_rows: usize,
    sources: [&[f32]; N],
    tile: &mut [f32],
    combine: impl Fn([S::f32s; N]) -> [S::f32s; P] + Copy,
) {
    let (left, width, stride) = (shape.halo.1, shape.grid_width, shape.row_stride);
    for plane in 0..P {
        let plane = &mut tile[plane * shape.plane_stride..];
        plane[n_rows * stride] = 0.0;
        inside(&mut plane[index * stride..][..stride], left, width);
    }
    let target = index * stride + left;
    for_each_vector::<S>(
        width,
        #[inline(always)]
        |at, valid, _| {
            let mut d = [simd.splat_f32s(0.0); N];
            for (d, source) in d.iter_mut().zip(sources) {
                *d = load_first(simd, source, at, valid);
            }
            for (plane, value) in combine(d).into_iter().enumerate() {
                store_first(simd, tile, plane * shape.plane_stride + target + at, valid, value);
            }
        },
    );
}

/// The part of a tile's row that holds pixels; clears the rest, and what else is in its lines.
#[inline(always)]
fn inside(row: &mut [f32], left: usize, width: usize) -> &mut [f32] {
    if let Some(before) = row.first_chunk_mut::<LINE>().filter(|_| left > 0) {
        *before = [0.0; LINE];
    }
    if left + width < row.len()
        && let Some(last) = row.last_chunk_mut::<LINE>()
    {
        *last = [0.0; LINE];
    }
    &mut row[left..left + width]
}

/// Every second value of `source`, beginning with `phase`.
#[inline(always)]
fn take_phase(target: &mut [f32], source: &[f32], phase: usize) {
    // Arrays become shuffles of vectors; a plain loop becomes gathers, which take several times as long.
    let ((targets, rest), (sources, last)) = (target.as_chunks_mut::<LINE>(), source.as_chunks::<{ 2 * LINE }>());
    for (to, from) in targets.iter_mut().zip(sources) {
        let (even, odd): ([f32; LINE], [f32; LINE]) = (from_fn(|i| from[2 * i]), from_fn(|i| from[2 * i + 1]));
        *to = if phase == 0 { even } else { odd };
    }
    rest.iter_mut().zip(last.iter().skip(phase).step_by(2)).for_each(|(to, &from)| *to = from);
}

/// to = f(from). A call to memcpy costs more than a row of a few vectors.
#[inline(always)]
fn map<S: Simd>(simd: S, to: &mut [f32], from: &[f32], f: impl Fn(S::f32s) -> S::f32s) {
    for_each_vector::<S>(
        to.len(),
        #[inline(always)]
        |at, valid, _| store_first(simd, to, at, valid, f(load_first(simd, from, at, valid))),
    );
}

#[inline(always)]
fn copy<S: Simd>(simd: S, to: &mut [f32], from: &[f32]) {
    map(
        simd,
        to,
        from,
        #[inline(always)]
        |x| x,
    );
}

/// As many rows of one block as `to` has room for, from `row` on.
#[inline(always)]
fn pack_rows<S: Simd>(simd: S, to: &mut [f32], input: Concat<'_>, prologue: Prologue<'_>, channel: usize, row: usize) {
    let (activation, own_channel) = input.channel(channel);
    let n_rows = to.len() / activation.layout().width;
    let from = activation.rows(own_channel, row, n_rows);
    match prologue {
        Prologue::Identity => copy(simd, to, from),
        Prologue::Norm { norm, silu: with_silu } => {
            let (scale, shift) = (simd.splat_f32s(norm.scale[channel]), simd.splat_f32s(norm.shift[channel]));
            if with_silu {
                map(
                    simd,
                    to,
                    from,
                    #[inline(always)]
                    |x| silu(simd, simd.mul_add_e_f32s(x, scale, shift)),
                );
            } else {
                map(
                    simd,
                    to,
                    from,
                    #[inline(always)]
                    |x| simd.mul_add_e_f32s(x, scale, shift),
                );
            }
        }
        Prologue::NormVjp(gradient, normalised) => {
            let (activation, own_channel) = normalised.channel(channel);
            let x = activation.rows(own_channel, row, n_rows);
            for_each_vector::<S>(
                to.len(),
                #[inline(always)]
                |at, valid, _| {
                    let (d_z, x) = (load_first(simd, from, at, valid), load_first(simd, x, at, valid));
                    store_first(simd, to, at, valid, gradient.apply(simd, channel, d_z, x));
                },
            );
        }
    }
}
