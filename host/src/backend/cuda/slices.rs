//! The CT problem behind the requests of several solvers, on the device: one slice per solver.

use super::conjugate_gradient::LinearSystem;
use super::data_term::DataTerm;
use super::device::Device;
use super::error::DeviceError;
use super::network::CudaNetwork;
use super::state::{Buffers, Denoising, Held, SlicesError, State};
use super::vector::{Lanes, Vectors};
use crate::backend::{Counters, Drift, Slice, Slices, Traffic};
use crate::ct::{Geometry, ProjectionError};
use crate::prior::Prior;
use gradus_core::{Answer, Batch, Level, Request};
use gradus_cuda_kernels::vector::PRODUCT_SUMS;
use std::rc::Rc;

/// Share of the free memory that slices may take; the rest is for the prior and for small buffers.
const SHARE: (usize, usize) = (3, 4);

/// `F(x, t) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` for several slices: the twin of
/// [`crate::backend::cpu::CpuSlices`].
///
/// Vectors never leave the device; an iteration moves scalars only, which [`Device::traffic`] counts. Slice s of n has
/// two lanes of the network: lane s for the objective, lane n + s for the level of the direction. Requests of one kind
/// are answered together, for several slices in one pass of the network.
#[derive(Debug)]
pub struct CudaSlices {
    pub(super) device: Rc<Device>,
    pub(super) data_term: DataTerm,
    pub(super) network: CudaNetwork,
    pub(super) vectors: Vectors,
    pub(super) states: Vec<State>,
    /// Slices of a launch over vectors, and lanes of one over the network.
    pub(super) slices: Lanes,
    pub(super) lanes: Lanes,
    /// Rows and columns of an image.
    pub(super) size: (usize, usize),
    pub(super) n: usize,
    pub(super) n_values: usize,
    pub(super) buffers: Buffers,
    /// Of the linear solves, where there are any.
    pub(super) system: Option<LinearSystem>,
    pub(super) mirrors: bool,
}

impl CudaSlices {
    /// Puts the slices on the device, at their starting points.
    ///
    /// # Errors
    /// When the geometry, the sizes or the prior do not fit, or the device cannot hold it all.
    pub fn new(device: &Rc<Device>, geometry: Geometry, prior: &Prior, slices: &[Slice]) -> Result<Self, SlicesError> {
        let (size, n, n_values) = ((geometry.height, geometry.width), geometry.image_len(), geometry.sinogram_len());
        for Slice { data, start, .. } in slices {
            if data.len() != n_values {
                return Err(ProjectionError::SinogramLength { expected: n_values, got: data.len() }.into());
            }
            if start.len() != n {
                return Err(ProjectionError::ImageLength { expected: n, got: start.len() }.into());
            }
        }
        let n_slices = slices.len();
        let network = CudaNetwork::all_bytes(prior, size, 2 * n_slices)?;
        let _arena = device.reserve(network + n_slices * vector_bytes(&geometry), "images of this size")?;
        let mut made = Self {
            network: CudaNetwork::new(device, prior, size, 2 * n_slices)?,
            data_term: DataTerm::new(device, geometry, slices)?,
            vectors: Vectors::new(device, n_slices)?,
            slices: Lanes::new(device, n_slices)?,
            lanes: Lanes::new(device, 2 * n_slices)?,
            buffers: Buffers::new(device, slices, n)?,
            device: Rc::clone(device),
            states: slices.iter().map(|slice| State::fresh(slice.objective)).collect(),
            system: None,
            mirrors: true,
            size,
            n,
            n_values,
        };
        made.refresh_residuals(&(0..n_slices).collect::<Vec<_>>())?;
        Ok(made)
    }

    /// The number of slices that the device's free memory holds, with the vectors of the linear solves.
    ///
    /// # Errors
    /// When the size does not fit the prior, or the device failed.
    pub fn that_fit(device: &Device, geometry: &Geometry, prior: &Prior) -> Result<usize, SlicesError> {
        let network = CudaNetwork::bytes(prior, (geometry.height, geometry.width), 2)?;
        Ok(device.free_memory()? / SHARE.1 * SHARE.0 / (network + vector_bytes(geometry)))
    }

    /// The same slices with the prior seen otherwise.
    #[must_use]
    pub fn with_drift(self, drift: Drift) -> Self {
        Self { network: self.network.with_drift(drift), ..self }
    }

    /// The same slices, which [`Request::Denoise`] looks at in a mirror from turn to turn, or does not; by default it
    /// does.
    #[must_use]
    pub fn with_mirrors(self, mirrors: bool) -> Self {
        Self { mirrors, ..self }
    }

    /// The same slices with the data terms `1/2 sum_i w_i (A x - y)_i^2`: one weight `w_i >= 0` for each value of a
    /// slice's sinogram, or `None` for weights of 1.
    ///
    /// # Errors
    /// When a slice has more or fewer weights than values, or the device fails.
    ///
    /// # Panics
    /// When there are not as many entries as slices.
    pub fn with_weights(mut self, weights: &[Option<&[f32]>]) -> Result<Self, SlicesError> {
        assert_eq!(weights.len(), self.n_slices(), "one entry per slice");
        if weights.iter().any(Option::is_some) {
            let all: Vec<usize> = (0..self.n_slices()).collect();
            self.slices.set(&all)?;
            self.data_term.set_weights(&self.slices, weights, self.n)?;
            let weighted: Vec<usize> = all.into_iter().filter(|&slice| weights[slice].is_some()).collect();
            self.refresh_residuals(&weighted)?;
        }
        Ok(self)
    }

