//! What a convolution reads: which planes of the input, which neighbours, which weights, for each phase of the output.
//!
//! Stride 2 and nearest-neighbour doubling change the sampling rate by two. Splitting the finer grid into its four
//! phases (even and odd rows and columns) makes every convolution here a sum over neighbours on the coarser grid:
//! nothing is multiplied by inserted zeros, and pixels that doubling made equal are multiplied once, by the sum of their
//! weights. A 3x3 convolution after doubling so takes 16 products for 4 pixels in place of 36.

/// One neighbour along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Neighbour {
    /// Phase of the input that is read: 0 even, 1 odd, 0 where the input is not split.
    plane: usize,
    /// Offset on the coarser grid.
    delta: isize,
    /// Positions of the 3-tap (or 1-tap) kernel whose weights apply, added up.
    taps: &'static [usize],
}

const fn n(plane: usize, delta: isize, taps: &'static [usize]) -> Neighbour {
    Neighbour { plane, delta, taps }
}

/// A convolution along one axis: for each phase of the output, the neighbours it sums over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stencil {
    /// Input phases per axis, 1 or 2.
    planes: usize,
    phases: &'static [&'static [Neighbour]],
}

impl Stencil {
    /// out[y] = sum_k w[k] in[y + k - 1].
    pub(crate) const SAME: Self = Self { planes: 1, phases: &[&[n(0, -1, &[0]), n(0, 0, &[1]), n(0, 1, &[2])]] };
    /// Transpose of [`Stencil::SAME`].
    pub(crate) const SAME_TRANSPOSED: Self =
        Self { planes: 1, phases: &[&[n(0, -1, &[2]), n(0, 0, &[1]), n(0, 1, &[0])]] };
    /// out[y] = w in[y], its own transpose.
    pub(crate) const POINT: Self = Self { planes: 1, phases: &[&[n(0, 0, &[0])]] };
    /// out[y] = sum_k w[k] in[2 y + k - 1].
    pub(crate) const DOWN: Self = Self { planes: 2, phases: &[&[n(1, -1, &[0]), n(0, 0, &[1]), n(1, 0, &[2])]] };
    /// Transpose of [`Stencil::DOWN`].
    pub(crate) const DOWN_TRANSPOSED: Self =
        Self { planes: 1, phases: &[&[n(0, 0, &[1])], &[n(0, 0, &[2]), n(0, 1, &[0])]] };
    /// out[y] = sum_k w[k] in[floor((y + k - 1) / 2)].
    pub(crate) const UP: Self =
        Self { planes: 1, phases: &[&[n(0, -1, &[0]), n(0, 0, &[1, 2])], &[n(0, 0, &[0, 1]), n(0, 1, &[2])]] };
    /// Transpose of [`Stencil::UP`].
    pub(crate) const UP_TRANSPOSED: Self =
        Self { planes: 2, phases: &[&[n(1, -1, &[2]), n(0, 0, &[1, 2]), n(1, 0, &[0, 1]), n(0, 1, &[0])]] };

    /// Input phases of the two axes together: 1 or 4.
    pub(crate) fn n_planes(&self) -> usize {
        self.planes * self.planes
    }

    /// Output phases along one axis: 1 or 2. The output is this much finer than the grid the stencil runs on.
    pub(crate) fn upscale(&self) -> usize {
        self.phases.len()
    }

    /// Input pixels per grid point along one axis: 1 or 2.
    pub(crate) fn downscale(&self) -> usize {
        self.planes
    }

    /// Grid points needed before and behind each end of an axis.
    pub(crate) fn halo(&self) -> (usize, usize) {
        let deltas = || self.phases.iter().flat_map(|phase| phase.iter().map(|neighbour| neighbour.delta));
        let before = deltas().min().unwrap_or(0).min(0).unsigned_abs();
        (before, deltas().max().unwrap_or(0).max(0).unsigned_abs())
    }

    /// The products of output phase `phase` (row phase times [`Stencil::upscale`] plus column phase).
    pub(crate) fn products(&self, phase: usize) -> impl Iterator<Item = Product> + use<> {
        let (upscale, planes) = (self.upscale(), self.planes);
        let (rows, cols) = (self.phases[phase / upscale], self.phases[phase % upscale]);
        rows.iter().flat_map(move |row| {
            cols.iter().map(move |col| Product {
                plane: row.plane * planes + col.plane,
                delta: (row.delta, col.delta),
                row_taps: row.taps,
                col_taps: col.taps,
            })
        })
    }

    /// Output phases of the two axes together: 1 or 4.
    pub(crate) fn n_phases(&self) -> usize {
        self.upscale() * self.upscale()
    }
}

/// One product of a two-dimensional stencil: input plane, offset on the grid, and the kernel positions whose sum is the weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) plane: usize,
    pub(crate) delta: (isize, isize),
    row_taps: &'static [usize],
    col_taps: &'static [usize],
}

impl Product {
    /// The kernel positions (row, column) that are added up.
    pub(crate) fn taps(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let cols = self.col_taps;
        self.row_taps.iter().flat_map(move |&row| cols.iter().map(move |&col| (row, col)))
    }
}
