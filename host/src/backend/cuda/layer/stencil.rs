//! Rows and columns that convolutions read, for their kernels and for what packs their weights.

use std::ops::Range;

/// A convolution in space, or the transpose of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stencil {
    /// 3x3.
    Same,
    /// Its transpose.
    SameTransposed,
    /// 1x1, which in space is its own transpose.
    Point,
    /// 3x3 with stride 2.
    Down,
    /// Its transpose.
    DownTransposed,
    /// Nearest-neighbour doubling, then 3x3.
    Up,
    /// Its transpose.
    UpTransposed,
}

impl Stencil {
    /// Rows and columns of the kernel.
    pub(super) fn side(self) -> usize {
        if self == Self::Point { 1 } else { 3 }
    }

    /// (taps per side, phases per side).
    pub(super) fn shape(self) -> (usize, usize) {
        match self {
            Self::Point => (1, 1),
            Self::Same | Self::SameTransposed | Self::Down => (3, 1),
            Self::DownTransposed | Self::Up => (2, 2),
            Self::UpTransposed => (4, 1),
        }
    }

    /// Place of the first tap, and what each phase adds to it.
    pub(super) fn first_tap(self) -> (i32, i32) {
        match self {
            Self::Point | Self::DownTransposed => (0, 0),
            Self::Up => (-1, 1),
            Self::Same | Self::SameTransposed | Self::Down | Self::UpTransposed => (-1, 0),
        }
    }

    /// Rows of the 3x3 kernel that tap `tap` of phase `phase` adds up; columns likewise.
    ///
    /// Up: fine row 2r meets the coarse rows r-1, r, r and 2r+1 meets r, r, r+1. So coarse row R meets the fine rows
    /// 2R-1, ..., 2R+2 with the kernel's rows 2; 1 and 2; 0 and 1; 0. Down: output row r meets 2r-1, 2r, 2r+1; so input
    /// row 2g meets g with row 1, and 2g+1 meets g with row 2 and g+1 with row 0.
    pub(super) fn kernel_rows(self, phase: usize, tap: usize) -> Range<usize> {
        match (self, phase, tap) {
            (Self::SameTransposed, _, tap) => 2 - tap..3 - tap,
            (Self::DownTransposed, 0, 0) => 1..2,
            (Self::DownTransposed, 0, _) => 0..0,
            (Self::DownTransposed, _, 0) | (Self::UpTransposed, _, 0) | (Self::Up, 1, 1) => 2..3,
            (Self::Up, 0, 1) | (Self::UpTransposed, _, 1) => 1..3,
            (Self::Up, 1, 0) | (Self::UpTransposed, _, 2) => 0..2,
            (Self::DownTransposed | Self::Up | Self::UpTransposed, ..) => 0..1,
            (Self::Same | Self::Point | Self::Down, _, tap) => tap..tap + 1,
        }
    }
}
