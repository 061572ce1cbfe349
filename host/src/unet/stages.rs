//! The stages of the network, which are its layers, as operations: forward, and the vjp.
//!
//! ```text
//! convolution    out = conv(x)
//! output         out = conv(silu(norm(x)))
//! residual block u = conv1(silu(norm1(x))) + shift(t),   out = conv2(silu(norm2(u))) + skip(x)
//! attention      qkv = conv(norm(x)),   mixed = attention(qkv),   out = conv'(mixed) + x
//! ```
//!
//! with x one activation or two side by side, and skip the identity or a 1x1 convolution. Norms, activations and sums
//! are never written out: who reads x normalises it.

use super::architecture::Architecture;
use super::layers::{self, Layer, LayerKind};
use super::lowering::Lowering;
use super::operation::{
    Attention, Epilogue, Inputs, Kernel, NormId, NormVjp, Operation, Prologue, Sampling, TensorId, Term,
};
use super::perturbation::Direction;
use super::program::{NetworkError, Program, StageSpan};
use std::mem::take;
use std::ops::Range;

impl Program {
    /// Passes over images of `height` x `width` pixels.
    ///
    /// # Errors
    /// `Size` when a side is no multiple of [`Architecture::size_multiple`], `Architecture` for an impossible network.
    pub(crate) fn new(architecture: &Architecture, height: usize, width: usize) -> Result<Self, NetworkError> {
        architecture.validate()?;
        let multiple = architecture.size_multiple();
        if height == 0 || width == 0 || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            return Err(NetworkError::Size { height, width, multiple });
        }
        let side = architecture.pixel_unshuffle;
        let mut to = Lowering::new(architecture, height / side, width / side);
        let stages = forward(&mut to, architecture);
        to.program.forward = take(&mut to.operations);
        to.program.n_activations = to.program.shapes.len();
        backward(&mut to, &stages);
        let image_len = architecture.in_channels * height * width;
        Ok(Self { vjp: to.operations, widest: widest(architecture), pixel_unshuffle: side, image_len, ..to.program })
    }
}

fn forward(to: &mut Lowering<'_>, architecture: &Architecture) -> Vec<Stage> {
    let mut newest = to.activation(architecture.in_channels * architecture.pixel_unshuffle.pow(2), 0);
    to.time_embedding();
    to.push(Operation::Embed);
    to.push(Operation::Enter { direction: Direction::Forward, output: newest });
    let (mut kept, mut stages) = (Vec::new(), Vec::new());
    for layer in layers::layers(architecture) {
        let second = if layer.skip > 0 { kept.pop() } else { None };
        let first = to.operations.len();
        let stage = Stage::new(to, &layer, Inputs { first: newest, second });
        newest = stage.output;
        if layer.pushed {
            kept.push(newest);
        }
        stages.push(stage);
        to.program.stages.push(StageSpan { name: layer.name, forward: first..to.operations.len(), vjp: 0..0 });
    }
    to.push(Operation::Leave { direction: Direction::Forward, input: newest });
    stages
}

fn backward(to: &mut Lowering<'_>, stages: &[Stage]) {
    const INPUT: TensorId = 0;
    let output = to.target(stages.last().map_or(INPUT, |stage| stage.output)).tensor;
    to.push(Operation::Enter { direction: Direction::Vjp, output });
    for (index, stage) in stages.iter().enumerate().rev() {
        let first = to.operations.len();
        stage.vjp(to);
        to.program.stages[index].vjp = first..to.operations.len();
    }
    let input = to.complete(INPUT);
    to.push(Operation::Leave { direction: Direction::Vjp, input });
}

fn widest(architecture: &Architecture) -> Vec<usize> {
    let mut widest = vec![1; architecture.levels()];
    for layer in layers::layers(architecture) {
        widest[layer.level] = widest[layer.level].max(layer.total_input()).max(layer.output);
    }
    widest
}

/// A stage whose forward pass stands, with what its vjp needs to know.
pub(super) struct Stage {
    x: Inputs,
    pub(super) output: TensorId,
    kind: Kind,
}

enum Kind {
    Convolution(Kernel),
    Output(NormId, Kernel),
    Residual { norms: [NormId; 2], kernels: [Kernel; 2], projection: Option<Kernel>, u: TensorId },
    Attention { norm: NormId, to_qkv: Kernel, attention: Attention, to_out: Kernel },
}

impl Term {
    fn forward(kernel: &Kernel, input: Inputs, prologue: Prologue) -> Self {
        Self { kernel: kernel.clone(), transposed: None, input, prologue }
    }

