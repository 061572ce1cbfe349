//! The answers to the requests of the solvers of several slices: which passes of projector and network they take.

use super::buffer::Buffer;
use super::error::DeviceError;
use super::slices::CudaSlices;
use super::state::{Buffers, Held};
use super::vector::DirectionVectors;
use gradus_core::{Answer, Directional, Level};
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::vector::DirectionScalars;

/// Updates between two fresh computations of the residual `A x - y`; the CPU's number.
const REFRESH_RESIDUAL: u32 = 50;

/// The step of a line search's first trial along directions of the default method.
pub(super) const FIRST_TRIAL: f32 = 1.0;

impl CudaSlices {
    /// Answers requests for directions, `(slice, (level, whether x has changed))`.
    pub(super) fn directions(&mut self, requests: &[(usize, (Level, bool))]) -> Result<Vec<Answer>, DeviceError> {
        self.evaluate_gradients(requests)?;
        let scalars: Vec<DirectionScalars> = requests
            .iter()
            .map(|&(slice, (level, _))| {
                let has_previous = self.states[slice].has_previous.into();
                DirectionScalars { has_previous, ..self.gradient_scalars(slice, level, level.t) }
            })
            .collect();
        self.slices.set(&requests.iter().map(|request| request.0).collect::<Vec<_>>())?;
        requests.iter().for_each(|(slice, _)| self.states[*slice].turn(false));
        let sums = self.vectors.direction(&self.slices, &scalars, self.n, self.direction_vectors())?;
        Ok(sums.into_iter().map(|sums| Answer::Direction(directional(sums))).collect())
    }

    /// The scalars that make grad f and -t grad F of the gradients of a slice's terms.
    pub(super) fn gradient_scalars(&self, slice: usize, level: Level, t: f32) -> DirectionScalars {
        let objective = self.states[slice].objective;
        DirectionScalars {
            t,
            objective_weight: objective.prior_weight,
            level_weight: level.prior_weight,
            smoothed: (level != objective).into(),
            has_previous: 0,
        }
    }

    /// The gradients of the data term and of the priors, where they are not known.
    pub(super) fn evaluate_gradients(&mut self, requests: &[(usize, (Level, bool))]) -> Result<(), DeviceError> {
        let moved: Vec<usize> = requests.iter().filter(|(_, (_, new_iterate))| *new_iterate).map(|r| r.0).collect();
        let smoothed: Vec<(usize, f32)> = requests
            .iter()
            .filter(|(slice, (level, _))| *level != self.states[*slice].objective)
            .map(|&(slice, (level, _))| (slice, level.t))
            .collect();
        if !moved.is_empty() {
            self.slices.set(&moved)?;
            let Buffers { residual, data_gradient, .. } = &self.buffers;
            self.data_term.adjoint(&self.slices, residual.address(), data_gradient.address())?;
            moved.iter().for_each(|&slice| self.states[slice].counters.projections += 1);
        }
        let stale: Vec<usize> =
            moved.iter().copied().filter(|&slice| self.states[slice].held != Held::Iterate).collect();
        self.evaluate(&stale, &smoothed)?;
        self.prior_gradients(&moved, &smoothed)
    }

    pub(super) fn direction_vectors(&self) -> DirectionVectors {
        let Buffers { data_gradient, products, previous, gradient, direction, .. } = &self.buffers;
        DirectionVectors {
            data_gradient: data_gradient.address(),
            at_objective: products.address(),
            at_level: self.of_smoothed(products),
            previous: previous.address(),
            gradient: gradient.address(),
            direction: direction.address(),
        }
    }

    /// The lanes n, n + 1, ... of a buffer of the network.
    pub(super) fn of_smoothed(&self, buffer: &Buffer<f32>) -> Address<f32> {
        buffer.address().offset(self.n_slices() * self.n)
    }

    /// Forward passes at the iterates: at `t_min` for `slices`, whose h is kept, and at the levels of `smoothed`.
    pub(super) fn evaluate(&mut self, slices: &[usize], smoothed: &[(usize, f32)]) -> Result<(), DeviceError> {
        let (iterate, images) = (self.buffers.iterate.address(), self.buffers.images.address());
        if !slices.is_empty() {
            self.slices.set(slices)?;
            self.vectors.copy(&self.slices, self.n, (1.0, iterate), images)?;
        }
        if !smoothed.is_empty() {
            self.slices.set(&smoothed.iter().map(|(slice, _)| *slice).collect::<Vec<_>>())?;
            self.vectors.copy(&self.slices, self.n, (1.0, iterate), self.of_smoothed(&self.buffers.images))?;
        }
        let at_objective: Vec<_> = slices.iter().map(|&slice| (slice, self.states[slice].objective.t)).collect();
        let at_level = smoothed.iter().map(|&(slice, t)| (self.n_slices() + slice, t));
        self.forward(&at_objective.into_iter().chain(at_level).collect::<Vec<_>>())?;
        self.keep_features(slices)
    }

