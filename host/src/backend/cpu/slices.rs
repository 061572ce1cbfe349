//! The CT problem behind the requests of several solvers, on the CPU: one slice per solver.

use super::data_term::DataTerm;
use super::network::Network;
use super::passes::Passes;
use super::state::{Held, OfPrior, State};
use crate::backend::{Counters, Drift, Mirror, Slice, Slices, Traffic};
use crate::ct::{Geometry, GeometryError, ProjectionError, Projector};
use crate::prior::Prior;
use crate::unet::NetworkError;
use gradus_core::{Answer, Batch, Level, Request};

/// Lanes of the network for each slice.
const LANES: usize = 2;

/// Reasons why slices cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SlicesError {
    /// The projector cannot be made.
    #[error(transparent)]
    Projector(#[from] GeometryError),
    /// The prior cannot be used on images of this size.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A sinogram or an image has another length than the geometry asks for.
    #[error(transparent)]
    Length(#[from] ProjectionError),
}

/// `F(x, t) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` for one or more slices, with every vector in memory of its own;
/// under the drift-free [`Drift`], `h(gamma_t x, t)`.
///
/// Nothing is computed twice:
/// * D along a direction is an exact quadratic, so all trials of a search share one projection `A d`;
/// * the activations of the accepted trial serve the next `grad f`;
/// * `grad f` and `d` share one adjoint projection and one batch of vector-Jacobian products.
pub struct CpuSlices {
    data_term: DataTerm,
    passes: Passes,
    states: Vec<State>,
    mirrors: bool,
}

impl CpuSlices {
    /// Slices at their starting points.
    ///
    /// # Errors
    /// When the geometry, the sizes or the prior do not fit.
    pub fn new(geometry: Geometry, prior: &Prior, slices: Vec<Slice>) -> Result<Self, SlicesError> {
        let (expected, values) = (geometry.image_len(), geometry.sinogram_len());
        if let Some(other) = slices.iter().find(|slice| slice.start.len() != expected) {
            return Err(ProjectionError::ImageLength { expected, got: other.start.len() }.into());
        }
        let network = Network::new(prior, geometry.height, geometry.width, LANES * slices.len())?;
        let (data, states): (Vec<_>, Vec<_>) = slices
            .into_iter()
            .enumerate()
            .map(|(number, slice)| (slice.data, State::new(number, slice.start, slice.objective, values)))
            .unzip();
        let (data_term, passes) = (DataTerm::new(Projector::new(geometry)?, data)?, Passes::new(network));
        let mut made = Self { data_term, passes, states, mirrors: true };
        made.states.iter_mut().try_for_each(|state| state.refresh_residual(&mut made.data_term))?;
        Ok(made)
    }

    /// The same slices with the prior seen otherwise.
    #[must_use]
    pub fn with_drift(mut self, drift: Drift) -> Self {
        self.passes.set_drift(drift);
        self
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
    /// When a slice has more or fewer weights than values.
    pub fn with_weights(mut self, weights: &[Option<&[f32]>]) -> Result<Self, ProjectionError> {
        for ((slice, state), weights) in self.states.iter_mut().enumerate().zip(weights) {
            if let Some(weights) = weights {
                self.data_term.set_weights(slice, weights)?;
                state.refresh_residual(&mut self.data_term)?;
            }
        }
        Ok(self)
    }

    /// The current iterate of a slice, `[row][col]`.
    #[must_use]
    pub fn iterate(&self, slice: usize) -> &[f32] {
        &self.states[slice].iterate
    }

    /// The direction `d` of a slice that was computed last, before the update along it.
    #[must_use]
    pub fn search_direction(&self, slice: usize) -> &[f32] {
        &self.states[slice].direction
    }

    /// The lane of a slice for the level of its direction.
    fn smoothed(&self, slice: usize) -> usize {
        self.states.len() + slice
    }

    /// Asks for the passes that a request needs.
    fn begin(&mut self, slice: usize, request: Request) -> Result<(), ProjectionError> {
        let smoothed = self.smoothed(slice);
        match request {
            Request::Direction { level, new_iterate } | Request::Gradient { level, new_iterate } => {
                self.begin_gradients(slice, level, new_iterate)?;
            }
            Request::Denoise { level, turn, .. } => {
                let (mirror, width) = (mirror(turn, self.mirrors), self.data_term.width());
                self.passes.ask_mirrored(smoothed, level.t, &self.states[slice].iterate, mirror, width);
                self.passes.ask_gradient(smoothed);
            }
            Request::Change { step } => {
                let state = &mut self.states[slice];
                state.project_direction(&mut self.data_term)?;
                self.passes.ask_trial(slice, state.objective.t, &state.iterate, step, &state.direction);
            }
            Request::Solve { .. }
            | Request::Products
            | Request::Diffuse { .. }
            | Request::Update { .. }
            | Request::Done(_) => {}
        }
        Ok(())
    }

    /// Asks for the gradients of the prior that are not known yet, and computes that of the data term.
    fn begin_gradients(&mut self, slice: usize, level: Level, new_iterate: bool) -> Result<(), ProjectionError> {
        let (smoothed, state) = (self.smoothed(slice), &mut self.states[slice]);
        if new_iterate {
            state.refresh_data_gradient(&mut self.data_term)?;
            if state.held != Held::Iterate {
                self.passes.ask(slice, state.objective.t, &state.iterate);
            }
            self.passes.ask_gradient(slice);
        }
        if level != state.objective {
            self.passes.ask(smoothed, level.t, &state.iterate);
            self.passes.ask_gradient(smoothed);
        }
        Ok(())
    }

    /// The answer to a request whose passes are made.
    fn finish(&mut self, slice: usize, request: Request) -> Result<Answer, ProjectionError> {
        let (smoothed, mirrors) = (self.smoothed(slice), self.mirrors);
        let Self { data_term, passes, states, .. } = self;
        let (state, h) = (&mut states[slice], passes.h(slice));
        let of_prior = OfPrior { at_objective: passes.gradient(slice), at_level: passes.gradient(smoothed) };
        if let Request::Direction { new_iterate: true, .. } | Request::Gradient { new_iterate: true, .. } = request {
            state.keep_features(h);
        }
        Ok(match request {
            Request::Direction { level, new_iterate } => Answer::Direction(state.descend(level, new_iterate, of_prior)),
            Request::Denoise { variance, turn, extrapolation, .. } => {
                state.denoise((variance, extrapolation), of_prior.at_level, mirror(turn, mirrors), data_term)?;
                Answer::Ready
            }
            Request::Gradient { level, new_iterate } => {
                state.begin_at_gradient(level, new_iterate, of_prior);
                Answer::Ready
            }
            Request::Solve { damping, effort } => Answer::Solved(state.solve(damping, effort, data_term)?),
            Request::Diffuse { removed, taken, fresh, draw } => {
                state.diffuse((removed, of_prior.at_level), taken, (fresh, draw), data_term.width());
                Answer::Ready
            }
            Request::Products => Answer::Direction(state.products()),
            Request::Change { step } => Answer::Change(state.change(step, h)),
            Request::Update { step } => {
                state.update(step, h, data_term)?;
                Answer::Ready
            }
            Request::Done(_) => Answer::Ready,
        })
    }
}

fn mirror(turn: u32, mirrors: bool) -> Mirror {
    Mirror::of_turn(if mirrors { turn } else { 0 })
}

impl Batch for CpuSlices {
    type Error = ProjectionError;

    fn answer(&mut self, requests: &[(usize, Request)], answers: &mut [Answer]) -> Result<(), ProjectionError> {
        requests.iter().try_for_each(|&(slice, request)| self.begin(slice, request))?;
        self.passes.run();
        for (answer, &(slice, request)) in answers.iter_mut().zip(requests) {
            *answer = self.finish(slice, request)?;
        }
        Ok(())
    }
}

impl Slices for CpuSlices {
    fn objectives(&mut self, slices: &[usize], values: &mut [f64]) -> Result<(), ProjectionError> {
        let Self { passes, states, .. } = self;
        let is_stale = |state: &State| state.held == Held::Other;
        for &slice in slices.iter().filter(|&&slice| is_stale(&states[slice])) {
            passes.ask(slice, states[slice].objective.t, &states[slice].iterate);
        }
        passes.run();
        for (value, &slice) in values.iter_mut().zip(slices) {
            if is_stale(&states[slice]) {
                states[slice].keep_features(passes.h(slice));
            }
            *value = states[slice].objective_value();
        }
        Ok(())
    }

    fn copy_iterate(&self, slice: usize, image: &mut [f32]) -> Result<(), ProjectionError> {
        image.copy_from_slice(&self.states[slice].iterate);
        Ok(())
    }

    fn restart(&mut self, slice: usize, x: &[f32], objective: Level) -> Result<(), ProjectionError> {
        self.states[slice].restart(x, objective, &mut self.data_term)
    }

    fn counters(&self, slice: usize) -> Counters {
        let made = [slice, self.smoothed(slice)].map(|lane| self.passes.made(lane));
        Counters {
            network_forwards: made.iter().map(|[forwards, _]| forwards).sum(),
            network_vjps: made.iter().map(|[_, vjps]| vjps).sum(),
            projections: self.states[slice].projections,
        }
    }

    fn traffic(&self) -> Option<Traffic> {
        None
    }
}
