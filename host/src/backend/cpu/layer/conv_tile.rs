//! Packing: copies the rows that a task of a convolution reads into its scratch tile, zero-padded, and applies on the
//! way whatever comes before the convolution.

use super::super::blocked::Concat;
use super::super::simd::{for_each_vector, load_first, store_first};
use super::group_norm::{InputGradient, Normalisation};
use super::silu::silu;
use super::stencil::Stencil;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// What happens to an activation before it is convolved.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prologue<'a> {
    /// Nothing.
    Identity,
    /// Group normalisation.
    Norm(&'a Normalisation),
    /// Group normalisation, then SiLU.
    NormSilu(&'a Normalisation),
    /// The vjp of a group normalisation of the activation named: d_x = p d_z + q x + r.
    NormVjp(&'a InputGradient, Concat<'a>),
}

/// Geometry of a tile: `[channel][plane][row][col]` with a halo, over the grid of a stencil.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TileShape {
    stencil: Stencil,
    /// Grid rows and columns of the whole image.
    grid_height: usize,
    grid_width: usize,
    /// Distance between rows.
    pub(crate) row_stride: usize,
    /// Distance between planes.
    plane_stride: usize,
    /// Distance between channels.
    pub(crate) channel_stride: usize,
}

impl TileShape {
    /// Values behind the last row of a plane that a vector may read; they only reach lanes that are not stored.
    const SLACK: usize = 16;

    /// Tiles of up to `rows` grid rows.
    pub(crate) fn new(stencil: Stencil, grid_height: usize, grid_width: usize, rows: usize) -> Self {
        let (before, behind) = stencil.halo();
        let row_stride = grid_width + before + behind;
        let plane_stride = (rows + before + behind) * row_stride + Self::SLACK;
        let channel_stride = stencil.n_planes() * plane_stride;
        Self { stencil, grid_height, grid_width, row_stride, plane_stride, channel_stride }
    }

    /// Where in a channel's planes the product with `plane` and `delta` finds grid point (0, 0) of the task.
    pub(crate) fn offset(&self, plane: usize, delta: (isize, isize)) -> usize {
        let (before, _) = self.stencil.halo();
        let shift = |delta: isize| before.saturating_add_signed(delta);
        plane * self.plane_stride + shift(delta.0) * self.row_stride + shift(delta.1)
    }
}

/// Fills `tile` with the rows around grid rows `rows`.
pub(crate) struct Pack<'a> {
    pub(crate) shape: TileShape,
    pub(crate) rows: Range<usize>,
    pub(crate) input: Concat<'a>,
    pub(crate) prologue: Prologue<'a>,
    pub(crate) tile: &'a mut [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let (before, behind) = shape.stencil.halo();
        let tile_rows = self.rows.len() + before + behind;
        for (channel, tile) in self.tile.chunks_exact_mut(shape.channel_stride).enumerate() {
            for (plane, tile) in tile.chunks_exact_mut(shape.plane_stride).enumerate() {
                for (index, target) in tile.chunks_exact_mut(shape.row_stride).take(tile_rows).enumerate() {
                    let row = (self.rows.start + index).wrapping_sub(before);
                    if row >= shape.grid_height {
                        target.fill(0.0);
                        continue;
                    }
                    target[..before].fill(0.0);
                    target[before + shape.grid_width..].fill(0.0);
                    let target = &mut target[before..before + shape.grid_width];
                    if shape.stencil.downscale() == 2 {
                        let (view, channel) = self.input.channel(channel);
                        take_phase(target, view.row(channel, 2 * row + plane / 2), plane % 2);
                    } else {
                        pack_row(simd, target, self.input, self.prologue, channel, row);
                    }
                }
            }
        }
    }
}

/// Every second value of `source`, beginning with `phase`.
#[inline(always)]
fn take_phase(target: &mut [f32], source: &[f32], phase: usize) {
    for (to, pair) in target.iter_mut().zip(source.chunks_exact(2)) {
        *to = if phase == 0 { pair[0] } else { pair[1] };
    }
}

#[inline(always)]
fn pack_row<S: Simd>(simd: S, to: &mut [f32], input: Concat<'_>, prologue: Prologue<'_>, channel: usize, row: usize) {
    let (view, view_channel) = input.channel(channel);
    let from = view.row(view_channel, row);
    let n = to.len();
    match prologue {
        Prologue::Identity => to.copy_from_slice(from),
        Prologue::Norm(norm) => {
            let (scale, shift) = (simd.splat_f32s(norm.scale[channel]), simd.splat_f32s(norm.shift[channel]));
            for_each_vector::<S>(
                n,
                #[inline(always)]
                |at, valid, _| {
                    let z = simd.mul_add_e_f32s(load_first(simd, from, at, valid), scale, shift);
                    store_first(simd, to, at, valid, z);
                },
            );
        }
        Prologue::NormSilu(norm) => {
            let (scale, shift) = (simd.splat_f32s(norm.scale[channel]), simd.splat_f32s(norm.shift[channel]));
            for_each_vector::<S>(
                n,
                #[inline(always)]
                |at, valid, _| {
                    let z = simd.mul_add_e_f32s(load_first(simd, from, at, valid), scale, shift);
                    store_first(simd, to, at, valid, silu(simd, z));
                },
            );
        }
        Prologue::NormVjp(gradient, normalised) => {
            let (view, view_channel) = normalised.channel(channel);
            let x = view.row(view_channel, row);
            for_each_vector::<S>(
                n,
                #[inline(always)]
                |at, valid, _| {
                    let (d_z, x) = (load_first(simd, from, at, valid), load_first(simd, x, at, valid));
                    store_first(simd, to, at, valid, gradient.apply(simd, channel, d_z, x));
                },
            );
        }
    }
}
