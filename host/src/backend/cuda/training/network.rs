//! Training on the device: the losses and gradients of [`crate::backend::cpu::training`], pass by pass.
//!
//! Parameters, images and noise go to the device, the gradient and the losses come back; nothing else crosses.

use super::super::buffer::Buffer;
use super::super::device::Device;
use super::super::error::DeviceError;
use super::super::layer::conv::{PackedConv, Packer};
use super::super::layer::conv_weights::{WeightScratch, WeightShape};
use super::super::layer::linear_training::{LinearPlace, TrainingEmbedding};
use super::super::layer::pixel_shuffle::PixelShuffle;
use super::super::layer::training_loss::{Objective, TrainingLoss};
use super::super::network::{CudaNetworkError, lane_scalars};
use super::super::vector::Lanes;
use super::memory::{self, Memory, Site};
use super::operation::Operation;
use crate::backend::training_batch::TrainingBatch;
use crate::unet::operation::{Linear, TensorId, TensorShape, TimeEmbedding};
use crate::unet::program::Program;
use crate::unet::tape::{Quantity, Tape};
use crate::unet::{Description, Direction};
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;
use std::rc::Rc;

/// Losses of an energy network and their gradients on a device: the twin of [`crate::backend::cpu::TrainingNetwork`].
///
/// Parameters and gradients are laid out as there. All memory is taken at construction. The same call gives the same
/// bits; they are not the CPU's, whose sums have another order.
#[derive(Debug)]
pub struct CudaTrainingNetwork {
    device: Rc<Device>,
    operations: Vec<Operation>,
    packer: Packer,
    memory: Memory,
    embedding: TrainingEmbedding,
    /// Gradients of the time shifts, `[lane][n]`.
    d_shifts: Buffer<f32>,
    ends: PixelShuffle,
    output: TensorId,
    scratch: WeightScratch,
    loss: TrainingLoss,
    lanes: Lanes,
    n_lanes: usize,
    scalars: Buffer<LaneScalars>,
    parameters: Buffer<f32>,
    gradient: Buffer<f32>,
    images: Images,
    description: Description,
}

/// Images of all lanes, `[lane][channel][row][col]`.
#[derive(Debug)]
struct Images {
    x: Buffer<f32>,
    z: Buffer<f32>,
    h: Buffer<f32>,
    /// `J_h^T h`, minus the score.
    d_image: Buffer<f32>,
    /// The tangent of h, and what follows of it.
    v: Buffer<f32>,
    dot_h: Buffer<f32>,
    /// Values of one.
    len: usize,
}

impl Images {
    fn new(device: &Rc<Device>, len: usize, lanes: usize) -> Result<Self, DeviceError> {
        let room = || Buffer::new(device, lanes * len);
        Ok(Self { x: room()?, z: room()?, h: room()?, d_image: room()?, v: room()?, dot_h: room()?, len })
    }
}

impl CudaTrainingNetwork {
    /// A network for batches of up to `lanes` images of `height` x `width` pixels.
    ///
    /// # Errors
    /// `Network`, when the sides are not multiples of what the architecture needs, or the architecture is impossible;
    /// `Device`, also when the device has too little memory.
    pub fn new(
        device: &Rc<Device>,
        description: &Description,
        height: usize,
        width: usize,
        lanes: usize,
    ) -> Result<Self, CudaNetworkError> {
        let program = Program::new(&description.architecture, height, width)?;
        let tape = Tape::new(&program);
        device.require(memory::bytes(&tape, lanes), "training with as many images of this size at a time")?;
        let memory = Memory::new(device, &tape, lanes)?;
        let operation = |operation| Operation::new(device, operation, &memory, lanes);
        let operations = tape.operations.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
        let embedding = embedding(device, &tape.time_embedding, lanes)?;
        Ok(Self {
            packer: Packer::new(device, packed(&operations))?,
            scratch: WeightScratch::new(device, &weight_shapes(&operations, &memory), lanes)?,
            d_shifts: Buffer::new(device, lanes * embedding.n_shifts())?,
            embedding,
            ends: ends(&program),
            output: tape.output,
            loss: TrainingLoss::new(device, lanes)?,
            lanes: Lanes::new(device, lanes)?,
            n_lanes: lanes,
            scalars: Buffer::new(device, lanes)?,
            parameters: Buffer::new(device, tape.n_parameters)?,
            gradient: Buffer::new(device, tape.n_parameters)?,
            images: Images::new(device, program.image_len, lanes)?,
            description: description.clone(),
            device: Rc::clone(device),
            memory,
            operations,
        })
    }

