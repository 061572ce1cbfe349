//! The layers of the network, each a few fused convolutions over the buffers that the plan gave it.

mod attention;
mod convolution;
mod lane;
mod residual;

pub(crate) use lane::{Activation, Lane, NormState};

use super::blocked::Blocked;
use super::engine::Engine;
use super::layer::conv::{Convolution, PackedConv};
use super::layer::group_norm::GroupNorm;
use super::profile::Flop;
use crate::unet::layers::LayerKind;
use crate::unet::plan::{Plan, Step};
use crate::unet::{Architecture, Weights};

/// One step with its weights packed.
#[derive(Debug)]
pub(crate) enum Operation {
    Convolution(convolution::PlainConvolution),
    Output(convolution::OutputConvolution),
    Residual(Box<residual::ResidualBlock>),
    Attention(Box<attention::AttentionBlock>),
}

impl Operation {
    pub(crate) fn forward(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        match self {
            Self::Convolution(operation) => operation.forward(engine, step, lane),
            Self::Output(operation) => operation.forward(engine, step, lane),
            Self::Residual(operation) => operation.forward(engine, step, lane),
            Self::Attention(operation) => operation.forward(engine, step, lane),
        }
    }

    pub(crate) fn vjp(&self, engine: &Engine, step: &Step, lane: &mut Lane) {
        match self {
            Self::Convolution(operation) => operation.vjp(engine, step, lane),
            Self::Output(operation) => operation.vjp(engine, step, lane),
            Self::Residual(operation) => operation.vjp(engine, step, lane),
            Self::Attention(operation) => operation.vjp(engine, step, lane),
        }
    }
}

impl Operation {
    /// Work of the forward pass and of the vjp.
    pub(crate) fn flop(&self, step: &Step, lane: &Lane) -> (Flop, Flop) {
        let (input, output) = (lane.layout(step.input), lane.layout(step.output));
        match self {
            Self::Convolution(operation) => operation.flop(input, output),
            Self::Output(operation) => operation.flop(input, output),
            Self::Residual(operation) => operation.flop(output),
            Self::Attention(operation) => operation.flop(output),
        }
    }
}

/// Packs the weights of a plan, and finds out how much memory its passes need.
pub(crate) struct Compiler<'a> {
    plan: &'a Plan,
    pub(crate) layouts: &'a [Blocked],
    weights: &'a Weights,
    /// Channels of every normalisation met so far.
    pub(crate) norms: Vec<usize>,
    /// Values per head and pixel of every attention met so far.
    pub(crate) attentions: Vec<usize>,
    /// Time shifts given out so far.
    shifts: usize,
    pub(crate) scratch_len: usize,
    /// Most pairs of partial sums of one convolution.
    pub(crate) sums_len: usize,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(plan: &'a Plan, layouts: &'a [Blocked], weights: &'a Weights) -> Self {
        let (norms, attentions) = (Vec::new(), Vec::new());
        Self { plan, layouts, weights, norms, attentions, shifts: 0, scratch_len: 0, sums_len: 0 }
    }

    pub(crate) fn compile(&mut self) -> Vec<Operation> {
        let plan = self.plan;
        plan.steps
            .iter()
            .map(|step| match step.layer.kind {
                LayerKind::ConvIn | LayerKind::Down | LayerKind::Up => {
                    Operation::Convolution(convolution::PlainConvolution::new(self, step))
                }
                LayerKind::ConvOut => Operation::Output(convolution::OutputConvolution::new(self, step)),
                LayerKind::Residual => Operation::Residual(Box::new(residual::ResidualBlock::new(self, step))),
                LayerKind::Attention => Operation::Attention(Box::new(attention::AttentionBlock::new(self, step))),
            })
            .collect()
    }

    fn architecture(&self) -> &'a Architecture {
        self.weights.architecture()
    }

    fn weight(&self, name: &str, part: &str) -> &'a [f32] {
        self.weights.values(&format!("{name}{part}.weight"))
    }

    fn bias(&self, name: &str, part: &str) -> Vec<f32> {
        self.weights.values(&format!("{name}{part}.bias")).to_vec()
    }

    /// Reads a normalisation and gives it a number.
    fn norm(&mut self, name: &str, part: &str) -> (usize, GroupNorm) {
        let (gain, bias) = (self.weight(name, part).to_vec(), self.bias(name, part));
        let (groups, eps) = (self.architecture().norm_groups, self.architecture().norm_eps);
        self.norms.push(gain.len());
        (self.norms.len() - 1, GroupNorm { gain, bias, groups, eps })
    }

    /// The first of `channels` time shifts.
    fn shift(&mut self, channels: usize) -> usize {
        self.shifts += channels;
        self.shifts - channels
    }

    /// Makes room for a convolution with these terms and this output.
    fn reserve(&mut self, terms: &[&PackedConv], output: Blocked) {
        self.scratch_len = self.scratch_len.max(Convolution::scratch_len(terms, output));
        self.sums_len = self.sums_len.max(output.n_blocks() * output.channels);
    }
}
