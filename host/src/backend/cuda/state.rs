//! The host's knowledge of each slice, and the vectors of all slices on the device.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::network::CudaNetworkError;
use super::projector::ProjectorError;
use crate::backend::{Counters, Mirror, Slice};
use crate::ct::ProjectionError;
use gradus_core::Level;
use gradus_cuda_kernels::Address;
use std::rc::Rc;

/// Reasons why slices cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlicesError {
    /// The projector cannot be made.
    #[error(transparent)]
    Projector(#[from] ProjectorError),
    /// The network cannot be made.
    #[error(transparent)]
    Network(#[from] CudaNetworkError),
    /// A sinogram or an image has another length than the geometry asks for.
    #[error(transparent)]
    Length(#[from] ProjectionError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// The image whose activations the objective's lane of a slice holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Held {
    Other,
    Iterate,
    Trial(f32),
}

/// The host's knowledge of a slice.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) held: Held,
    pub(super) has_previous: bool,
    /// `A d` of the direction is known.
    pub(super) has_projected: bool,
    /// <r, A d> and |A d|^2, once a trial has asked for them.
    pub(super) of_projected: Option<[f64; 2]>,
    pub(super) updates: u32,
    pub(super) counters: Counters,
    /// The member of the homotopy that is f.
    pub(super) objective: Level,
    /// Of the last denoising: the factor of the prior's gradient, and the mirror that it stands in.
    pub(super) denoised: (f32, Mirror),
    /// |grad f|^2, and |r|^2 of the linear system that is to be solved.
    pub(super) gradient_norm_sq: f64,
    pub(super) residual_square: f64,
}

impl State {
    /// Before the first request.
    pub(super) fn fresh(objective: Level) -> Self {
        Self {
            held: Held::Other,
            has_previous: false,
            has_projected: false,
            of_projected: None,
            updates: 0,
            counters: Counters::default(),
            objective,
            denoised: (0.0, Mirror::of_turn(0)),
            gradient_norm_sq: 0.0,
            residual_square: 0.0,
        }
    }

    /// There is a new direction; whether `A d` came with it.
    pub(super) fn turn(&mut self, has_projected: bool) {
        (self.has_projected, self.of_projected) = (has_projected, None);
    }
}

/// Vectors `[slice][n]`; those of the network `[lane][n]`.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) residual: Buffer<f32>,
    pub(super) projected: Buffer<f32>,
    pub(super) iterate: Buffer<f32>,
    pub(super) data_gradient: Buffer<f32>,
    pub(super) gradient: Buffer<f32>,
    pub(super) direction: Buffer<f32>,
    pub(super) previous: Buffer<f32>,
    /// h(x, t_min) at the iterate.
    pub(super) features: Buffer<f32>,
    pub(super) images: Buffer<f32>,
    pub(super) products: Buffer<f32>,
}

impl Buffers {
    pub(super) fn new(device: &Rc<Device>, slices: &[Slice], n: usize) -> Result<Self, DeviceError> {
        let (n_values, iterate) = (
            slices.iter().map(|s| s.data.len()).sum(),
            slices.iter().flat_map(|slice| &slice.start).copied().collect::<Vec<f32>>(),
        );
        let images = |lanes: usize| Buffer::new(device, lanes * n);
        Ok(Self {
            residual: Buffer::new(device, n_values)?,
            projected: Buffer::new(device, n_values)?,
            data_gradient: images(slices.len())?,
            gradient: images(slices.len())?,
            direction: images(slices.len())?,
            previous: images(slices.len())?,
            features: images(slices.len())?,
            images: images(2 * slices.len())?,
            products: images(2 * slices.len())?,
            iterate: Buffer::of(device, &iterate)?,
        })
    }
}

/// The vectors of the conjugate gradient method, `[slice][n]`: `r`, `p`, `W^(1/2) A p` and `A^T W A p`.
///
/// `A d` is gathered from the `A p` of the solve, so the line search needs no projection of its own.
#[derive(Debug)]
pub(super) struct LinearSystem {
    vectors: [Buffer<f32>; 4],
    /// The diagonal of `P`, and `P r`, where there are weights.
    preconditioned: Option<[Buffer<f32>; 2]>,
}

/// The places of these vectors, in their order.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemPlaces {
    pub(super) residual: Address<f32>,
    pub(super) conjugate: Address<f32>,
    pub(super) projected: Address<f32>,
    pub(super) normal: Address<f32>,
    pub(super) preconditioned: Option<[Address<f32>; 2]>,
}

impl LinearSystem {
    pub(super) fn new(
        device: &Rc<Device>,
        slices: usize,
        (pixels, values): (usize, usize),
        is_weighted: bool,
    ) -> Result<Self, DeviceError> {
        let made = |n: usize| Buffer::new(device, slices * n);
        let preconditioned = if is_weighted { Some([made(pixels)?, made(pixels)?]) } else { None };
        Ok(Self { vectors: [made(pixels)?, made(pixels)?, made(values)?, made(pixels)?], preconditioned })
    }

    /// Takes the diagonal of `P` for a slice.
    pub(super) fn precondition(&mut self, slice: usize, scales: &[f32]) -> Result<(), DeviceError> {
        match &mut self.preconditioned {
            Some([diagonal, _]) => diagonal.upload(slice * scales.len(), scales),
            None => Ok(()),
        }
    }

    pub(super) fn places(&self) -> SystemPlaces {
        let [residual, conjugate, projected, normal] = self.vectors.each_ref().map(Buffer::address);
        let preconditioned = self.preconditioned.as_ref().map(|both| both.each_ref().map(Buffer::address));
        SystemPlaces { residual, conjugate, projected, normal, preconditioned }
    }
}
