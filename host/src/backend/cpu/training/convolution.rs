//! A convolution of one or two activations, with bias, time shift and residual. It is linear, so its tangent is itself
//! without bias and shift, and both gradients go back through its transpose.

use super::super::blocked::{Blocked, Concat};
use super::super::layer::conv::{Convolution, Epilogue, PackedConv, Term};
use super::super::layer::conv_tile::Prologue;
use super::super::layer::stencil::Stencil;
use super::super::layer::weight_gradient::{self, WeightGradient, fold};
use super::lane::{Context, Lane};
use crate::unet::operation::{Kernel, TensorId};
use crate::unet::tape::{self, Input, Inputs, Quantity};
use std::mem::take;
use std::ops::Range;

/// One convolution with its place on the tape.
#[derive(Debug)]
pub(super) struct ConvLayer {
    pub(super) inputs: Inputs,
    pub(super) output: TensorId,
    pub(super) residual: Option<Inputs>,
    /// True if the residual has gradients of its own.
    pub(super) residual_goes_back: bool,
    /// Offset of this layer's time shifts.
    pub(super) shift: Option<usize>,
    /// True if the gradients of the inputs are needed.
    pub(super) goes_back: bool,
    pub(super) kernel: Kernel,
    pub(super) forward: PackedConv,
    /// One for each input.
    pub(super) transposed: Vec<PackedConv>,
    /// In the lane's gradient: `[input][product][output]`, then the bias.
    pub(super) gradient: Range<usize>,
}

impl ConvLayer {
    /// `layouts` are those of all activations; `gradient` is where the lane's gradient has room.
    pub(super) fn new(tape: tape::Convolution, layouts: &[Blocked], residual_goes_back: bool, gradient: usize) -> Self {
        let tape::Convolution { kernel, inputs, output, residual, shift, goes_back } = tape;
        let (stencil, transposed) = Stencil::pair(kernel.sampling, layouts[output]);
        let transposed = |input: Input| PackedConv::zeros(transposed, layouts[input.tensor].channels, kernel.n_out);
        let len = (kernel.n_in * weight_gradient::n_products(stencil) + 1) * kernel.n_out;
        Self {
            inputs,
            output,
            residual,
            residual_goes_back,
            shift,
            goes_back,
            forward: PackedConv::zeros(stencil, kernel.n_out, kernel.n_in),
            transposed: inputs.each().map(transposed).collect(),
            kernel,
            gradient: gradient..gradient + len,
        }
    }

    pub(super) fn gradient_len(&self) -> usize {
        self.gradient.len()
    }

    /// Scratch of a task, and values of phases, where the output has layout `output`.
    pub(super) fn room(&self, layouts: &[Blocked]) -> (usize, usize) {
        let (output, stencil) = (layouts[self.output], self.forward.stencil);
        let inputs = self.inputs.each().zip(&self.transposed);
        let back = inputs.map(|(input, conv)| Convolution::scratch_len([conv], layouts[input.tensor])).max();
        let forward = Convolution::scratch_len([&self.forward], output);
        let weights = weight_gradient::scratch_len(stencil, output, 2);
        (forward.max(back.unwrap_or(0)).max(weights), weight_gradient::room(stencil, output, 2))
    }

    /// Takes over new weights.
    pub(super) fn repack(&mut self, parameters: &[f32]) {
        self.forward.repack_forward(&self.kernel, parameters);
        let mut first = 0;
        for transposed in &mut self.transposed {
            transposed.repack_transposed(first, &self.kernel, parameters);
            first += transposed.n_out;
        }
    }

    /// The output's value, or its tangent.
    pub(super) fn forward(&self, context: &Context<'_>, lane: &mut Lane, quantity: Quantity) {
        let is_value = quantity == Quantity::Value;
        let sums = if is_value { &mut lane.moments[self.output] } else { &mut lane.sums };
        let mut sums = take(sums);
        let mut out = lane.take(quantity, self.output);
        let n_out = self.forward.n_out;
        let bias = if is_value { &context.parameters[self.kernel.bias.clone()] } else { &context.zeros[..n_out] };
        let shift = self.shift.filter(|_| is_value).map(|first| &lane.embedding.shifts[first..first + n_out]);
        let residual = self.residual.map(|inputs| lane.inputs(context, quantity, inputs));
        let input = lane.inputs(context, quantity, self.inputs);
        let terms = [Term { weights: &self.forward, input, prologue: Prologue::Identity }];
        let epilogue = match residual {
            None if !is_value => Epilogue::Store,
            _ => Epilogue::Forward { bias, shift, residual },
        };
        let convolution = Convolution { terms: &terms, output: context.layouts[self.output], epilogue };
        convolution.run(context.engine, &mut out, &mut sums);
        lane.put(quantity, self.output, out);
        *(if is_value { &mut lane.moments[self.output] } else { &mut lane.sums }) = sums;
    }

