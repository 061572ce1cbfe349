//! The buffers of one image: activations, gradients and small per-channel numbers.

use super::super::aligned::Aligned;
use super::super::blocked::{Blocked, Concat, View};
use super::super::layer::group_norm::{InputGradient, Moments, Normalisation};
use super::super::layer::time_embedding::Embedded;
use crate::unet::EnergyScales;
use crate::unet::plan::{SlotId, Step, TensorId};

/// An activation with the moments of its blocks.
#[derive(Debug, Default)]
pub(crate) struct Activation {
    pub(crate) layout: Blocked,
    pub(crate) values: Aligned,
    pub(crate) moments: Vec<[f32; 2]>,
}

impl Activation {
    pub(crate) fn new(layout: Blocked) -> Self {
        let moments = vec![[0.0; 2]; layout.n_blocks() * layout.channels];
        Self { layout, values: Aligned::zeros(layout.len()), moments }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::new(&self.values, self.layout)
    }

    pub(crate) fn moments(&self) -> Moments<'_> {
        Moments { layout: self.layout, values: &self.moments }
    }
}

/// A normalisation where the forward pass left it, and its vjp.
#[derive(Debug, Default)]
pub(crate) struct NormState {
    pub(crate) forward: Normalisation,
    pub(crate) vjp: InputGradient,
}

impl NormState {
    pub(crate) fn new(channels: usize) -> Self {
        Self { forward: Normalisation::new(channels), vjp: InputGradient::new(channels) }
    }
}

/// Everything that passes over one image read and write.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) activations: Vec<Activation>,
    pub(crate) gradients: Vec<Aligned>,
    pub(crate) norms: Vec<NormState>,
    /// Pairs of partial sums of the convolution under way.
    pub(crate) sums: Vec<[f32; 2]>,
    pub(crate) embedded: Embedded,
    /// Per attention: log sum exp, and the products of its vjp.
    pub(crate) log_sums: Vec<Vec<f32>>,
    pub(crate) products: Vec<f32>,
    pub(crate) scales: EnergyScales,
    /// h of the last forward pass, `[channel][row][col]`.
    pub(crate) h: Vec<f32>,
}

impl Lane {
    pub(crate) fn view(&self, tensor: TensorId) -> View<'_> {
        self.activations[tensor].view()
    }

    /// The inputs of a step, side by side.
    pub(crate) fn inputs(&self, step: &Step) -> Concat<'_> {
        Concat { first: self.view(step.input), second: step.skip.map(|skip| self.view(skip)) }
    }

    /// The gradient in a slot, which is laid out like `layout`.
    pub(crate) fn gradient(&self, slot: SlotId, layout: Blocked) -> View<'_> {
        View::new(&self.gradients[slot], layout)
    }

    pub(crate) fn layout(&self, tensor: TensorId) -> Blocked {
        self.activations[tensor].layout
    }
}
