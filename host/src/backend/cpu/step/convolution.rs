//! Steps that are one convolution: in, down, up; and out, with a norm and SiLU before it.

use super::super::blocked::{Blocked, Concat};
use super::super::engine::Engine;
use super::super::layer::conv::{Convolution, Epilogue, Term};
use super::super::layer::conv_tile::Prologue;
use super::super::layer::group_norm::{GroupNorm, InputGradientBlock};
use super::super::layer::resample::ConvPair;
use super::super::profile::Flop;
use super::{Compiler, Lane};
use crate::unet::layers::LayerKind;
use crate::unet::plan::Step;
use std::mem::take;

/// out = conv(input) + bias.
#[derive(Debug)]
pub(crate) struct PlainConvolution {
    conv: ConvPair,
    bias: Vec<f32>,
}

impl PlainConvolution {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Self {
        let layer = &step.layer;
        let part = match layer.kind {
            LayerKind::Down => ".op",
            LayerKind::Up => ".conv",
            _ => "",
        };
        let weights = compiler.weight(&layer.name, part);
        let conv = ConvPair::new(layer.kind, compiler.layouts[step.output], layer.input, weights);
        compiler.reserve(&[&conv.forward], compiler.layouts[step.output]);
        compiler.reserve(&[&conv.transposed], compiler.layouts[step.input]);
        Self { conv, bias: compiler.bias(&layer.name, part) }
    }

    pub(super) fn forward(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let mut out = take(&mut lane.activations[step.output]);
        let terms = [Term { weights: &self.conv.forward, input: lane.inputs(step), prologue: Prologue::Identity }];
        let epilogue = Epilogue::Forward { bias: &self.bias, shift: None, residual: None };
        Convolution { terms: &terms, output: out.layout, epilogue }.run(engine, &mut out.values, &mut out.moments);
        lane.activations[step.output] = out;
    }

    pub(super) fn flop(&self, input: Blocked, output: Blocked) -> (Flop, Flop) {
        (self.conv.forward.flop(output), self.conv.transposed.flop(input))
    }

    pub(super) fn vjp(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let (mut d_input, mut sums) = (take(&mut lane.gradients[step.d_input.slot]), take(&mut lane.sums));
        let d_output = Concat::one(lane.gradient(step.d_output, lane.layout(step.output)));
        let terms = [Term { weights: &self.conv.transposed, input: d_output, prologue: Prologue::Identity }];
        let epilogue = if step.d_input.accumulate { Epilogue::Add } else { Epilogue::Store };
        let output = lane.layout(step.input);
        Convolution { terms: &terms, output, epilogue }.run(engine, &mut d_input, &mut sums);
        (lane.gradients[step.d_input.slot], lane.sums) = (d_input, sums);
    }
}

/// out = conv(silu(norm(input))) + bias.
#[derive(Debug)]
pub(crate) struct OutputConvolution {
    norm: (usize, GroupNorm),
    conv: ConvPair,
    bias: Vec<f32>,
}

impl OutputConvolution {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Self {
        let layer = &step.layer;
        let norm = compiler.norm(&layer.name, ".0");
        let conv =
            ConvPair::new(layer.kind, compiler.layouts[step.output], layer.input, compiler.weight(&layer.name, ".2"));
        compiler.reserve(&[&conv.forward], compiler.layouts[step.output]);
        compiler.reserve(&[&conv.transposed], compiler.layouts[step.input]);
        Self { norm, conv, bias: compiler.bias(&layer.name, ".2") }
    }

    pub(super) fn forward(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let (number, norm) = &self.norm;
        let mut state = take(&mut lane.norms[*number]);
        state.forward.forward(norm, lane.activations[step.input].moments(), None);
        let mut out = take(&mut lane.activations[step.output]);
        let prologue = Prologue::NormSilu(&state.forward);
        let terms = [Term { weights: &self.conv.forward, input: lane.inputs(step), prologue }];
        let epilogue = Epilogue::Forward { bias: &self.bias, shift: None, residual: None };
        Convolution { terms: &terms, output: out.layout, epilogue }.run(engine, &mut out.values, &mut out.moments);
        lane.activations[step.output] = out;
        lane.norms[*number] = state;
    }

    pub(super) fn flop(&self, input: Blocked, output: Blocked) -> (Flop, Flop) {
        (self.conv.forward.flop(output), self.conv.transposed.flop(input))
    }

    pub(super) fn vjp(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let (number, norm) = &self.norm;
        let layout = lane.layout(step.input);
        let (mut d_z, mut sums) = (take(&mut lane.gradients[step.d_hidden[0]]), take(&mut lane.sums));
        let mut state = take(&mut lane.norms[*number]);
        let d_output = Concat::one(lane.gradient(step.d_output, lane.layout(step.output)));
        let terms = [Term { weights: &self.conv.transposed, input: d_output, prologue: Prologue::Identity }];
        let epilogue = Epilogue::SiluVjp { norm: &state.forward, normalised: lane.inputs(step) };
        Convolution { terms: &terms, output: layout, epilogue }.run(engine, &mut d_z, &mut sums);
        let n_sums = layout.n_blocks() * layout.channels;
        state.vjp.vjp(norm, &state.forward, layout.height * layout.width, &sums[..n_sums]);
        (lane.gradients[step.d_hidden[0]], lane.sums) = (d_z, sums);

        let mut d_input = take(&mut lane.gradients[step.d_input.slot]);
        let (d_z, x) = (lane.gradient(step.d_hidden[0], layout), lane.view(step.input));
        let gradient = InputGradientBlock { gradient: &state.vjp, first: 0, d_z, x };
        gradient.run(engine, None, step.d_input.accumulate, &mut d_input);
        lane.gradients[step.d_input.slot] = d_input;
        lane.norms[*number] = state;
    }
}
