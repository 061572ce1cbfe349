//! Residual block:
//!
//! ```text
//! u = conv1(silu(norm1(x))) + bias + shift(t),   out = conv2(silu(norm2(u))) + bias + skip(x),
//! ```
//!
//! with x one activation or two side by side, and skip the identity or a 1x1 convolution. Kept for the vjp: x and u.

use super::super::blocked::{Blocked, Concat, View};
use super::super::engine::Engine;
use super::super::layer::conv::{Convolution, Epilogue, PackedConv, Term};
use super::super::layer::conv_tile::Prologue;
use super::super::layer::group_norm::{GroupNorm, InputGradientBlock};
use super::super::layer::resample::{ConvPair, shortcut_stencil};
use super::super::layer::stencil::Stencil;
use super::super::profile::Flop;
use super::{Compiler, Lane};
use crate::unet::layers::LayerKind;
use crate::unet::plan::{GradientTarget, Step, TensorId};
use std::mem::take;

#[derive(Debug)]
pub(crate) struct ResidualBlock {
    norm1: (usize, GroupNorm),
    conv1: ConvPair,
    bias1: Vec<f32>,
    /// Where this block's time shifts begin.
    shift: usize,
    norm2: (usize, GroupNorm),
    conv2: ConvPair,
    /// Of the second convolution and of the projection.
    bias2: Vec<f32>,
    projection: Option<Projection>,
}

/// The 1x1 convolution of the shortcut, with one transpose for each input.
#[derive(Debug)]
struct Projection {
    forward: PackedConv,
    transposed: Vec<PackedConv>,
}

impl Projection {
    fn new(output: Blocked, inputs: (usize, usize), weights: &[f32]) -> Self {
        let (n_out, n_in) = (output.channels, inputs.0 + inputs.1);
        let ranges = [0..inputs.0, inputs.0..n_in];
        let transposed = ranges.into_iter().filter(|range| !range.is_empty());
        let transposed =
            transposed.map(|range| PackedConv::transposed(Stencil::POINT, range, (n_out, n_in), 1, weights)).collect();
        Self { forward: PackedConv::forward(shortcut_stencil(output), n_out, n_in, 1, weights), transposed }
    }
}

impl ResidualBlock {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Self {
        let layer = &step.layer;
        let (name, n_in, n_out) = (&layer.name, layer.total_input(), layer.output);
        let output = compiler.layouts[step.output];
        let norm1 = compiler.norm(name, ".in_layers.0");
        let conv1 = ConvPair::new(LayerKind::Residual, output, n_in, compiler.weight(name, ".in_layers.2"));
        let norm2 = compiler.norm(name, ".out_layers.0");
        let conv2 = ConvPair::new(LayerKind::Residual, output, n_out, compiler.weight(name, ".out_layers.3"));
        let (bias1, mut bias2) = (compiler.bias(name, ".in_layers.2"), compiler.bias(name, ".out_layers.3"));
        let projection = layer.has_projection().then(|| {
            let of_projection = compiler.bias(name, ".skip_connection");
            bias2.iter_mut().zip(of_projection).for_each(|(bias, more)| *bias += more);
            Projection::new(output, (layer.input, layer.skip), compiler.weight(name, ".skip_connection"))
        });
        let input = output.with_channels(n_in);
        compiler.reserve(&[&conv1.forward], output);
        compiler.reserve(&[&conv1.transposed], input);
        compiler.reserve(&[&conv2.transposed], output);
        match &projection {
            Some(projection) => {
                compiler.reserve(&[&conv2.forward, &projection.forward], output);
                projection.transposed.iter().for_each(|t| compiler.reserve(&[t], output.with_channels(t.n_out)));
            }
            None => compiler.reserve(&[&conv2.forward], output),
        }
        Self { norm1, conv1, bias1, shift: compiler.shift(n_out), norm2, conv2, bias2, projection }
    }

    pub(super) fn forward(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let (hidden, n_out) = (step.hidden[0], step.layer.output);
        let (mut u, mut state) = (take(&mut lane.activations[hidden]), take(&mut lane.norms[self.norm1.0]));
        let skip_moments = step.skip.map(|skip| lane.activations[skip].moments());
        state.forward.forward(&self.norm1.1, lane.activations[step.input].moments(), skip_moments);
        let prologue = Prologue::NormSilu(&state.forward);
        let terms = [Term { weights: &self.conv1.forward, input: lane.inputs(step), prologue }];
        let shift = &lane.embedded.shifts[self.shift..self.shift + n_out];
        let epilogue = Epilogue::Forward { bias: &self.bias1, shift: Some(shift), residual: None };
        Convolution { terms: &terms, output: u.layout, epilogue }.run(engine, &mut u.values, &mut u.moments);
        (lane.activations[hidden], lane.norms[self.norm1.0]) = (u, state);

        let (mut out, mut state) = (take(&mut lane.activations[step.output]), take(&mut lane.norms[self.norm2.0]));
        state.forward.forward(&self.norm2.1, lane.activations[hidden].moments(), None);
        let (input, prologue) = (Concat::one(lane.view(hidden)), Prologue::NormSilu(&state.forward));
        let main = Term { weights: &self.conv2.forward, input, prologue };
        let shortcut = self.projection.as_ref().map(|projection| Term {
            weights: &projection.forward,
            input: lane.inputs(step),
            prologue: Prologue::Identity,
        });
        let residual = shortcut.is_none().then(|| lane.inputs(step));
        let terms = [main, shortcut.unwrap_or(main)];
        let terms = &terms[..1 + usize::from(shortcut.is_some())];
        let epilogue = Epilogue::Forward { bias: &self.bias2, shift: None, residual };
        Convolution { terms, output: out.layout, epilogue }.run(engine, &mut out.values, &mut out.moments);
        (lane.activations[step.output], lane.norms[self.norm2.0]) = (out, state);
    }

