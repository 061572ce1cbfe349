//! The buffers of training: four numbers for every activation, for all lanes.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::DeviceError;
use crate::backend::cuda::layer::Concat;
use crate::backend::cuda::layer::group_norm::n_shares;
use crate::backend::cuda::vector::Lanes;
use crate::unet::operation::{TensorId, TensorShape};
use crate::unet::tape::{Input, Inputs, Operation, Quantity, Tape};
use gradus_cuda_kernels::Address;
use std::rc::Rc;

/// All activations, `[quantity][tensor]`, each `[lane][channel][row][col]`.
#[derive(Debug)]
pub(super) struct Memory {
    shapes: Vec<TensorShape>,
    values: [Vec<Buffer<f32>>; 4],
}

impl Memory {
    pub(super) fn new(device: &Rc<Device>, tape: &Tape, lanes: usize) -> Result<Self, DeviceError> {
        let quantity = || {
            let buffers = tape.tensors.iter().map(|shape| Buffer::new(device, lanes * shape.len()));
            buffers.collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { shapes: tape.tensors.clone(), values: [quantity()?, quantity()?, quantity()?, quantity()?] })
    }

    pub(super) fn at(&self, quantity: Quantity, tensor: TensorId) -> Address<f32> {
        self.values[quantity as usize][tensor].address()
    }

    /// One or two activations side by side.
    pub(super) fn concat(&self, quantity: Quantity, inputs: Inputs) -> Concat {
        let part = |input: Input| (self.at(quantity, input.tensor), self.channels(input.tensor));
        Concat { first: part(inputs.first), second: inputs.second.map_or((Address::NULL, 0), part) }
    }

    pub(super) fn channels(&self, tensor: TensorId) -> usize {
        self.shapes[tensor].channels
    }

    pub(super) fn size(&self, tensor: TensorId) -> (usize, usize) {
        (self.shapes[tensor].height, self.shapes[tensor].width)
    }

    pub(super) fn n_pixels(&self, tensor: TensorId) -> usize {
        self.shapes[tensor].height * self.shapes[tensor].width
    }

    /// Values in a lane.
    pub(super) fn len(&self, tensor: TensorId) -> usize {
        self.shapes[tensor].len()
    }
}

/// Bytes of the activations and of what norms and attentions keep, for `lanes` lanes; the rest is small.
pub(super) fn bytes(tape: &Tape, lanes: usize) -> usize {
    let activations: usize = tape.tensors.iter().map(TensorShape::len).sum();
    let kept = tape.operations.iter().map(|operation| match operation {
        // d_dot_z; mean and deviation of two inputs and four sums of each share of a channel.
        Operation::Norm(norm) => {
            let TensorShape { channels, height, width, .. } = tape.tensors[norm.output];
            channels * (height * width + 8 * n_shares(height * width))
        }
        Operation::Attention(attention) => {
            let TensorShape { height, width, .. } = tape.tensors[attention.mixed];
            4 * attention.heads * (height * width).pow(2)
        }
        Operation::Convolution(_) => 0,
    });
    lanes * size_of::<f32>() * (4 * activations + kept.sum::<usize>())
}

/// Tensors and weights that the passes of an operation act on.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) device: &'a Device,
    pub(super) lanes: &'a Lanes,
    pub(super) memory: &'a Memory,
    /// All weights, and their gradients.
    pub(super) parameters: Address<f32>,
    pub(super) gradient: Address<f32>,
    /// On the gradients' sums over lanes.
    pub(super) factor: f32,
    /// The time shifts of all residual blocks and how many a lane has, and their gradients.
    pub(super) shifts: (Address<f32>, usize),
    pub(super) d_shifts: (Address<f32>, usize),
}
