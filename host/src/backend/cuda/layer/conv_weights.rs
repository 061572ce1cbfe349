//! Gradients of a convolution's weights and bias; the sums and how they are split are in conv_weights.cu.
//!
//! How many blocks share a sum depends on its size only, not on the device: the same bits everywhere.

use super::Concat;
use super::conv::Stencil;
use crate::backend::Precision;
use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::conv_weights::{
    CHANNELS, Down, FINISHED, Finish, Operand, Point, SHARED, Same, Sums, Up, WeightFinish, WeightGradient,
};
use gradus_cuda_kernels::{Address, BLOCK, conv_weights_tf32 as tf32};
use std::rc::Rc;

const WARP: usize = 32;
/// Warps that fill a large device: 12 on each of 132 multiprocessors.
const WARPS: usize = 12 * 132;
/// Parts of a sum at most: `conv_weights_finish` reads them all.
const MAX_SPLITS: usize = 512;
/// Eights of channels of a block at most, of either operand.
const MAX_GROUPS: usize = 12;
/// Moving channels of a block at most.
const MAX_COLUMNS: usize = 64;

/// On tensor cores: warps of a block, sixteens of steady channels and eights of moving ones, at most.
const MAX_WARPS: usize = 8;
const MAX_SIXTEENS: usize = 4;
const MAX_EIGHTS: usize = 5;

/// The size of shares of `n`, as few as `most` allows and as equal as they can be.
fn equal_shares(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most))
}

/// The sizes of one convolution.
#[derive(Debug, Clone, Copy)]
pub struct WeightShape {
    /// `Same`, `Point`, `Down` or `Up`.
    pub stencil: Stencil,
    /// Channels.
    pub n_out: usize,
    /// Channels of both inputs together.
    pub n_in: usize,
    /// (rows, columns) of the input and of the output.
    pub sizes: [(usize, usize); 2],
}

/// The share of each kernel in the work.
#[derive(Debug, Clone, Copy)]
struct Split {
    /// Of a block: eights of steady channels, moving channels (of 1x1 eights of them); on tensor cores sixteens and
    /// eights.
    groups: usize,
    columns: usize,
    threads: u32,
    /// Blocks along moving and steady channels.
    blocks: (usize, usize),
    units: usize,
    units_per_split: usize,
    splits: usize,
}

impl WeightShape {
    /// True if the input is the steady operand.
    fn swapped(&self) -> bool {
        self.stencil == Stencil::Up
    }

    /// Channels and size of the steady and of the moving operand.
    fn operands(&self) -> [(usize, (usize, usize)); 2] {
        let (output, input) = ((self.n_out, self.sizes[1]), (self.n_in, self.sizes[0]));
        if self.swapped() { [input, output] } else { [output, input] }
    }

    fn taps(&self) -> usize {
        self.stencil.side().pow(2)
    }

    /// (pixels of a tile, values that a moving channel has in one), of 1x1 for eight channels; as in conv_weights.cu.
    fn tile(&self) -> (usize, usize) {
        match self.stencil {
            Stencil::Point => (32, 32 * CHANNELS),
            Stencil::Same => (64, 101),
            _ => (32, 153),
        }
    }

    /// Tiles of one lane of one pair.
    fn tiles(&self) -> usize {
        let [(_, (rows, cols)), _] = self.operands();
        match self.stencil {
            Stencil::Point => (rows * cols).div_ceil(32),
            Stencil::Same => rows.div_ceil(8) * cols.div_ceil(8),
            _ => rows.div_ceil(4) * cols.div_ceil(8),
        }
    }

    /// Groups of a block, as equal as they can be.
    fn groups(channels: usize) -> usize {
        equal_shares(channels.div_ceil(CHANNELS), MAX_GROUPS)
    }

    /// Moving channels of a block: as many as leave fewest threads idle, of these the most.
    fn columns(&self, groups: usize, moving: usize) -> usize {
        if self.stencil == Stencil::Point {
            return Self::groups(moving);
        }
        let (pixels, values) = self.tile();
        let fits = |&columns: &usize| {
            groups * columns <= BLOCK as usize && pixels * (groups * CHANNELS + 4) + columns * values <= SHARED
        };
        let warps = |columns: usize| moving.div_ceil(columns) * (groups * columns).div_ceil(WARP);
        (1..=MAX_COLUMNS.min(moving)).rev().filter(fits).min_by_key(|&columns| warps(columns)).unwrap_or(1)
    }

