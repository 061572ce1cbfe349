//! The terms of a convolution along rows and along columns: inputs and factors.
//!
//! A convolution runs on a grid. Along each axis the input may be cut into planes, and the output is made of phases;
//! each phase is a sum of products of a plane, shifted on the grid, with a combination of the kernel's weights.
//!
//! - Stride 2 and nearest-neighbour doubling change the sampling rate by two. With the finer side split into even and
//!   odd, nothing is multiplied by inserted zeros, and pixels that doubling made equal are multiplied once, by the sum
//!   of their weights: a 3x3 convolution after doubling takes 16 products for 4 pixels in place of 36.
//! - Winograd's F(4, 3) gets four outputs of a 3-tap kernel from six products in place of twelve. Used along rows only,
//!   it keeps the columns contiguous for the vectors, and hardly adds to the rounding.
//!
//! `host/docs/convolution.md` follows one of 4 x 4 pixels through all of this.

use super::super::blocked::Blocked;
use super::winograd::{A, B, PLANES, POINT_PLANES, ROWS};
use crate::unet::operation::Sampling;

/// Most values of a kernel: 3 x 3.
pub(crate) const MAX_TAPS: usize = 9;

/// One neighbour along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Neighbour {
    plane: usize,
    /// Offset on the grid.
    delta: isize,
    /// (position in the kernel, factor): the weight is the sum.
    taps: &'static [(usize, f32)],
}

const fn n(plane: usize, delta: isize, taps: &'static [(usize, f32)]) -> Neighbour {
    Neighbour { plane, delta, taps }
}

/// The cut of the input into planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// One plane, the grid is the input's.
    Whole,
    /// Even and odd.
    EvenOdd,
    /// By [`super::winograd::planes`].
    Winograd,
    /// By [`super::winograd::point_planes`].
    WinogradPoint,
}

/// The way in which phases make the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// One phase, the grid is the output's.
    Whole,
    /// Even and odd.
    EvenOdd,
    /// By [`super::winograd::join`].
    Winograd,
}

/// A convolution along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    pub(crate) split: Split,
    pub(crate) merge: Merge,
    /// Products per grid point and input of the definition, which shares none.
    direct_products: usize,
    /// For each phase, the neighbours it sums over.
    phases: &'static [&'static [Neighbour]],
}

const ONE: [&[(usize, f32)]; 3] = [&[(0, 1.0)], &[(1, 1.0)], &[(2, 1.0)]];
const FIRST_TWO: &[(usize, f32)] = &[(0, 1.0), (1, 1.0)];
const LAST_TWO: &[(usize, f32)] = &[(1, 1.0), (2, 1.0)];
/// The kernel's value at a point of F(4, 3), with the factor that belongs to the point: -2/3 for a, 1/6 for b.
const fn at_point(point: f32, factor: f32) -> [(usize, f32); 3] {
    [(0, factor), (1, factor * point), (2, factor * point * point)]
}
const AT_A: &[(usize, f32)] = &at_point(A, -2.0 / 3.0);
const AT_MINUS_A: &[(usize, f32)] = &at_point(-A, -2.0 / 3.0);
const AT_B: &[(usize, f32)] = &at_point(B, 1.0 / 6.0);
const AT_MINUS_B: &[(usize, f32)] = &at_point(-B, 1.0 / 6.0);
/// The same for the kernel turned round.
const fn turned(taps: &[(usize, f32)]) -> [(usize, f32); 3] {
    [(2, taps[0].1), (1, taps[1].1), (0, taps[2].1)]
}

