//! Steps that are one convolution: in, down, up; and out, with a norm and SiLU before it.

use super::{Compiler, ConvPair, SAME, Site};
use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::error::DeviceError;
use crate::backend::cuda::layer::conv::{Epilogue, Pass, Prologue, Stencil};
use crate::backend::cuda::layer::group_norm::{GroupNorm, InputGradientTarget};
use crate::unet::layers::LayerKind;
use crate::unet::plan::Step;
use gradus_cuda_kernels::Address;

/// out = conv(input) + bias.
#[derive(Debug)]
pub(in super::super) struct PlainConvolution {
    conv: ConvPair,
    bias: Buffer<f32>,
}

impl PlainConvolution {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Result<Self, DeviceError> {
        let layer = &step.layer;
        let (part, stencils) = match layer.kind {
            LayerKind::Down => (".op", (Stencil::Down, Stencil::DownTransposed)),
            LayerKind::Up => (".conv", (Stencil::Up, Stencil::UpTransposed)),
            _ => ("", SAME),
        };
        let weights = compiler.weight(&layer.name, part);
        let conv = compiler.pair(stencils, (layer.output, layer.input), weights)?;
        Ok(Self { conv, bias: Buffer::of(compiler.device, compiler.bias(&layer.name, part))? })
    }

    pub(super) fn forward(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let memory = site.memory;
        let pass = Pass {
            weights: &self.conv.forward,
            input: memory.inputs(step),
            sizes: [memory.size(step.input), memory.size(step.output)],
            prologue: Prologue::Identity,
            epilogue: Epilogue { bias: self.bias.address(), ..Epilogue::STORE },
            out: memory.activation(step.output),
        };
        pass.run(site.device, site.lanes)?;
        memory.observe(site.device, site.lanes, step.output)
    }

    pub(super) fn vjp(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let memory = site.memory;
        let pass = Pass {
            weights: &self.conv.transposed,
            input: memory.gradient_of(step.d_output, step.layer.output),
            sizes: [memory.size(step.output), memory.size(step.input)],
            prologue: Prologue::Identity,
            epilogue: Epilogue { accumulate: step.d_input.accumulate, ..Epilogue::STORE },
            out: memory.gradient(step.d_input.slot),
        };
        pass.run(site.device, site.lanes)
    }
}

/// out = conv(silu(norm(input))) + bias.
#[derive(Debug)]
pub(in super::super) struct OutputConvolution {
    norm: GroupNorm,
    conv: ConvPair,
    bias: Buffer<f32>,
}

impl OutputConvolution {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Result<Self, DeviceError> {
        let layer = &step.layer;
        let weights = compiler.weight(&layer.name, ".2");
        Ok(Self {
            norm: compiler.norm(&layer.name, ".0")?,
            conv: compiler.pair(SAME, (layer.output, layer.input), weights)?,
            bias: Buffer::of(compiler.device, compiler.bias(&layer.name, ".2"))?,
        })
    }

    pub(super) fn forward(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let memory = site.memory;
        memory.normalise(site.device, site.lanes, &self.norm, step)?;
        let pass = Pass {
            weights: &self.conv.forward,
            input: memory.inputs(step),
            sizes: [memory.size(step.input), memory.size(step.output)],
            prologue: Prologue::NormSilu(self.norm.affine()),
            epilogue: Epilogue { bias: self.bias.address(), ..Epilogue::STORE },
            out: memory.activation(step.output),
        };
        pass.run(site.device, site.lanes)
    }

    pub(super) fn vjp(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, .. } = site;
        let (x, d_z, n_pixels) = (memory.inputs(step), memory.gradient(step.d_hidden[0]), memory.n_pixels(step.input));
        let pass = Pass {
            weights: &self.conv.transposed,
            input: memory.gradient_of(step.d_output, step.layer.output),
            sizes: [memory.size(step.output), memory.size(step.input)],
            prologue: Prologue::Identity,
            epilogue: Epilogue { side: x, silu_vjp: self.norm.affine(), ..Epilogue::STORE },
            out: d_z,
        };
        pass.run(device, lanes)?;
        self.norm.vjp(device, lanes, (d_z, x), n_pixels, &memory.sums)?;
        let target = InputGradientTarget {
            x: (x.first.0, x.first.1, 0),
            base: Address::NULL,
            d_x: memory.gradient(step.d_input.slot),
            accumulate: step.d_input.accumulate,
        };
        self.norm.input_gradient(device, lanes, d_z, n_pixels, target)
    }
}
