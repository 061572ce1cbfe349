//! Attention block: qkv = W norm(x) + bias, mixed = attention(qkv), out = W' mixed + bias' + x. Kept: x, qkv and mixed.

use super::super::blocked::{Blocked, Concat};
use super::super::engine::Engine;
use super::super::layer::attention::{Attention, VjpInputs};
use super::super::layer::conv::{Convolution, Epilogue, Term};
use super::super::layer::conv_tile::Prologue;
use super::super::layer::group_norm::{GroupNorm, InputGradientBlock};
use super::super::layer::resample::ConvPair;
use super::super::profile::Flop;
use super::{Compiler, Lane};
use crate::unet::plan::Step;
use std::mem::take;

#[derive(Debug)]
pub(crate) struct AttentionBlock {
    norm: (usize, GroupNorm),
    qkv: ConvPair,
    qkv_bias: Vec<f32>,
    attention: Attention,
    /// Number of this attention in the lane's buffers.
    number: usize,
    out: ConvPair,
    out_bias: Vec<f32>,
}

impl AttentionBlock {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Self {
        let (name, channels) = (&step.layer.name, step.layer.output);
        let layout = compiler.layouts[step.output];
        let norm = compiler.norm(name, ".norm");
        let qkv = ConvPair::point(3 * channels, channels, compiler.weight(name, ".qkv"));
        let out = ConvPair::point(channels, channels, compiler.weight(name, ".proj_out"));
        let attention = Attention { heads: compiler.architecture().num_heads, mixed: layout };
        compiler.reserve(&[&qkv.forward], layout.with_channels(3 * channels));
        compiler.reserve(&[&qkv.transposed], layout);
        compiler.reserve(&[&out.forward], layout);
        compiler.scratch_len = compiler.scratch_len.max(attention.scratch_len());
        compiler.attentions.push(attention.per_pixel_len());
        let (qkv_bias, out_bias) = (compiler.bias(name, ".qkv"), compiler.bias(name, ".proj_out"));
        Self { norm, qkv, qkv_bias, attention, number: compiler.attentions.len() - 1, out, out_bias }
    }

    pub(super) fn forward(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let (number, norm) = &self.norm;
        let mut state = take(&mut lane.norms[*number]);
        state.forward.forward(norm, lane.activations[step.input].moments(), None);
        let (mut qkv, mut mixed) =
            (take(&mut lane.activations[step.hidden[0]]), take(&mut lane.activations[step.hidden[1]]));
        let prologue = Prologue::Norm(&state.forward);
        let terms = [Term { weights: &self.qkv.forward, input: lane.inputs(step), prologue }];
        let epilogue = Epilogue::Forward { bias: &self.qkv_bias, shift: None, residual: None };
        Convolution { terms: &terms, output: qkv.layout, epilogue }.run(engine, &mut qkv.values, &mut qkv.moments);

        self.attention.forward(engine, qkv.view(), &mut mixed.values, &mut lane.log_sums[self.number]);

        let mut out = take(&mut lane.activations[step.output]);
        let input = Concat::one(mixed.view());
        let terms = [Term { weights: &self.out.forward, input, prologue: Prologue::Identity }];
        let residual = Some(lane.inputs(step));
        let epilogue = Epilogue::Forward { bias: &self.out_bias, shift: None, residual };
        Convolution { terms: &terms, output: out.layout, epilogue }.run(engine, &mut out.values, &mut out.moments);
        lane.activations[step.output] = out;
        (lane.activations[step.hidden[0]], lane.activations[step.hidden[1]]) = (qkv, mixed);
        lane.norms[*number] = state;
    }

    pub(super) fn flop(&self, output: Blocked) -> (Flop, Flop) {
        let products = 2.0 * (output.height * output.width * output.len()) as f64;
        let points = self.qkv.forward.flop(output) + self.out.forward.flop(output);
        // Two matrix products forward; seven backward, two of them again for P.
        (points + Flop::plain(2.0 * products), points + Flop::plain(7.0 * products))
    }

    pub(super) fn vjp(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let layout = lane.layout(step.output);
        let [mixed_slot, qkv_slot, z_slot] = [step.d_hidden[0], step.d_hidden[1], step.d_hidden[2]];
        let (mut d_mixed, mut sums) = (take(&mut lane.gradients[mixed_slot]), take(&mut lane.sums));
        let d_output = Concat::one(lane.gradient(step.d_output, layout));
        let terms = [Term { weights: &self.out.transposed, input: d_output, prologue: Prologue::Identity }];
        let epilogue = Epilogue::Store;
        Convolution { terms: &terms, output: layout, epilogue }.run(engine, &mut d_mixed, &mut sums);
        lane.gradients[mixed_slot] = d_mixed;

        let (mut d_qkv, mut products) = (take(&mut lane.gradients[qkv_slot]), take(&mut lane.products));
        let d_mixed = lane.gradient(mixed_slot, layout);
        self.attention.products(lane.view(step.hidden[1]), d_mixed, &mut products);
        let (qkv, log_sums) = (lane.view(step.hidden[0]), &lane.log_sums[self.number]);
        let qkv_layout = qkv.layout();
        self.attention.vjp(
            engine,
            VjpInputs { qkv, d_mixed, log_sums, products: &products },
            &mut d_qkv[..qkv_layout.len()],
        );
        (lane.gradients[qkv_slot], lane.products) = (d_qkv, products);

        let (number, norm) = &self.norm;
        let (mut d_z, mut state) = (take(&mut lane.gradients[z_slot]), take(&mut lane.norms[*number]));
        let d_qkv = Concat::one(lane.gradient(qkv_slot, qkv_layout));
        let terms = [Term { weights: &self.qkv.transposed, input: d_qkv, prologue: Prologue::Identity }];
        let epilogue = Epilogue::NormSums { norm: &state.forward, normalised: lane.inputs(step) };
        Convolution { terms: &terms, output: layout, epilogue }.run(engine, &mut d_z, &mut sums);
        let n_sums = layout.n_blocks() * layout.channels;
        state.vjp.vjp(norm, &state.forward, layout.height * layout.width, &sums[..n_sums]);
        (lane.gradients[z_slot], lane.sums) = (d_z, sums);

        let mut d_input = take(&mut lane.gradients[step.d_input.slot]);
        let (d_z, x) = (lane.gradient(z_slot, layout), lane.view(step.input));
        let gradient = InputGradientBlock { gradient: &state.vjp, first: 0, d_z, x };
        let d_output = lane.gradient(step.d_output, layout);
        gradient.run(engine, Some(d_output), step.d_input.accumulate, &mut d_input);
        (lane.gradients[step.d_input.slot], lane.norms[*number]) = (d_input, state);
    }
}
