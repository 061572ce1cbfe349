//! The time embedding in training: its weights stay where the parameters are. It does not depend on the image, so it
//! has no tangent. The sums are in linear_training.cu.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::linear_training::{Backward, Forward, INPUTS, OUTPUTS, Weights};
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;
use gradus_cuda_kernels::time_embedding::Waves;
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// A linear layer's place in the parameters.
#[derive(Debug, Clone, Copy)]
pub struct LinearPlace {
    /// Offset of its weights `[output][input]`.
    pub weight: usize,
    /// Offset of its bias.
    pub bias: usize,
    /// Number of outputs.
    pub n_out: usize,
}

/// Layers on the same input, one behind the other.
#[derive(Debug)]
struct Linear {
    /// Places of the row of weights and of the bias of each output.
    rows: Buffer<i32>,
    n_in: usize,
    n_out: usize,
}

/// The embedding's layers, with buffers `[lane][n]` for some lanes.
#[derive(Debug)]
pub struct TrainingEmbedding {
    frequencies: Buffer<f64>,
    layers: [Linear; 3],
    /// Waves, hidden values, embedding: what each layer reads.
    inputs: [Buffer<f32>; 3],
    /// The output of each layer: the input of a SiLU, or a shift.
    outputs: [Buffer<f32>; 3],
    /// Gradients of the first two.
    d_outputs: [Buffer<f32>; 2],
}

impl Linear {
    fn new(device: &Rc<Device>, n_in: usize, places: &[LinearPlace]) -> Result<Self, DeviceError> {
        let row = |place: &LinearPlace, o: usize| [int(place.weight + o * n_in), int(place.bias + o)];
        let rows = places.iter().flat_map(|place| (0..place.n_out).flat_map(move |o| row(place, o)));
        let rows = rows.collect::<Result<Vec<i32>, _>>()?;
        Ok(Self { rows: Buffer::of(device, &rows)?, n_in, n_out: rows.len() / 2 })
    }
}

impl TrainingEmbedding {
    /// The two layers of the embedding and those of the shifts of every residual block, at `frequencies`, for `lanes`
    /// images.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(
        device: &Rc<Device>,
        frequencies: &[f64],
        (first, second, shifts): (LinearPlace, LinearPlace, &[LinearPlace]),
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        let layers = [
            Linear::new(device, 2 * frequencies.len(), &[first])?,
            Linear::new(device, first.n_out, &[second])?,
            Linear::new(device, second.n_out, shifts)?,
        ];
        let room = |n: usize| Buffer::new(device, lanes * n);
        let inputs = [room(layers[0].n_in)?, room(layers[1].n_in)?, room(layers[2].n_in)?];
        let outputs = [room(layers[0].n_out)?, room(layers[1].n_out)?, room(layers[2].n_out)?];
        let d_outputs = [room(layers[0].n_out)?, room(layers[1].n_out)?];
        Ok(Self { frequencies: Buffer::of(device, frequencies)?, layers, inputs, outputs, d_outputs })
    }

    /// The shifts of all residual blocks `[lane][n]`, one after the other.
    #[must_use]
    pub fn shifts(&self) -> &Buffer<f32> {
        &self.outputs[2]
    }

    /// n, the shifts of a lane.
    #[must_use]
    pub fn n_shifts(&self) -> usize {
        self.layers[2].n_out
    }

    /// Computes the shifts at the smoothing levels of the lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward(
        &self,
        device: &Device,
        lanes: &Lanes,
        scalars: Address<LaneScalars>,
        parameters: Address<f32>,
    ) -> Result<(), DeviceError> {
        let half = self.frequencies.len();
        let waves = Waves {
            lanes: lanes.address(),
            scalars,
            frequencies: self.frequencies.address(),
            waves: self.inputs[0].address(),
            half: int(half)?,
        };
        device.launch_over(half, lanes.len(), &waves)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let entry = Forward {
                lanes: lanes.address(),
                parameters,
                rows: layer.rows.address(),
                x: self.inputs[i].address(),
                z: self.outputs[i].address(),
                s: self.inputs.get(i + 1).map_or(Address::NULL, Buffer::address),
                n_in: int(layer.n_in)?,
                n_out: int(layer.n_out)?,
            };
            device.launch([layer.n_out.div_ceil(OUTPUTS), 1, lanes.len()], BLOCK, &entry)?;
        }
        Ok(())
    }

    /// Gradients of all weights and biases, `=` factor times the sum over lanes, at their places in `gradient`, from
    /// those of the shifts, laid out likewise.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn backward(
        &self,
        device: &Device,
        lanes: &Lanes,
        parameters: Address<f32>,
        d_shifts: Address<f32>,
        (gradient, factor): (Address<f32>, f32),
    ) -> Result<(), DeviceError> {
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (rows, d_y) = (layer.rows.address(), self.d_outputs.get(i).map_or(d_shifts, Buffer::address));
            let (n_in, n_lanes) = (int(layer.n_in)?, int(lanes.len())?);
            let x = self.inputs[i].address();
            let weights = Weights { lanes: lanes.address(), rows, d_y, x, gradient, factor, n_in, n_lanes };
            device.launch([layer.n_in.div_ceil(BLOCK as usize), layer.n_out, 1], BLOCK, &weights)?;
            let Some(before) = i.checked_sub(1) else { break };
            let entry = Backward {
                lanes: lanes.address(),
                parameters,
                rows,
                d_y,
                z: self.outputs[before].address(),
                d_z: self.d_outputs[before].address(),
                n_in,
                n_out: int(layer.n_out)?,
            };
            device.launch([layer.n_in.div_ceil(INPUTS), 1, lanes.len()], BLOCK, &entry)?;
        }
        Ok(())
    }
}
