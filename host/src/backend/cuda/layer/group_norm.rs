//! Group normalisation: its statistics, which readers apply, and its vjp; the formulas are in group_norm.cu.

use super::Concat;
use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::group_norm::{Forward, InputGradient, Moments, PIXELS, Vjp, VjpSums};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// Weights of one normalisation, and what its last passes left: both per lane and channel.
#[derive(Debug)]
pub struct GroupNorm {
    gain: Buffer<f32>,
    bias: Buffer<f32>,
    groups: usize,
    eps: f64,
    affine: Buffer<[f32; 4]>,
    gradient: Buffer<[f32; 4]>,
}

/// Shares of a channel whose statistics are taken together.
#[must_use]
pub fn n_shares(n_pixels: usize) -> usize {
    n_pixels.div_ceil(PIXELS)
}

/// Mean and squared deviations of every share of a tensor with `channels` channels; `moments` has room for them.
///
/// # Errors
/// When the device fails.
pub fn moments(
    device: &Device,
    lanes: &Lanes,
    (x, channels): (Address<f32>, usize),
    n_pixels: usize,
    moments: &Buffer<[f32; 2]>,
) -> Result<(), DeviceError> {
    let entry = Moments { lanes: lanes.address(), x, moments: moments.address(), n_pixels: int(n_pixels)? };
    device.launch([n_shares(n_pixels), channels, lanes.len()], BLOCK, &entry)
}

/// What the vjp of a norm goes to: d_x = or += base + p d_z + q x + r.
#[derive(Debug, Clone, Copy)]
pub struct InputGradientTarget {
    /// The tensor that was normalised, with its number of channels and the first of them in the norm.
    pub x: (Address<f32>, usize, usize),
    /// Added; of the norm's channels. Null for none.
    pub base: Address<f32>,
    /// Written.
    pub d_x: Address<f32>,
    /// `+=`.
    pub accumulate: bool,
}

impl GroupNorm {
    /// Weights on the device, and room for the results of `lanes` lanes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(
        device: &Rc<Device>,
        (gain, bias): (&[f32], &[f32]),
        (groups, eps): (usize, f64),
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        Ok(Self {
            affine: Buffer::new(device, lanes * gain.len())?,
            gradient: Buffer::new(device, lanes * gain.len())?,
            gain: Buffer::of(device, gain)?,
            bias: Buffer::of(device, bias)?,
            groups,
            eps,
        })
    }

    /// (scale, shift, 1/deviation, -mean/deviation) of each lane and channel.
    #[must_use]
    pub fn affine(&self) -> Address<[f32; 4]> {
        self.affine.address()
    }

    /// (p, q, r, 0) of each lane and channel.
    #[must_use]
    pub fn gradient(&self) -> Address<[f32; 4]> {
        self.gradient.address()
    }

    /// Takes the statistics of one or two tensors, the first of which has `n_first` channels, from their moments.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(
        &self,
        device: &Device,
        lanes: &Lanes,
        first: (&Buffer<[f32; 2]>, usize),
        second: Option<&Buffer<[f32; 2]>>,
        n_pixels: usize,
    ) -> Result<(), DeviceError> {
        let entry = Forward {
            lanes: lanes.address(),
            first: first.0.address(),
            second: second.map_or(Address::NULL, Buffer::address),
            gain: self.gain.address(),
            bias: self.bias.address(),
            affine: self.affine.address(),
            eps: self.eps,
            n_first: int(first.1)?,
            n_channels: int(self.gain.len())?,
            n_pixels: int(n_pixels)?,
        };
        device.launch([self.groups, 1, lanes.len()], BLOCK, &entry)
    }

    /// p, q and r from d_z and the tensors that were normalised; `sums` has room for a pair per channel and share.
    ///
    /// # Errors
    /// When the device fails.
    pub fn vjp(
        &self,
        device: &Device,
        lanes: &Lanes,
        (d_z, x): (Address<f32>, Concat),
        n_pixels: usize,
        sums: &Buffer<[f32; 2]>,
    ) -> Result<(), DeviceError> {
        let n_channels = self.gain.len();
        let entry = VjpSums {
            lanes: lanes.address(),
            d_z,
            first: x.first.0,
            second: x.second.0,
            affine: self.affine.address(),
            sums: sums.address(),
            n_first: int(x.first.1)?,
            n_pixels: int(n_pixels)?,
        };
        device.launch([n_shares(n_pixels), n_channels, lanes.len()], BLOCK, &entry)?;
        let entry = Vjp {
            lanes: lanes.address(),
            sums: sums.address(),
            gain: self.gain.address(),
            affine: self.affine.address(),
            gradient: self.gradient.address(),
            n_channels: int(n_channels)?,
            n_pixels: int(n_pixels)?,
        };
        device.launch([self.groups, 1, lanes.len()], BLOCK, &entry)
    }

    /// d_x from d_z, after [`GroupNorm::vjp`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn input_gradient(
        &self,
        device: &Device,
        lanes: &Lanes,
        d_z: Address<f32>,
        n_pixels: usize,
        target: InputGradientTarget,
    ) -> Result<(), DeviceError> {
        let (x, channels, first) = target.x;
        let entry = InputGradient {
            lanes: lanes.address(),
            gradient: self.gradient.address(),
            d_z,
            x,
            base: target.base,
            d_x: target.d_x,
            first: int(first)?,
            n_channels: int(self.gain.len())?,
            n_pixels: int(n_pixels)?,
            accumulate: target.accumulate.into(),
        };
        device.launch([n_pixels.div_ceil(BLOCK as usize), channels, lanes.len()], BLOCK, &entry)
    }
}