    fn transposed(kernel: &Kernel, inputs: Range<usize>, d_output: TensorId) -> Self {
        let (input, prologue) = (Inputs::one(d_output), Prologue::Identity);
        Self { kernel: kernel.clone(), transposed: Some(inputs), input, prologue }
    }

    /// The transpose to all inputs.
    fn vjp(kernel: &Kernel, d_output: TensorId) -> Self {
        Self::transposed(kernel, 0..kernel.n_in, d_output)
    }
}

/// The epilogue of a convolution whose output is normalised next.
const BIAS: Epilogue = Epilogue::Forward { shift: None, residual: None, moments: true };

impl Stage {
    /// The forward pass of a layer.
    pub(super) fn new(to: &mut Lowering<'_>, layer: &Layer, x: Inputs) -> Self {
        let name = &layer.name;
        match layer.kind {
            LayerKind::ConvIn => Self::convolution(to, layer, x, to.kernel(name, Sampling::Same)),
            LayerKind::Down => Self::convolution(to, layer, x, to.kernel(&format!("{name}.op"), Sampling::Down)),
            LayerKind::Up => Self::convolution(to, layer, x, to.kernel(&format!("{name}.conv"), Sampling::Up)),
            LayerKind::ConvOut => Self::output(to, layer, x),
            LayerKind::Residual => Self::residual(to, layer, x),
            LayerKind::Attention => Self::attention(to, layer, x),
        }
    }

    fn convolution(to: &mut Lowering<'_>, layer: &Layer, x: Inputs, kernel: Kernel) -> Self {
        let output = to.activation(layer.output, layer.level);
        to.convolve(Term::forward(&kernel, x, Prologue::Identity), None, output, BIAS);
        Self { x, output, kind: Kind::Convolution(kernel) }
    }

    fn output(to: &mut Lowering<'_>, layer: &Layer, x: Inputs) -> Self {
        let norm = to.norm(&format!("{}.0", layer.name));
        let kernel = to.kernel(&format!("{}.2", layer.name), Sampling::Same);
        let output = to.activation(layer.output, layer.level);
        to.push(Operation::Normalise { norm, x });
        let epilogue = Epilogue::Forward { shift: None, residual: None, moments: false };
        to.convolve(Term::forward(&kernel, x, Prologue::Norm { norm, silu: true }), None, output, epilogue);
        Self { x, output, kind: Kind::Output(norm, kernel) }
    }

    fn residual(to: &mut Lowering<'_>, layer: &Layer, x: Inputs) -> Self {
        let name = |part: &str| format!("{}.{part}", layer.name);
        let norms = ["in_layers.0", "out_layers.0"].map(|part| to.norm(&name(part)));
        let kernels = ["in_layers.2", "out_layers.3"].map(|part| to.kernel(&name(part), Sampling::Same));
        let projection = layer.has_projection().then(|| to.kernel(&name("skip_connection"), Sampling::Point));
        let [u, output] = [(); 2].map(|()| to.activation(layer.output, layer.level));

        to.push(Operation::Normalise { norm: norms[0], x });
        let prologue = Prologue::Norm { norm: norms[0], silu: true };
        let shift = Some(to.shift(&name("emb_layers.1")));
        let epilogue = Epilogue::Forward { shift, residual: None, moments: true };
        to.convolve(Term::forward(&kernels[0], x, prologue), None, u, epilogue);

        to.push(Operation::Normalise { norm: norms[1], x: Inputs::one(u) });
        let prologue = Prologue::Norm { norm: norms[1], silu: true };
        let shortcut = projection.as_ref().map(|kernel| Term::forward(kernel, x, Prologue::Identity));
        let residual = projection.is_none().then_some(x);
        let epilogue = Epilogue::Forward { shift: None, residual, moments: true };
        to.convolve(Term::forward(&kernels[1], Inputs::one(u), prologue), shortcut, output, epilogue);
        Self { x, output, kind: Kind::Residual { norms, kernels, projection, u } }
    }