    /// Length of the parameters and of their gradient.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.parameters.len()
    }

    /// The loss of [`crate::backend::cpu::TrainingNetwork::score_matching_loss`], and its gradient, which overwrites
    /// `gradient`.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Panics
    /// When there are more images than lanes, or a slice has another length than they ask for.
    pub fn score_matching_loss(
        &mut self,
        parameters: &[f32],
        batch: TrainingBatch<'_>,
        gradient: &mut [f32],
    ) -> Result<f64, DeviceError> {
        self.upload(parameters, batch, Objective::ScoreMatching)?;
        // The gradient is that of -G.
        let site = self.site(-1.0);
        self.values(site)?;
        self.energy_gradient(site)?;
        self.residual(&self.images.d_image)?;
        self.tangents(site)?;
        self.seed(Quantity::DValue, &self.images.dot_h)?;
        self.backward_values(site, true)?;
        self.download(gradient)
    }

    /// The loss of [`crate::backend::cpu::TrainingNetwork::denoising_loss`], likewise.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Panics
    /// As [`CudaTrainingNetwork::score_matching_loss`].
    pub fn denoising_loss(
        &mut self,
        parameters: &[f32],
        batch: TrainingBatch<'_>,
        gradient: &mut [f32],
    ) -> Result<f64, DeviceError> {
        self.upload(parameters, batch, Objective::Denoising)?;
        let site = self.site(1.0);
        self.values(site)?;
        self.residual(&self.images.h)?;
        self.seed(Quantity::DValue, &self.images.v)?;
        self.backward_values(site, false)?;
        self.download(gradient)
    }

    fn upload(
        &mut self,
        parameters: &[f32],
        batch: TrainingBatch<'_>,
        objective: Objective,
    ) -> Result<(), DeviceError> {
        let TrainingBatch { x_t, z, t, weights } = batch;
        assert!(t.len() <= self.n_lanes, "at most as many images as lanes");
        assert_eq!(x_t.len(), t.len() * self.images.len, "one image per smoothing level");
        assert_eq!(z.len(), x_t.len(), "as much noise as images");
        assert_eq!(weights.len(), t.len(), "one weight per image");
        assert_eq!(parameters.len(), self.parameters.len(), "one value per weight");
        if self.lanes.len() != t.len() {
            self.lanes.set(&(0..t.len()).collect::<Vec<_>>())?;
        }
        let Description { parametrisation, perturbation_kernel, .. } = &self.description;
        let kernel = |t: f32| perturbation_kernel.at(f64::from(t));
        let scalars: Vec<LaneScalars> = t.iter().map(|&t| lane_scalars(parametrisation, kernel(t), 1.0, t)).collect();
        let share = 1.0 / t.len() as f64;
        let losses: Vec<(f64, f64)> =
            t.iter().zip(weights).map(|(&t, &weight)| (kernel(t).std, share * f64::from(weight))).collect();
        self.scalars.upload(0, &scalars)?;
        self.loss.set(objective, &losses)?;
        self.parameters.upload(0, parameters)?;
        self.packer.repack(&self.device, self.parameters.address())?;
        self.images.x.upload(0, x_t)?;
        self.images.z.upload(0, z)
    }

    fn site(&self, factor: f32) -> Site<'_> {
        Site {
            device: &self.device,
            lanes: &self.lanes,
            memory: &self.memory,
            parameters: self.parameters.address(),
            gradient: self.gradient.address(),
            factor,
            shifts: (self.embedding.shifts().address(), self.embedding.n_shifts()),
            d_shifts: (self.d_shifts.address(), self.embedding.n_shifts()),
        }
    }

    fn to_lanes(&self) -> (&Lanes, Address<LaneScalars>) {
        (&self.lanes, self.scalars.address())
    }

    /// h, and every value on the way.
    fn values(&self, site: Site<'_>) -> Result<(), DeviceError> {
        let (device, x) = (site.device, self.images.x.address());
        self.embedding.forward(device, &self.lanes, self.scalars.address(), site.parameters)?;
        let value = |tensor| self.memory.at(Quantity::Value, tensor);
        self.ends.unshuffle(device, self.to_lanes(), Direction::Forward, x, value(0))?;
        self.operations.iter().try_for_each(|operation| operation.forward(site))?;
        let ends = (value(self.output), x);
        self.ends.shuffle(device, self.to_lanes(), Direction::Forward, ends, self.images.h.address())
    }

    /// `J_h^T h`, and the gradients of all tangents.
    fn energy_gradient(&self, site: Site<'_>) -> Result<(), DeviceError> {
        self.seed(Quantity::DDot, &self.images.h)?;
        self.operations.iter().rev().try_for_each(|operation| operation.backward_tangent(site))?;
        let ends = (self.memory.at(Quantity::DDot, 0), self.images.h.address());
        self.ends.shuffle(site.device, self.to_lanes(), Direction::Vjp, ends, self.images.d_image.address())
    }

    /// The losses, and v.
    fn residual(&self, of: &Buffer<f32>) -> Result<(), DeviceError> {
        let Images { z, v, len, .. } = &self.images;
        self.loss.run(&self.device, &self.lanes, *len, (of.address(), z.address()), v.address())
    }

    /// `J_h v`, and every tangent on the way.
    fn tangents(&self, site: Site<'_>) -> Result<(), DeviceError> {
        let (device, v) = (site.device, self.images.v.address());
        let dot = |tensor| self.memory.at(Quantity::Dot, tensor);
        self.ends.unshuffle(device, self.to_lanes(), Direction::Tangent, v, dot(0))?;
        self.operations.iter().try_for_each(|operation| operation.tangent(site))?;
        let ends = (dot(self.output), v);
        self.ends.shuffle(device, self.to_lanes(), Direction::Tangent, ends, self.images.dot_h.address())
    }

    /// The gradient of the network's output from that of h.
    fn seed(&self, quantity: Quantity, d_h: &Buffer<f32>) -> Result<(), DeviceError> {
        let d_output = self.memory.at(quantity, self.output);
        self.ends.unshuffle(&self.device, self.to_lanes(), Direction::Vjp, d_h.address(), d_output)
    }

    /// The gradients of all values and parameters.
    fn backward_values(&self, site: Site<'_>, with_tangents: bool) -> Result<(), DeviceError> {
        let backward = |operation: &Operation| operation.backward_value(site, &self.scratch, with_tangents);
        self.operations.iter().rev().try_for_each(backward)?;
        let to = (site.gradient, site.factor);
        self.embedding.backward(&self.device, &self.lanes, site.parameters, self.d_shifts.address(), to)
    }

    /// The gradient, and the sum of the losses.
    fn download(&self, gradient: &mut [f32]) -> Result<f64, DeviceError> {
        assert_eq!(gradient.len(), self.gradient.len(), "one gradient per weight");
        self.gradient.download(0, gradient)?;
        Ok(self.loss.losses(&self.lanes)?.into_iter().sum())
    }
}