impl Axis {
    const fn new(split: Split, merge: Merge, direct_products: usize, phases: &'static [&'static [Neighbour]]) -> Self {
        Self { split, merge, direct_products, phases }
    }

    /// out[y] = sum_k w[k] in[y + k - 1].
    const SAME: Self =
        Self::new(Split::Whole, Merge::Whole, 3, &[&[n(0, -1, ONE[0]), n(0, 0, ONE[1]), n(0, 1, ONE[2])]]);
    const SAME_TRANSPOSED: Self =
        Self::new(Split::Whole, Merge::Whole, 3, &[&[n(0, -1, ONE[2]), n(0, 0, ONE[1]), n(0, 1, ONE[0])]]);
    /// The same two by F(4, 3).
    const WINOGRAD: Self = Self::new(
        Split::Winograd,
        Merge::Winograd,
        12,
        &[
            &[n(0, 0, ONE[0])],
            &[n(1, 0, AT_A)],
            &[n(2, 0, AT_MINUS_A)],
            &[n(3, 0, AT_B)],
            &[n(4, 0, AT_MINUS_B)],
            &[n(5, 0, ONE[2])],
        ],
    );
    const WINOGRAD_TRANSPOSED: Self = Self::new(
        Split::Winograd,
        Merge::Winograd,
        12,
        &[
            &[n(0, 0, ONE[2])],
            &[n(1, 0, &turned(AT_A))],
            &[n(2, 0, &turned(AT_MINUS_A))],
            &[n(3, 0, &turned(AT_B))],
            &[n(4, 0, &turned(AT_MINUS_B))],
            &[n(5, 0, ONE[0])],
        ],
    );
    /// out[y] = w in[y], its own transpose.
    const POINT: Self = Self::new(Split::Whole, Merge::Whole, 1, &[&[n(0, 0, ONE[0])]]);
    /// The same, to be merged with F(4, 3).
    const POINT_WINOGRAD: Self = Self::new(
        Split::WinogradPoint,
        Merge::Winograd,
        4,
        &[&[n(0, 0, ONE[0])], &[n(1, 0, ONE[0])], &[n(2, 0, ONE[0])], &[], &[], &[n(3, 0, ONE[0])]],
    );
    /// out[y] = sum_k w[k] in[2 y + k - 1].
    const DOWN: Self =
        Self::new(Split::EvenOdd, Merge::Whole, 3, &[&[n(1, -1, ONE[0]), n(1, 0, ONE[2]), n(0, 0, ONE[1])]]);
    const DOWN_TRANSPOSED: Self =
        Self::new(Split::Whole, Merge::EvenOdd, 3, &[&[n(0, 0, ONE[1])], &[n(0, 0, ONE[2]), n(0, 1, ONE[0])]]);
    /// out[y] = sum_k w[k] in[floor((y + k - 1) / 2)].
    const UP: Self = Self::new(
        Split::Whole,
        Merge::EvenOdd,
        6,
        &[&[n(0, -1, ONE[0]), n(0, 0, LAST_TWO)], &[n(0, 0, FIRST_TWO), n(0, 1, ONE[2])]],
    );
    const UP_TRANSPOSED: Self = Self::new(
        Split::EvenOdd,
        Merge::Whole,
        6,
        &[&[n(1, -1, ONE[2]), n(0, 0, LAST_TWO), n(1, 0, FIRST_TWO), n(0, 1, ONE[0])]],
    );

    fn n_planes(&self) -> usize {
        match self.split {
            Split::Whole => 1,
            Split::EvenOdd => 2,
            Split::Winograd => PLANES,
            Split::WinogradPoint => POINT_PLANES,
        }
    }

    /// Output pixels per grid point.
    pub(crate) fn upscale(&self) -> usize {
        match self.merge {
            Merge::Whole => 1,
            Merge::EvenOdd => 2,
            Merge::Winograd => ROWS,
        }
    }

    /// Grid points needed before and behind each end.
    pub(crate) fn halo(&self) -> (usize, usize) {
        let deltas = || self.phases.iter().flat_map(|phase| phase.iter().map(|neighbour| neighbour.delta));
        let before = deltas().min().unwrap_or(0).min(0).unsigned_abs();
        (before, deltas().max().unwrap_or(0).max(0).unsigned_abs())
    }
}

/// A convolution along both axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stencil {
    pub(crate) rows: Axis,
    pub(crate) cols: Axis,
}

impl Stencil {
    const fn square(axis: Axis) -> Self {
        Self { rows: axis, cols: axis }
    }

    pub(crate) const SAME: Self = Self::square(Axis::SAME);
    pub(crate) const SAME_TRANSPOSED: Self = Self::square(Axis::SAME_TRANSPOSED);
    pub(crate) const WINOGRAD: Self = Self { rows: Axis::WINOGRAD, cols: Axis::SAME };
    pub(crate) const WINOGRAD_TRANSPOSED: Self = Self { rows: Axis::WINOGRAD_TRANSPOSED, cols: Axis::SAME_TRANSPOSED };
    pub(crate) const POINT: Self = Self::square(Axis::POINT);
    pub(crate) const POINT_WINOGRAD: Self = Self { rows: Axis::POINT_WINOGRAD, cols: Axis::POINT };
    pub(crate) const DOWN: Self = Self::square(Axis::DOWN);
    pub(crate) const DOWN_TRANSPOSED: Self = Self::square(Axis::DOWN_TRANSPOSED);
    pub(crate) const UP: Self = Self::square(Axis::UP);
    pub(crate) const UP_TRANSPOSED: Self = Self::square(Axis::UP_TRANSPOSED);

