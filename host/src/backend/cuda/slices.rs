//! The CT problem behind the requests of several solvers, on the device: one slice per solver.

use super::data_term::DataTerm;
use super::device::{Device, Traffic};
use super::error::DeviceError;
use super::network::CudaNetwork;
use super::slice::{Buffers, Held, Slice, SlicesError, State};
use super::vector::{Lanes, Vectors};
use crate::backend::{Counters, View};
use crate::ct::{Geometry, ProjectionError};
use crate::unet::Weights;
use gradus_core::Level;
use std::rc::Rc;

/// The part of the free memory that slices may take; the rest is for the prior, and for what is small.
const SHARE: (usize, usize) = (3, 4);

/// `F(x, t) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` for several slices: the twin of [`crate::backend::cpu::CpuEvaluator`].
///
/// Vectors never leave the device; what crosses in an iteration are scalars, which [`Device::traffic`] counts. The
/// network has two lanes for each of the n slices: lane s for the objective, lane n + s for the level of the direction.
/// Requests of one kind are answered together, for any of the slices, through one pass of the network.
#[derive(Debug)]
pub struct CudaSlices {
    device: Rc<Device>,
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
}

impl CudaSlices {
    /// Puts the slices on the device; `objective` is the member of the homotopy that is `f`.
    ///
    /// # Errors
    /// When the geometry, the sizes or the prior do not fit, or the device cannot hold it all.
    pub fn new(
        device: &Rc<Device>,
        geometry: Geometry,
        prior: &Weights,
        slices: &[Slice],
        objective: Level,
    ) -> Result<Self, SlicesError> {
        let (size, n, n_values) = ((geometry.height, geometry.width), geometry.image_len(), geometry.sinogram_len());
        for Slice { data, start } in slices {
            if data.len() != n_values {
                return Err(ProjectionError::SinogramLength { expected: n_values, got: data.len() }.into());
            }
            if start.len() != n {
                return Err(ProjectionError::ImageLength { expected: n, got: start.len() }.into());
            }
        }
        let n_slices = slices.len();
        let mut made = Self {
            network: CudaNetwork::new(device, prior, size, 2 * n_slices)?,
            data_term: DataTerm::new(device, geometry, slices)?,
            vectors: Vectors::new(device, n_slices)?,
            slices: Lanes::new(device, n_slices)?,
            lanes: Lanes::new(device, 2 * n_slices)?,
            buffers: Buffers::new(device, slices, n)?,
            device: Rc::clone(device),
            states: vec![State::fresh(objective); n_slices],
            size,
            n,
            n_values,
        };
        made.refresh_residuals(&(0..n_slices).collect::<Vec<_>>())?;
        Ok(made)
    }

    /// How many slices the device's free memory holds, with the vectors of either solver.
    ///
    /// # Errors
    /// When the size does not fit the prior, or the device failed.
    pub fn that_fit(device: &Device, geometry: &Geometry, prior: &Weights) -> Result<usize, SlicesError> {
        let network = CudaNetwork::bytes(prior, (geometry.height, geometry.width), 2)?;
        // Sixteen images a slice and six sinograms: those of this problem, of the weights and of the linear solves.
        let vectors = 16 * geometry.image_len() + 6 * geometry.sinogram_len();
        Ok(device.free_memory()? / SHARE.1 * SHARE.0 / (network + vectors * size_of::<f32>()))
    }

    /// The same slices with the prior seen otherwise.
    #[must_use]
    pub fn with_view(self, view: View) -> Self {
        Self { network: self.network.with_view(view), ..self }
    }

    /// The same slices, each with an objective of its own.
    ///
    /// # Panics
    /// When there are not as many as slices.
    #[must_use]
    pub fn with_objectives(mut self, objectives: &[Level]) -> Self {
        assert_eq!(objectives.len(), self.n_slices(), "one objective per slice");
        self.states.iter_mut().zip(objectives).for_each(|(state, objective)| state.objective = *objective);
        self
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
            self.data_term.set_weights(&self.slices, weights)?;
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

    /// Where all this is.
    #[must_use]
    pub fn device(&self) -> &Rc<Device> {
        &self.device
    }

    /// What a slice has cost so far.
    #[must_use]
    pub fn counters(&self, slice: usize) -> Counters {
        self.states[slice].counters
    }

    /// Copies the current iterate of a slice to the host, `[row][col]`.
    ///
    /// # Errors
    /// When the device failed.
    pub fn iterate(&self, slice: usize, image: &mut [f32]) -> Result<(), DeviceError> {
        self.buffers.iterate.download(slice * self.n, image)
    }

    /// Goes on with a slice from another image, as at the start of a run on another objective.
    ///
    /// # Errors
    /// When the device failed.
    ///
    /// # Panics
    /// When the image has not the slice's length.
    pub fn restart(&mut self, slice: usize, x: &[f32], objective: Level) -> Result<(), DeviceError> {
        assert_eq!(x.len(), self.n, "an image of another length");
        self.buffers.iterate.upload(slice * self.n, x)?;
        let state = &mut self.states[slice];
        (state.objective, state.held, state.has_previous) = (objective, Held::Other, false);
        self.refresh_residuals(&[slice])
    }

    /// `f(x)` at the current iterates of slices, without the constants of the prior. Costs a forward pass after an untested
    /// step, which the next gradient then need not make.
    ///
    /// # Errors
    /// When the device failed.
    pub fn objectives(&mut self, slices: &[usize]) -> Result<Vec<f64>, DeviceError> {
        if slices.is_empty() {
            return Ok(Vec::new());
        }
        let stale: Vec<usize> =
            slices.iter().copied().filter(|&slice| self.states[slice].held == Held::Other).collect();
        self.evaluate(&stale, &[])?;
        self.slices.set(slices)?;
        let Buffers { residual, features, .. } = &self.buffers;
        let (residual, features) = (residual.address(), features.address());
        let of_data = self.vectors.products(&self.slices, self.n_values, residual, residual)?;
        let of_prior = self.vectors.products(&self.slices, self.n, features, features)?;
        let weights = slices.iter().map(|&slice| f64::from(self.states[slice].objective.prior_weight));
        let sums = of_data.iter().zip(&of_prior).zip(weights);
        Ok(sums.map(|(([_, data], [_, prior]), weight)| 0.5 * (data + weight * prior)).collect())
    }

    /// What has crossed between host and device so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.device.traffic()
    }
}
