//! The operations of training: a network as a list of convolutions, norms and attentions, each with an output of its own,
//! in the order of the forward pass. Backends make their layers from it.
//!
//! The solver's passes fuse norms and shortcuts into convolutions; in training every one of them needs four numbers per
//! value (see `backend::cpu::training`), so here they stand alone. Activations are those of the [`Plan`], followed by the
//! outputs of norms and shortcuts.

use super::Architecture;
use super::layers::{self, LayerKind};
use super::plan::{ActivationShape, Plan, Step, TensorId};
use std::collections::HashMap;
use std::ops::Range;

/// What is known of every activation a, where G = <h, J_h v> is the function that is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// a.
    Value,
    /// Its tangent J_a v.
    Dot,
    /// dG/d(tangent). As G is linear in the tangents, this is also the gradient of the energy with respect to a.
    DDot,
    /// dG/d(value); or, for a loss without tangents, the gradient of that loss.
    DValue,
}

/// An activation, and whether the gradient that an operation gives it is `+=` or the first one, `=`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    pub(crate) tensor: TensorId,
    pub(crate) accumulate: bool,
}

/// One activation, or two side by side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs {
    pub(crate) first: Input,
    pub(crate) second: Option<Input>,
}

impl Inputs {
    fn new(first: TensorId, second: Option<TensorId>) -> Self {
        let input = |tensor| Input { tensor, accumulate: false };
        Self { first: input(first), second: second.map(input) }
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut Input> {
        std::iter::once(&mut self.first).chain(&mut self.second)
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = Input> {
        std::iter::once(self.first).chain(self.second)
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Convolution(Convolution),
    Norm(Norm),
    Attention(Attention),
}

/// out = conv(inputs) + bias + time shift + residual. Ranges are places in the parameters.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    /// The layer whose 3x3 convolution it is; `None` for 1x1.
    pub(crate) kind: Option<LayerKind>,
    pub(crate) inputs: Inputs,
    pub(crate) output: TensorId,
    pub(crate) residual: Option<Inputs>,
    /// Where this operation's time shifts begin.
    pub(crate) shift: Option<usize>,
    /// Whether anybody wants the values' gradients of the inputs.
    pub(crate) goes_back: bool,
    /// `[output][input][row][col]`.
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
}

impl Convolution {
    /// Taps a side.
    pub(crate) fn side(&self) -> usize {
        if self.kind.is_some() { 3 } else { 1 }
    }
}

/// Group normalisation, with SiLU behind it or without.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    pub(crate) inputs: Inputs,
    pub(crate) output: TensorId,
    pub(crate) silu: bool,
    pub(crate) groups: usize,
    pub(crate) eps: f64,
    pub(crate) gain: Range<usize>,
    pub(crate) bias: Range<usize>,
}

/// mixed = attention(qkv); qkv is `[head][q | k | v][channel]`.
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) qkv: TensorId,
    pub(crate) mixed: TensorId,
}

/// A linear layer's place in the parameters: weights `[output][input]`, then the bias.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
}

/// Waves of t, linear, SiLU, linear, SiLU, and a linear layer to the shifts of each residual block.
#[derive(Debug, Clone)]
pub(crate) struct TimeEmbedding {
    /// Half as many as the first layer reads: their cosines, then their sines.
    pub(crate) frequencies: Vec<f64>,
    pub(crate) first: Linear,
    pub(crate) second: Linear,
    pub(crate) shifts: Vec<Linear>,
}

/// All operations, with the activations and parameters that they act on.
#[derive(Debug, Clone)]
pub(crate) struct Tape {
    pub(crate) operations: Vec<Operation>,
    pub(crate) time_embedding: TimeEmbedding,
    /// The plan's activations, and those behind norms and shortcuts.
    pub(crate) tensors: Vec<ActivationShape>,
    /// The network's output, before the pixel shuffle.
    pub(crate) output: TensorId,
    pub(crate) n_parameters: usize,
}

impl Tape {
    pub(crate) fn new(architecture: &Architecture, plan: &Plan) -> Self {
        let mut places = HashMap::new();
        let mut n_parameters = 0;
        for (name, shape) in layers::tensors(architecture) {
            let len: usize = shape.iter().product();
            places.insert(name, n_parameters..n_parameters + len);
            n_parameters += len;
        }
        let (tensors, operations, shifts) = (plan.tensors.clone(), Vec::new(), Vec::new());
        let mut builder = Builder { architecture, places, tensors, operations, shifts, n_shifts: 0 };
        plan.steps.iter().for_each(|step| builder.step(step));
        builder.mark_first_writers();
        let half = architecture.model_channels / 2;
        let frequency = |k: usize| (-architecture.max_period.ln() * k as f64 / half as f64).exp();
        let [first, second] = ["time_embed.0", "time_embed.2"].map(|name| builder.linear(name));
        let frequencies = (0..half).map(frequency).collect();
        Self {
            time_embedding: TimeEmbedding { frequencies, first, second, shifts: builder.shifts },
            operations: builder.operations,
            tensors: builder.tensors,
            output: plan.output(),
            n_parameters,
        }
    }
}

struct Builder<'a> {
    architecture: &'a Architecture,
    places: HashMap<String, Range<usize>>,
    tensors: Vec<ActivationShape>,
    operations: Vec<Operation>,
    shifts: Vec<Linear>,
    n_shifts: usize,
}