    pub(super) fn flop(&self, output: Blocked) -> (Flop, Flop) {
        let of = |conv: &PackedConv| conv.flop(output);
        let (forward, transposed) = self.projection.as_ref().map_or_else(Default::default, |projection| {
            (of(&projection.forward), projection.transposed.iter().map(of).sum())
        });
        let forward = of(&self.conv1.forward) + of(&self.conv2.forward) + forward;
        (forward, of(&self.conv1.transposed) + of(&self.conv2.transposed) + transposed)
    }

    pub(super) fn vjp(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        self.vjp_second(engine, step, lane);
        self.vjp_first(engine, step, lane);
        self.vjp_input(engine, step, lane, 0, (step.input, step.d_input));
        if let (Some(skip), Some(target)) = (step.skip, step.d_skip) {
            self.vjp_input(engine, step, lane, step.layer.input, (skip, target));
        }
    }

    /// d_z2 = conv2^T(d_out) silu'(z2), and the vjp of the second norm.
    fn vjp_second(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let (layout, slot) = (lane.layout(step.output), step.d_hidden[0]);
        let (mut d_z, mut sums) = (take(&mut lane.gradients[slot]), take(&mut lane.sums));
        let mut state = take(&mut lane.norms[self.norm2.0]);
        let d_output = Concat::one(lane.gradient(step.d_output, layout));
        let terms = [Term { weights: &self.conv2.transposed, input: d_output, prologue: Prologue::Identity }];
        let normalised = Concat::one(lane.view(step.hidden[0]));
        let epilogue = Epilogue::SiluVjp { norm: &state.forward, normalised };
        Convolution { terms: &terms, output: layout, epilogue }.run(engine, &mut d_z, &mut sums);
        let n_sums = layout.n_blocks() * layout.channels;
        state.vjp.vjp(&self.norm2.1, &state.forward, layout.height * layout.width, &sums[..n_sums]);
        (lane.gradients[slot], lane.sums, lane.norms[self.norm2.0]) = (d_z, sums, state);
    }

    /// d_z1 = conv1^T(d_u) silu'(z1) with d_u = p d_z2 + q u + r, and the vjp of the first norm.
    fn vjp_first(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        let hidden = lane.layout(step.hidden[0]);
        let (layout, slot) = (hidden.with_channels(step.layer.total_input()), step.d_hidden[1]);
        let (mut d_z, mut sums) = (take(&mut lane.gradients[slot]), take(&mut lane.sums));
        let mut state = take(&mut lane.norms[self.norm1.0]);
        let d_z2 = Concat::one(lane.gradient(step.d_hidden[0], hidden));
        let prologue = Prologue::NormVjp(&lane.norms[self.norm2.0].vjp, Concat::one(lane.view(step.hidden[0])));
        let terms = [Term { weights: &self.conv1.transposed, input: d_z2, prologue }];
        let epilogue = Epilogue::SiluVjp { norm: &state.forward, normalised: lane.inputs(step) };
        Convolution { terms: &terms, output: layout, epilogue }.run(engine, &mut d_z, &mut sums);
        let n_sums = layout.n_blocks() * layout.channels;
        state.vjp.vjp(&self.norm1.1, &state.forward, layout.height * layout.width, &sums[..n_sums]);
        (lane.gradients[slot], lane.sums, lane.norms[self.norm1.0]) = (d_z, sums, state);
    }

    /// d_x = p d_z1 + q x + r + skip^T(d_out), for the input whose channels begin at `first`.
    fn vjp_input(
        &self,
        engine: &Engine,
        step: &Step,
        lane: &mut Lane,
        first: usize,
        (input, target): (TensorId, GradientTarget),
    ) {
        let (layout, accumulate) = (lane.layout(input), target.accumulate);
        let (mut d_x, mut sums) = (take(&mut lane.gradients[target.slot]), take(&mut lane.sums));
        let d_z = lane.gradient(step.d_hidden[1], layout.with_channels(step.layer.total_input()));
        let d_z = d_z.window(first, layout.channels);
        let d_output: View<'_> = lane.gradient(step.d_output, lane.layout(step.output));
        let gradient = InputGradientBlock { gradient: &lane.norms[self.norm1.0].vjp, first, d_z, x: lane.view(input) };
        match &self.projection {
            None => gradient.run(engine, Some(d_output.window(first, layout.channels)), accumulate, &mut d_x),
            Some(projection) => {
                let weights = &projection.transposed[usize::from(first > 0)];
                let terms = [Term { weights, input: Concat::one(d_output), prologue: Prologue::Identity }];
                let epilogue = Epilogue::NormVjp { gradient, accumulate };
                Convolution { terms: &terms, output: layout, epilogue }.run(engine, &mut d_x, &mut sums);
            }
        }
        (lane.gradients[target.slot], lane.sums) = (d_x, sums);
    }
}
