//! The operations of a program, executed on the device, each in one or a few launches.
//!
//! A norm's coefficients, forward and backward, are made by the convolution before it.

use super::device::Device;
use super::error::DeviceError;
use super::layer::Concat;
use super::layer::conv;
use super::layer::group_norm::InputGradientTarget;
use super::layer::pixel_shuffle::PixelShuffle;
use super::memory::Memory;
use super::model::Model;
use super::vector::Lanes;
use crate::unet::operation::{
    Attention, Convolution, Epilogue, Inputs, NormVjp, Operation, Prologue, Target, TensorId, Term,
};
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::conv::NormOfOutput;
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
    /// The input: x, or v.
    pub(super) image: Address<f32>,
    /// The output: h, or J_h^T v.
    pub(super) out: Address<f32>,
}

impl Execution<'_> {
    pub(super) fn run(&self, operations: &[Operation]) -> Result<(), DeviceError> {
        let next = operations.iter().skip(1).map(Some).chain([None]);
        operations.iter().zip(next).try_for_each(|(operation, next)| self.execute(operation, next))
    }

    fn execute(&self, operation: &Operation, next: Option<&Operation>) -> Result<(), DeviceError> {
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
            // The convolution before, which makes the tensor, makes them as well.
            Operation::Normalise { .. } | Operation::NormVjp { .. } => Ok(()),
            Operation::Convolve(ref convolution) => self.convolve(convolution, next),
            Operation::Attend(Attention { number, qkv, mixed, .. }) => {
                model.attentions[number].forward(device, lanes, memory.at(qkv), memory.at(mixed))
            }
            Operation::AttendVjp { attention: Attention { number, qkv, mixed, .. }, d_mixed, d_qkv } => {
                let kept = (memory.at(qkv), memory.at(mixed));
                model.attentions[number].vjp(device, lanes, kept, memory.at(d_mixed), memory.at(d_qkv))
            }
            Operation::NormInput { vjp, base, d_x } => {
                self.norm_input(vjp, base.map_or(Address::NULL, |base| memory.at(base)), d_x)
            }
        }
    }

    fn convolve(&self, convolution: &Convolution, next: Option<&Operation>) -> Result<(), DeviceError> {
        let (model, memory, output) = (self.model, self.memory, convolution.output);
        let (packed, term) = (&model.convolutions[convolution.number], &convolution.main);
        let sizes = [term.input.first, output].map(|tensor| {
            let shape = memory.shape(tensor);
            (shape.height, shape.width)
        });
        let shortcut = packed.shortcut.as_ref().zip(convolution.shortcut.as_ref());
        let mut pass = conv::Pass {
            weights: &packed.main,
            input: memory.concat(term.input),
            sizes,
            prologue: self.prologue(term),
            epilogue: self.epilogue(convolution, packed.bias.as_ref().map_or(Address::NULL, |bias| bias.address())),
            shortcut: shortcut.map(|(weights, term)| (weights, memory.concat(term.input))),
            out: memory.at(output),
        };
        memory.note_tiles(output, pass.n_tiles());
        pass.epilogue.norm = self.norm(convolution, next)?;
        pass.run(self.device, self.lanes)
    }

    fn prologue(&self, term: &Term) -> conv::Prologue {
        let norms = &self.model.norms;
        match term.prologue {
            Prologue::Identity => conv::Prologue::Identity,
            Prologue::Norm { norm, silu: false } => conv::Prologue::Norm(norms[norm].affine()),
            Prologue::Norm { norm, silu: true } => conv::Prologue::NormSilu(norms[norm].affine()),
            Prologue::NormVjp { norm, x } => conv::Prologue::NormVjp(norms[norm].gradient(), self.memory.at(x)),
        }
    }

    fn epilogue(&self, convolution: &Convolution, bias: Address<f32>) -> conv::Epilogue {
        let (model, memory) = (self.model, self.memory);
        let mut epilogue = conv::Epilogue { bias, ..conv::Epilogue::STORE };
        match convolution.epilogue {
            Epilogue::Forward { shift, residual, .. } => {
                let (shifts, per_lane) = model.time_embedding.shifts();
                epilogue.lane_shift = shift.map_or(epilogue.lane_shift, |first| (shifts.offset(first), per_lane));
                epilogue.side = residual.map_or(Concat::NONE, |residual| memory.concat(residual));
            }
            Epilogue::Gradient { accumulate } => epilogue.accumulate = accumulate,
            Epilogue::NormSums { norm, x, silu } => {
                (epilogue.side, epilogue.behind) = (memory.concat(x), (model.norms[norm].affine(), silu));
            }
            Epilogue::NormInput { vjp, accumulate } => {
                (epilogue.side, epilogue.accumulate) = (memory.concat(Inputs::one(vjp.x)), accumulate);
                epilogue.norm_vjp = Some(conv::NormVjp {
                    gradient: model.norms[vjp.norm].gradient(),
                    d_z: memory.at(vjp.d_z),
                    channels: (memory.shape(vjp.d_z).channels, vjp.first),
                });
            }
        }
        epilogue
    }

    /// The sums that a convolution leaves, and the coefficients of the norm that follows it.
    fn norm(&self, convolution: &Convolution, next: Option<&Operation>) -> Result<NormOfOutput, DeviceError> {
        let (norms, memory, output) = (&self.model.norms, self.memory, convolution.output);
        let (sums, counters) = (memory.moments(output).0, memory.counters());
        match next {
            Some(&Operation::Normalise { norm, x }) if x.first == output => {
                norms[norm].after(sums, x.second.map(|second| memory.moments(second)), counters)
            }
            Some(&Operation::NormVjp { norm, d_z, .. }) if d_z == output => {
                norms[norm].vjp_after(memory.sums(), counters)
            }
            _ => Ok(NormOfOutput { sums, ..NormOfOutput::NONE }),
        }
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

    /// The launch at which images enter and leave.
    fn ends(&self, tensor: TensorId) -> PixelShuffle {
        let shape = self.memory.shape(tensor);
        PixelShuffle { channels: shape.channels, height: shape.height, width: shape.width, side: self.pixel_unshuffle }
    }
}
