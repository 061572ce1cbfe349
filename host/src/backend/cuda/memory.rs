//! The buffers of a program, for all lanes.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::layer::Concat;
use super::layer::group_norm::n_shares;
use crate::unet::operation::{Epilogue, Inputs, Operation, TensorId, TensorShape};
use crate::unet::program::Program;
use gradus_cuda_kernels::Address;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Tensors, each `[lane][channel][row][col]`, and what is kept of them.
#[derive(Debug)]
pub(super) struct Memory {
    shapes: Vec<TensorShape>,
    /// The buffer of each tensor.
    places: Vec<usize>,
    buffers: Vec<Buffer<f32>>,
    /// Mean and squared deviations of every share of the tensors that are normalised.
    pub(super) moments: BTreeMap<TensorId, Buffer<[f32; 2]>>,
    /// Pairs of the norm's vjp under way.
    pub(super) sums: Buffer<[f32; 2]>,
}

/// Pairs of every share of a tensor.
fn pairs(shape: &TensorShape) -> usize {
    shape.channels * n_shares(shape.n_pixels())
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
        lanes * (values * size_of::<f32>() + pairs * size_of::<[f32; 2]>())
    }

    pub(super) fn new(device: &Rc<Device>, program: &Program, lanes: usize) -> Result<Self, DeviceError> {
        let moments = normalised(program).map(|tensor| {
            let moments = Buffer::new(device, lanes * pairs(&program.shapes[tensor]))?;
            Ok((tensor, moments))
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
        })
    }

    pub(super) fn at(&self, tensor: TensorId) -> Address<f32> {
        self.buffers[self.places[tensor]].address()
    }

    pub(super) fn shape(&self, tensor: TensorId) -> TensorShape {
        self.shapes[tensor]
    }

    pub(super) fn concat(&self, inputs: Inputs) -> Concat {
        let part = |tensor: TensorId| (self.at(tensor), self.shapes[tensor].channels);
        Concat { first: part(inputs.first), second: inputs.second.map_or((Address::NULL, 0), part) }
    }
}
