//! The energy network on the device: h(x, t), and J_h^T v, for the lanes that a call names.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::execute::Execution;
use super::graph::Graphs;
use super::memory::Memory;
use super::model::Model;
use super::vector::Lanes;
use crate::backend::Drift;
use crate::prior::Prior;
use crate::unet::operation::Operation;
use crate::unet::program::Program;
use crate::unet::{EnergyScales, NetworkError, Parametrisation, Perturbation, PerturbationKernelSpec};
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;
use std::rc::Rc;

/// Reasons for which a network cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaNetworkError {
    /// The image's size does not fit the network, or the description is not a network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The device cannot hold it, or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A network for images of one size, with buffers for a number of them: the twin of [`crate::backend::cpu::Network`].
///
/// All memory is taken at construction. Each lane keeps the activations of its last forward pass until its next one.
/// Images are `[lane][channel][row][col]` in network units, in buffers for all lanes.
#[derive(Debug)]
pub struct CudaNetwork {
    device: Rc<Device>,
    program: Program,
    model: Model,
    memory: Memory,
    scalars: Buffer<LaneScalars>,
    on_host: Vec<LaneScalars>,
    h: Buffer<f32>,
    perturbation_kernel: PerturbationKernelSpec,
    parametrisation: Parametrisation,
    drift: Drift,
    graphs: Graphs,
}

impl CudaNetwork {
    /// Takes the network of `prior` to the device, for images of `height` x `width` pixels, with buffers for `lanes`
    /// images.
    ///
    /// # Errors
    /// `Network`, when the sides are not multiples of what the architecture needs; `Device`, also when the device has
    /// too little memory.
    pub fn new(
        device: &Rc<Device>,
        prior: &Prior,
        (height, width): (usize, usize),
        lanes: usize,
    ) -> Result<Self, CudaNetworkError> {
        let weights = prior.weights();
        let program = Program::new(weights.architecture(), height, width)?;
        let bytes = Self::all_bytes(prior, (height, width), lanes)?;
        let _arena = device.reserve(bytes, "the network on images of this size")?;
        Ok(Self {
            model: Model::new(device, &program, weights, lanes)?,
            memory: Memory::new(device, &program, lanes)?,
            scalars: Buffer::new(device, lanes)?,
            on_host: vec![LaneScalars::default(); lanes],
            h: Buffer::new(device, lanes * program.image_len)?,
            perturbation_kernel: *weights.perturbation_kernel(),
            parametrisation: *weights.parametrisation(),
            drift: Drift::Diffused,
            graphs: Graphs::new(device),
            device: Rc::clone(device),
            program,
        })
    }

    /// Bytes that [`new`](Self::new) takes for `lanes` images, but for the weights and what is small.
    ///
    /// # Errors
    /// When the sides are not multiples of what the architecture needs.
    pub fn bytes(prior: &Prior, (height, width): (usize, usize), lanes: usize) -> Result<usize, CudaNetworkError> {
        Ok(Memory::bytes(&Program::new(prior.weights().architecture(), height, width)?, lanes))
    }

    /// The same with the weights and what is small, about.
    pub(super) fn all_bytes(
        prior: &Prior,
        (height, width): (usize, usize),
        lanes: usize,
    ) -> Result<usize, CudaNetworkError> {
        let program = Program::new(prior.weights().architecture(), height, width)?;
        Ok(Memory::bytes(&program, lanes) + Model::bytes(&program, prior.weights(), lanes))
    }

    /// The same network of the image with another drift: h(gamma_t x, t) where there is none. The factor goes with the
    /// scalars of a lane, so it costs nothing.
    #[must_use]
    pub fn with_drift(self, drift: Drift) -> Self {
        Self { drift, ..self }
    }

    /// Values of one image, and of its h.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.program.image_len
    }

    /// h of the last forward pass of each lane.
    #[must_use]
    pub fn h(&self) -> Address<f32> {
        self.h.address()
    }

    /// The same, for copying.
    #[must_use]
    pub fn h_buffer(&self) -> &Buffer<f32> {
        &self.h
    }

    /// Forward passes at the smoothing levels `(lane, t)`: h(x, t), kept with all activations until the lane's next
    /// forward pass. `lanes` names the same lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward(&mut self, lanes: &Lanes, levels: &[(usize, f32)], images: Address<f32>) -> Result<(), DeviceError> {
        for &(lane, t) in levels {
            let kernel = self.perturbation_kernel.at(f64::from(t));
            // Where the image is x, the network sees gamma_t x.
            let on_input = match self.drift {
                Drift::Diffused => 1.0,
                Drift::DriftFree => kernel.mean_scale,
            };
            self.on_host[lane] = lane_scalars(&self.parametrisation, kernel, on_input, t);
        }
        self.scalars.upload(0, &self.on_host)?;
        self.run(&self.program.forward, lanes, images, self.h.address())
    }

    /// J_h^T v at the image of each lane's last forward pass; overwrites `out`. The score is -J_h^T h.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn vjp(&mut self, lanes: &Lanes, v: Address<f32>, out: Address<f32>) -> Result<(), DeviceError> {
        self.run(&self.program.vjp, lanes, v, out)
    }

    /// A pass from `image` to `out`.
    fn run(
        &self,
        operations: &[Operation],
        lanes: &Lanes,
        image: Address<f32>,
        out: Address<f32>,
    ) -> Result<(), DeviceError> {
        let execution = Execution {
            device: &self.device,
            model: &self.model,
            memory: &self.memory,
            lanes,
            scalars: self.scalars.address(),
            pixel_unshuffle: self.program.pixel_unshuffle,
            image,
            out,
        };
        // Both passes begin at another operation.
        let pass = operations.as_ptr() as u64;
        let key = [pass, lanes.address().raw(), lanes.len() as u64, image.raw(), out.raw()];
        self.graphs.run(&key, || execution.run(operations))
    }
}

/// The scalars of a lane at level t whose image is multiplied by `on_input` on its way in.
pub(super) fn lane_scalars(
    parametrisation: &Parametrisation,
    perturbation: Perturbation,
    on_input: f64,
    t: f32,
) -> LaneScalars {
    let EnergyScales { input_scale, input_shift, skip, output } = EnergyScales::new(parametrisation, perturbation);
    let input_scale = input_scale * on_input;
    LaneScalars {
        t,
        input_scale: input_scale as f32,
        input_shift: input_shift as f32,
        output: output as f32,
        skip_scale: (skip * input_scale) as f32,
        skip_shift: (skip * input_shift) as f32,
    }
}