    /// Forward passes and products of the lanes of `smoothed`, whose images are in place.
    pub(super) fn evaluate_images(&mut self, smoothed: &[(usize, f32)]) -> Result<(), DeviceError> {
        self.forward(&smoothed.iter().map(|&(slice, t)| (self.n_slices() + slice, t)).collect::<Vec<_>>())?;
        self.prior_gradients(&[], smoothed)
    }

    /// Make `r = A x - y` and the data term's gradient anew for `slices`, whose `x` has changed outside of an update.
    pub(super) fn refresh_data_gradients(&mut self, slices: &[usize]) -> Result<(), DeviceError> {
        self.refresh_residuals(slices)?;
        let Buffers { residual, data_gradient, .. } = &self.buffers;
        self.data_term.adjoint(&self.slices, residual.address(), data_gradient.address())?;
        for &slice in slices {
            self.states[slice].counters.projections += 1;
            self.states[slice].held = Held::Other;
        }
        Ok(())
    }

    fn forward(&mut self, levels: &[(usize, f32)]) -> Result<(), DeviceError> {
        if levels.is_empty() {
            return Ok(());
        }
        let n_slices = self.n_slices();
        levels.iter().for_each(|(lane, _)| self.states[lane % n_slices].counters.network_forwards += 1);
        self.lanes.set(&levels.iter().map(|(lane, _)| *lane).collect::<Vec<_>>())?;
        self.network.forward(&self.lanes, levels, self.buffers.images.address())
    }

    /// h of the objective's lanes becomes that of the iterates.
    fn keep_features(&mut self, slices: &[usize]) -> Result<(), DeviceError> {
        if slices.is_empty() {
            return Ok(());
        }
        self.slices.set(slices)?;
        slices.iter().for_each(|&slice| self.states[slice].held = Held::Iterate);
        self.vectors.copy(&self.slices, self.n, (1.0, self.network.h()), self.buffers.features.address())
    }

    /// J_h^T h of the objective's lanes of `slices`, which hold their iterates, and of the lanes of `smoothed`.
    fn prior_gradients(&mut self, slices: &[usize], smoothed: &[(usize, f32)]) -> Result<(), DeviceError> {
        let n_slices = self.n_slices();
        let at_level = smoothed.iter().map(|(slice, _)| n_slices + slice);
        let lanes: Vec<usize> = slices.iter().copied().chain(at_level).collect();
        if lanes.is_empty() {
            return Ok(());
        }
        lanes.iter().for_each(|lane| self.states[lane % n_slices].counters.network_vjps += 1);
        self.lanes.set(&lanes)?;
        self.network.vjp(&self.lanes, self.network.h(), self.buffers.products.address())
    }

    /// Answers requests for `f(x + step d) - f(x)`, `(slice, step)`.
    pub(super) fn changes(&mut self, requests: &[(usize, f32)]) -> Result<Vec<Answer>, DeviceError> {
        let slices = apart(requests).0;
        self.project_directions(&slices)?;
        self.multiply_projections(&slices)?;
        let is_known =
            |&&(slice, step): &&(usize, f32)| step == FIRST_TRIAL && self.states[slice].first_trial.is_some();
        let (known, unknown): (Vec<_>, Vec<_>) = requests.iter().partition(is_known);
        known.iter().for_each(|(slice, _)| self.states[*slice].counters.network_forwards += 1);
        let mut tried = self.tries(&unknown)?.into_iter();
        let answer = |&(slice, step): &(usize, f32)| {
            let state = &mut self.states[slice];
            let prior = if known.contains(&(slice, step)) { state.first_trial.take() } else { tried.next() };
            state.held = Held::Trial(step);
            let [slope, square] = state.of_projected.unwrap_or([f64::NAN; 2]);
            let l = f64::from(step);
            let of_prior = f64::from(state.objective.prior_weight) * prior.unwrap_or(f64::NAN);
            Answer::Change((l * slope + 0.5 * l * l * square + of_prior) as f32)
        };
        Ok(requests.iter().map(answer).collect())
    }

