//! The steps of the network, each a few launches over the buffers that the plan gave it: the CPU's steps, in the same order.

mod attention;
mod convolution;
mod residual;

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::layer::Concat;
use super::layer::conv::{PackedConv, Stencil};
use super::layer::group_norm::{GroupNorm, moments, n_shares};
use super::vector::Lanes;
use crate::unet::Weights;
use crate::unet::layers::LayerKind;
use crate::unet::plan::{ActivationShape, GradientTarget, Plan, SlotId, Step, TensorId};
use gradus_cuda_kernels::Address;
use std::rc::Rc;

/// The buffers of all lanes.
#[derive(Debug)]
pub(super) struct Memory {
    shapes: Vec<ActivationShape>,
    activations: Vec<Buffer<f32>>,
    moments: Vec<Buffer<[f32; 2]>>,
    gradients: Vec<Buffer<f32>>,
    /// Pairs of the vjp under way.
    sums: Buffer<[f32; 2]>,
}

impl Memory {
    /// Bytes for `lanes` lanes: activations with their statistics, and gradients.
    pub(super) fn bytes(plan: &Plan, lanes: usize) -> usize {
        let values: usize = plan.tensors.iter().map(ActivationShape::len).chain(plan.slots.iter().copied()).sum();
        let pairs: usize = plan.tensors.iter().map(pairs).sum();
        lanes * (values * size_of::<f32>() + (pairs + widest(plan)) * size_of::<[f32; 2]>())
    }

    pub(super) fn new(device: &Rc<Device>, plan: &Plan, lanes: usize) -> Result<Self, DeviceError> {
        let values = |len: usize| Buffer::new(device, lanes * len);
        Ok(Self {
            shapes: plan.tensors.clone(),
            activations: plan.tensors.iter().map(|shape| values(shape.len())).collect::<Result<_, _>>()?,
            moments: plan
                .tensors
                .iter()
                .map(|shape| Buffer::new(device, lanes * pairs(shape)))
                .collect::<Result<_, _>>()?,
            gradients: plan.slots.iter().map(|&len| values(len)).collect::<Result<_, _>>()?,
            sums: Buffer::new(device, lanes * widest(plan))?,
        })
    }

    pub(super) fn activation(&self, tensor: TensorId) -> Address<f32> {
        self.activations[tensor].address()
    }

    pub(super) fn gradient(&self, slot: SlotId) -> Address<f32> {
        self.gradients[slot].address()
    }

    fn tensor(&self, tensor: TensorId) -> Concat {
        Concat::one(self.activation(tensor), self.shapes[tensor].channels)
    }

    /// The inputs of a step, side by side.
    fn inputs(&self, step: &Step) -> Concat {
        let second = step.skip.map_or((Address::NULL, 0), |skip| self.tensor(skip).first);
        Concat { second, ..self.tensor(step.input) }
    }

    /// A gradient of `channels` channels.
    fn gradient_of(&self, slot: SlotId, channels: usize) -> Concat {
        Concat::one(self.gradient(slot), channels)
    }

    fn size(&self, tensor: TensorId) -> (usize, usize) {
        (self.shapes[tensor].height, self.shapes[tensor].width)
    }

    fn n_pixels(&self, tensor: TensorId) -> usize {
        self.shapes[tensor].height * self.shapes[tensor].width
    }

    /// Takes the statistics of a tensor that has just been written.
    fn observe(&self, device: &Device, lanes: &Lanes, tensor: TensorId) -> Result<(), DeviceError> {
        moments(device, lanes, self.tensor(tensor).first, self.n_pixels(tensor), &self.moments[tensor])
    }

    /// The norm of a step's inputs, from their statistics.
    fn normalise(&self, device: &Device, lanes: &Lanes, norm: &GroupNorm, step: &Step) -> Result<(), DeviceError> {
        let first = (&self.moments[step.input], self.shapes[step.input].channels);
        let second = step.skip.map(|skip| &self.moments[skip]);
        norm.forward(device, lanes, first, second, self.n_pixels(step.input))
    }

    /// What a step's inputs receive, one after the other: (tensor, target, first channel of the concatenation).
    fn targets<'a>(&'a self, step: &'a Step) -> impl Iterator<Item = (TensorId, GradientTarget, usize)> + 'a {
        let skip = step.skip.zip(step.d_skip).map(|(skip, target)| (skip, target, step.layer.input));
        std::iter::once((step.input, step.d_input, 0)).chain(skip)
    }
}

