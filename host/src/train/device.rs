//! The network of a training run on the device that the run computes on.

use super::config::Loss;
use super::{TrainError, initial};
use crate::backend::choice::Opened;
use crate::backend::cpu::{TrainingBatch, TrainingNetwork};
use crate::backend::cuda::{CudaNetworkError, CudaTrainingNetwork, Device};
use crate::backend::{DeviceChoice, Precision};
use crate::unet::Description;
use crate::vector::distance;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::rc::Rc;

/// Images worked on at a time where the configuration does not say, on the CPU and on a GPU.
const IMAGES_AT_A_TIME: [usize; 2] = [8, 32];
/// Largest distance of a trusted device's gradient from the CPU's, relative to it. The gradient passes every kernel.
const TRUSTED: f64 = 1e-3;

/// The device of a run.
#[derive(Debug, Clone, Default)]
pub(super) enum RunDevice {
    #[default]
    Cpu,
    Cuda(Rc<Device>),
}

/// The network of a phase.
#[derive(Debug)]
pub(super) enum LossNetwork {
    Cpu(Box<TrainingNetwork>),
    Cuda(Box<CudaTrainingNetwork>),
}

impl From<Opened> for RunDevice {
    fn from(opened: Opened) -> Self {
        match opened {
            Opened::Cpu(_) => Self::Cpu,
            Opened::Cuda(device) => Self::Cuda(device),
        }
    }
}

impl RunDevice {
    pub(super) fn choice(&self) -> DeviceChoice {
        match self {
            Self::Cpu => DeviceChoice::Cpu,
            Self::Cuda(device) => DeviceChoice::Cuda(device.ordinal()),
        }
    }

    pub(super) fn precision(&self) -> Precision {
        match self {
            Self::Cpu => Precision::Full,
            Self::Cuda(device) => device.precision(),
        }
    }

    pub(super) fn images_at_a_time(&self) -> usize {
        IMAGES_AT_A_TIME[usize::from(matches!(self, Self::Cuda(_)))]
    }

    /// A network for `lanes` images of `side` x `side` pixels.
    pub(super) fn network(
        &self,
        description: &Description,
        side: usize,
        lanes: usize,
    ) -> Result<LossNetwork, TrainError> {
        match self {
            Self::Cpu => {
                let network = TrainingNetwork::new(description, side, side, lanes)?;
                Ok(LossNetwork::Cpu(Box::new(network)))
            }
            Self::Cuda(device) => {
                let made = CudaTrainingNetwork::new(device, description, side, side, lanes);
                Ok(LossNetwork::Cuda(Box::new(made.map_err(|error| match error {
                    CudaNetworkError::Network(error) => TrainError::Network(error),
                    CudaNetworkError::Device(error) => TrainError::Device(error),
                })?)))
            }
        }
    }
}

impl LossNetwork {
    pub(super) fn n_parameters(&self) -> usize {
        match self {
            Self::Cpu(network) => network.n_parameters(),
            Self::Cuda(network) => network.n_parameters(),
        }
    }

    /// The loss of a batch; its gradient overwrites `gradient`.
    pub(super) fn loss(
        &mut self,
        loss: Loss,
        parameters: &[f32],
        batch: TrainingBatch<'_>,
        gradient: &mut [f32],
    ) -> Result<f64, TrainError> {
        Ok(match (self, loss) {
            (Self::Cpu(network), Loss::Denoising) => network.denoising_loss(parameters, batch, gradient),
            (Self::Cpu(network), Loss::ScoreMatching) => network.score_matching_loss(parameters, batch, gradient),
            (Self::Cuda(network), Loss::Denoising) => network.denoising_loss(parameters, batch, gradient)?,
            (Self::Cuda(network), Loss::ScoreMatching) => network.score_matching_loss(parameters, batch, gradient)?,
        })
    }
}

/// The fault that keeps a device from a run: its gradient of the first weights is not the CPU's.
pub(super) fn distrust(device: &Rc<Device>, description: &Description, seed: u64) -> Option<String> {
    let architecture = &description.architecture;
    let side = 2 * architecture.size_multiple();
    let parameters = initial::parameters(architecture, &mut ChaCha8Rng::seed_from_u64(seed));
    let wave = |step: f64| -> Vec<f32> {
        let n = architecture.in_channels * side * side;
        (0..n).map(|i| libm::sin(step * i as f64) as f32).collect()
    };
    let (x_t, z) = (wave(0.37), wave(0.73));
    let batch = TrainingBatch { x_t: &x_t, z: &z, t: &[0.1], weights: &[1.0] };
    let gradient = |on: RunDevice| -> Result<Vec<f32>, TrainError> {
        let mut network = on.network(description, side, 1)?;
        let mut gradient = vec![0.0; network.n_parameters()];
        network.loss(Loss::ScoreMatching, &parameters, batch, &mut gradient)?;
        Ok(gradient)
    };
    match gradient(RunDevice::Cpu).and_then(|here| Ok((here, gradient(RunDevice::Cuda(Rc::clone(device)))?))) {
        Err(error) => Some(format!("cannot be checked ({error})")),
        Ok((here, there)) => {
            let distance = distance(&there, &here);
            // Not `distance > TRUSTED`, which NaN would pass.
            let trusted = distance <= TRUSTED;
            (!trusted).then(|| format!("fails a check (gradients are {distance:.1e} from the CPU's)"))
        }
    }
}