    /// Changes of the prior's energy.
    fn tries(&mut self, requests: &[(usize, f32)]) -> Result<Vec<f64>, DeviceError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (slices, steps) = apart(requests);
        self.slices.set(&slices)?;
        let Buffers { iterate, direction, images, .. } = &self.buffers;
        let line = (iterate.address(), direction.address());
        self.vectors.trial(&self.slices, &steps, self.n, line, images.address())?;
        self.forward(&slices.iter().map(|&slice| (slice, self.states[slice].objective.t)).collect::<Vec<_>>())?;
        let features = self.buffers.features.address();
        self.vectors.half_square_change(&self.slices, self.n, features, self.network.h())
    }

    /// A d, where it is not known yet.
    fn project_directions(&mut self, slices: &[usize]) -> Result<(), DeviceError> {
        let slices: Vec<usize> = slices.iter().copied().filter(|&slice| !self.states[slice].has_projected).collect();
        if slices.is_empty() {
            return Ok(());
        }
        self.slices.set(&slices)?;
        let Buffers { direction, projected, .. } = &self.buffers;
        self.data_term.forward_project(&self.slices, direction.address(), projected.address())?;
        for slice in slices {
            self.states[slice].has_projected = true;
            self.states[slice].counters.projections += 1;
        }
        Ok(())
    }

    /// <r, A d> and |A d|^2, likewise.
    fn multiply_projections(&mut self, slices: &[usize]) -> Result<(), DeviceError> {
        let is_new = |&slice: &usize| self.states[slice].of_projected.is_none();
        let slices: Vec<usize> = slices.iter().copied().filter(is_new).collect();
        if slices.is_empty() {
            return Ok(());
        }
        self.slices.set(&slices)?;
        let Buffers { projected, residual, .. } = &self.buffers;
        let sums = self.vectors.products(&self.slices, self.n_values, residual.address(), projected.address())?;
        slices.into_iter().zip(sums).for_each(|(slice, [ad, dd, _])| self.states[slice].of_projected = Some([ad, dd]));
        Ok(())
    }

    /// Answers requests for `x <- x + step d`, `(slice, step)`.
    pub(super) fn updates(&mut self, requests: &[(usize, f32)]) -> Result<Vec<Answer>, DeviceError> {
        let (slices, steps) = apart(requests);
        self.project_directions(&slices)?;
        self.slices.set(&slices)?;
        let Buffers { iterate, previous, direction, .. } = &self.buffers;
        let targets = (iterate.address(), previous.address());
        self.vectors.update(&self.slices, &steps, self.n, direction.address(), targets)?;
        slices.iter().for_each(|&slice| self.states[slice].updates += 1);
        let is_due = |slice: usize| self.states[slice].updates.is_multiple_of(REFRESH_RESIDUAL);
        let (due, going_on): (Vec<_>, Vec<_>) = requests.iter().partition(|(slice, _)| is_due(*slice));
        self.refresh_residuals(&apart(&due).0)?;
        self.step_residuals(&going_on)?;
        let is_held = |&&(slice, step): &&(usize, f32)| self.states[slice].held == Held::Trial(step);
        let (kept, lost): (Vec<_>, Vec<_>) = requests.iter().partition(is_held);
        lost.iter().for_each(|(slice, _)| self.states[*slice].held = Held::Other);
        slices.iter().for_each(|&slice| self.states[slice].has_previous = true);
        self.keep_features(&apart(&kept).0)?;
        Ok(vec![Answer::Ready; requests.len()])
    }

    /// r <- r + step A d.
    fn step_residuals(&mut self, requests: &[(usize, f32)]) -> Result<(), DeviceError> {
        if requests.is_empty() {
            return Ok(());
        }
        let (slices, steps) = apart(requests);
        self.slices.set(&slices)?;
        let Buffers { projected, residual, .. } = &self.buffers;
        self.vectors.add_scaled(&self.slices, &steps, self.n_values, projected.address(), residual.address())
    }

    /// r = A x - y.
    pub(super) fn refresh_residuals(&mut self, slices: &[usize]) -> Result<(), DeviceError> {
        if slices.is_empty() {
            return Ok(());
        }
        self.slices.set(slices)?;
        slices.iter().for_each(|&slice| self.states[slice].counters.projections += 1);
        let Buffers { iterate, residual, .. } = &self.buffers;
        self.data_term.forward_project(&self.slices, iterate.address(), residual.address())?;
        let (minus, data) = (vec![-1.0; slices.len()], self.data_term.data());
        self.vectors.add_scaled(&self.slices, &minus, self.n_values, data, residual.address())
    }
}

fn apart(requests: &[(usize, f32)]) -> (Vec<usize>, Vec<f32>) {
    requests.iter().copied().unzip()
}

pub(super) fn directional(sums: [f64; 5]) -> Directional {
    let [gradient_norm_sq, slope, direction_norm_sq, previous_dot_difference, difference_norm_sq] =
        sums.map(|s| s as f32);
    Directional { gradient_norm_sq, slope, direction_norm_sq, previous_dot_difference, difference_norm_sq }
}