impl Builder<'_> {
    fn linear(&self, name: &str) -> Linear {
        let (weight, bias) = self.places(name);
        Linear { weight, bias }
    }

    /// Where a layer's weight and bias stand in the parameters.
    fn places(&self, name: &str) -> (Range<usize>, Range<usize>) {
        let place = |part: &str| self.places.get(&format!("{name}.{part}")).cloned().unwrap_or(0..0);
        (place("weight"), place("bias"))
    }

    fn new_tensor(&mut self, shape: ActivationShape) -> TensorId {
        self.tensors.push(shape);
        self.tensors.len() - 1
    }

    fn step(&mut self, step: &Step) {
        let (name, kind) = (&step.layer.name, step.layer.kind);
        let inputs = Inputs::new(step.input, step.skip);
        match kind {
            LayerKind::ConvIn => {
                let conv = self.convolution(name, Some(kind), inputs, step.output);
                self.push(Convolution { goes_back: false, ..conv });
            }
            LayerKind::Down | LayerKind::Up => {
                let part = if kind == LayerKind::Down { "op" } else { "conv" };
                self.push(self.convolution(&format!("{name}.{part}"), Some(kind), inputs, step.output));
            }
            LayerKind::ConvOut => {
                let active = self.norm(&format!("{name}.0"), inputs, true);
                self.push(self.convolution(&format!("{name}.2"), Some(kind), Inputs::new(active, None), step.output));
            }
            LayerKind::Residual => self.residual(step, inputs),
            LayerKind::Attention => self.attention(step, inputs),
        }
    }

    fn residual(&mut self, step: &Step, inputs: Inputs) {
        let (name, kind, hidden) = (&step.layer.name, Some(LayerKind::Residual), step.hidden[0]);
        let active = self.norm(&format!("{name}.in_layers.0"), inputs, true);
        let conv = self.convolution(&format!("{name}.in_layers.2"), kind, Inputs::new(active, None), hidden);
        self.push(Convolution { shift: Some(self.n_shifts), ..conv });
        self.n_shifts += step.layer.output;
        self.shifts.push(self.linear(&format!("{name}.emb_layers.1")));
        let active = self.norm(&format!("{name}.out_layers.0"), Inputs::new(hidden, None), true);
        let mut residual = inputs;
        if step.layer.has_projection() {
            let projected = self.new_tensor(self.tensors[step.output]);
            self.push(self.convolution(&format!("{name}.skip_connection"), None, inputs, projected));
            residual = Inputs::new(projected, None);
        }
        let conv = self.convolution(&format!("{name}.out_layers.3"), kind, Inputs::new(active, None), step.output);
        self.push(Convolution { residual: Some(residual), ..conv });
    }

    fn attention(&mut self, step: &Step, inputs: Inputs) {
        let (name, qkv, mixed) = (&step.layer.name, step.hidden[0], step.hidden[1]);
        let normal = self.norm(&format!("{name}.norm"), inputs, false);
        self.push(self.convolution(&format!("{name}.qkv"), None, Inputs::new(normal, None), qkv));
        let heads = self.architecture.num_heads;
        self.operations.push(Operation::Attention(Attention { heads, qkv, mixed }));
        let conv = self.convolution(&format!("{name}.proj_out"), None, Inputs::new(mixed, None), step.output);
        self.push(Convolution { residual: Some(inputs), ..conv });
    }

    fn push(&mut self, convolution: Convolution) {
        self.operations.push(Operation::Convolution(convolution));
    }

    /// A 3x3 convolution of a layer of some kind, or a 1x1 one.
    fn convolution(&self, name: &str, kind: Option<LayerKind>, inputs: Inputs, output: TensorId) -> Convolution {
        let (weight, bias) = self.places(name);
        Convolution { kind, inputs, output, residual: None, shift: None, goes_back: true, weight, bias }
    }

    /// A norm with an output of its own.
    fn norm(&mut self, name: &str, inputs: Inputs, silu: bool) -> TensorId {
        let (gain, bias) = self.places(name);
        let output = self.new_tensor(ActivationShape { channels: gain.len(), ..self.tensors[inputs.first.tensor] });
        let Architecture { norm_groups: groups, norm_eps: eps, .. } = *self.architecture;
        self.operations.push(Operation::Norm(Norm { inputs, output, silu, groups, eps, gain, bias }));
        output
    }

    /// Lets the first gradient of every activation, last operation first, overwrite what was there.
    fn mark_first_writers(&mut self) {
        let mut written = vec![false; self.tensors.len()];
        let mut mark = |inputs: &mut Inputs| {
            inputs.each_mut().for_each(|input| input.accumulate = std::mem::replace(&mut written[input.tensor], true));
        };
        for operation in self.operations.iter_mut().rev() {
            match operation {
                Operation::Convolution(layer) => {
                    layer.residual.as_mut().into_iter().for_each(&mut mark);
                    mark(&mut layer.inputs);
                }
                Operation::Norm(layer) => mark(&mut layer.inputs),
                Operation::Attention(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;

    #[test]
    fn every_parameter_belongs_to_one_operation() {
        let tape = Tape::new(&small(), &Plan::new(&small(), 16, 16).unwrap());
        let of = |operation: &Operation| match operation {
            Operation::Convolution(Convolution { weight, bias, .. }) => vec![weight.clone(), bias.clone()],
            Operation::Norm(Norm { gain, bias, .. }) => vec![gain.clone(), bias.clone()],
            Operation::Attention(_) => vec![],
        };
        let TimeEmbedding { first, second, shifts, .. } = &tape.time_embedding;
        let linear = [first, second].into_iter().chain(shifts).flat_map(|l| [l.weight.clone(), l.bias.clone()]);
        let mut ranges: Vec<Range<usize>> = tape.operations.iter().flat_map(of).chain(linear).collect();
        ranges.sort_by_key(|range| range.start);
        assert_eq!((ranges[0].start, ranges.last().map(|range| range.end)), (0, Some(tape.n_parameters)));
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}
