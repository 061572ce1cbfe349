//! The operations of a program, executed on one image.

use super::blocked::{Activation, Blocked, Concat};
use super::engine::Engine;
use super::flop::Flop;
use super::lane::{Lane, Memory};
use super::layer::attention::VjpInputs;
use super::layer::conv::{self, PackedConv, Term};
use super::layer::conv_tile;
use super::layer::group_norm::{InputGradientBlock, Pairs};
use super::layer::pixel_shuffle::{shuffle, unshuffle};
use super::model::{Model, PackedConvolution};
use crate::unet::operation::{
    self, Attention, Convolution, Epilogue, Inputs, NormVjp, Operation, Prologue, Target, TensorId,
};
use std::mem::take;

/// A pass over one image.
pub(crate) struct Execution<'a> {
    pub(crate) model: &'a Model,
    pub(crate) engine: &'a Engine,
    pub(crate) lane: &'a mut Lane,
    /// The input: x, or v.
    pub(crate) image: &'a [f32],
    /// The output: h, or J_h^T v.
    pub(crate) out: &'a mut [f32],
}

impl Execution<'_> {
    pub(crate) fn run(&mut self, operations: &[Operation]) {
        operations.iter().for_each(|operation| self.execute(operation));
    }

    fn execute(&mut self, operation: &Operation) {
        let Self { model, engine, .. } = *self;
        match *operation {
            Operation::Embed => model.time_embedding.forward(engine.arch, self.lane.t, &mut self.lane.embedded),
            Operation::Enter { direction, output } => {
                let (entrance, image) = (self.lane.scales.entrance(direction), self.image);
                let (layout, side) = (model.layouts[output], model.program.pixel_unshuffle);
                unshuffle(layout, side, entrance, image, &mut self.memory(output).values);
            }
            Operation::Leave { direction, input } => {
                let (exit, from) = (self.lane.scales.exit(direction), model.activation(self.lane, input));
                shuffle(from.layout(), model.program.pixel_unshuffle, exit, from.values(), self.image, self.out);
            }
            Operation::Normalise { norm, x } => {
                let mut state = take(&mut self.lane.norms[norm]);
                let second = x.second.map(|second| self.pairs(second));
                state.forward.forward(&model.norms[norm], self.pairs(x.first), second);
                self.lane.norms[norm] = state;
            }
            Operation::Convolve(ref convolution) => self.convolve(convolution),
            Operation::Attend(attention) => self.attend(attention),
            Operation::AttendVjp { attention, d_mixed, d_qkv } => self.attend_vjp(attention, d_mixed, d_qkv),
            Operation::NormVjp { norm, d_z, .. } => {
                let mut state = take(&mut self.lane.norms[norm]);
                state.vjp.vjp(&model.norms[norm], &state.forward, self.pairs(d_z));
                self.lane.norms[norm] = state;
            }
            Operation::NormInput { vjp, base, d_x } => self.norm_input(vjp, base, d_x),
        }
    }

    fn norm_input(&mut self, vjp: NormVjp, base: Option<TensorId>, d_x: Target) {
        let mut out = take(self.memory(d_x.tensor));
        let base = base.map(|base| self.activation(base).window(vjp.first, self.model.layouts[vjp.x].channels));
        self.norm_vjp(vjp).run(self.engine, base, d_x.accumulate, &mut out.values);
        *self.memory(d_x.tensor) = out;
    }

    fn convolve(&mut self, convolution: &Convolution) {
        let model = self.model;
        let mut out = take(self.memory(convolution.output));
        let packed = &model.convolutions[convolution.number];
        let main = self.term(&convolution.main, &packed.weights[0]);
        let shortcut = convolution.shortcut.as_ref().zip(packed.weights.get(1));
        let terms = [main, shortcut.map_or(main, |(term, weights)| self.term(term, weights))];
        let epilogue = self.epilogue(convolution.epilogue, packed);
        let (terms, output) = (&terms[..packed.weights.len()], model.layouts[convolution.output]);
        conv::Convolution { terms, output, epilogue }.run(self.engine, &mut out.values, &mut out.sums);
        *self.memory(convolution.output) = out;
    }

    fn epilogue<'a>(&'a self, epilogue: Epilogue, packed: &'a PackedConvolution) -> conv::Epilogue<'a> {
        match epilogue {
            // Moments are always taken: what they are taken of is in a first-level cache.
            Epilogue::Forward { shift, residual, .. } => conv::Epilogue::Forward {
                bias: &packed.bias,
                shift: shift.map(|first| &self.lane.embedded.shifts[first..first + packed.bias.len()]),
                residual: residual.map(|residual| self.inputs(residual)),
            },
            Epilogue::Gradient { accumulate: true } => conv::Epilogue::Add,
            Epilogue::Gradient { accumulate: false } => conv::Epilogue::Store,
            Epilogue::NormSums { norm, x, silu } => {
                conv::Epilogue::NormSums { norm: &self.lane.norms[norm].forward, normalised: self.inputs(x), silu }
            }
            Epilogue::NormInput { vjp, accumulate } => {
                conv::Epilogue::NormVjp { gradient: self.norm_vjp(vjp), accumulate }
            }
        }
    }

    fn term<'a>(&'a self, term: &operation::Term, weights: &'a PackedConv) -> Term<'a> {
        let norms = &self.lane.norms;
        let prologue = match term.prologue {
            Prologue::Identity => conv_tile::Prologue::Identity,
            Prologue::Norm { norm, silu } => conv_tile::Prologue::Norm { norm: &norms[norm].forward, silu },
            Prologue::NormVjp { norm, x } => {
                conv_tile::Prologue::NormVjp(&norms[norm].vjp, Concat::one(self.activation(x)))
            }
        };
        Term { weights, input: self.inputs(term.input), prologue }
    }

    fn attend(&mut self, Attention { number, qkv, mixed, .. }: Attention) {
        let (mut out, mut log_sums) = (take(self.memory(mixed)), take(&mut self.lane.log_sums[number]));
        self.model.attentions[number].forward(self.engine, self.activation(qkv), &mut out.values, &mut log_sums);
        *self.memory(mixed) = out;
        self.lane.log_sums[number] = log_sums;
    }

    fn attend_vjp(&mut self, Attention { number, qkv, mixed, .. }: Attention, d_mixed: TensorId, d_qkv: TensorId) {
        let (mut out, mut products) = (take(self.memory(d_qkv)), take(&mut self.lane.products));
        let attention = &self.model.attentions[number];
        let (qkv, d_mixed, log_sums) = (self.activation(qkv), self.activation(d_mixed), &self.lane.log_sums[number]);
        attention.products(self.activation(mixed), d_mixed, &mut products);
        let inputs = VjpInputs { qkv, d_mixed, log_sums, products: &products };
        attention.vjp(self.engine, inputs, &mut out.values[..qkv.layout().len()]);
        *self.memory(d_qkv) = out;
        self.lane.products = products;
    }

    fn memory(&mut self, tensor: TensorId) -> &mut Memory {
        &mut self.lane.buffers[self.model.program.buffers[tensor]]
    }

    fn activation(&self, tensor: TensorId) -> Activation<'_> {
        self.model.activation(self.lane, tensor)
    }

    fn inputs(&self, inputs: Inputs) -> Concat<'_> {
        Concat { first: self.activation(inputs.first), second: inputs.second.map(|second| self.activation(second)) }
    }

    fn pairs(&self, tensor: TensorId) -> Pairs<'_> {
        let values = &self.lane.buffers[self.model.program.buffers[tensor]].sums;
        Pairs { layout: self.model.layouts[tensor], values }
    }

    fn norm_vjp(&self, NormVjp { norm, d_z, x, first }: NormVjp) -> InputGradientBlock<'_> {
        let (gradient, x) = (&self.lane.norms[norm].vjp, self.activation(x));
        InputGradientBlock { gradient, first, d_z: self.activation(d_z).window(first, x.channels()), x }
    }
}

impl Model {
    fn activation<'a>(&self, lane: &'a Lane, tensor: TensorId) -> Activation<'a> {
        Activation::new(&lane.buffers[self.program.buffers[tensor]].values, self.layouts[tensor])
    }

    /// Work of some operations.
    pub(crate) fn flop(&self, operations: &[Operation]) -> Flop {
        let products = |attention: &Attention, n: f64| {
            let mixed: Blocked = self.layouts[attention.mixed];
            Flop::plain(n * 2.0 * (mixed.height * mixed.width * mixed.len()) as f64)
        };
        let of = |operation: &Operation| match operation {
            Operation::Convolve(convolution) => {
                let output = self.layouts[convolution.output];
                self.convolutions[convolution.number].weights.iter().map(|weights| weights.flop(output)).sum()
            }
            // Two matrix products forward; seven backward, two of them again for P.
            Operation::Attend(attention) => products(attention, 2.0),
            Operation::AttendVjp { attention, .. } => products(attention, 7.0),
            _ => Flop::default(),
        };
        operations.iter().map(of).sum()
    }
}