    /// True if tensor cores compute it. Of 1x1 they have none.
    fn on_tensor_cores(&self, precision: Precision) -> bool {
        precision == Precision::Tf32 && self.stencil != Stencil::Point
    }

    /// Groups and columns of a block, channels of each, and warps.
    fn block(&self, precision: Precision) -> ((usize, usize), (usize, usize), usize) {
        let [(steady, _), (moving, _)] = self.operands();
        if self.on_tensor_cores(precision) {
            let groups = equal_shares(steady.div_ceil(tf32::CHANNELS.0), MAX_SIXTEENS);
            let columns = equal_shares(moving.div_ceil(tf32::CHANNELS.1), (MAX_WARPS / groups).min(MAX_EIGHTS));
            return ((groups, columns), tf32::CHANNELS, groups * columns);
        }
        let groups = Self::groups(steady);
        let columns = self.columns(groups, moving);
        let per_column = if self.stencil == Stencil::Point { CHANNELS } else { 1 };
        ((groups, columns), (CHANNELS, per_column), (groups * columns).div_ceil(WARP))
    }

    fn split(&self, lanes: usize, pairs: usize, precision: Precision) -> Split {
        let [(steady, _), (moving, _)] = self.operands();
        let ((groups, columns), channels, warps) = self.block(precision);
        let blocks = (moving.div_ceil(columns * channels.1), steady.div_ceil(groups * channels.0));
        let units = pairs * lanes * self.tiles();
        let threads = (warps * WARP) as u32;
        let warps = blocks.0 * blocks.1 * warps;
        let units_per_split = units.div_ceil(WARPS.div_ceil(warps).min(MAX_SPLITS));
        Split { groups, columns, threads, blocks, units, units_per_split, splits: units.div_ceil(units_per_split) }
    }

    /// Values of the scratch that the gradient takes for up to `lanes` lanes and two pairs at any precision.
    fn scratch_len(&self, lanes: usize) -> usize {
        let splits = |n| {
            [(1, Precision::Full), (2, Precision::Full), (1, Precision::Tf32), (2, Precision::Tf32)]
                .map(|(pairs, precision)| self.split(n, pairs, precision).splits)
        };
        (1..=lanes).flat_map(splits).max().unwrap_or(1) * self.taps() * self.n_out * self.n_in
    }
}

/// Memory that the gradients of all layers share, one after the other.
#[derive(Debug)]
pub struct WeightScratch {
    partial: Buffer<f32>,
    sums: Buffer<f32>,
}

impl WeightScratch {
    /// For the largest of the given layers and `lanes` lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(device: &Rc<Device>, layers: &[WeightShape], lanes: usize) -> Result<Self, DeviceError> {
        let most = |of: &dyn Fn(&WeightShape) -> usize| layers.iter().map(of).max().unwrap_or(0);
        let (partial, sums) = (most(&|layer| layer.scratch_len(lanes)), lanes * most(&|layer| layer.n_out));
        Ok(Self { partial: Buffer::new(device, partial)?, sums: Buffer::new(device, sums)? })
    }
}

/// The gradients of one convolution to launch.
#[derive(Debug, Clone, Copy)]
pub struct WeightPass<'a> {
    /// Sizes.
    pub shape: WeightShape,
    /// One or two: the output's gradient `[lane][n_out][row][col]` with the input that it meets.
    pub pairs: &'a [(Address<f32>, Concat)],
    /// On the sums over lanes.
    pub factor: f32,
    /// Target of the sums of the first pair's gradient over pixels, `[lane][o]` without the factor, with the distance
    /// from lane to lane: the time shifts' gradients. Null for none.
    pub lane_sums: (Address<f32>, usize),
    /// Written: `[n_out][n_in][side][side]`.
    pub d_weight: Address<f32>,
    /// Written: `[n_out]`, of the first pair.
    pub d_bias: Address<f32>,
}

