//! A program on the CPU: its weights packed for the layouts of its tensors.

use super::aligned::Aligned;
use super::blocked::Blocked;
use super::engine::Engine;
use super::lane::{Lane, Memory, NormState};
use super::layer::attention::Attention;
use super::layer::conv::{self, PackedConv};
use super::layer::group_norm::GroupNorm;
use super::layer::stencil::Stencil;
use super::layer::time_embedding::TimeEmbedding;
use crate::unet::operation::{Convolution, Epilogue, Operation, Sampling, TensorShape};
use crate::unet::program::Program;
use crate::unet::{EnergyScales, Weights};
use pulp::Arch;
use std::ops::Range;

/// The part that lanes share and no pass changes.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) program: Program,
    /// Of every tensor.
    pub(crate) layouts: Vec<Blocked>,
    /// By number.
    pub(crate) convolutions: Vec<PackedConvolution>,
    pub(crate) norms: Vec<GroupNorm>,
    pub(crate) attentions: Vec<Attention>,
    pub(crate) time_embedding: TimeEmbedding,
    pub(crate) engine: Engine,
}

/// Weights and bias of a convolution, packed.
#[derive(Debug)]
pub(crate) struct PackedConvolution {
    /// Of each term.
    pub(crate) weights: Vec<PackedConv>,
    /// Of all terms together.
    pub(crate) bias: Vec<f32>,
}

impl Model {
    pub(crate) fn new(program: Program, weights: &Weights, arch: Arch) -> Self {
        let (parameters, layouts) = (weights.parameters(), layouts(&program, &program.shapes));
        let values = |place: &Range<usize>| parameters[place.clone()].to_vec();
        let attentions: Vec<Attention> = program
            .attentions
            .iter()
            .map(|attention| Attention { heads: attention.heads, mixed: layouts[attention.mixed] })
            .collect();
        let mut scratch_len = attentions.iter().map(Attention::scratch_len).max().unwrap_or(0);
        let mut convolutions = Vec::new();
        for operation in program.operations() {
            let Operation::Convolve(convolution) = operation else { continue };
            let output = layouts[convolution.output];
            let packed = PackedConvolution::new(convolution, output, &parameters);
            scratch_len = scratch_len.max(conv::Convolution::scratch_len(&packed.weights, output));
            convolutions.push(packed);
        }
        let norms = program.norms.iter().map(|norm| GroupNorm {
            gain: values(&norm.gain),
            bias: values(&norm.bias),
            groups: norm.groups,
            eps: norm.eps,
        });
        Self {
            norms: norms.collect(),
            time_embedding: TimeEmbedding::new(program.time_embedding.clone(), &parameters),
            engine: Engine::new(arch, scratch_len),
            program,
            layouts,
            convolutions,
            attentions,
        }
    }

    /// Buffers for one image.
    pub(crate) fn lane(&self) -> Lane {
        let program = &self.program;
        let mut sums_lens = vec![0; program.buffer_lens.len()];
        for (layout, &buffer) in self.layouts.iter().zip(&program.buffers) {
            sums_lens[buffer] = sums_lens[buffer].max(layout.n_blocks() * layout.channels);
        }
        let memory = |(&len, n_sums)| Memory { values: Aligned::zeros(len), sums: vec![[0.0; 2]; n_sums] };
        let per_pixel = || self.attentions.iter().map(Attention::per_pixel_len);
        Lane {
            buffers: program.buffer_lens.iter().zip(sums_lens).map(memory).collect(),
            norms: self.norms.iter().map(|norm| NormState::new(norm.gain.len())).collect(),
            embedded: self.time_embedding.buffers(),
            log_sums: per_pixel().map(|len| vec![0.0; len]).collect(),
            products: vec![0.0; per_pixel().max().unwrap_or(0)],
            t: 0.0,
            scales: EnergyScales::default(),
            h: vec![0.0; program.image_len],
            framed: Default::default(),
        }
    }
}

impl PackedConvolution {
    fn new(convolution: &Convolution, output: Blocked, parameters: &[f32]) -> Self {
        let weights = convolution.terms().enumerate().map(|(index, term)| {
            let kernel = &term.kernel;
            let (stencil, transposed) = match kernel.sampling {
                Sampling::Point if index > 0 => (Stencil::shortcut(output), Stencil::POINT),
                sampling => Stencil::pair(sampling, output),
            };
            match &term.transposed {
                None => PackedConv::forward(stencil, kernel, parameters),
                Some(inputs) => PackedConv::transposed(transposed, inputs.clone(), kernel, parameters),
            }
        });
        let is_forward = matches!(convolution.epilogue, Epilogue::Forward { .. });
        let bias = if is_forward { convolution.bias(parameters) } else { Vec::new() };
        Self { weights: weights.collect(), bias }
    }
}

/// Cuts every tensor into blocks of rows: the same rows for all tensors of a level, and an even number, so that a block
/// of a finer level covers whole rows of the coarser one.
pub(crate) fn layouts(program: &Program, shapes: &[TensorShape]) -> Vec<Blocked> {
    /// A task's tile should stay in a second-level cache of 1 MiB along with what it writes.
    const TILE_VALUES: usize = 192 * 1024;
    let rows = |shape: &TensorShape| {
        let fits = |rows: usize| program.widest[shape.level] * (rows + 2) * (shape.width + 2) <= TILE_VALUES;
        if fits(8) { 8 } else { 4 }
    };
    shapes.iter().map(|shape| Blocked::new(*shape, rows(shape))).collect()
}