    /// Number of slices.
    #[must_use]
    pub fn n_slices(&self) -> usize {
        self.states.len()
    }

    /// The device that all this is on.
    #[must_use]
    pub fn device(&self) -> &Rc<Device> {
        &self.device
    }
}

/// Bytes of a slice's vectors: eighteen images and six sinograms, of this problem, of the weights and of the linear
/// solves.
fn vector_bytes(geometry: &Geometry) -> usize {
    (18 * geometry.image_len() + 6 * geometry.sinogram_len()) * size_of::<f32>()
}

/// Parts of requests that are all of one kind, which `pick` takes, with their slices.
fn all<R>(requests: &[(usize, Request)], pick: impl Fn(Request) -> Option<R>) -> Vec<(usize, R)> {
    requests.iter().filter_map(|&(slice, request)| Some((slice, pick(request)?))).collect()
}

/// A function that takes what it wants of a request of one kind.
macro_rules! of {
    ($kind:pat => $wanted:expr) => {
        |request| if let $kind = request { Some($wanted) } else { None }
    };
}

impl Batch for CudaSlices {
    type Error = DeviceError;

    fn answer(&mut self, requests: &[(usize, Request)], answers: &mut [Answer]) -> Result<(), DeviceError> {
        use Request as Ask;
        let Some((_, kind)) = requests.first() else { return Ok(()) };
        let made = match kind {
            Ask::Direction { .. } => {
                self.directions(&all(requests, of!(Ask::Direction { level, new_iterate } => (level, new_iterate))))?
            }
            Ask::Denoise { .. } => {
                let wanted = of!(Ask::Denoise { level, variance, turn, extrapolation } => Denoising {
                    t: level.t, variance, turn, extrapolation
                });
                self.denoises(&all(requests, wanted))?
            }
            Ask::Gradient { .. } => {
                self.gradients(&all(requests, of!(Ask::Gradient { level, new_iterate } => (level, new_iterate))))?
            }
            Ask::Solve { .. } => {
                self.solves(&all(requests, of!(Ask::Solve { damping, effort } => (damping, effort))))?
            }
            Ask::Diffuse { .. } => {
                let wanted = of!(Ask::Diffuse { removed, taken, fresh, draw } => ([removed, taken, fresh], draw));
                self.diffuses(&all(requests, wanted))?
            }
            Ask::Products => self.products(&all(requests, of!(Ask::Products => ())))?,
            Ask::Change { .. } => self.changes(&all(requests, of!(Ask::Change { step } => step)))?,
            Ask::Update { .. } => self.updates(&all(requests, of!(Ask::Update { step } => step)))?,
            Ask::Done(_) => Vec::new(),
        };
        answers.iter_mut().zip(made).for_each(|(answer, made)| *answer = made);
        Ok(())
    }
}

impl Slices for CudaSlices {
    fn objectives(&mut self, slices: &[usize], values: &mut [f64]) -> Result<(), DeviceError> {
        if slices.is_empty() {
            return Ok(());
        }
        let is_stale = |slice: &usize| self.states[*slice].held == Held::Other;
        let stale: Vec<usize> = slices.iter().copied().filter(is_stale).collect();
        self.evaluate(&stale, &[])?;
        self.slices.set(slices)?;
        let Buffers { residual, features, .. } = &self.buffers;
        let (residual, features) = (residual.address(), features.address());
        let of_features = PRODUCT_SUMS * slices.len();
        self.vectors.ask_products(&self.slices, self.n_values, residual, residual, 0)?;
        self.vectors.ask_products(&self.slices, self.n, features, features, of_features)?;
        let mut sums = vec![[0.0; PRODUCT_SUMS]; 2 * slices.len()];
        self.vectors.sums.total().download(0, sums.as_flattened_mut())?;
        let (of_data, of_prior) = sums.split_at(slices.len());
        let sums = of_data.iter().zip(of_prior).zip(slices);
        for (value, (([data, ..], [prior, ..]), slice)) in values.iter_mut().zip(sums) {
            *value = 0.5 * (data + f64::from(self.states[*slice].objective.prior_weight) * prior);
        }
        Ok(())
    }

    fn copy_iterate(&self, slice: usize, image: &mut [f32]) -> Result<(), DeviceError> {
        self.buffers.iterate.download(slice * self.n, image)
    }

    fn restart(&mut self, slice: usize, x: &[f32], objective: Level) -> Result<(), DeviceError> {
        assert_eq!(x.len(), self.n, "an image of another length");
        self.buffers.iterate.upload(slice * self.n, x)?;
        let state = &mut self.states[slice];
        (state.objective, state.held, state.has_previous, state.updates) = (objective, Held::Other, false, 0);
        self.refresh_residuals(&[slice])
    }

    fn counters(&self, slice: usize) -> Counters {
        self.states[slice].counters
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.device.traffic())
    }
}
