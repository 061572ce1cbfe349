//! Residual block:
//!
//! ```text
//! u = conv1(silu(norm1(x))) + bias + shift(t),   out = conv2(silu(norm2(u))) + bias + skip(x),
//! ```
//!
//! with x one activation or two side by side, and skip the identity or a 1x1 convolution. Kept for the vjp: x and u.

use super::{Compiler, ConvPair, SAME, Site};
use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::error::DeviceError;
use crate::backend::cuda::layer::Concat;
use crate::backend::cuda::layer::conv::{Epilogue, PackedConv, Pass, Prologue, Stencil};
use crate::backend::cuda::layer::group_norm::{GroupNorm, InputGradientTarget};
use crate::unet::plan::Step;
use gradus_cuda_kernels::Address;

#[derive(Debug)]
pub(in super::super) struct ResidualBlock {
    norm1: GroupNorm,
    conv1: ConvPair,
    bias1: Buffer<f32>,
    /// Where this block's time shifts begin.
    shift: usize,
    norm2: GroupNorm,
    conv2: ConvPair,
    /// Of the second convolution and of the projection.
    bias2: Buffer<f32>,
    projection: Option<Projection>,
}

/// The 1x1 convolution of the shortcut, with one transpose for each input.
#[derive(Debug)]
struct Projection {
    forward: PackedConv,
    transposed: Vec<PackedConv>,
}

