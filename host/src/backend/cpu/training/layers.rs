//! The CPU's layers of the training's operations, in the order of the forward pass.

use super::super::blocked::Blocked;
use super::super::layer::group_norm::GroupNorm;
use super::attention::AttentionLayer;
use super::convolution::ConvLayer;
use super::embedding::Embedding;
use super::lane::{Context, Lane};
use super::memory::Places;
use super::norm::NormLayer;
use crate::unet::operation::{self, Attention, TensorId};
use crate::unet::tape::{self, Convolution, Norm, Quantity};
use std::sync::Arc;

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

    /// Gradients of the values of the inputs, and of the parameters where the context wants them.
    pub(super) fn backward_value(&self, context: &Context<'_>, lane: &mut Lane, with_tangents: bool) {
        match self {
            Self::Convolution(layer) => {
                if !context.to_the_image {
                    layer.weight_gradient(context, lane, with_tangents);
                }
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

    /// `factor` times the gradient of the parameters, from that of what the lanes keep.
    pub(super) fn collect(&self, of_lanes: &[f32], factor: f32, gradient: &mut [f32]) {
        match self {
            Self::Convolution(layer) => layer.collect(of_lanes, factor, gradient),
            Self::Norm(layer) => layer.collect(of_lanes, factor, gradient),
            Self::Attention(_) => {}
        }
    }
}

/// All layers, with what they need.
pub(super) struct Layers {
    pub(super) operations: Vec<Operation>,
    pub(super) embedding: Embedding,
    pub(super) places: Arc<Places>,
    /// Of every activation.
    pub(super) layouts: Vec<Blocked>,
    pub(super) output: TensorId,
    pub(super) n_parameters: usize,
    /// Values of a lane's gradient.
    pub(super) gradient_len: usize,
    pub(super) scratch_len: usize,
    pub(super) phases_len: usize,
    /// Most channels of a head, and most pixels of an attention.
    pub(super) head_channels: usize,
    pub(super) head_pixels: usize,
}

impl Layers {
    /// The layers of a tape, with the layouts of its activations.
    pub(super) fn new(tape: tape::Tape, layouts: Vec<Blocked>) -> Self {
        let mut layers = Self {
            operations: Vec::new(),
            places: Arc::new(Places::new(&tape, &layouts)),
            embedding: Embedding::new(tape.time_embedding),
            layouts,
            output: tape.output,
            n_parameters: tape.n_parameters,
            gradient_len: 0,
            scratch_len: 0,
            phases_len: 0,
            head_channels: 0,
            head_pixels: 0,
        };
        let mut n_norms = 0;
        for operation in tape.operations {
            let layer = match operation {
                tape::Operation::Convolution(convolution) => layers.convolution(convolution),
                tape::Operation::Norm(norm) => {
                    n_norms += 1;
                    layers.norm(norm, n_norms - 1)
                }
                tape::Operation::Attention(attention) => layers.attention(&attention),
            };
            layers.operations.push(layer);
        }
        layers
    }

    fn convolution(&mut self, tape: Convolution) -> Operation {
        let residual_goes_back = tape.residual.is_some_and(|inputs| !self.places.are_anothers(inputs.first.tensor));
        let layer = ConvLayer::new(tape, &self.layouts, residual_goes_back, self.gradient_len);
        self.gradient_len += layer.gradient_len();
        let (scratch, phases) = layer.room(&self.layouts);
        (self.scratch_len, self.phases_len) = (self.scratch_len.max(scratch), self.phases_len.max(phases));
        Operation::Convolution(Box::new(layer))
    }

    fn norm(&mut self, tape: Norm, number: usize) -> Operation {
        let Norm { norm: operation::Norm { groups, eps, gain, bias }, inputs, output, silu } = tape;
        let zeros = || vec![0.0; gain.len()];
        let norm = GroupNorm { gain: zeros(), bias: zeros(), groups, eps };
        let gradient = self.gradient_len..self.gradient_len + 2 * gain.len();
        self.gradient_len = gradient.end;
        Operation::Norm(Box::new(NormLayer { number, inputs, output, silu, norm, gain, bias, gradient }))
    }

    fn attention(&mut self, &Attention { heads, qkv, mixed, .. }: &Attention) -> Operation {
        let layout = self.layouts[mixed];
        self.head_channels = self.head_channels.max(layout.channels / heads);
        self.head_pixels = self.head_pixels.max(layout.height * layout.width);
        Operation::Attention(AttentionLayer { heads, qkv, mixed })
    }
}
