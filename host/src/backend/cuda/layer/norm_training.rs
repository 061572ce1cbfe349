//! Group normalisation in training, with SiLU behind it or without; the formulas are in norm_training.cu.

use super::Concat;
use super::group_norm::{moments, n_shares};
use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::norm_training::{
    DDotMeans, DDotSums, DMeans, DSums, DotMeans, DotSums, Forward, Inputs, Norm, Tangent, Weights,
};
use gradus_cuda_kernels::{Address, BLOCK, Entry, group_norm};
use std::rc::Rc;

/// One normalisation, with what its passes leave for each other: per lane and channel, and d_dot_z.
///
/// Tensors are `[lane][channel][pixel]`. Passes come in the order [`forward`](Self::forward),
/// [`backward_tangent`](Self::backward_tangent) and [`tangent`](Self::tangent) in either order,
/// [`backward_value`](Self::backward_value).
#[derive(Debug)]
pub struct TrainingNorm {
    channels: usize,
    groups: usize,
    eps: f64,
    n_pixels: usize,
    silu: bool,
    moments: [Buffer<[f32; 2]>; 2],
    affine: Buffer<[f32; 4]>,
    dot_hat: Buffer<[f32; 4]>,
    on_value: Buffer<[f32; 4]>,
    on_tangent: Buffer<[f32; 2]>,
    sums: Buffer<[f32; 4]>,
    means: Buffer<f64>,
    d_dot_z: Buffer<f32>,
}

/// A tensor that the gradient of an input goes to.
#[derive(Debug, Clone, Copy)]
pub struct NormTarget {
    /// d_x or d_dot_x, with as many channels as the input.
    pub d_x: Address<f32>,
    /// `+=`, or `=`.
    pub accumulate: bool,
}

/// Target of the gradients of gain and bias: `=` factor times the sum over lanes.
#[derive(Debug, Clone, Copy)]
pub struct NormGradient {
    /// One value per channel.
    pub d_gain: Address<f32>,
    /// One value per channel.
    pub d_bias: Address<f32>,
    /// On the sum.
    pub factor: f32,
}

