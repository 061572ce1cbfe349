//! The data term 1/2 |W^(1/2) (A x - y)|^2 on the device: the twin of the CPU's.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::projector::CudaProjector;
use super::state::SlicesError;
use super::vector::Lanes;
use crate::backend::Slice;
use crate::ct::{Geometry, ProjectionError};
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::solve::Weigh;
use std::rc::Rc;

/// A projector with the sinograms of all slices, `[slice][angle][bin]`, and the weights of their values.
///
/// All products are with `W^(1/2) A`, `W` the diagonal matrix of a slice's weights.
#[derive(Debug)]
pub(super) struct DataTerm {
    device: Rc<Device>,
    projector: CudaProjector,
    /// `W^(1/2) y`.
    data: Buffer<f32>,
    /// `W^(1/2)`, sinograms for `W^(1/2) s`, and `A^T W 1`, the weight that a pixel is seen with, negative for slices
    /// without weights; `None` where all weights are 1.
    weighting: Option<[Buffer<f32>; 3]>,
    n_values: usize,
}

impl DataTerm {
    pub(super) fn new(device: &Rc<Device>, geometry: Geometry, slices: &[Slice]) -> Result<Self, SlicesError> {
        let data: Vec<f32> = slices.iter().flat_map(|slice| &slice.data).copied().collect();
        let n_values = geometry.sinogram_len();
        let projector = CudaProjector::new(device, geometry, slices.len())?;
        let data = Buffer::of(device, &data)?;
        Ok(Self { device: Rc::clone(device), projector, data, weighting: None, n_values })
    }

    /// Weights for every slice of `all`, `None` for weights of 1.
    pub(super) fn set_weights(
        &mut self,
        all: &Lanes,
        weights: &[Option<&[f32]>],
        n_pixels: usize,
    ) -> Result<(), SlicesError> {
        let expected = self.n_values;
        let mut roots = Vec::with_capacity(weights.len() * expected);
        for weights in weights {
            match weights {
                Some(weights) if weights.len() != expected => {
                    return Err(ProjectionError::SinogramLength { expected, got: weights.len() }.into());
                }
                Some(weights) => roots.extend(weights.iter().map(|weight| weight.sqrt())),
                None => roots.extend(std::iter::repeat_n(1.0, expected)),
            }
        }
        let roots = Buffer::of(&self.device, &roots)?;
        self.weigh(all, &roots, self.data.address(), self.data.address())?;
        let weighted = Buffer::new(&self.device, weights.len() * expected)?;
        self.weigh(all, &roots, roots.address(), weighted.address())?;
        let mut seen = Buffer::new(&self.device, weights.len() * n_pixels)?;
        self.projector.adjoint(all, weighted.address(), seen.address())?;
        for (slice, _) in weights.iter().enumerate().filter(|(_, weights)| weights.is_none()) {
            seen.upload(slice * n_pixels, &vec![-1.0; n_pixels])?;
        }
        self.weighting = Some([roots, weighted, seen]);
        Ok(())
    }

    /// `W^(1/2) y`.
    pub(super) fn data(&self) -> Address<f32> {
        self.data.address()
    }

    pub(super) fn projector(&self) -> &CudaProjector {
        &self.projector
    }

    /// `W^(1/2)`, room for sinograms multiplied by it, and `A^T W 1`; `None` where all weights are 1.
    pub(super) fn weighting(&self) -> Option<[Address<f32>; 3]> {
        self.weighting.as_ref().map(|all| all.each_ref().map(Buffer::address))
    }

    fn weigh(&self, lanes: &Lanes, w: &Buffer<f32>, s: Address<f32>, out: Address<f32>) -> Result<(), DeviceError> {
        let weigh = Weigh { lanes: lanes.address(), w: w.address(), s, out, n: self.n_values as i32 };
        self.device.launch_over(self.n_values, lanes.len(), &weigh)
    }

    /// `sinogram = W^(1/2) A image`.
    pub(super) fn forward_project(
        &self,
        lanes: &Lanes,
        image: Address<f32>,
        sinogram: Address<f32>,
    ) -> Result<(), DeviceError> {
        self.projector.forward_project(lanes, image, sinogram)?;
        match &self.weighting {
            Some([roots, ..]) => self.weigh(lanes, roots, sinogram, sinogram),
            None => Ok(()),
        }
    }

    /// `image = A^T W^(1/2) sinogram`.
    pub(super) fn adjoint(
        &self,
        lanes: &Lanes,
        sinogram: Address<f32>,
        image: Address<f32>,
    ) -> Result<(), DeviceError> {
        let Some([roots, weighted, _]) = &self.weighting else {
            return self.projector.adjoint(lanes, sinogram, image);
        };
        self.weigh(lanes, roots, sinogram, weighted.address())?;
        self.projector.adjoint(lanes, weighted.address(), image)
    }
}