    fn attention(to: &mut Lowering<'_>, layer: &Layer, x: Inputs) -> Self {
        let name = |part: &str| format!("{}.{part}", layer.name);
        let norm = to.norm(&name("norm"));
        let [to_qkv, to_out] = ["qkv", "proj_out"].map(|part| to.kernel(&name(part), Sampling::Point));
        let [qkv, mixed, output] = [3, 1, 1].map(|parts| to.activation(parts * layer.output, layer.level));
        let attention = to.attention(qkv, mixed);

        to.push(Operation::Normalise { norm, x });
        let prologue = Prologue::Norm { norm, silu: false };
        let epilogue = Epilogue::Forward { shift: None, residual: None, moments: false };
        to.convolve(Term::forward(&to_qkv, x, prologue), None, qkv, epilogue);
        to.push(Operation::Attend(attention));
        let epilogue = Epilogue::Forward { shift: None, residual: Some(x), moments: true };
        to.convolve(Term::forward(&to_out, Inputs::one(mixed), Prologue::Identity), None, output, epilogue);
        Self { x, output, kind: Kind::Attention { norm, to_qkv, attention, to_out } }
    }

    /// The vjp: from the gradient of the output, which is complete, to those of the inputs.
    pub(super) fn vjp(&self, to: &mut Lowering<'_>) {
        let (x, d_output) = (self.x, to.complete(self.output));
        match &self.kind {
            Kind::Convolution(kernel) => {
                let d_x = to.target(x.first);
                let epilogue = Epilogue::Gradient { accumulate: d_x.accumulate };
                to.convolve(Term::vjp(kernel, d_output), None, d_x.tensor, epilogue);
            }
            Kind::Output(norm, kernel) => {
                let d_z = norm_vjp(to, *norm, x, true, Term::vjp(kernel, d_output));
                norm_inputs(to, *norm, x, d_z, Beside::Nothing);
            }
            Kind::Residual { norms, kernels, projection, u } => {
                let d_z2 = norm_vjp(to, norms[1], Inputs::one(*u), true, Term::vjp(&kernels[1], d_output));
                let prologue = Prologue::NormVjp { norm: norms[1], x: *u };
                let from_u = Term { prologue, ..Term::vjp(&kernels[0], d_z2) };
                let d_z1 = norm_vjp(to, norms[0], x, true, from_u);
                to.release(d_z2);
                let projected = projection.as_ref().map(|kernel| Beside::Projection(kernel, d_output));
                norm_inputs(to, norms[0], x, d_z1, projected.unwrap_or(Beside::Sum(d_output)));
            }
            Kind::Attention { norm, to_qkv, attention, to_out } => {
                let d_mixed = to.gradient(Inputs::one(attention.mixed));
                let epilogue = Epilogue::Gradient { accumulate: false };
                to.convolve(Term::vjp(to_out, d_output), None, d_mixed, epilogue);
                let d_qkv = to.gradient(Inputs::one(attention.qkv));
                to.push(Operation::AttendVjp { attention: *attention, d_mixed, d_qkv });
                to.release(d_mixed);
                let d_z = norm_vjp(to, *norm, x, false, Term::vjp(to_qkv, d_qkv));
                to.release(d_qkv);
                norm_inputs(to, *norm, x, d_z, Beside::Sum(d_output));
            }
        }
        to.release(d_output);
    }
}

/// d_z behind the norm of x, with `silu` through the SiLU between, and the norm's vjp.
fn norm_vjp(to: &mut Lowering<'_>, norm: NormId, x: Inputs, silu: bool, term: Term) -> TensorId {
    let d_z = to.gradient(x);
    to.convolve(term, None, d_z, Epilogue::NormSums { norm, x, silu });
    to.push(Operation::NormVjp { norm, d_z });
    d_z
}

/// The gradient of x besides that of its norm: nothing, the output's gradient, or that through a projection.
enum Beside<'a> {
    Nothing,
    Sum(TensorId),
    Projection(&'a Kernel, TensorId),
}

/// The gradients of the tensors of x.
fn norm_inputs(to: &mut Lowering<'_>, norm: NormId, x: Inputs, d_z: TensorId, beside: Beside<'_>) {
    let mut first = 0;
    for x in x.each() {
        let (vjp, d_x) = (NormVjp { norm, d_z, x, first }, to.target(x));
        let channels = first..first + to.program.shapes[x].channels;
        first = channels.end;
        match beside {
            Beside::Nothing => to.push(Operation::NormInput { vjp, base: None, d_x }),
            Beside::Sum(d_output) => to.push(Operation::NormInput { vjp, base: Some(d_output), d_x }),
            Beside::Projection(kernel, d_output) => {
                let epilogue = Epilogue::NormInput { vjp, accumulate: d_x.accumulate };
                to.convolve(Term::transposed(kernel, channels, d_output), None, d_x.tensor, epilogue);
            }
        }
    }
    to.release(d_z);
}