/// Pairs of statistics of a tensor.
fn pairs(shape: &ActivationShape) -> usize {
    shape.channels * n_shares(shape.height * shape.width)
}

/// Most pairs that the vjp of a norm needs: those of two tensors side by side.
fn widest(plan: &Plan) -> usize {
    let of = |step: &Step| pairs(&plan.tensors[step.input]) + step.skip.map_or(0, |skip| pairs(&plan.tensors[skip]));
    let hidden = plan.steps.iter().flat_map(|step| &step.hidden).map(|&tensor| pairs(&plan.tensors[tensor]));
    plan.steps.iter().map(of).chain(hidden).max().unwrap_or(1)
}

/// One step with its weights on the device.
#[derive(Debug)]
pub(super) enum Operation {
    Convolution(convolution::PlainConvolution),
    Output(convolution::OutputConvolution),
    Residual(residual::ResidualBlock),
    Attention(attention::AttentionBlock),
}

/// What the passes of a step act on.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) device: &'a Device,
    pub(super) lanes: &'a Lanes,
    pub(super) memory: &'a Memory,
    /// The time shifts of all residual blocks, and how many a lane has.
    pub(super) shifts: (Address<f32>, usize),
}

impl Operation {
    pub(super) fn forward(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        match self {
            Self::Convolution(operation) => operation.forward(site, step),
            Self::Output(operation) => operation.forward(site, step),
            Self::Residual(operation) => operation.forward(site, step),
            Self::Attention(operation) => operation.forward(site, step),
        }
    }

    pub(super) fn vjp(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        match self {
            Self::Convolution(operation) => operation.vjp(site, step),
            Self::Output(operation) => operation.vjp(site, step),
            Self::Residual(operation) => operation.vjp(site, step),
            Self::Attention(operation) => operation.vjp(site, step),
        }
    }
}

/// Takes the weights of a plan to the device.
pub(super) struct Compiler<'a> {
    device: &'a Rc<Device>,
    plan: &'a Plan,
    weights: &'a Weights,
    lanes: usize,
    /// Time shifts given out so far.
    shifts: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(device: &'a Rc<Device>, plan: &'a Plan, weights: &'a Weights, lanes: usize) -> Self {
        Self { device, plan, weights, lanes, shifts: 0 }
    }

    pub(super) fn compile(&mut self) -> Result<Vec<Operation>, DeviceError> {
        let plan = self.plan;
        let operation = |step: &Step| {
            Ok(match step.layer.kind {
                LayerKind::ConvIn | LayerKind::Down | LayerKind::Up => {
                    Operation::Convolution(convolution::PlainConvolution::new(self, step)?)
                }
                LayerKind::ConvOut => Operation::Output(convolution::OutputConvolution::new(self, step)?),
                LayerKind::Residual => Operation::Residual(residual::ResidualBlock::new(self, step)?),
                LayerKind::Attention => Operation::Attention(attention::AttentionBlock::new(self, step)?),
            })
        };
        plan.steps.iter().map(operation).collect()
    }

    fn weight(&self, name: &str, part: &str) -> &'a [f32] {
        self.weights.values(&format!("{name}{part}.weight"))
    }

    fn bias(&self, name: &str, part: &str) -> &'a [f32] {
        self.weights.values(&format!("{name}{part}.bias"))
    }

    fn norm(&self, name: &str, part: &str) -> Result<GroupNorm, DeviceError> {
        let architecture = self.weights.architecture();
        let groups = (architecture.norm_groups, architecture.norm_eps);
        GroupNorm::new(self.device, (self.weight(name, part), self.bias(name, part)), groups, self.lanes)
    }

    /// The first of `channels` time shifts.
    fn shift(&mut self, channels: usize) -> usize {
        self.shifts += channels;
        self.shifts - channels
    }

    fn pair(
        &self,
        stencils: (Stencil, Stencil),
        (n_out, n_in): (usize, usize),
        weights: &[f32],
    ) -> Result<ConvPair, DeviceError> {
        Ok(ConvPair {
            forward: PackedConv::forward(self.device, stencils.0, (n_out, n_in), weights)?,
            transposed: PackedConv::transposed(self.device, stencils.1, 0..n_in, (n_out, n_in), weights)?,
        })
    }
}

/// A convolution and its transpose.
#[derive(Debug)]
pub(super) struct ConvPair {
    forward: PackedConv,
    transposed: PackedConv,
}

const SAME: (Stencil, Stencil) = (Stencil::Same, Stencil::SameTransposed);
const POINT: (Stencil, Stencil) = (Stencil::Point, Stencil::Point);
