//! The layers of a network as a tape of three kinds of operations, in the order of the forward pass.

use super::super::blocked::Blocked;
use super::super::layer::group_norm::GroupNorm;
use super::super::layer::resample::stencils;
use super::super::layer::stencil::Stencil;
use super::attention::AttentionLayer;
use super::convolution::ConvLayer;
use super::embedding::{Embedding, LinearLayer};
use super::lane::{Context, Inputs, Lane, Quantity};
use super::norm::NormLayer;
use crate::unet::Architecture;
use crate::unet::layers::{self, LayerKind};
use crate::unet::plan::{Plan, Step, TensorId};
use std::collections::HashMap;
use std::ops::Range;

/// One operation.
#[derive(Debug)]
pub(super) enum Operation {
    Convolution(Box<ConvLayer>),
    Norm(Box<NormLayer>),
    Attention(AttentionLayer),
}

impl Operation {
    /// Values, or tangents.
    pub(super) fn forward(&self, context: &Context<'_>, lane: &mut Lane, quantity: Quantity) {
        match self {
            Self::Convolution(layer) => layer.forward(context, lane, quantity),
            Self::Norm(layer) if quantity == Quantity::Value => layer.forward(context, lane),
            Self::Norm(layer) => layer.tangent(context, lane),
            Self::Attention(layer) => layer.forward(context, lane, quantity),
        }
    }

    /// Gradients of the tangents of the inputs.
    pub(super) fn backward_tangent(&self, context: &Context<'_>, lane: &mut Lane) {
        match self {
            Self::Convolution(layer) => layer.backward(context, lane, Quantity::DDot),
            Self::Norm(layer) => layer.backward_tangent(context, lane),
            Self::Attention(layer) => layer.backward_tangent(context, lane),
        }
    }

    /// Gradients of the values of the inputs, and of the parameters.
    pub(super) fn backward_value(&self, context: &Context<'_>, lane: &mut Lane, with_tangents: bool) {
        match self {
            Self::Convolution(layer) => {
                layer.weight_gradient(context, lane, with_tangents);
                layer.backward(context, lane, Quantity::DValue);
            }
            Self::Norm(layer) => layer.backward_value(context, lane, with_tangents),
            Self::Attention(layer) => layer.backward_value(context, lane, with_tangents),
        }
    }

    pub(super) fn repack(&mut self, parameters: &[f32]) {
        match self {
            Self::Convolution(layer) => layer.repack(parameters),
            Self::Norm(layer) => layer.repack(parameters),
            Self::Attention(_) => {}
        }
    }

    /// Adds up the lanes' gradients of the parameters.
    pub(super) fn collect(&self, lanes: &[Lane], factor: f32, gradient: &mut [f32]) {
        match self {
            Self::Convolution(layer) => layer.collect(lanes, factor, gradient),
            Self::Norm(layer) => layer.collect(lanes, factor, gradient),
            Self::Attention(_) => {}
        }
    }
}

/// All operations, with what they need.
pub(super) struct Tape {
    pub(super) operations: Vec<Operation>,
    pub(super) embedding: Embedding,
    /// Of every activation: the plan's, and those behind a norm.
    pub(super) layouts: Vec<Blocked>,
    pub(super) n_parameters: usize,
    /// Values of a lane's gradient.
    pub(super) gradient_len: usize,
    pub(super) scratch_len: usize,
    pub(super) phases_len: usize,
    /// Most channels of a head and most pixels.
    pub(super) attention: (usize, usize),
}

impl Tape {
    pub(super) fn new(architecture: &Architecture, plan: &Plan, layouts: Vec<Blocked>) -> Self {
        let mut places = HashMap::new();
        let mut n_parameters = 0;
        for (name, shape) in layers::tensors(architecture) {
            let len: usize = shape.iter().product();
            places.insert(name, n_parameters..n_parameters + len);
            n_parameters += len;
        }
        let mut builder = Builder {
            architecture,
            places,
            layouts,
            operations: Vec::new(),
            shifts: Vec::new(),
            n_shifts: 0,
            n_norms: 0,
            gradient_len: 0,
            attention: (0, 0),
        };
        plan.steps.iter().for_each(|step| builder.step(step));
        builder.mark_first_writers();
        let [first, second] = ["time_embed.0", "time_embed.2"].map(|name| builder.linear(name));
        let embedding = Embedding::new(architecture, first, second, builder.shifts);
        let room = builder.operations.iter().map(|operation| match operation {
            Operation::Convolution(layer) => layer.room(&builder.layouts),
            _ => (0, 0),
        });
        let (scratch_len, phases_len) = room.fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        Self {
            embedding,
            n_parameters,
            gradient_len: builder.gradient_len,
            scratch_len,
            phases_len,
            attention: builder.attention,
            layouts: builder.layouts,
            operations: builder.operations,
        }
    }
}

struct Builder<'a> {
    architecture: &'a Architecture,
    places: HashMap<String, Range<usize>>,
    layouts: Vec<Blocked>,
    operations: Vec<Operation>,
    shifts: Vec<LinearLayer>,
    n_shifts: usize,
    n_norms: usize,
    gradient_len: usize,
    attention: (usize, usize),
}

