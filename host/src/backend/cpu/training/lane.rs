//! The buffers of one image in training: four numbers for every activation, and its gradient of the weights.

use super::super::aligned::Aligned;
use super::super::blocked::{Activation, Blocked, Concat};
use super::super::engine::Engine;
use super::embedding::EmbeddingState;
use super::head::AttentionScratch;
use super::memory::Memory;
use super::norm_kernels::NormState;
use crate::unet::EnergyScales;
use crate::unet::operation::TensorId;
use crate::unet::tape::{Input, Inputs, Quantity};

/// Inputs of a layer besides the buffers of its lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) engine: &'a Engine,
    pub(super) layouts: &'a [Blocked],
    pub(super) parameters: &'a [f32],
    /// As many as any activation has channels.
    pub(super) zeros: &'a [f32],
    /// True if gradients are wanted down to the image, in place of those of the weights.
    pub(super) to_the_image: bool,
}

/// Everything that the passes over one image read and write.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) memory: Memory,
    pub(super) norms: Vec<NormState>,
    pub(super) embedding: EmbeddingState,
    pub(super) attention: AttentionScratch,
    /// Gradients of the layers' parameters, as the layers keep them.
    pub(super) gradient: Vec<f32>,
    /// Mean and sum of squared deviations of every activation's value that a convolution made, `[tensor]`.
    pub(super) moments: Vec<Vec<[f32; 2]>>,
    /// Those of the convolution under way that makes something else.
    pub(super) sums: Vec<[f32; 2]>,
    /// Output gradients split into phases.
    pub(super) phases: Aligned,
    /// Images: h, J_h v, J_h^T h, v.
    pub(super) h: Vec<f32>,
    pub(super) dot_h: Vec<f32>,
    pub(super) d_image: Vec<f32>,
    pub(super) v: Vec<f32>,
    /// Factors by which the smoothing level enters the energy.
    pub(super) scales: EnergyScales,
    pub(super) loss: f64,
}

impl Lane {
    pub(super) fn take(&mut self, quantity: Quantity, tensor: TensorId) -> Aligned {
        self.memory.take(quantity, tensor)
    }

    pub(super) fn put(&mut self, quantity: Quantity, tensor: TensorId, values: Aligned) {
        self.memory.put(quantity, tensor, values);
    }

    pub(super) fn activation(&self, context: &Context<'_>, quantity: Quantity, tensor: TensorId) -> Activation<'_> {
        Activation::new(self.memory.of(quantity, tensor), context.layouts[tensor])
    }

    pub(super) fn inputs(&self, context: &Context<'_>, quantity: Quantity, inputs: Inputs) -> Concat<'_> {
        let activation = |input: Input| self.activation(context, quantity, input.tensor);
        Concat { first: activation(inputs.first), second: inputs.second.map(activation) }
    }
}
