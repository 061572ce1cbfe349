//! The operations of a program, executed on the device, each in one or a few launches.
//!
//! The kernels fuse less than the operations do: moments, sums and shortcuts are launches of their own behind or before
//! the convolution that they belong to.

use super::device::Device;
use super::error::DeviceError;
use super::layer::Concat;
use super::layer::conv::{self, PackedConv};
use super::layer::group_norm::{InputGradientTarget, moments};
use super::layer::pixel_shuffle::PixelShuffle;
use super::memory::Memory;
use super::model::Model;
use super::vector::Lanes;
use crate::unet::operation::{Attention, Convolution, Epilogue, NormVjp, Operation, Prologue, Target, TensorId, Term};
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;

/// A pass over some lanes.
#[derive(Clone, Copy)]
pub(super) struct Execution<'a> {
    pub(super) device: &'a Device,
    pub(super) model: &'a Model,
    pub(super) memory: &'a Memory,
    pub(super) lanes: &'a Lanes,
    pub(super) scalars: Address<LaneScalars>,
    /// Side of the square of pixels that becomes channels on the way in.
    pub(super) pixel_unshuffle: usize,
    /// What enters: x, or v.
    pub(super) image: Address<f32>,
    /// What leaves: h, or J_h^T v.
    pub(super) out: Address<f32>,
}

impl Execution<'_> {
    pub(super) fn run(&self, operations: &[Operation]) -> Result<(), DeviceError> {
        operations.iter().try_for_each(|operation| self.execute(operation))
    }

    fn execute(&self, operation: &Operation) -> Result<(), DeviceError> {
        let Self { device, model, memory, lanes, image, .. } = *self;
        let to_lanes = (lanes, self.scalars);
        match *operation {
            Operation::Embed => model.time_embedding.forward(device, lanes, self.scalars),
            Operation::Enter { direction, output } => {
                self.ends(output).unshuffle(device, to_lanes, direction, image, memory.at(output))
            }
            Operation::Leave { direction, input } => {
                self.ends(input).shuffle(device, to_lanes, direction, (memory.at(input), image), self.out)
            }
            Operation::Normalise { norm, x } => {
                let (shape, second) = (memory.shape(x.first), x.second.map(|second| &memory.moments[&second]));
                let first = (&memory.moments[&x.first], shape.channels);
                model.norms[norm].forward(device, lanes, first, second, shape.n_pixels())
            }
            Operation::Convolve(ref convolution) => self.convolve(convolution),
            Operation::Attend(Attention { number, qkv, mixed, .. }) => {
                model.attentions[number].forward(device, lanes, memory.at(qkv), memory.at(mixed))
            }
            Operation::AttendVjp { attention: Attention { number, qkv, mixed, .. }, d_mixed, d_qkv } => {
                let kept = (memory.at(qkv), memory.at(mixed));
                model.attentions[number].vjp(device, lanes, kept, memory.at(d_mixed), memory.at(d_qkv))
            }
            Operation::NormVjp { norm, d_z, x } => {
                let (tensors, n_pixels) = ((memory.at(d_z), memory.concat(x)), memory.shape(d_z).n_pixels());
                model.norms[norm].vjp(device, lanes, tensors, n_pixels, &memory.sums)
            }
            Operation::NormInput { vjp, base, d_x } => {
                self.norm_input(vjp, base.map_or(Address::NULL, |base| memory.at(base)), d_x)
            }
        }
    }

    fn convolve(&self, convolution: &Convolution) -> Result<(), DeviceError> {
        let Self { device, model, memory, lanes, .. } = *self;
        let packed = &model.convolutions[convolution.number];
        let output = convolution.output;
        let mut epilogue = conv::Epilogue {
            bias: packed.bias.as_ref().map_or(Address::NULL, |bias| bias.address()),
            ..conv::Epilogue::STORE
        };
        match convolution.epilogue {
            Epilogue::Forward { shift, residual, .. } => {
                let (shifts, per_lane) = model.time_embedding.shifts();
                epilogue.lane_shift = shift.map_or(epilogue.lane_shift, |first| (shifts.offset(first), per_lane));
                epilogue.side = residual.map_or(Concat::NONE, |residual| memory.concat(residual));
            }
            Epilogue::Gradient { accumulate } => epilogue.accumulate = accumulate,
            Epilogue::NormSums { silu: false, .. } => {}
            Epilogue::NormSums { norm, x, silu: true } => {
                (epilogue.side, epilogue.silu_vjp) = (memory.concat(x), model.norms[norm].affine());
            }
            Epilogue::NormInput { vjp, accumulate } => {
                self.norm_input(vjp, Address::NULL, Target { tensor: output, accumulate })?;
                epilogue.accumulate = true;
            }
        }
        if let Some((term, weights)) = convolution.shortcut.as_ref().zip(packed.shortcut.as_ref()) {
            self.launch(term, weights, output, conv::Epilogue::STORE)?;
            epilogue.accumulate = true;
        }
        self.launch(&convolution.main, &packed.main, output, epilogue)?;
        if let Epilogue::Forward { moments: true, .. } = convolution.epilogue {
            let (shape, to) = (memory.shape(output), &memory.moments[&output]);
            moments(device, lanes, (memory.at(output), shape.channels), shape.n_pixels(), to)?;
        }
        Ok(())
    }

    fn launch(
        &self,
        term: &Term,
        weights: &PackedConv,
        output: TensorId,
        epilogue: conv::Epilogue,
    ) -> Result<(), DeviceError> {
        let (norms, memory) = (&self.model.norms, self.memory);
        let prologue = match term.prologue {
            Prologue::Identity => conv::Prologue::Identity,
            Prologue::Norm { norm, silu: false } => conv::Prologue::Norm(norms[norm].affine()),
            Prologue::Norm { norm, silu: true } => conv::Prologue::NormSilu(norms[norm].affine()),
            Prologue::NormVjp { norm, x } => conv::Prologue::NormVjp(norms[norm].gradient(), memory.at(x)),
        };
        let sizes = [term.input.first, output].map(|tensor| {
            let shape = memory.shape(tensor);
            (shape.height, shape.width)
        });
        let (input, out) = (memory.concat(term.input), memory.at(output));
        conv::Pass { weights, input, sizes, prologue, epilogue, out }.run(self.device, self.lanes)
    }

    fn norm_input(&self, vjp: NormVjp, base: Address<f32>, d_x: Target) -> Result<(), DeviceError> {
        let (memory, shape) = (self.memory, self.memory.shape(vjp.x));
        let target = InputGradientTarget {
            x: (memory.at(vjp.x), shape.channels, vjp.first),
            base,
            d_x: memory.at(d_x.tensor),
            accumulate: d_x.accumulate,
        };
        self.model.norms[vjp.norm].input_gradient(self.device, self.lanes, memory.at(vjp.d_z), shape.n_pixels(), target)
    }

    /// Where images enter and leave.
    fn ends(&self, tensor: TensorId) -> PixelShuffle {
        let shape = self.memory.shape(tensor);
        PixelShuffle { channels: shape.channels, height: shape.height, width: shape.width, side: self.pixel_unshuffle }
    }
}
