//! The losses of training, and the gradients with which they begin; the formulas are in training_loss.cu.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::{Lanes, Sums};
use gradus_cuda_kernels::training_loss::{Loss, LossScalars};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// Blocks that share the sum of one lane at most.
const MAX_BLOCKS: usize = 64;

/// The residual that is squared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// z - std d, with d = `J_h^T h`; its gradient by h, -2 std weight J residual, follows from the tangent v.
    ScoreMatching,
    /// h - z.
    Denoising,
}

/// Losses of `lanes` lanes, with what they depend on.
#[derive(Debug)]
pub struct TrainingLoss {
    scalars: Buffer<LossScalars>,
    losses: Sums,
}

impl TrainingLoss {
    /// Room for `lanes` lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(device: &Rc<Device>, lanes: usize) -> Result<Self, DeviceError> {
        Ok(Self { scalars: Buffer::new(device, lanes)?, losses: Sums::new(device, lanes, 1, MAX_BLOCKS)? })
    }

    /// Takes (std, weight) of every lane, from lane 0 on: std as the perturbation kernel has it, weight the factor on
    /// the lane's sum of squares.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Panics
    /// When there are more than there is room for.
    pub fn set(&mut self, objective: Objective, lanes: &[(f64, f64)]) -> Result<(), DeviceError> {
        let scalars = |&(std, weight): &(f64, f64)| match objective {
            Objective::ScoreMatching => {
                LossScalars { weight, std: std as f32, factor: 2.0 * std as f32 * weight as f32 }
            }
            // h - z is -(z - 1 h), and so is its gradient.
            Objective::Denoising => LossScalars { weight, std: 1.0, factor: -2.0 * weight as f32 },
        };
        self.scalars.upload(0, &lanes.iter().map(scalars).collect::<Vec<_>>())
    }

    /// v = 2 std weight (z - std a), or 2 weight (a - z), of images `[lane][n]`, and the losses, which stay on the
    /// device.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn run(
        &self,
        device: &Device,
        lanes: &Lanes,
        n: usize,
        (a, z): (Address<f32>, Address<f32>),
        v: Address<f32>,
    ) -> Result<(), DeviceError> {
        let blocks = n.div_ceil(BLOCK as usize).min(MAX_BLOCKS);
        let (scalars, sums) = (self.scalars.address(), self.losses.record());
        device.launch(
            [blocks, 1, lanes.len()],
            BLOCK,
            &Loss { lanes: lanes.address(), scalars, a, z, v, sums, n: int(n)? },
        )
    }

    /// The weighted losses of the last run, one for each lane of its list; waits for them.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn losses(&self, lanes: &Lanes) -> Result<Vec<f64>, DeviceError> {
        Ok(self.losses.told::<1>(lanes.len())?.into_iter().map(|[loss]| loss).collect())
    }
}
