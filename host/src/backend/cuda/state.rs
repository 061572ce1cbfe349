//! The host's knowledge of each slice, and the vectors of all slices on the device.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::network::CudaNetworkError;
use super::projector_error::ProjectorError;
use crate::backend::{Counters, Mirror, Slice};
use crate::ct::ProjectionError;
use gradus_core::Level;
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
    /// The linear system comes from grad F, so its solution is going to be tested.
    pub(super) is_tested: bool,
    /// <grad f, d>, |d|^2, |grad f|^2 of the direction, once they are known.
    pub(super) of_direction: Option<[f64; 3]>,
    /// The change of the prior's energy over the whole step, where it was computed before it was asked for.
    pub(super) first_trial: Option<f64>,
}

/// The content of a [`gradus_core::Request::Denoise`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Denoising {
    pub(super) t: f32,
    pub(super) variance: f32,
    pub(super) turn: u32,
    pub(super) extrapolation: f32,
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
            is_tested: false,
            of_direction: None,
            first_trial: None,
        }
    }

    /// There is a new direction; whether `A d` came with it.
    pub(super) fn turn(&mut self, has_projected: bool) {
        self.has_projected = has_projected;
        (self.of_projected, self.of_direction, self.first_trial) = (None, None, None);
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
