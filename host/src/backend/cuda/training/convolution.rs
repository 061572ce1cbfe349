//! A convolution of the tape: value, tangent, both gradients and that of its weights.

use super::memory::{Memory, Site};
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::DeviceError;
use crate::backend::cuda::layer::Concat;
use crate::backend::cuda::layer::conv::{Epilogue, PackedConv, Pass, Prologue, Stencil};
use crate::backend::cuda::layer::conv_weights::{WeightPass, WeightScratch, WeightShape};
use crate::backend::cuda::layer::residual::{ResidualTarget, backward};
use crate::backend::cuda::model::stencils;
use crate::unet::tape::{Convolution, Inputs, Quantity};
use gradus_cuda_kernels::Address;
use std::rc::Rc;

#[derive(Debug)]
pub(super) struct ConvLayer {
    tape: Convolution,
    stencil: Stencil,
    forward: PackedConv,
    /// One for each input.
    transposed: Vec<PackedConv>,
    /// Rows and columns of inputs and output.
    sizes: [(usize, usize); 2],
}

impl ConvLayer {
    pub(super) fn new(device: &Rc<Device>, tape: &Convolution, memory: &Memory) -> Result<Self, DeviceError> {
        let (stencil, transposed) = stencils(tape.kernel.sampling);
        let n_inputs: Vec<usize> = tape.inputs.each().map(|input| memory.channels(input.tensor)).collect();
        let shape = (memory.channels(tape.output), n_inputs.iter().sum());
        let mut first = 0;
        let of_input = |n: usize| {
            first += n;
            PackedConv::transposed_at(device, transposed, first - n..first, shape, tape.kernel.weight.start)
        };
        Ok(Self {
            stencil,
            forward: PackedConv::forward_at(device, stencil, shape, tape.kernel.weight.start)?,
            transposed: n_inputs.into_iter().map(of_input).collect::<Result<_, _>>()?,
            sizes: [memory.size(tape.inputs.first.tensor), memory.size(tape.output)],
            tape: tape.clone(),
        })
    }

    /// Everything that new weights go to.
    pub(super) fn packed(&self) -> impl Iterator<Item = &PackedConv> {
        std::iter::once(&self.forward).chain(&self.transposed)
    }

    pub(super) fn weight_shape(&self, memory: &Memory) -> WeightShape {
        let n_in = self.tape.inputs.each().map(|input| memory.channels(input.tensor)).sum();
        WeightShape { stencil: self.stencil, n_out: self.forward.n_out(), n_in, sizes: self.sizes }
    }

    /// The output's value, or its tangent, which has neither bias nor shift.
    pub(super) fn forward(&self, site: Site<'_>, quantity: Quantity) -> Result<(), DeviceError> {
        let (tape, memory) = (&self.tape, site.memory);
        let side = tape.residual.map_or(Concat::NONE, |inputs| memory.concat(quantity, inputs));
        let mut epilogue = Epilogue { side, ..Epilogue::STORE };
        if quantity == Quantity::Value {
            epilogue.bias = site.parameters.offset(tape.kernel.bias.start);
            if let Some(shift) = tape.shift {
                epilogue.lane_shift = (site.shifts.0.offset(shift), site.shifts.1);
            }
        }
        let pass = Pass {
            weights: &self.forward,
            input: memory.concat(quantity, tape.inputs),
            sizes: self.sizes,
            prologue: Prologue::Identity,
            epilogue,
            shortcut: None,
            out: memory.at(quantity, tape.output),
        };
        pass.run(site.device, site.lanes)
    }

    /// Gradients of the inputs and the residual from the output's, of either kind.
    pub(super) fn backward(&self, site: Site<'_>, quantity: Quantity) -> Result<(), DeviceError> {
        let (tape, memory) = (&self.tape, site.memory);
        if let Some(residual) = tape.residual {
            self.backward_residual(site, quantity, residual)?;
        }
        if !tape.goes_back && quantity == Quantity::DValue {
            return Ok(());
        }
        for (input, weights) in tape.inputs.each().zip(&self.transposed) {
            let pass = Pass {
                weights,
                input: Concat::one(memory.at(quantity, tape.output), self.forward.n_out()),
                sizes: [self.sizes[1], self.sizes[0]],
                prologue: Prologue::Identity,
                epilogue: Epilogue { accumulate: input.accumulate, ..Epilogue::STORE },
                shortcut: None,
                out: memory.at(quantity, input.tensor),
            };
            pass.run(site.device, site.lanes)?;
        }
        Ok(())
    }

    fn backward_residual(&self, site: Site<'_>, quantity: Quantity, residual: Inputs) -> Result<(), DeviceError> {
        let memory = site.memory;
        let d_out = (memory.at(quantity, self.tape.output), memory.len(self.tape.output));
        let mut first = 0;
        for input in residual.each() {
            let (d_x, n) = (memory.at(quantity, input.tensor), memory.len(input.tensor));
            backward(site.device, site.lanes, d_out, ResidualTarget { d_x, n, first, accumulate: input.accumulate })?;
            first += n;
        }
        Ok(())
    }

    /// d_w from (d_value, value) and, `with_tangents`, (d_dot, dot); the gradients of bias and shifts from d_value.
    pub(super) fn weight_gradient(
        &self,
        site: Site<'_>,
        scratch: &WeightScratch,
        with_tangents: bool,
    ) -> Result<(), DeviceError> {
        let (tape, memory) = (&self.tape, site.memory);
        let pair = |d: Quantity, of: Quantity| (memory.at(d, tape.output), memory.concat(of, tape.inputs));
        let pairs = [pair(Quantity::DValue, Quantity::Value), pair(Quantity::DDot, Quantity::Dot)];
        let pass = WeightPass {
            shape: self.weight_shape(memory),
            pairs: &pairs[..1 + usize::from(with_tangents)],
            factor: site.factor,
            lane_sums: tape.shift.map_or((Address::NULL, 0), |n| (site.d_shifts.0.offset(n), site.d_shifts.1)),
            d_weight: site.gradient.offset(tape.kernel.weight.start),
            d_bias: site.gradient.offset(tape.kernel.bias.start),
        };
        pass.run(site.device, site.lanes, scratch)
    }
}
