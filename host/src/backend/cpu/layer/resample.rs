//! Which stencils a layer's convolution runs with, forward and backward: stride 2 down, nearest-neighbour doubling up, or
//! neither, and then by rows or by fours of rows.

use super::super::blocked::Blocked;
use super::conv::PackedConv;
use super::stencil::Stencil;
use super::winograd::ROWS;
use crate::unet::layers::LayerKind;

/// A convolution and its transpose.
#[derive(Debug, Clone)]
pub(crate) struct ConvPair {
    pub(crate) forward: PackedConv,
    pub(crate) transposed: PackedConv,
}

impl ConvPair {
    /// Packs `weights[out][in][3][3]` for a layer of kind `kind` whose output has layout `output`.
    pub(crate) fn new(kind: LayerKind, output: Blocked, n_in: usize, weights: &[f32]) -> Self {
        Self::with_stencils(stencils(kind, output), output.channels, n_in, 3, weights)
    }

    /// A 1x1 convolution.
    pub(crate) fn point(n_out: usize, n_in: usize, weights: &[f32]) -> Self {
        Self::with_stencils((Stencil::POINT, Stencil::POINT), n_out, n_in, 1, weights)
    }

    fn with_stencils(pair: (Stencil, Stencil), n_out: usize, n_in: usize, side: usize, weights: &[f32]) -> Self {
        Self {
            forward: PackedConv::forward(pair.0, n_out, n_in, side, weights),
            transposed: PackedConv::transposed(pair.1, 0..n_in, (n_out, n_in), side, weights),
        }
    }
}

/// The stencil of a 3x3 convolution in a layer of kind `kind` whose output has layout `output`, and its transpose.
pub(crate) fn stencils(kind: LayerKind, output: Blocked) -> (Stencil, Stencil) {
    match kind {
        LayerKind::Down => (Stencil::DOWN, Stencil::DOWN_TRANSPOSED),
        LayerKind::Up => (Stencil::UP, Stencil::UP_TRANSPOSED),
        _ if takes_rows_in_fours(output) => (Stencil::WINOGRAD, Stencil::WINOGRAD_TRANSPOSED),
        _ => (Stencil::SAME, Stencil::SAME_TRANSPOSED),
    }
}

/// Whether 3x3 convolutions at this layout can compute rows four by four.
fn takes_rows_in_fours(layout: Blocked) -> bool {
    layout.rows.is_multiple_of(ROWS) && layout.height.is_multiple_of(ROWS)
}

/// The stencil of a 1x1 convolution that is added to a 3x3 one with output of this layout.
pub(crate) fn shortcut_stencil(output: Blocked) -> Stencil {
    if takes_rows_in_fours(output) { Stencil::POINT_WINOGRAD } else { Stencil::POINT }
}