impl WeightPass<'_> {
    /// Overwrites the gradients with the sums over the given lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Panics
    /// When there are not one or two pairs, when an input has not the channels of the shape, when the stencil is a
    /// transposed one, or when the scratch is too small.
    pub fn run(&self, device: &Device, lanes: &Lanes, scratch: &WeightScratch) -> Result<(), DeviceError> {
        let Self { shape, pairs, .. } = *self;
        let has_weights = matches!(shape.stencil, Stencil::Same | Stencil::Point | Stencil::Down | Stencil::Up);
        assert!(has_weights, "{:?} has no weights of its own", shape.stencil);
        assert!(matches!(pairs.len(), 1 | 2), "one or two pairs");
        assert!(pairs.iter().all(|(_, input)| input.channels() == shape.n_in), "channels of the input");
        let split = shape.split(lanes.len(), pairs.len(), device.precision());
        let needed = split.splits * shape.taps() * shape.n_out * shape.n_in;
        assert!(needed <= scratch.partial.len(), "scratch for {needed} values");
        let sums = if self.lane_sums.0.is_null() { (scratch.sums.address(), shape.n_out) } else { self.lane_sums };
        device.launch(
            [shape.n_out, 1, lanes.len()],
            BLOCK,
            &Sums {
                lanes: lanes.address(),
                d: pairs[0].0,
                sums: sums.0,
                n_out: int(shape.n_out)?,
                n_pixels: int(shape.sizes[1].0 * shape.sizes[1].1)?,
                stride: int(sums.1)?,
            },
        )?;
        self.correlate(device, lanes, scratch, split)?;
        self.finish(device, lanes, scratch, split, sums)
    }

    fn correlate(
        &self,
        device: &Device,
        lanes: &Lanes,
        scratch: &WeightScratch,
        split: Split,
    ) -> Result<(), DeviceError> {
        let grid = [split.blocks.0, split.blocks.1, split.splits];
        let (threads, at) = (split.threads, self.record(lanes, scratch, split)?);
        if self.shape.on_tensor_cores(device.precision()) {
            return match self.shape.stencil {
                Stencil::Down => device.launch(grid, threads, &tf32::Down { at }),
                Stencil::Up => device.launch(grid, threads, &tf32::Up { at }),
                _ => device.launch(grid, threads, &tf32::Same { at }),
            };
        }
        match self.shape.stencil {
            Stencil::Same => device.launch(grid, threads, &Same { at }),
            Stencil::Down => device.launch(grid, threads, &Down { at }),
            Stencil::Up => device.launch(grid, threads, &Up { at }),
            _ => device.launch(grid, threads, &Point { at }),
        }
    }

    fn record(&self, lanes: &Lanes, scratch: &WeightScratch, split: Split) -> Result<WeightGradient, DeviceError> {
        let Self { shape, pairs, .. } = *self;
        let [(n_steady, steady), (n_moving, moving)] = shape.operands();
        let output = |pair: usize| Operand { first: pairs[pair].0, second: Address::NULL };
        let input = |pair: usize| Operand { first: pairs[pair].1.first.0, second: pairs[pair].1.second.0 };
        let last = pairs.len() - 1;
        let (outputs, inputs) = ([output(0), output(last)], [input(0), input(last)]);
        let n_first = pairs[0].1.first.1;
        let (of_steady, of_moving) = if shape.swapped() {
            ((inputs, n_first), (outputs, shape.n_out))
        } else {
            ((outputs, shape.n_out), (inputs, n_first))
        };
        Ok(WeightGradient {
            lanes: lanes.address(),
            steady: of_steady.0,
            moving: of_moving.0,
            partial: scratch.partial.address(),
            n_steady: int(n_steady)?,
            n_steady_first: int(of_steady.1)?,
            steady_height: int(steady.0)?,
            steady_width: int(steady.1)?,
            n_moving: int(n_moving)?,
            n_moving_first: int(of_moving.1)?,
            moving_height: int(moving.0)?,
            moving_width: int(moving.1)?,
            n_lanes: int(lanes.len())?,
            n_units: int(split.units)?,
            units_per_split: int(split.units_per_split)?,
            groups: int(split.groups)?,
            columns: int(split.columns)?,
            unused: 0,
        })
    }

    fn finish(
        &self,
        device: &Device,
        lanes: &Lanes,
        scratch: &WeightScratch,
        split: Split,
        (sums, stride): (Address<f32>, usize),
    ) -> Result<(), DeviceError> {
        let shape = self.shape;
        let [(n_steady, _), (n_moving, _)] = shape.operands();
        let at = WeightFinish {
            lanes: lanes.address(),
            partial: scratch.partial.address(),
            sums,
            d_weight: self.d_weight,
            d_bias: self.d_bias,
            n_steady: int(n_steady)?,
            n_moving: int(n_moving)?,
            n_taps: int(shape.taps())?,
            n_splits: int(split.splits)?,
            n_lanes: int(lanes.len())?,
            stride: int(stride)?,
            swapped: shape.swapped().into(),
            factor: self.factor,
        };
        let blocks = (shape.taps() * n_steady * n_moving).div_ceil(FINISHED) + shape.n_out.div_ceil(FINISHED);
        device.launch([blocks, 1, 1], BLOCK, &Finish { at })
    }
}
