//! Time embedding, and the shifts of all residual blocks; the formulas are in time_embedding.cu.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;
use gradus_cuda_kernels::time_embedding::{self, All, MOST_VALUES};
use std::rc::Rc;

/// y = W x + b.
#[derive(Debug)]
pub struct Linear {
    /// `[input][output]`.
    weights: Buffer<f32>,
    bias: Buffer<f32>,
    n_in: usize,
}

impl Linear {
    /// Stacks several layers `(weights[output][input], bias)` on the same input into one.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn stacked(device: &Rc<Device>, n_in: usize, layers: &[(&[f32], &[f32])]) -> Result<Self, DeviceError> {
        let bias: Vec<f32> = layers.iter().flat_map(|(_, bias)| bias.iter().copied()).collect();
        let rows: Vec<&[f32]> = layers.iter().flat_map(|(weights, _)| weights.chunks_exact(n_in)).collect();
        let weights: Vec<f32> = (0..n_in).flat_map(|input| rows.iter().map(move |row| row[input])).collect();
        Ok(Self { weights: Buffer::of(device, &weights)?, bias: Buffer::of(device, &bias)?, n_in })
    }

    fn record(&self) -> Result<time_embedding::Linear, DeviceError> {
        Ok(time_embedding::Linear {
            weights: self.weights.address(),
            bias: self.bias.address(),
            n_in: int(self.n_in)?,
            n_out: int(self.n_out())?,
        })
    }

    fn n_out(&self) -> usize {
        self.bias.len()
    }
}

/// Weights of the embedding and of all shifts that are read from it, with buffers for some lanes.
#[derive(Debug)]
pub struct TimeEmbedding {
    frequencies: Buffer<f64>,
    layers: [Linear; 3],
    /// `[lane][n]`.
    shifts: Buffer<f32>,
}

impl TimeEmbedding {
    /// The two layers of the embedding and the stacked layers of the shifts.
    ///
    /// # Errors
    /// When the device fails, or a layer has more values than the kernel holds.
    pub fn new(
        device: &Rc<Device>,
        frequencies: &[f64],
        layers: [Linear; 3],
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        let widest = layers[..2].iter().map(Linear::n_out).max().unwrap_or(0).max(2 * frequencies.len());
        if widest > MOST_VALUES {
            return Err(DeviceError::TooLarge(widest));
        }
        let shifts = Buffer::new(device, lanes * layers[2].n_out())?;
        Ok(Self { frequencies: Buffer::of(device, frequencies)?, layers, shifts })
    }

    /// The shifts of all residual blocks, one after the other, and how many a lane has.
    #[must_use]
    pub fn shifts(&self) -> (Address<f32>, usize) {
        (self.shifts.address(), self.layers[2].n_out())
    }

    /// Computes the shifts at the smoothing levels of the lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward(&self, device: &Device, lanes: &Lanes, scalars: Address<LaneScalars>) -> Result<(), DeviceError> {
        let [hidden, embedding, to_shifts] = &self.layers;
        let at = time_embedding::TimeEmbedding {
            lanes: lanes.address(),
            scalars,
            frequencies: self.frequencies.address(),
            hidden: hidden.record()?,
            embedding: embedding.record()?,
            to_shifts: to_shifts.record()?,
            shifts: self.shifts.address(),
        };
        device.launch_over(to_shifts.n_out(), lanes.len(), &All { at })
    }
}