impl TrainingNorm {
    /// For `lanes` images of `n_pixels` pixels; `silu` tells whether a SiLU follows.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(
        device: &Rc<Device>,
        (channels, groups, eps): (usize, usize, f64),
        silu: bool,
        n_pixels: usize,
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        let (per_channel, per_share) = (lanes * channels, lanes * channels * n_shares(n_pixels));
        Ok(Self {
            channels,
            groups,
            eps,
            n_pixels,
            silu,
            moments: [Buffer::new(device, per_share)?, Buffer::new(device, per_share)?],
            affine: Buffer::new(device, per_channel)?,
            dot_hat: Buffer::new(device, per_channel)?,
            on_value: Buffer::new(device, per_channel)?,
            on_tangent: Buffer::new(device, per_channel)?,
            sums: Buffer::new(device, per_share)?,
            means: Buffer::new(device, 4 * lanes * groups)?,
            d_dot_z: Buffer::new(device, per_channel * n_pixels)?,
        })
    }

    fn record(&self, lanes: &Lanes, gain: Address<f32>, x: Concat) -> Result<Norm, DeviceError> {
        Ok(Norm {
            lanes: lanes.address(),
            x_first: x.first.0,
            x_second: x.second.0,
            dot_first: Address::NULL,
            dot_second: Address::NULL,
            gain,
            affine: self.affine.address(),
            dot_hat: self.dot_hat.address(),
            on_value: self.on_value.address(),
            on_tangent: self.on_tangent.address(),
            sums: self.sums.address(),
            means: self.means.address(),
            d_dot_y: Address::NULL,
            d_dot_z: self.d_dot_z.address(),
            d_z: Address::NULL,
            n_first: int(x.first.1)?,
            n_channels: int(self.channels)?,
            n_pixels: int(self.n_pixels)?,
            groups: int(self.groups)?,
            with_silu: self.silu.into(),
            with_tangents: 0,
            n_lanes: int(lanes.len())?,
            rest: 0,
        })
    }

    /// Sums of every share, then means of every group.
    fn reduce(&self, device: &Device, lanes: &Lanes, sums: &impl Entry, means: &impl Entry) -> Result<(), DeviceError> {
        device.launch([n_shares(self.n_pixels), self.channels, lanes.len()], BLOCK, sums)?;
        device.launch([self.groups, 1, lanes.len()], BLOCK, means)
    }

    fn over_pixels(&self, channels: usize, lanes: &Lanes) -> [usize; 3] {
        [self.n_pixels.div_ceil(BLOCK as usize), channels, lanes.len()]
    }

    /// y from x, whose statistics it takes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward(
        &self,
        device: &Device,
        lanes: &Lanes,
        (gain, bias): (Address<f32>, Address<f32>),
        x: Concat,
        y: Address<f32>,
    ) -> Result<(), DeviceError> {
        for (part, room) in [x.first, x.second].into_iter().zip(&self.moments).filter(|(part, _)| part.1 > 0) {
            moments(device, lanes, part, self.n_pixels, room)?;
        }
        let statistics = group_norm::Forward {
            lanes: lanes.address(),
            first: self.moments[0].address(),
            second: if x.second.1 > 0 { self.moments[1].address() } else { Address::NULL },
            gain,
            bias,
            affine: self.affine.address(),
            eps: self.eps,
            n_first: int(x.first.1)?,
            n_channels: int(self.channels)?,
            n_pixels: int(self.n_pixels)?,
        };
        device.launch([self.groups, 1, lanes.len()], BLOCK, &statistics)?;
        let at = self.record(lanes, gain, x)?;
        device.launch(self.over_pixels(self.channels, lanes), BLOCK, &Forward { at, y })
    }

    /// dot_y from x and dot_x.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn tangent(
        &self,
        device: &Device,
        lanes: &Lanes,
        gain: Address<f32>,
        (x, dot_x): (Concat, Concat),
        dot_y: Address<f32>,
    ) -> Result<(), DeviceError> {
        let at = Norm { dot_first: dot_x.first.0, dot_second: dot_x.second.0, ..self.record(lanes, gain, x)? };
        self.reduce(device, lanes, &DotSums { at }, &DotMeans { at })?;
        device.launch(self.over_pixels(self.channels, lanes), BLOCK, &Tangent { at, y: dot_y })
    }

    /// d_dot_x of each input from d_dot_y.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn backward_tangent(
        &self,
        device: &Device,
        lanes: &Lanes,
        gain: Address<f32>,
        x: Concat,
        d_dot_y: Address<f32>,
        targets: [Option<NormTarget>; 2],
    ) -> Result<(), DeviceError> {
        let at = Norm { d_dot_y, ..self.record(lanes, gain, x)? };
        self.reduce(device, lanes, &DDotSums { at }, &DDotMeans { at })?;
        self.inputs(device, lanes, at, self.d_dot_z.address(), (x, Concat::NONE), targets)
    }

    /// d_x of each input and the gradients of gain and bias from d_y, in whose place it leaves d_z; with `tangents` =
    /// (dot_x, d_dot_y) also from these and all that went before.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    #[allow(clippy::too_many_arguments)] // one for each tensor of the formula
    pub fn backward_value(
        &self,
        device: &Device,
        lanes: &Lanes,
        gain: Address<f32>,
        x: Concat,
        tangents: Option<(Concat, Address<f32>)>,
        d_y: Address<f32>,
        targets: [Option<NormTarget>; 2],
        gradient: NormGradient,
    ) -> Result<(), DeviceError> {
        let (dot_x, d_dot_y) = tangents.unwrap_or((Concat::NONE, Address::NULL));
        let at = Norm {
            dot_first: dot_x.first.0,
            dot_second: dot_x.second.0,
            d_dot_y,
            d_z: d_y,
            with_tangents: tangents.is_some().into(),
            ..self.record(lanes, gain, x)?
        };
        self.reduce(device, lanes, &DSums { at }, &DMeans { at })?;
        let NormGradient { d_gain, d_bias, factor } = gradient;
        device.launch_over(self.channels, 1, &Weights { at, d_gain, d_bias, factor })?;
        self.inputs(device, lanes, at, d_y, (x, dot_x), targets)
    }

    fn inputs(
        &self,
        device: &Device,
        lanes: &Lanes,
        at: Norm,
        d: Address<f32>,
        (x, dot_x): (Concat, Concat),
        targets: [Option<NormTarget>; 2],
    ) -> Result<(), DeviceError> {
        let parts = [(0, x.first, dot_x.first.0), (x.first.1, x.second, dot_x.second.0)];
        for ((first, (x, channels), dot_x), target) in parts.into_iter().zip(targets) {
            let Some(NormTarget { d_x, accumulate }) = target else { continue };
            let entry = Inputs { at, d, x, dot_x, d_x, first: int(first)?, accumulate: accumulate.into() };
            device.launch(self.over_pixels(channels, lanes), BLOCK, &entry)?;
        }
        Ok(())
    }
}
