//! Group normalisation: its coefficients, which readers apply, and its vjp; the formulas are in conv_norm.cuh.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::conv::NormOfOutput;
use gradus_cuda_kernels::group_norm::{InputGradient, Moments, PIXELS};
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

/// Shares of a channel whose statistics are taken together in training.
#[must_use]
pub fn n_shares(n_pixels: usize) -> usize {
    n_pixels.div_ceil(PIXELS)
}

/// Mean and squared deviations of every share of a tensor with `channels` channels; `moments` has room for them.
///
/// # Errors
/// The driver refuses a launch or a copy, or has failed before.
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

/// Target of a norm's vjp: d_x = or += base + p d_z + q x + r.
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
    /// The driver refuses a launch or a copy, or has failed before.
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

    /// The work of a convolution for this norm of its output, or of that and a tensor beside it with the given sums and
    /// tiles; with room for sums and a counter per lane.
    ///
    /// # Errors
    /// When a size is too large.
    pub fn after(
        &self,
        sums: Address<[f64; 2]>,
        second: Option<(Address<[f64; 2]>, usize)>,
        counters: Address<u32>,
    ) -> Result<NormOfOutput, DeviceError> {
        let (second_sums, n_second_tiles) = second.unwrap_or((Address::NULL, 0));
        Ok(NormOfOutput {
            second_sums,
            bias: self.bias.address(),
            coefficients: self.affine.address(),
            n_second_tiles: int(n_second_tiles)?,
            ..self.vjp_after(sums, counters)?
        })
    }

    /// Likewise for the vjp of this norm, of a convolution whose output is the gradient behind it.
    ///
    /// # Errors
    /// When a size is too large.
    pub fn vjp_after(&self, sums: Address<[f64; 2]>, counters: Address<u32>) -> Result<NormOfOutput, DeviceError> {
        Ok(NormOfOutput {
            sums,
            gain: self.gain.address(),
            coefficients: self.gradient.address(),
            counters,
            eps: self.eps,
            n_channels: int(self.gain.len())?,
            n_groups: int(self.groups)?,
            ..NormOfOutput::NONE
        })
    }

    /// d_x from d_z, after the convolution that makes d_z with [`GroupNorm::vjp_after`].
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
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
