//! Weights of convolutions as conv.cu or conv_tensor.cu reads them, packed on the device by conv_pack.cu.

use super::stencil::Stencil;
use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::products::Products;
use gradus_cuda_kernels::conv::OUTPUTS;
use gradus_cuda_kernels::conv_pack::{Pack, PackRecord};
use gradus_cuda_kernels::{Address, BLOCK, conv_tensor};
use std::ops::Range;
use std::rc::Rc;

/// Weights as the kernels of their products read them.
#[derive(Debug)]
pub struct PackedConv {
    pub(super) stencil: Stencil,
    pub(super) n_in: usize,
    pub(super) n_out: usize,
    pub(super) n_padded: usize,
    pub(super) products: Products,
    pub(super) weights: Buffer<f32>,
    /// Their source, here and on the device.
    record: Box<(PackRecord, Buffer<PackRecord>)>,
}

impl PackedConv {
    /// Packs `weights[n_out][n_in][side][side]` for a forward convolution.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward(
        device: &Rc<Device>,
        stencil: Stencil,
        shape: (usize, usize),
        weights: &[f32],
    ) -> Result<Self, DeviceError> {
        Self::forward_at(device, stencil, shape, 0)?.packed_from(device, weights)
    }

    /// Packs the same weights for the vjp to the input channels `inputs`; the stencil is the transposed one.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn transposed(
        device: &Rc<Device>,
        stencil: Stencil,
        inputs: Range<usize>,
        shape: (usize, usize),
        weights: &[f32],
    ) -> Result<Self, DeviceError> {
        Self::transposed_at(device, stencil, inputs, shape, 0)?.packed_from(device, weights)
    }

    /// Room for a forward convolution whose weights `[n_out][n_in][side][side]` begin at `first` in the parameters.
    /// Nothing is in it before [`PackedConv::repack`].
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward_at(
        device: &Rc<Device>,
        stencil: Stencil,
        (n_out, n_in): (usize, usize),
        first: usize,
    ) -> Result<Self, DeviceError> {
        let kernel = stencil.side().pow(2);
        Self::at(device, stencil, (n_out, n_in), first, (n_in * kernel, kernel))
    }

    /// The same for the vjp of those weights to the input channels `inputs`; the stencil is the transposed one.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn transposed_at(
        device: &Rc<Device>,
        stencil: Stencil,
        inputs: Range<usize>,
        (n_out, n_in): (usize, usize),
        first: usize,
    ) -> Result<Self, DeviceError> {
        let kernel = stencil.side().pow(2);
        Self::at(device, stencil, (inputs.len(), n_out), first + inputs.start * kernel, (kernel, n_in * kernel))
    }

    /// `strides` are the distances, in the parameters, of outputs and of inputs.
    fn at(
        device: &Rc<Device>,
        stencil: Stencil,
        (n_out, n_in): (usize, usize),
        first: usize,
        strides: (usize, usize),
    ) -> Result<Self, DeviceError> {
        let ((taps, phases), products) = (stencil.shape(), products(device, stencil, n_out));
        let (parts, n_padded, n_in_padded) = match products {
            Products::MultiplyAdds => (1, n_out.next_multiple_of(OUTPUTS), n_in),
            _ => (
                products.parts(),
                n_out.next_multiple_of(conv_tensor::OUTPUTS),
                n_in.next_multiple_of(conv_tensor::INPUTS),
            ),
        };
        let weights = Buffer::new(device, phases * phases * n_in_padded * taps * taps * n_padded * parts)?;
        let mut spans = [[[0; 2]; 4]; 2];
        for (phase, spans) in spans.iter_mut().enumerate().take(phases) {
            for (tap, span) in spans.iter_mut().enumerate().take(taps) {
                let rows = stencil.kernel_rows(phase, tap);
                *span = [rows.start as u8, rows.end as u8];
            }
        }
        let record = PackRecord {
            packed: weights.address(),
            first: int(first)?,
            output_stride: int(strides.0)?,
            input_stride: int(strides.1)?,
            n_out: int(n_out)?,
            n_in: int(n_in)?,
            n_padded: int(n_padded)?,
            phases: int(phases)?,
            taps: int(taps)?,
            side: int(stencil.side())?,
            spans,
            parts: int(products.parts())?,
        };
        let record = Box::new((record, Buffer::of(device, &[record])?));
        Ok(Self { stencil, n_in, n_out, n_padded, products, weights, record })
    }

    fn packed_from(self, device: &Rc<Device>, weights: &[f32]) -> Result<Self, DeviceError> {
        let parameters = Buffer::of(device, weights)?;
        self.repack(device, parameters.address())?;
        // The parameters go when this returns.
        device.synchronise()?;
        Ok(self)
    }

    /// Takes over the weights that stand in `parameters`; overwrites. For many convolutions [`Packer`] is faster.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn repack(&self, device: &Device, parameters: Address<f32>) -> Result<(), DeviceError> {
        let entry = Pack { records: self.record.1.address(), parameters };
        device.launch([self.weights.len().div_ceil(BLOCK as usize), 1, 1], BLOCK, &entry)
    }

    /// Channels of the output.
    #[must_use]
    pub fn n_out(&self) -> usize {
        self.n_out
    }
}

/// The device's products, where there are kernels for them, and more than an eight of outputs: fewer are not worth
/// tensor cores. The same for a convolution and the shortcut that is added to it.
fn products(device: &Device, stencil: Stencil, n_out: usize) -> Products {
    let has_kernel = matches!(stencil, Stencil::Same | Stencil::SameTransposed | Stencil::Point);
    if has_kernel && n_out > OUTPUTS { device.products() } else { Products::MultiplyAdds }
}

/// Packs the weights of many convolutions in one launch.
#[derive(Debug)]
pub struct Packer {
    records: Buffer<PackRecord>,
    most_values: usize,
}

impl Packer {
    /// For the given convolutions, which must live as long as this is used.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new<'a>(
        device: &Rc<Device>,
        convolutions: impl IntoIterator<Item = &'a PackedConv>,
    ) -> Result<Self, DeviceError> {
        let (mut records, mut most_values) = (Vec::new(), 0);
        for convolution in convolutions {
            records.push(convolution.record.0);
            most_values = most_values.max(convolution.weights.len());
        }
        Ok(Self { records: Buffer::of(device, &records)?, most_values })
    }

    /// [`PackedConv::repack`] of all.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn repack(&self, device: &Device, parameters: Address<f32>) -> Result<(), DeviceError> {
        if self.records.is_empty() {
            return Ok(());
        }
        // Four values to a thread of the largest.
        let blocks = self.most_values.div_ceil(4 * BLOCK as usize);
        device.launch([blocks, self.records.len(), 1], BLOCK, &Pack { records: self.records.address(), parameters })
    }
}