impl Projection {
    fn new(compiler: &Compiler<'_>, step: &Step) -> Result<Self, DeviceError> {
        let (layer, device) = (&step.layer, compiler.device);
        let weights = compiler.weight(&layer.name, ".skip_connection");
        let sizes = (layer.output, layer.total_input());
        let ranges = [0..layer.input, layer.input..layer.total_input()].into_iter().filter(|range| !range.is_empty());
        Ok(Self {
            forward: PackedConv::forward(device, Stencil::Point, sizes, weights)?,
            transposed: ranges
                .map(|range| PackedConv::transposed(device, Stencil::Point, range, sizes, weights))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ResidualBlock {
    pub(super) fn new(compiler: &mut Compiler<'_>, step: &Step) -> Result<Self, DeviceError> {
        let layer = &step.layer;
        let (name, n_in, n_out) = (&layer.name, layer.total_input(), layer.output);
        let projection = layer.has_projection().then(|| Projection::new(compiler, step)).transpose()?;
        let mut bias2 = compiler.bias(name, ".out_layers.3").to_vec();
        if projection.is_some() {
            bias2.iter_mut().zip(compiler.bias(name, ".skip_connection")).for_each(|(bias, more)| *bias += more);
        }
        Ok(Self {
            norm1: compiler.norm(name, ".in_layers.0")?,
            conv1: compiler.pair(SAME, (n_out, n_in), compiler.weight(name, ".in_layers.2"))?,
            bias1: Buffer::of(compiler.device, compiler.bias(name, ".in_layers.2"))?,
            shift: compiler.shift(n_out),
            norm2: compiler.norm(name, ".out_layers.0")?,
            conv2: compiler.pair(SAME, (n_out, n_out), compiler.weight(name, ".out_layers.3"))?,
            bias2: Buffer::of(compiler.device, &bias2)?,
            projection,
        })
    }

    pub(super) fn forward(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, shifts } = site;
        let (u, size) = (step.hidden[0], memory.size(step.output));
        memory.normalise(device, lanes, &self.norm1, step)?;
        let lane_shift = (shifts.0.offset(self.shift), shifts.1);
        let first = Pass {
            weights: &self.conv1.forward,
            input: memory.inputs(step),
            sizes: [size; 2],
            prologue: Prologue::NormSilu(self.norm1.affine()),
            epilogue: Epilogue { bias: self.bias1.address(), lane_shift, ..Epilogue::STORE },
            out: memory.activation(u),
        };
        first.run(device, lanes)?;
        memory.observe(device, lanes, u)?;

        self.norm2.forward(device, lanes, (&memory.moments[u], step.layer.output), None, memory.n_pixels(u))?;
        let out = memory.activation(step.output);
        let mut second = Pass {
            weights: &self.conv2.forward,
            input: memory.tensor(u),
            sizes: [size; 2],
            prologue: Prologue::NormSilu(self.norm2.affine()),
            epilogue: Epilogue { bias: self.bias2.address(), side: memory.inputs(step), ..Epilogue::STORE },
            out,
        };
        if let Some(projection) = &self.projection {
            let shortcut = Pass {
                weights: &projection.forward,
                input: memory.inputs(step),
                prologue: Prologue::Identity,
                epilogue: Epilogue::STORE,
                ..second
            };
            shortcut.run(device, lanes)?;
            second.epilogue = Epilogue { side: Concat::NONE, accumulate: true, ..second.epilogue };
        }
        second.run(device, lanes)?;
        memory.observe(device, lanes, step.output)
    }

    pub(super) fn vjp(&self, site: Site<'_>, step: &Step) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, .. } = site;
        let (size, n_pixels, n_out) = (memory.size(step.output), memory.n_pixels(step.output), step.layer.output);
        let [d_z2, d_z1] = [memory.gradient(step.d_hidden[0]), memory.gradient(step.d_hidden[1])];
        let (u, x) = (memory.tensor(step.hidden[0]), memory.inputs(step));

        // d_z2 = conv2^T(d_out) silu'(z2), and the vjp of the second norm.
        let second = Pass {
            weights: &self.conv2.transposed,
            input: memory.gradient_of(step.d_output, n_out),
            sizes: [size; 2],
            prologue: Prologue::Identity,
            epilogue: Epilogue { side: u, silu_vjp: self.norm2.affine(), ..Epilogue::STORE },
            out: d_z2,
        };
        second.run(device, lanes)?;
        self.norm2.vjp(device, lanes, (d_z2, u), n_pixels, &memory.sums)?;

        // d_z1 = conv1^T(d_u) silu'(z1) with d_u = p d_z2 + q u + r, and the vjp of the first norm.
        let first = Pass {
            weights: &self.conv1.transposed,
            input: Concat::one(d_z2, n_out),
            prologue: Prologue::NormVjp(self.norm2.gradient(), u.first.0),
            epilogue: Epilogue { side: x, silu_vjp: self.norm1.affine(), ..Epilogue::STORE },
            out: d_z1,
            ..second
        };
        first.run(device, lanes)?;
        self.norm1.vjp(device, lanes, (d_z1, x), n_pixels, &memory.sums)?;
        self.vjp_inputs(site, step, d_z1)
    }

    /// d_x = p d_z1 + q x + r + skip^T(d_out), for each of the tensors that x is made of.
    fn vjp_inputs(&self, site: Site<'_>, step: &Step, d_z1: Address<f32>) -> Result<(), DeviceError> {
        let Site { device, lanes, memory, .. } = site;
        for (number, (tensor, target, first)) in memory.targets(step).enumerate() {
            let (x, channels) = memory.tensor(tensor).first;
            let base = if self.projection.is_none() { memory.gradient(step.d_output) } else { Address::NULL };
            let (d_x, accumulate) = (memory.gradient(target.slot), target.accumulate);
            let to = InputGradientTarget { x: (x, channels, first), base, d_x, accumulate };
            self.norm1.input_gradient(device, lanes, d_z1, memory.n_pixels(tensor), to)?;
            if let Some(projection) = &self.projection {
                let shortcut = Pass {
                    weights: &projection.transposed[number],
                    input: memory.gradient_of(step.d_output, step.layer.output),
                    sizes: [memory.size(tensor); 2],
                    prologue: Prologue::Identity,
                    epilogue: Epilogue { accumulate: true, ..Epilogue::STORE },
                    out: d_x,
                };
                shortcut.run(device, lanes)?;
            }
        }
        Ok(())
    }
}
