//! Convolutions with what surrounds them; the sum and its cases are in conv.cu, its products on tensor cores in
//! conv_tensor.cu.

use super::Concat;
pub use super::conv_pack::{PackedConv, Packer};
pub use super::stencil::Stencil;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::products::Products;
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::conv::{
    self, Convolution, Down, LARGE, MEDIUM, NormOfOutput, Phases, PhasesSmall, Point, PointLarge, PointSmall, SMALL,
    Same, SameLarge, SameSmall, Tile, UpVjp,
};
use gradus_cuda_kernels::{Address, conv_tensor as tensor};

/// Work on the input on its way in.
#[derive(Debug, Clone, Copy)]
pub enum Prologue {
    /// Nothing.
    Identity,
    /// z = scale x + shift.
    Norm(Address<[f32; 4]>),
    /// silu(z).
    NormSilu(Address<[f32; 4]>),
    /// p d_z + q x + r, with the tensor x that was normalised.
    NormVjp(Address<[f32; 4]>, Address<f32>),
}

/// Work on the sums on their way out.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue {
    /// Added to all pixels of a channel.
    pub bias: Address<f32>,
    /// Added likewise, per lane; with the distance from lane to lane.
    pub lane_shift: (Address<f32>, usize),
    /// Added pixel by pixel; or with `behind` or `norm_vjp` what the norm read.
    pub side: Concat,
    /// The norm that the sums are the gradient behind, as (scale, shift, ...), and whether a SiLU, whose vjp they pass,
    /// is between; null for none.
    pub behind: (Address<[f32; 4]>, bool),
    /// The vjp of a norm is added.
    pub norm_vjp: Option<NormVjp>,
    /// True if the result is added to what is there.
    pub accumulate: bool,
    /// The norm that sums up the output.
    pub norm: NormOfOutput,
}

/// p d_z + q x + r for some channels of a norm.
#[derive(Debug, Clone, Copy)]
pub struct NormVjp {
    /// (p, q, r, 0).
    pub gradient: Address<[f32; 4]>,
    /// Of all channels of the norm.
    pub d_z: Address<f32>,
    /// Channels of the norm, and the first of those that are outputs.
    pub channels: (usize, usize),
}

impl Epilogue {
    /// The sums as they are.
    pub const STORE: Self = Self {
        bias: Address::NULL,
        lane_shift: (Address::NULL, 0),
        side: Concat::NONE,
        behind: (Address::NULL, false),
        norm_vjp: None,
        accumulate: false,
        norm: NormOfOutput::NONE,
    };
}

/// Blocks that fill a large device.
const FULL: usize = 128;

/// One convolution to launch.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The weights.
    pub weights: &'a PackedConv,
    /// The input that they act on.
    pub input: Concat,
    /// (rows, columns) of the input and of the output.
    pub sizes: [(usize, usize); 2],
    /// On the way in.
    pub prologue: Prologue,
    /// On the way out.
    pub epilogue: Epilogue,
    /// A 1x1 convolution of other tensors, whose sums are added; beside a 3x3 only.
    pub shortcut: Option<(&'a PackedConv, Concat)>,
    /// Written: `[lane][channel][row][col]`.
    pub out: Address<f32>,
}

