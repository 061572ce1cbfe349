//! Attention block: qkv = W norm(x) + bias, mixed = attention(qkv), out = W' mixed + bias' + x. Kept: x, qkv and mixed.

use super::{Compiler, ConvPair, POINT, Site};
use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::error::DeviceError;
use crate::backend::cuda::layer::Concat;
use crate::backend::cuda::layer::attention::Attention;
use crate::backend::cuda::layer::conv::{Epilogue, Pass, Prologue};
use crate::backend::cuda::layer::group_norm::{GroupNorm, InputGradientTarget};
use crate::unet::plan::Step;

#[derive(Debug)]
pub(in super::super) struct AttentionBlock {
    norm: GroupNorm,
    qkv: ConvPair,
    qkv_bias: Buffer<f32>,
    attention: Attention,
    out: ConvPair,
    out_bias: Buffer<f32>,
}

impl AttentionBlock {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Result<Self, DeviceError> {
        let (name, channels, device) = (&step.layer.name, step.layer.output, compiler.device);
        let shape = compiler.plan.tensors[step.output];
        let heads = compiler.weights.architecture().num_heads;
        Ok(Self {
            norm: compiler.norm(name, ".norm")?,
            qkv: compiler.pair(POINT, (3 * channels, channels), compiler.weight(name, ".qkv"))?,
            qkv_bias: Buffer::of(device, compiler.bias(name, ".qkv"))?,
            attention: Attention::new(device, heads, channels, shape.height * shape.width, compiler.lanes)?,
            out: compiler.pair(POINT, (channels, channels), compiler.weight(name, ".proj_out"))?,
            out_bias: Buffer::of(device, compiler.bias(name, ".proj_out"))?,
        })
    }

    pub(super) fn forward(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, .. } = site;
        memory.normalise(device, lanes, &self.norm, step)?;
        let [qkv, mixed] = [memory.activation(step.hidden[0]), memory.activation(step.hidden[1])];
        let to_qkv = Pass {
            weights: &self.qkv.forward,
            input: memory.inputs(step),
            sizes: [memory.size(step.output); 2],
            prologue: Prologue::Norm(self.norm.affine()),
            epilogue: Epilogue { bias: self.qkv_bias.address(), ..Epilogue::STORE },
            out: qkv,
        };
        to_qkv.run(device, lanes)?;
        self.attention.forward(device, lanes, qkv, mixed)?;
        let to_out = Pass {
            weights: &self.out.forward,
            input: memory.tensor(step.hidden[1]),
            prologue: Prologue::Identity,
            epilogue: Epilogue { bias: self.out_bias.address(), side: memory.inputs(step), ..Epilogue::STORE },
            out: memory.activation(step.output),
            ..to_qkv
        };
        to_out.run(device, lanes)?;
        memory.observe(device, lanes, step.output)
    }

    pub(super) fn vjp(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, .. } = site;
        let (channels, n_pixels, x) = (step.layer.output, memory.n_pixels(step.output), memory.inputs(step));
        let [d_mixed, d_qkv, d_z] = [0, 1, 2].map(|i| memory.gradient(step.d_hidden[i]));
        let from_out = Pass {
            weights: &self.out.transposed,
            input: memory.gradient_of(step.d_output, channels),
            sizes: [memory.size(step.output); 2],
            prologue: Prologue::Identity,
            epilogue: Epilogue::STORE,
            out: d_mixed,
        };
        from_out.run(device, lanes)?;
        let kept = (memory.activation(step.hidden[0]), memory.activation(step.hidden[1]));
        self.attention.vjp(device, lanes, kept, d_mixed, d_qkv)?;
        let from_qkv =
            Pass { weights: &self.qkv.transposed, input: Concat::one(d_qkv, 3 * channels), out: d_z, ..from_out };
        from_qkv.run(device, lanes)?;
        self.norm.vjp(device, lanes, (d_z, x), n_pixels, &memory.sums)?;
        let target = InputGradientTarget {
            x: (x.first.0, channels, 0),
            base: memory.gradient(step.d_output),
            d_x: memory.gradient(step.d_input.slot),
            accumulate: step.d_input.accumulate,
        };
        self.norm.input_gradient(device, lanes, d_z, n_pixels, target)
    }
}