impl Builder<'_> {
    fn linear(&self, name: &str) -> LinearLayer {
        let (weight, bias) = self.places(name);
        LinearLayer { weight, bias }
    }

    /// Where a layer's weight and bias stand in the parameters.
    fn places(&self, name: &str) -> (Range<usize>, Range<usize>) {
        let place = |part: &str| self.places.get(&format!("{name}.{part}")).cloned().unwrap_or(0..0);
        (place("weight"), place("bias"))
    }

    fn new_tensor(&mut self, layout: Blocked) -> TensorId {
        self.layouts.push(layout);
        self.layouts.len() - 1
    }

    fn step(&mut self, step: &Step) {
        let (name, kind) = (&step.layer.name, step.layer.kind);
        let inputs = Inputs::new(step.input, step.skip);
        match kind {
            LayerKind::ConvIn => {
                let conv = self.convolution(name, Some(kind), inputs, step.output);
                self.push(ConvLayer { goes_back: false, ..conv });
            }
            LayerKind::Down | LayerKind::Up => {
                let part = if kind == LayerKind::Down { "op" } else { "conv" };
                let conv = self.convolution(&format!("{name}.{part}"), Some(kind), inputs, step.output);
                self.push(conv);
            }
            LayerKind::ConvOut => {
                let active = self.norm(&format!("{name}.0"), inputs, true);
                let conv = self.convolution(&format!("{name}.2"), Some(kind), Inputs::new(active, None), step.output);
                self.push(conv);
            }
            LayerKind::Residual => self.residual(step, inputs),
            LayerKind::Attention => {
                let normal = self.norm(&format!("{name}.norm"), inputs, false);
                let (qkv, mixed) = (step.hidden[0], step.hidden[1]);
                let conv = self.convolution(&format!("{name}.qkv"), None, Inputs::new(normal, None), qkv);
                self.push(conv);
                let (heads, layout) = (self.architecture.num_heads, self.layouts[mixed]);
                self.operations.push(Operation::Attention(AttentionLayer { heads, qkv, mixed }));
                let (channels, pixels) = self.attention;
                self.attention = (channels.max(layout.channels / heads), pixels.max(layout.height * layout.width));
                let conv = self.convolution(&format!("{name}.proj_out"), None, Inputs::new(mixed, None), step.output);
                self.push(ConvLayer { residual: Some(inputs), ..conv });
            }
        }
    }

    fn residual(&mut self, step: &Step, inputs: Inputs) {
        let (name, kind, hidden) = (&step.layer.name, Some(LayerKind::Residual), step.hidden[0]);
        let active = self.norm(&format!("{name}.in_layers.0"), inputs, true);
        let conv = self.convolution(&format!("{name}.in_layers.2"), kind, Inputs::new(active, None), hidden);
        self.push(ConvLayer { shift: Some(self.n_shifts), ..conv });
        self.n_shifts += step.layer.output;
        self.shifts.push(self.linear(&format!("{name}.emb_layers.1")));
        let active = self.norm(&format!("{name}.out_layers.0"), Inputs::new(hidden, None), true);
        let mut residual = inputs;
        if step.layer.has_projection() {
            let projected = self.new_tensor(self.layouts[step.output]);
            let conv = self.convolution(&format!("{name}.skip_connection"), None, inputs, projected);
            self.push(conv);
            residual = Inputs::new(projected, None);
        }
        let conv = self.convolution(&format!("{name}.out_layers.3"), kind, Inputs::new(active, None), step.output);
        self.push(ConvLayer { residual: Some(residual), ..conv });
    }

    fn push(&mut self, layer: ConvLayer) {
        self.operations.push(Operation::Convolution(Box::new(layer)));
    }

    /// A 3x3 convolution of a layer of some kind, or a 1x1 one.
    fn convolution(&mut self, name: &str, kind: Option<LayerKind>, inputs: Inputs, output: TensorId) -> ConvLayer {
        let layout = self.layouts[output];
        let (pair, side) = kind.map_or(((Stencil::POINT, Stencil::POINT), 1), |kind| (stencils(kind, layout), 3));
        let n_inputs: Vec<usize> = inputs.each().map(|input| self.layouts[input.tensor].channels).collect();
        let channels = (&n_inputs[..], layout.channels);
        let layer = ConvLayer::new((inputs, output), pair, channels, side, self.places(name), self.gradient_len);
        self.gradient_len += layer.gradient_len();
        layer
    }

    /// A norm with an output of its own.
    fn norm(&mut self, name: &str, inputs: Inputs, silu: bool) -> TensorId {
        let (gain, bias) = self.places(name);
        let channels = gain.len();
        let output = self.new_tensor(self.layouts[inputs.first.tensor].with_channels(channels));
        let zeros = || vec![0.0; channels];
        let Architecture { norm_groups: groups, norm_eps: eps, .. } = *self.architecture;
        let norm = GroupNorm { gain: zeros(), bias: zeros(), groups, eps };
        let gradient = self.gradient_len..self.gradient_len + 2 * channels;
        self.gradient_len = gradient.end;
        let number = self.n_norms;
        self.n_norms += 1;
        let layer = NormLayer { number, inputs, output, silu, norm, gain, bias, gradient };
        self.operations.push(Operation::Norm(Box::new(layer)));
        output
    }

    /// Lets the first gradient of every activation, last operation first, overwrite what was there.
    fn mark_first_writers(&mut self) {
        let mut written = vec![false; self.layouts.len()];
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
