//! Self-attention over the pixels of an image; the sums are in attention.cu.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::attention::{self, CHANNELS, Forward, PIXELS, Products, VjpKeyValue, VjpQuery};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// One self-attention, with what its forward pass leaves for the vjp.
#[derive(Debug)]
pub struct Attention {
    heads: usize,
    /// Of one head.
    channels: usize,
    n_pixels: usize,
    log_sums: Buffer<f32>,
    products: Buffer<f32>,
}

impl Attention {
    /// For `lanes` images of `n_pixels` pixels, with `channels` channels in all heads together.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(
        device: &Rc<Device>,
        heads: usize,
        channels: usize,
        n_pixels: usize,
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        let per_pixel = || Buffer::new(device, lanes * heads * n_pixels);
        Ok(Self { heads, channels: channels / heads, n_pixels, log_sums: per_pixel()?, products: per_pixel()? })
    }

    fn record(
        &self,
        lanes: &Lanes,
        qkv: Address<f32>,
        d_mixed: Address<f32>,
        out: Address<f32>,
    ) -> Result<attention::Attention, DeviceError> {
        Ok(attention::Attention {
            lanes: lanes.address(),
            qkv,
            d_mixed,
            log_sums: self.log_sums.address(),
            products: self.products.address(),
            out,
            scale: (1.0 / (self.channels as f64).sqrt()) as f32,
            n_channels: int(self.channels)?,
            n_pixels: int(self.n_pixels)?,
            rest: 0,
        })
    }

    /// Blocks of pixels and channels, heads, lanes.
    fn grid(&self, lanes: &Lanes) -> [usize; 3] {
        [self.n_pixels.div_ceil(PIXELS) * self.channels.div_ceil(CHANNELS), self.heads, lanes.len()]
    }

    /// mixed = attention(qkv); qkv is `[lane][head][q | k | v][channel][pixel]`.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward(
        &self,
        device: &Device,
        lanes: &Lanes,
        qkv: Address<f32>,
        mixed: Address<f32>,
    ) -> Result<(), DeviceError> {
        // The forward pass reads no covector; its address must be one all the same.
        let at = self.record(lanes, qkv, mixed, mixed)?;
        device.launch(self.grid(lanes), BLOCK, &Forward { at })
    }

    /// d_qkv = J^T d_mixed, with the `mixed` of the forward pass.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn vjp(
        &self,
        device: &Device,
        lanes: &Lanes,
        (qkv, mixed): (Address<f32>, Address<f32>),
        d_mixed: Address<f32>,
        d_qkv: Address<f32>,
    ) -> Result<(), DeviceError> {
        let products = Products { at: self.record(lanes, qkv, d_mixed, mixed)? };
        device.launch([self.n_pixels.div_ceil(BLOCK as usize), self.heads, lanes.len()], BLOCK, &products)?;
        let (at, grid) = (self.record(lanes, qkv, d_mixed, d_qkv)?, self.grid(lanes));
        device.launch(grid, BLOCK, &VjpQuery { at })?;
        device.launch(grid, BLOCK, &VjpKeyValue { at })
    }
}
