//! The operations of the tape on the device: the CPU's, in the same order, each a few launches.

use super::convolution::ConvLayer;
use super::memory::{Memory, Site};
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::DeviceError;
use crate::backend::cuda::layer::attention_training::TrainingAttention;
use crate::backend::cuda::layer::conv_weights::WeightScratch;
use crate::backend::cuda::layer::norm_training::{NormGradient, NormTarget, TrainingNorm};
use crate::unet::operation::Attention;
use crate::unet::tape::{self, Norm, Quantity};
use std::rc::Rc;

/// One operation.
#[derive(Debug)]
pub(super) enum Operation {
    Convolution(Box<ConvLayer>),
    Norm(Box<NormLayer>),
    Attention(Box<AttentionLayer>),
}

#[derive(Debug)]
pub(super) struct NormLayer {
    tape: Norm,
    norm: TrainingNorm,
}

#[derive(Debug)]
pub(super) struct AttentionLayer {
    tape: Attention,
    attention: TrainingAttention,
}

impl Operation {
    pub(super) fn new(
        device: &Rc<Device>,
        tape: &tape::Operation,
        memory: &Memory,
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        Ok(match tape {
            tape::Operation::Convolution(tape) => Self::Convolution(Box::new(ConvLayer::new(device, tape, memory)?)),
            tape::Operation::Norm(tape) => {
                let (sizes, n_pixels) =
                    ((tape.norm.gain.len(), tape.norm.groups, tape.norm.eps), memory.n_pixels(tape.output));
                let norm = TrainingNorm::new(device, sizes, tape.silu, n_pixels, lanes)?;
                Self::Norm(Box::new(NormLayer { tape: tape.clone(), norm }))
            }
            tape::Operation::Attention(tape) => {
                let (channels, n_pixels) = (memory.channels(tape.mixed), memory.n_pixels(tape.mixed));
                let attention = TrainingAttention::new(device, tape.heads, channels, n_pixels, lanes)?;
                Self::Attention(Box::new(AttentionLayer { tape: *tape, attention }))
            }
        })
    }

    /// The output's value.
    pub(super) fn forward(&self, site: Site<'_>) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, parameters, .. } = site;
        match self {
            Self::Convolution(layer) => layer.forward(site, Quantity::Value),
            Self::Norm(layer) => {
                let NormLayer { tape, norm } = &**layer;
                let weights = (parameters.offset(tape.norm.gain.start), parameters.offset(tape.norm.bias.start));
                let x = memory.concat(Quantity::Value, tape.inputs);
                norm.forward(device, lanes, weights, x, memory.at(Quantity::Value, tape.output))
            }
            Self::Attention(layer) => {
                let AttentionLayer { tape: Attention { qkv, mixed, .. }, attention } = &**layer;
                let at = |tensor| memory.at(Quantity::Value, tensor);
                attention.forward(device, lanes, at(*qkv), at(*mixed))
            }
        }
    }

    /// Its tangent.
    pub(super) fn tangent(&self, site: Site<'_>) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, parameters, .. } = site;
        match self {
            Self::Convolution(layer) => layer.forward(site, Quantity::Dot),
            Self::Norm(layer) => {
                let NormLayer { tape, norm } = &**layer;
                let of = |quantity| memory.concat(quantity, tape.inputs);
                let (x, gain) = ((of(Quantity::Value), of(Quantity::Dot)), parameters.offset(tape.norm.gain.start));
                norm.tangent(device, lanes, gain, x, memory.at(Quantity::Dot, tape.output))
            }
            Self::Attention(layer) => {
                let AttentionLayer { tape: Attention { qkv, mixed, .. }, attention } = &**layer;
                let qkv = (memory.at(Quantity::Value, *qkv), memory.at(Quantity::Dot, *qkv));
                attention.tangent(device, lanes, qkv, memory.at(Quantity::Dot, *mixed))
            }
        }
    }

    /// Gradients of the tangents of the inputs.
    pub(super) fn backward_tangent(&self, site: Site<'_>) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, parameters, .. } = site;
        match self {
            Self::Convolution(layer) => layer.backward(site, Quantity::DDot),
            Self::Norm(layer) => {
                let NormLayer { tape, norm } = &**layer;
                let x = memory.concat(Quantity::Value, tape.inputs);
                let d_dot_y = memory.at(Quantity::DDot, tape.output);
                let (gain, targets) = (parameters.offset(tape.norm.gain.start), layer.targets(memory, Quantity::DDot));
                norm.backward_tangent(device, lanes, gain, x, d_dot_y, targets)
            }
            Self::Attention(layer) => {
                let AttentionLayer { tape: Attention { qkv, mixed, .. }, attention } = &**layer;
                let d_dot = |tensor| memory.at(Quantity::DDot, tensor);
                let value = memory.at(Quantity::Value, *qkv);
                attention.backward_tangent(device, lanes, value, d_dot(*mixed), d_dot(*qkv))
            }
        }
    }

    /// Gradients of the values of the inputs, and of the parameters, from d_value and, `with_tangents`, all before.
    pub(super) fn backward_value(
        &self,
        site: Site<'_>,
        scratch: &WeightScratch,
        with_tangents: bool,
    ) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, .. } = site;
        match self {
            Self::Convolution(layer) => {
                layer.weight_gradient(site, scratch, with_tangents)?;
                layer.backward(site, Quantity::DValue)
            }
            Self::Norm(layer) => layer.backward_value(site, with_tangents),
            Self::Attention(layer) => {
                let AttentionLayer { tape: Attention { qkv, mixed, .. }, attention } = &**layer;
                let tangents = (memory.at(Quantity::Dot, *qkv), memory.at(Quantity::DDot, *mixed));
                let d = (memory.at(Quantity::DValue, *mixed), memory.at(Quantity::DValue, *qkv));
                let value = memory.at(Quantity::Value, *qkv);
                attention.backward_value(device, lanes, value, with_tangents.then_some(tangents), d)
            }
        }
    }
}

impl NormLayer {
    fn targets(&self, memory: &Memory, quantity: Quantity) -> [Option<NormTarget>; 2] {
        let target =
            |input: tape::Input| NormTarget { d_x: memory.at(quantity, input.tensor), accumulate: input.accumulate };
        [Some(target(self.tape.inputs.first)), self.tape.inputs.second.map(target)]
    }

    fn backward_value(&self, site: Site<'_>, with_tangents: bool) -> Result<(), DeviceError> {
        let (Site { device, lanes, memory, parameters, gradient, factor, .. }, tape) = (site, &self.tape);
        let x = memory.concat(Quantity::Value, tape.inputs);
        let tangents = (memory.concat(Quantity::Dot, tape.inputs), memory.at(Quantity::DDot, tape.output));
        let d_y = memory.at(Quantity::DValue, tape.output);
        let (d_gain, d_bias) = (gradient.offset(tape.norm.gain.start), gradient.offset(tape.norm.bias.start));
        self.norm.backward_value(
            device,
            lanes,
            parameters.offset(tape.norm.gain.start),
            x,
            with_tangents.then_some(tangents),
            d_y,
            self.targets(memory, Quantity::DValue),
            NormGradient { d_gain, d_bias, factor },
        )
    }
}
