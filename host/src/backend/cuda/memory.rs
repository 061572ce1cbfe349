//! The buffers of a program, for all lanes.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::layer::Concat;
use crate::unet::operation::{Epilogue, Inputs, Operation, TensorId, TensorShape};
use crate::unet::program::Program;
use gradus_cuda_kernels::Address;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Tensors, each `[lane][channel][row][col]`, and what is kept of them.
#[derive(Debug)]
pub(super) struct Memory {
    shapes: Vec<TensorShape>,
    /// The buffer of each tensor.
    places: Vec<usize>,
    buffers: Vec<Buffer<f32>>,
    /// Sums of the tensors that are normalised.
    moments: BTreeMap<TensorId, Moments>,
    /// Sums of the norm's vjp under way.
    sums: Buffer<[f64; 2]>,
    /// One a lane, 0 between launches.
    counters: Buffer<u32>,
}

/// The sums of a tensor, tile by tile of the convolution that made it.
#[derive(Debug)]
struct Moments {
    sums: Buffer<[f64; 2]>,
    n_tiles: Cell<usize>,
}

/// Pairs of sums of a tensor at most: of tiles of 8 x 8 places, which are every other pixel where a convolution
/// doubles.
fn pairs(shape: &TensorShape) -> usize {
    let tiles = |step: usize| shape.height.div_ceil(8 * step) * shape.width.div_ceil(8 * step) * step * step;
    shape.channels * tiles(1).max(tiles(2))
}

/// The tensors that are normalised, which have moments.
fn normalised(program: &Program) -> impl Iterator<Item = TensorId> {
    program.forward.iter().filter_map(|operation| match operation {
        Operation::Convolve(convolution) => match convolution.epilogue {
            Epilogue::Forward { moments: true, .. } => Some(convolution.output),
            _ => None,
        },
        _ => None,
    })
}

/// Most pairs that the vjp of a norm needs.
fn most_sums(program: &Program) -> usize {
    let of = |operation: &Operation| match operation {
        Operation::NormVjp { d_z, .. } => pairs(&program.shapes[*d_z]),
        _ => 0,
    };
    program.vjp.iter().map(of).max().unwrap_or(0)
}

impl Memory {
    /// Bytes for `lanes` lanes.
    pub(super) fn bytes(program: &Program, lanes: usize) -> usize {
        let values: usize = program.buffer_lens.iter().sum();
        let moments: usize = normalised(program).map(|tensor| pairs(&program.shapes[tensor])).sum();
        let pairs = moments + most_sums(program);
        lanes * (values * size_of::<f32>() + pairs * size_of::<[f64; 2]>())
    }

    pub(super) fn new(device: &Rc<Device>, program: &Program, lanes: usize) -> Result<Self, DeviceError> {
        let moments = normalised(program).map(|tensor| {
            let sums = Buffer::new(device, lanes * pairs(&program.shapes[tensor]))?;
            Ok((tensor, Moments { sums, n_tiles: Cell::new(0) }))
        });
        Ok(Self {
            shapes: program.shapes.clone(),
            places: program.buffers.clone(),
            buffers: program
                .buffer_lens
                .iter()
                .map(|len| Buffer::new(device, lanes * len))
                .collect::<Result<_, _>>()?,
            moments: moments.collect::<Result<_, _>>()?,
            sums: Buffer::new(device, lanes * most_sums(program))?,
            counters: Buffer::of(device, &vec![0; lanes])?,
        })
    }

    pub(super) fn at(&self, tensor: TensorId) -> Address<f32> {
        self.buffers[self.places[tensor]].address()
    }

    pub(super) fn shape(&self, tensor: TensorId) -> TensorShape {
        self.shapes[tensor]
    }

    /// Place of a tensor's sums, and their number of tiles.
    pub(super) fn moments(&self, tensor: TensorId) -> (Address<[f64; 2]>, usize) {
        self.moments.get(&tensor).map_or((Address::NULL, 0), |moments| (moments.sums.address(), moments.n_tiles.get()))
    }

    /// Notes the tiles of a tensor whose sums are about to be made.
    pub(super) fn note_tiles(&self, tensor: TensorId, n_tiles: usize) {
        if let Some(moments) = self.moments.get(&tensor) {
            moments.n_tiles.set(n_tiles);
        }
    }

    /// Room for the sums of a norm's vjp.
    pub(super) fn sums(&self) -> Address<[f64; 2]> {
        self.sums.address()
    }

    pub(super) fn counters(&self) -> Address<u32> {
        self.counters.address()
    }

    pub(super) fn concat(&self, inputs: Inputs) -> Concat {
        let part = |tensor: TensorId| (self.at(tensor), self.shapes[tensor].channels);
        Concat { first: part(inputs.first), second: inputs.second.map_or((Address::NULL, 0), part) }
    }
}