    /// A convolution with output of this layout, and the transpose of one with input of this layout.
    pub(crate) fn pair(sampling: Sampling, layout: Blocked) -> (Self, Self) {
        match sampling {
            Sampling::Point => (Self::POINT, Self::POINT),
            Sampling::Down => (Self::DOWN, Self::DOWN_TRANSPOSED),
            Sampling::Up => (Self::UP, Self::UP_TRANSPOSED),
            Sampling::Same if takes_rows_in_fours(layout) => (Self::WINOGRAD, Self::WINOGRAD_TRANSPOSED),
            Sampling::Same => (Self::SAME, Self::SAME_TRANSPOSED),
        }
    }

    /// A 1x1 convolution that is added to a 3x3 one with output of this layout.
    pub(crate) fn shortcut(output: Blocked) -> Self {
        if takes_rows_in_fours(output) { Self::POINT_WINOGRAD } else { Self::POINT }
    }

    /// Planes of both axes together.
    pub(crate) fn n_planes(&self) -> usize {
        self.rows.n_planes() * self.cols.n_planes()
    }

    /// The plane along rows and the plane along columns of plane `plane`.
    pub(crate) fn planes(&self, plane: usize) -> (usize, usize) {
        (plane / self.cols.n_planes(), plane % self.cols.n_planes())
    }

    /// Phases of both axes together; phase = row phase times phases of a row, plus column phase.
    pub(crate) fn n_phases(&self) -> usize {
        self.rows.phases.len() * self.cols.phases.len()
    }

    /// Products per grid point, input and output of the definition.
    pub(crate) fn direct_products(&self) -> usize {
        self.rows.direct_products * self.cols.direct_products
    }

    /// Output pixels per grid point.
    pub(crate) fn pixels_per_point(&self) -> usize {
        self.rows.upscale() * self.cols.upscale()
    }

    /// The products of phase `phase`.
    pub(crate) fn products(&self, phase: usize) -> impl Iterator<Item = Product> + use<> {
        let (col_phases, col_planes) = (self.cols.phases.len(), self.cols.n_planes());
        let (rows, cols) = (self.rows.phases[phase / col_phases], self.cols.phases[phase % col_phases]);
        rows.iter().flat_map(move |row| {
            cols.iter().map(move |col| Product {
                plane: row.plane * col_planes + col.plane,
                delta: (row.delta, col.delta),
                row_taps: row.taps,
                col_taps: col.taps,
            })
        })
    }
}

/// True if 3x3 convolutions at this layout can compute rows four by four.
fn takes_rows_in_fours(layout: Blocked) -> bool {
    layout.rows.is_multiple_of(ROWS) && layout.height.is_multiple_of(ROWS)
}

/// One product: an input plane, its shift on the grid, and the combination of kernel weights it is multiplied by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) plane: usize,
    pub(crate) delta: (isize, isize),
    row_taps: &'static [(usize, f32)],
    col_taps: &'static [(usize, f32)],
}

impl Product {
    /// The weights of `N` kernels of `side` x `side`, `kernels[position]`.
    pub(crate) fn weights<const N: usize>(&self, side: usize, kernels: &[[f32; N]; MAX_TAPS]) -> [f32; N] {
        let mut weights = [0.0; N];
        for (tap, factor) in self.taps(side) {
            weights.iter_mut().zip(kernels[tap]).for_each(|(weight, kernel)| *weight += factor * kernel);
        }
        weights
    }

    /// The transpose of [`Product::weights`]: adds to each position of the kernels its share of `weights`.
    pub(crate) fn spread<const N: usize>(&self, side: usize, weights: [f32; N], kernels: &mut [[f32; N]; MAX_TAPS]) {
        for (tap, factor) in self.taps(side) {
            kernels[tap].iter_mut().zip(weights).for_each(|(kernel, weight)| *kernel += factor * weight);
        }
    }

    /// The positions in a kernel that this product combines, with their factors.
    fn taps(&self, side: usize) -> impl Iterator<Item = (usize, f32)> {
        let in_row = move |&(row, row_factor): &'static (usize, f32)| {
            self.col_taps.iter().map(move |&(col, col_factor)| (row * side + col, row_factor * col_factor))
        };
        self.row_taps.iter().flat_map(in_row)
    }
}