impl Pass<'_> {
    /// Launches the convolution for the given lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Panics
    /// When the input has not the channels of the weights, or passes the vjp of a norm where the kernel cannot.
    pub fn run(&self, device: &Device, lanes: &Lanes) -> Result<(), DeviceError> {
        let Self { weights, input, .. } = self;
        assert_eq!(input.channels(), weights.n_in, "channels of the input");
        let strides = matches!(weights.stencil, Stencil::Down | Stencil::UpTransposed);
        assert!(!strides || !matches!(self.prologue, Prologue::NormVjp(..)), "a norm's vjp before a stride of 2");
        let (at, tile) = (self.record(lanes)?, self.tile());
        let (_, phases) = weights.stencil.shape();
        let (tiles, blocks) = self.blocks(tile);
        let grid = [tiles, blocks * phases * phases, lanes.len()];
        match weights.products {
            Products::MultiplyAdds => self.by_multiply_adds(device, (grid, tile), at),
            _ => self.on_tensor_cores(device, (grid, tile), at),
        }
    }

    fn by_multiply_adds(
        &self,
        device: &Device,
        (grid, tile): ([usize; 3], Tile),
        at: Convolution,
    ) -> Result<(), DeviceError> {
        let (threads, is_small, is_large) = (tile.threads, tile == SMALL, tile == LARGE);
        match self.weights.stencil {
            Stencil::Same | Stencil::SameTransposed if is_small => device.launch(grid, threads, &SameSmall { at }),
            Stencil::Same | Stencil::SameTransposed if is_large => device.launch(grid, threads, &SameLarge { at }),
            Stencil::Same | Stencil::SameTransposed => device.launch(grid, threads, &Same { at }),
            Stencil::Point if is_small => device.launch(grid, threads, &PointSmall { at }),
            Stencil::Point if is_large => device.launch(grid, threads, &PointLarge { at }),
            Stencil::Point => device.launch(grid, threads, &Point { at }),
            Stencil::Down => device.launch(grid, threads, &Down { at }),
            Stencil::DownTransposed | Stencil::Up if is_small => device.launch(grid, threads, &PhasesSmall { at }),
            Stencil::DownTransposed | Stencil::Up => device.launch(grid, threads, &Phases { at }),
            Stencil::UpTransposed => device.launch(grid, threads, &UpVjp { at }),
        }
    }

    fn on_tensor_cores(
        &self,
        device: &Device,
        (grid, tile): ([usize; 3], Tile),
        at: Convolution,
    ) -> Result<(), DeviceError> {
        let (is_point, is_large) = (self.weights.stencil == Stencil::Point, tile == tensor::LARGE);
        let threads = tile.threads;
        match (self.weights.products == Products::Compensated, is_point, is_large) {
            (true, false, false) => device.launch(grid, threads, &tensor::Same { at }),
            (true, false, true) => device.launch(grid, threads, &tensor::SameLarge { at }),
            (true, true, false) => device.launch(grid, threads, &tensor::Point { at }),
            (true, true, true) => device.launch(grid, threads, &tensor::PointLarge { at }),
            (false, false, false) => device.launch(grid, threads, &tensor::SameTf32 { at }),
            (false, false, true) => device.launch(grid, threads, &tensor::SameLargeTf32 { at }),
            (false, true, false) => device.launch(grid, threads, &tensor::PointTf32 { at }),
            (false, true, true) => device.launch(grid, threads, &tensor::PointLargeTf32 { at }),
        }
    }

    /// Tiles of a lane, each of which leaves sums for a norm.
    #[must_use]
    pub fn n_tiles(&self) -> usize {
        let (_, phases) = self.weights.stencil.shape();
        self.blocks(self.tile()).0 * phases * phases
    }

    /// The tile of a block: by the size of the layer and nothing else, because sums depend on it, and an image's must
    /// not on how many there are. Small tiles, where others would be fewer than multiprocessors; several eights of
    /// outputs, which share what is staged, where there are more than enough.
    fn tile(&self) -> Tile {
        let stencil = self.weights.stencil;
        let (_, phases) = stencil.shape();
        let blocks = |tile: Tile| self.blocks(tile).0 * self.blocks(tile).1 * phases * phases;
        if self.weights.products != Products::MultiplyAdds {
            // Fewer are enough, because a block on tensor cores computes for a small part of its time.
            return if blocks(tensor::LARGE) >= FULL / 2 { tensor::LARGE } else { tensor::SMALL };
        }
        let has_small = !matches!(stencil, Stencil::Down | Stencil::UpTransposed);
        let has_large = matches!(stencil, Stencil::Same | Stencil::SameTransposed | Stencil::Point);
        if has_small && blocks(MEDIUM) < FULL {
            SMALL
        } else if has_large && self.weights.n_padded.is_multiple_of(LARGE.outputs) && blocks(LARGE) >= 2 * FULL {
            LARGE
        } else {
            MEDIUM
        }
    }

    /// Tiles of a lane and a phase, and blocks that share the outputs of each.
    fn blocks(&self, tile: Tile) -> (usize, usize) {
        let (_, phases) = self.weights.stencil.shape();
        let (rows, cols) = (self.sizes[1].0 / phases, self.sizes[1].1 / phases);
        let tiles = rows.div_ceil(tile.sides.0) * cols.div_ceil(tile.sides.1);
        (tiles, self.weights.n_out.div_ceil(tile.outputs))
    }

    fn record(&self, lanes: &Lanes) -> Result<Convolution, DeviceError> {
        let Self { weights, input, sizes: [from, to], prologue, epilogue, shortcut, out } = self;
        let (prologue, affine, normalised) = match *prologue {
            Prologue::Identity => (conv::prologue::IDENTITY, Address::NULL, Address::NULL),
            Prologue::Norm(affine) => (conv::prologue::NORM, affine, Address::NULL),
            Prologue::NormSilu(affine) => (conv::prologue::NORM_SILU, affine, Address::NULL),
            Prologue::NormVjp(gradient, x) => (conv::prologue::NORM_VJP, gradient, x),
        };
        let (first_tap, first_tap_per_phase) = weights.stencil.first_tap();
        let bit = |set: bool, bit: i32| if set { bit } else { 0 };
        let (behind, has_silu) = epilogue.behind;
        let (gradient, d_z, channels) =
            epilogue.norm_vjp.map_or((Address::NULL, Address::NULL, (0, 0)), |of| (of.gradient, of.d_z, of.channels));
        let (more_weights, more) = shortcut.map_or((Address::NULL, Concat::NONE), |(w, x)| (w.weights.address(), x));
        Ok(Convolution {
            lanes: lanes.address(),
            input: input.first.0,
            second: input.second.0,
            normalised,
            affine,
            weights: weights.weights.address(),
            bias: epilogue.bias,
            lane_shift: epilogue.lane_shift.0,
            side: epilogue.side.first.0,
            side_second: epilogue.side.second.0,
            side_affine: if behind.is_null() { gradient } else { behind },
            d_z,
            out: *out,
            more: more.first.0,
            more_second: more.second.0,
            more_weights,
            norm: epilogue.norm,
            n_first: int(input.first.1)?,
            n_in: int(weights.n_in)?,
            in_height: int(from.0)?,
            in_width: int(from.1)?,
            n_out: int(weights.n_out)?,
            n_padded: int(weights.n_padded)?,
            out_height: int(to.0)?,
            out_width: int(to.1)?,
            first_tap,
            first_tap_per_phase,
            lane_shift_stride: int(epilogue.lane_shift.1)?,
            n_side_first: int(epilogue.side.first.1)?,
            prologue,
            epilogue: bit(epilogue.accumulate, conv::epilogue::ACCUMULATE)
                | bit(!behind.is_null(), conv::epilogue::NORM_SUMS)
                | bit(!behind.is_null() && has_silu, conv::epilogue::SILU_VJP)
                | bit(!gradient.is_null(), conv::epilogue::NORM_INPUT),
            n_norm: int(channels.0)?,
            first_of_norm: int(channels.1)?,
            n_more_first: int(more.first.1)?,
            n_more: int(more.channels())?,
        })
    }
}
