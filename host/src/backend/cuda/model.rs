//! A program on the device: its weights packed.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::layer::attention::Attention;
use super::layer::conv::{PackedConv, Packer, Stencil};
use super::layer::group_norm::GroupNorm;
use super::layer::time_embedding::{Linear, TimeEmbedding};
use crate::unet::Weights;
use crate::unet::operation::{self, Convolution, Epilogue, Operation, Sampling};
use crate::unet::program::Program;
use std::rc::Rc;

/// Weights of a program, and what its operations leave for each other beside tensors.
#[derive(Debug)]
pub(super) struct Model {
    /// By number.
    pub(super) convolutions: Vec<PackedConvolution>,
    pub(super) norms: Vec<GroupNorm>,
    pub(super) attentions: Vec<Attention>,
    pub(super) time_embedding: TimeEmbedding,
}

/// Weights and bias of a convolution, packed.
#[derive(Debug)]
pub(super) struct PackedConvolution {
    pub(super) main: PackedConv,
    pub(super) shortcut: Option<PackedConv>,
    /// Of both together; of a forward pass only.
    pub(super) bias: Option<Buffer<f32>>,
}

/// The stencil of a convolution, and its transpose.
pub(super) fn stencils(sampling: Sampling) -> (Stencil, Stencil) {
    match sampling {
        Sampling::Point => (Stencil::Point, Stencil::Point),
        Sampling::Same => (Stencil::Same, Stencil::SameTransposed),
        Sampling::Down => (Stencil::Down, Stencil::DownTransposed),
        Sampling::Up => (Stencil::Up, Stencil::UpTransposed),
    }
}

/// Values on the device for each parameter, about: itself, packed forward and for the vjp, with taps in phases.
const COPIES: usize = 6;
/// Bytes of what is small, for each lane and in all.
const SMALL: (usize, usize) = (64 << 10, 1 << 20);

impl Model {
    /// Bytes for `lanes` lanes, about; rather too many.
    pub(super) fn bytes(program: &Program, weights: &Weights, lanes: usize) -> usize {
        let of_attention =
            |attention: &operation::Attention| 2 * attention.heads * program.shapes[attention.mixed].n_pixels();
        let of_lane = program.image_len + program.attentions.iter().map(of_attention).sum::<usize>();
        let values = COPIES * weights.parameters().len() + lanes * of_lane;
        values * size_of::<f32>() + lanes * SMALL.0 + SMALL.1
    }

    pub(super) fn new(
        device: &Rc<Device>,
        program: &Program,
        weights: &Weights,
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        let parameters = weights.parameters();
        let mut convolutions = Vec::new();
        for operation in program.operations() {
            if let Operation::Convolve(convolution) = operation {
                convolutions.push(PackedConvolution::new(device, convolution, &parameters)?);
            }
        }
        let packed = convolutions.iter().flat_map(|packed| std::iter::once(&packed.main).chain(&packed.shortcut));
        let on_device = Buffer::of(device, &parameters)?;
        Packer::new(device, packed)?.repack(device, on_device.address())?;
        let norm = |norm: &operation::Norm| {
            let weights = (&parameters[norm.gain.clone()], &parameters[norm.bias.clone()]);
            GroupNorm::new(device, weights, (norm.groups, norm.eps), lanes)
        };
        let attention = |attention: &operation::Attention| {
            let shape = program.shapes[attention.mixed];
            Attention::new(device, attention.heads, shape.channels, shape.n_pixels(), lanes)
        };
        Ok(Self {
            convolutions,
            norms: program.norms.iter().map(norm).collect::<Result<_, _>>()?,
            attentions: program.attentions.iter().map(attention).collect::<Result<_, _>>()?,
            time_embedding: time_embedding(device, &program.time_embedding, &parameters, lanes)?,
        })
    }
}

impl PackedConvolution {
    /// Room for its weights; nothing is in it yet.
    fn new(device: &Rc<Device>, convolution: &Convolution, parameters: &[f32]) -> Result<Self, DeviceError> {
        let room = |term: &operation::Term| {
            let (kernel, (stencil, transposed)) = (&term.kernel, stencils(term.kernel.sampling));
            let (shape, first) = ((kernel.n_out, kernel.n_in), kernel.weight.start);
            match &term.transposed {
                None => PackedConv::forward_at(device, stencil, shape, first),
                Some(inputs) => PackedConv::transposed_at(device, transposed, inputs.clone(), shape, first),
            }
        };
        let is_forward = matches!(convolution.epilogue, Epilogue::Forward { .. });
        let bias = is_forward.then(|| Buffer::of(device, &convolution.bias(parameters))).transpose()?;
        let shortcut = convolution.shortcut.as_ref().map(room).transpose()?;
        Ok(Self { main: room(&convolution.main)?, shortcut, bias })
    }
}

fn time_embedding(
    device: &Rc<Device>,
    places: &operation::TimeEmbedding,
    parameters: &[f32],
    lanes: usize,
) -> Result<TimeEmbedding, DeviceError> {
    let layer = |place: &operation::Linear| (&parameters[place.weight.clone()], &parameters[place.bias.clone()]);
    let shifts: Vec<_> = places.shifts.iter().map(layer).collect();
    let embedding = places.first.bias.len();
    let layers = [
        Linear::stacked(device, 2 * places.frequencies.len(), &[layer(&places.first)])?,
        Linear::stacked(device, embedding, &[layer(&places.second)])?,
        Linear::stacked(device, embedding, &shifts)?,
    ];
    TimeEmbedding::new(device, &places.frequencies, layers, lanes)
}