/// The launch at which images enter and leave.
fn ends(program: &Program) -> PixelShuffle {
    let TensorShape { channels, height, width, .. } = program.shapes[0];
    PixelShuffle { channels, height, width, side: program.pixel_unshuffle }
}

fn packed(operations: &[Operation]) -> impl Iterator<Item = &PackedConv> {
    operations.iter().flat_map(|operation| match operation {
        Operation::Convolution(layer) => layer.packed().collect(),
        _ => Vec::new(),
    })
}

fn weight_shapes(operations: &[Operation], memory: &Memory) -> Vec<WeightShape> {
    let shape = |operation: &Operation| match operation {
        Operation::Convolution(layer) => Some(layer.weight_shape(memory)),
        _ => None,
    };
    operations.iter().filter_map(shape).collect()
}

fn embedding(device: &Rc<Device>, tape: &TimeEmbedding, lanes: usize) -> Result<TrainingEmbedding, DeviceError> {
    let place =
        |layer: &Linear| LinearPlace { weight: layer.weight.start, bias: layer.bias.start, n_out: layer.bias.len() };
    let shifts: Vec<LinearPlace> = tape.shifts.iter().map(place).collect();
    TrainingEmbedding::new(device, &tape.frequencies, (place(&tape.first), place(&tape.second), &shifts), lanes)
}
