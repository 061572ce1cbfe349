//! Time embedding, and the shifts of all residual blocks; the formulas are in time_embedding.cu.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;
use gradus_cuda_kernels::time_embedding::{self, Waves};
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
    /// When the device fails.
    pub fn stacked(device: &Rc<Device>, n_in: usize, layers: &[(&[f32], &[f32])]) -> Result<Self, DeviceError> {
        let bias: Vec<f32> = layers.iter().flat_map(|(_, bias)| bias.iter().copied()).collect();
        let rows: Vec<&[f32]> = layers.iter().flat_map(|(weights, _)| weights.chunks_exact(n_in)).collect();
        let weights: Vec<f32> = (0..n_in).flat_map(|input| rows.iter().map(move |row| row[input])).collect();
        Ok(Self { weights: Buffer::of(device, &weights)?, bias: Buffer::of(device, &bias)?, n_in })
    }

    fn n_out(&self) -> usize {
        self.bias.len()
    }

    fn forward(
        &self,
        device: &Device,
        lanes: &Lanes,
        (x, y): (&Buffer<f32>, &Buffer<f32>),
        with_silu: bool,
    ) -> Result<(), DeviceError> {
        let entry = time_embedding::Linear {
            lanes: lanes.address(),
            weights: self.weights.address(),
            bias: self.bias.address(),
            x: x.address(),
            y: y.address(),
            n_in: int(self.n_in)?,
            n_out: int(self.n_out())?,
            with_silu: with_silu.into(),
        };
        device.launch_over(self.n_out(), lanes.len(), &entry)
    }
}

/// Weights of the embedding and of all shifts that are read from it, with buffers for some lanes.
#[derive(Debug)]
pub struct TimeEmbedding {
    frequencies: Buffer<f64>,
    layers: [Linear; 3],
    /// Waves, hidden values, embedding, shifts, `[lane][n]` each.
    values: [Buffer<f32>; 4],
}

impl TimeEmbedding {
    /// The two layers of the embedding and the stacked layers of the shifts.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(
        device: &Rc<Device>,
        frequencies: &[f64],
        layers: [Linear; 3],
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        let room = |n: usize| Buffer::new(device, lanes * n);
        let values = [
            room(2 * frequencies.len())?,
            room(layers[0].n_out())?,
            room(layers[1].n_out())?,
            room(layers[2].n_out())?,
        ];
        Ok(Self { frequencies: Buffer::of(device, frequencies)?, layers, values })
    }

    /// The shifts of all residual blocks, one after the other, and how many a lane has.
    #[must_use]
    pub fn shifts(&self) -> (Address<f32>, usize) {
        (self.values[3].address(), self.layers[2].n_out())
    }

    /// Computes the shifts at the smoothing levels of the lanes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, device: &Device, lanes: &Lanes, scalars: Address<LaneScalars>) -> Result<(), DeviceError> {
        let half = self.frequencies.len();
        let waves = Waves {
            lanes: lanes.address(),
            scalars,
            frequencies: self.frequencies.address(),
            waves: self.values[0].address(),
            half: int(half)?,
        };
        device.launch_over(half, lanes.len(), &waves)?;
        for ((layer, values), with_silu) in self.layers.iter().zip(self.values.windows(2)).zip([true, true, false]) {
            layer.forward(device, lanes, (&values[0], &values[1]), with_silu)?;
        }
        Ok(())
    }
}