    /// Gradients of the inputs and the residual from the output's, for either kind of gradient.
    pub(super) fn backward(&self, context: &Context<'_>, lane: &mut Lane, quantity: Quantity) {
        if let Some(residual) = self.residual.filter(|_| self.residual_goes_back) {
            self.backward_residual(context, lane, quantity, residual);
        }
        if !self.goes_back && quantity == Quantity::DValue && !context.to_the_image {
            return;
        }
        for (input, weights) in self.inputs.each().zip(&self.transposed) {
            let (mut d_input, mut sums) = (lane.take(quantity, input.tensor), take(&mut lane.sums));
            let d_output = Concat::one(lane.activation(context, quantity, self.output));
            let terms = [Term { weights, input: d_output, prologue: Prologue::Identity }];
            let epilogue = if input.accumulate { Epilogue::Add } else { Epilogue::Store };
            let convolution = Convolution { terms: &terms, output: context.layouts[input.tensor], epilogue };
            convolution.run(context.engine, &mut d_input, &mut sums);
            lane.put(quantity, input.tensor, d_input);
            lane.sums = sums;
        }
    }

    fn backward_residual(&self, context: &Context<'_>, lane: &mut Lane, quantity: Quantity, residual: Inputs) {
        let mut first = 0;
        for input in residual.each() {
            let mut d_input = lane.take(quantity, input.tensor);
            let (d_output, layout) = (lane.activation(context, quantity, self.output), context.layouts[input.tensor]);
            for (block, to) in d_input[..layout.len()].chunks_mut(layout.block_len()).enumerate() {
                let from = d_output.block_channels(block, first, layout.channels);
                if input.accumulate {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                } else {
                    to.copy_from_slice(from);
                }
            }
            first += layout.channels;
            lane.put(quantity, input.tensor, d_input);
        }
    }

    /// d_w from (d_value, value) and, `with_tangents`, (d_dot, dot); the bias's gradient from d_value.
    pub(super) fn weight_gradient(&self, context: &Context<'_>, lane: &mut Lane, with_tangents: bool) {
        let (mut gradient, mut phases) = (take(&mut lane.gradient), take(&mut lane.phases));
        let layout = context.layouts[self.output];
        let pair = |d: Quantity, of: Quantity| {
            (lane.activation(context, d, self.output), lane.inputs(context, of, self.inputs))
        };
        let pairs = [pair(Quantity::DValue, Quantity::Value), pair(Quantity::DDot, Quantity::Dot)];
        let pairs = &pairs[..1 + usize::from(with_tangents)];
        let (d_weights, d_bias) = gradient[self.gradient.clone()].split_at_mut(self.gradient.len() - layout.channels);
        let (stencil, n_in) = (self.forward.stencil, self.forward.n_in);
        WeightGradient { stencil, n_in, output: layout, pairs }.run(context.engine, &mut phases, d_weights, d_bias);
        if let Some(first) = self.shift {
            lane.embedding.d_shifts[first..first + d_bias.len()].copy_from_slice(d_bias);
        }
        (lane.gradient, lane.phases) = (gradient, phases);
    }

    /// The gradient of the parameters from that of what the lanes keep.
    pub(super) fn collect(&self, of_lanes: &[f32], factor: f32, gradient: &mut [f32]) {
        let (d_packed, d_bias) = of_lanes[self.gradient.clone()].split_at(self.gradient.len() - self.kernel.n_out);
        fold(self.forward.stencil, &self.kernel, factor, d_packed, gradient);
        gradient[self.kernel.bias.clone()].iter_mut().zip(d_bias).for_each(|(to, from)| *to = factor * from);
    }
}
