//! The CT problem behind a solver's requests, on the CPU.

use super::data_term::DataTerm;
use super::network::Network;
use super::vector::{add_scaled, difference_products, dot, half_square_change, scaled_copy};
use crate::backend::cuda::Traffic;
use crate::backend::{Counters, Mirror, SliceEvaluator, View};
use crate::ct::{ProjectionError, Projector};
use gradus_core::{Directional, Evaluator, Level};

mod preconditioned;
pub use preconditioned::PreconditionedCpuEvaluator;

/// Updates between two fresh computations of the residual `A x - y`.
const REFRESH_RESIDUAL: u32 = 50;

/// The network's lane that is evaluated at `t_min`, on iterates and trials.
const OBJECTIVE: usize = 0;
/// The lane that is evaluated at `t_i`.
const SMOOTHED: usize = 1;
const LANES: usize = CpuEvaluator::LANES;

/// `F(x, t) = 1/2 |A x - y|^2 + alpha_t/2 |h(x, t)|^2` for one image, with every vector in memory of its own; under the
/// drift-free [`View`], `h(gamma_t x, t)`.
///
/// Nothing is computed twice:
/// * D along a direction is an exact quadratic, so all trials of a search share one projection `A d`;
/// * the activations of the accepted trial serve the next `grad f`;
/// * `grad f` and `d` share one adjoint projection and one batch of vector-Jacobian products.
pub struct CpuEvaluator {
    data_term: DataTerm,
    network: Network,
    view: View,
    objective: Level,
    iterate: Vec<f32>,
    residual: Vec<f32>,
    data_gradient: Vec<f32>,
    gradient: Vec<f32>,
    direction: Vec<f32>,
    previous: Option<Vec<f32>>,
    spare: Vec<f32>,
    projected: Vec<f32>,
    has_projected: bool,
    /// `h(x, t_min)` at the iterate.
    features: Vec<f32>,
    held: Held,
    updates: u32,
    lanes: LaneBuffers,
    counters: Counters,
}

/// What the objective's lane holds the activations of.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Other,
    Iterate,
    Trial(f32),
}

/// One image per lane: inputs, covectors and their products.
struct LaneBuffers {
    images: Vec<f32>,
    times: [f32; LANES],
    covectors: Vec<f32>,
    products: Vec<f32>,
}

impl CpuEvaluator {
    /// Lanes that its network must have.
    pub const LANES: usize = 2;

    /// A problem with sinogram `data` (`[angle][bin]`), started at the image `start` (`[row][col]`); `objective` is the
    /// member of the homotopy that is `f`. The network must have two lanes of the image's size.
    ///
    /// # Errors
    /// When the sinogram or the image has not the length that the projector's geometry asks for.
    pub fn new(
        projector: Projector,
        network: Network,
        data: Vec<f32>,
        start: Vec<f32>,
        objective: Level,
    ) -> Result<Self, ProjectionError> {
        let mut data_term = DataTerm::new(projector, data)?;
        let (pixels, values) = (data_term.image_len(), data_term.sinogram_len());
        let image = || vec![0.0; pixels];
        let both = || vec![0.0; LANES * pixels];
        let mut residual = vec![0.0; values];
        data_term.residual(&start, &mut residual)?;
        Ok(Self {
            data_term,
            network,
            view: View::Diffused,
            objective,
            iterate: start,
            residual,
            data_gradient: image(),
            gradient: image(),
            direction: image(),
            previous: None,
            spare: image(),
            projected: vec![0.0; values],
            has_projected: false,
            features: image(),
            held: Held::Other,
            updates: 0,
            lanes: LaneBuffers { images: both(), times: [objective.t; LANES], covectors: both(), products: both() },
            counters: Counters { projections: 1, ..Counters::default() },
        })
    }

    /// The same problem with the prior seen otherwise.
    #[must_use]
    pub fn with_view(self, view: View) -> Self {
        Self { view, ..self }
    }

    /// The same problem with the data term `1/2 sum_i w_i (A x - y)_i^2`, one weight `w_i >= 0` for each value of the
    /// sinogram.
    ///
    /// # Errors
    /// When there are more or fewer weights than values.
    pub fn with_weights(mut self, weights: &[f32]) -> Result<Self, ProjectionError> {
        self.data_term.set_weights(weights)?;
        self.data_term.residual(&self.iterate, &mut self.residual)?;
        self.counters.projections += 1;
        Ok(self)
    }

    /// The current iterate, `[row][col]`.
    #[must_use]
    pub fn iterate(&self) -> &[f32] {
        &self.iterate
    }

    /// Goes on from another image, as at the start of a run on another objective.
    ///
    /// # Errors
    /// When it has not the length that the geometry asks for.
    pub fn restart(&mut self, x: &[f32], objective: Level) -> Result<(), ProjectionError> {
        self.data_term.residual(x, &mut self.residual)?;
        self.counters.projections += 1;
        self.iterate.copy_from_slice(x);
        self.objective = objective;
        self.lanes.times[OBJECTIVE] = objective.t;
        if let Some(buffer) = self.previous.take() {
            self.spare = buffer;
        }
        self.held = Held::Other;
        Ok(())
    }

    /// The direction `d` that was computed last, before the update along it.
    #[must_use]
    pub fn search_direction(&self) -> &[f32] {
        &self.direction
    }

    /// What the run has cost so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// `f(x)` at the current iterate, without the constant of the prior. Costs a forward pass after an untested step,
    /// which the next gradient then need not make.
    pub fn objective(&mut self) -> f64 {
        if self.held == Held::Other {
            self.forward_objective();
        }
        0.5 * (dot(&self.residual, &self.residual)
            + f64::from(self.objective.prior_weight) * dot(&self.features, &self.features))
    }

    /// Evaluates the iterate at `t_min` and keeps `h`.
    fn forward_objective(&mut self) {
        let (n, scale) = (self.iterate.len(), self.input_scale(self.objective.t));
        scaled_copy(&mut self.lanes.images[..n], scale, &self.iterate);
        self.forward(OBJECTIVE..SMOOTHED);
        self.keep_features();
    }

    /// What an image is multiplied by on its way into the network.
    fn input_scale(&self, t: f32) -> f32 {
        match self.view {
            View::Diffused => 1.0,
            View::DriftFree => self.network.perturbation_kernel().at(t.into()).mean_scale as f32,
        }
    }

    fn keep_features(&mut self) {
        self.features.copy_from_slice(self.network.h(OBJECTIVE));
        self.held = Held::Iterate;
    }

    fn forward(&mut self, lanes: std::ops::Range<usize>) {
        let n = self.iterate.len();
        let images = &self.lanes.images[lanes.start * n..lanes.end * n];
        self.counters.network_forwards += lanes.len() as u64;
        self.network.forward(lanes.clone(), images, &self.lanes.times[lanes]);
    }

    /// `grad_x 1/2 |h|^2` of every lane in the range.
    fn prior_gradients(&mut self, lanes: std::ops::Range<usize>) {
        let n = self.iterate.len();
        for lane in lanes.clone() {
            let covector = &mut self.lanes.covectors[lane * n..(lane + 1) * n];
            let h = if lane == OBJECTIVE { &self.features } else { self.network.h(lane) };
            covector.copy_from_slice(h);
        }
        let range = lanes.start * n..lanes.end * n;
        self.counters.network_vjps += lanes.len() as u64;
        self.network.vjp(lanes.clone(), &self.lanes.covectors[range.clone()], &mut self.lanes.products[range]);
        if self.view == View::DriftFree {
            for lane in lanes {
                let scale = self.input_scale(self.lanes.times[lane]);
                self.lanes.products[lane * n..(lane + 1) * n].iter_mut().for_each(|product| *product *= scale);
            }
        }
    }

    /// The forward passes and products that `grad f(x)` and `grad R(x, t)` need, in as few batches as possible.
    fn evaluate_prior(&mut self, level: Level, new_iterate: bool) {
        let n = self.iterate.len();
        let smoothed = level != self.objective;
        if smoothed {
            let scale = self.input_scale(level.t);
            scaled_copy(&mut self.lanes.images[n..], scale, &self.iterate);
            self.lanes.times[SMOOTHED] = level.t;
        }
        let end = if smoothed { LANES } else { SMOOTHED };
        if !new_iterate {
            if smoothed {
                self.forward(SMOOTHED..LANES);
                self.prior_gradients(SMOOTHED..LANES);
            }
            return;
        }
        if self.held == Held::Iterate {
            if smoothed {
                self.forward(SMOOTHED..LANES);
            }
        } else {
            let scale = self.input_scale(self.objective.t);
            scaled_copy(&mut self.lanes.images[..n], scale, &self.iterate);
            self.forward(OBJECTIVE..end);
            self.keep_features();
        }
        self.prior_gradients(OBJECTIVE..end);
    }

    /// `grad f(x)` where `x` has changed, and `grad F(x, t)` into the direction's place.
    fn gradients(&mut self, level: Level, new_iterate: bool) -> Result<(), ProjectionError> {
        let n = self.iterate.len();
        if new_iterate {
            self.data_term.adjoint(&self.residual, &mut self.data_gradient)?;
            self.counters.projections += 1;
        }
        self.evaluate_prior(level, new_iterate);
        let (at_objective, at_level) = self.lanes.products.split_at(n);
        if new_iterate {
            self.gradient.copy_from_slice(&self.data_gradient);
            add_scaled(&mut self.gradient, self.objective.prior_weight, at_objective);
        }
        if level == self.objective {
            self.direction.copy_from_slice(&self.gradient);
        } else {
            self.direction.copy_from_slice(&self.data_gradient);
            add_scaled(&mut self.direction, level.prior_weight, at_level);
        }
        Ok(())
    }

    /// `x <- x - variance grad R(x, t)`, which is `D(x)`, seen in a mirror; `r = A x - y` and the data term's gradient, this in
    /// the direction's place, too, follow.
    fn denoise(&mut self, level: Level, variance: f32, mirror: Mirror) -> Result<(), ProjectionError> {
        let (n, width, scale) = (self.iterate.len(), self.data_term.width(), self.input_scale(level.t));
        mirror.apply(scale, &self.iterate, width, &mut self.lanes.images[n..]);
        self.lanes.times[SMOOTHED] = level.t;
        self.forward(SMOOTHED..LANES);
        self.prior_gradients(SMOOTHED..LANES);
        mirror.apply(-variance, &self.lanes.products[n..], width, &mut self.direction);
        add_scaled(&mut self.iterate, 1.0, &self.direction);
        self.held = Held::Other;
        self.data_term.residual(&self.iterate, &mut self.residual)?;
        self.data_term.adjoint(&self.residual, &mut self.data_gradient)?;
        self.counters.projections += 2;
        self.direction.copy_from_slice(&self.data_gradient);
        Ok(())
    }

    fn project_direction(&mut self) -> Result<(), ProjectionError> {
        if !self.has_projected {
            self.data_term.forward_project(&self.direction, &mut self.projected)?;
            self.counters.projections += 1;
            self.has_projected = true;
        }
        Ok(())
    }

    fn update_residual(&mut self, step: f32) -> Result<(), ProjectionError> {
        self.updates += 1;
        if self.updates.is_multiple_of(REFRESH_RESIDUAL) {
            self.data_term.residual(&self.iterate, &mut self.residual)?;
            self.counters.projections += 1;
        } else {
            add_scaled(&mut self.residual, step, &self.projected);
        }
        Ok(())
    }
}

impl Evaluator for CpuEvaluator {
    type Error = ProjectionError;

    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, ProjectionError> {
        self.gradients(level, new_iterate)?;
        self.direction.iter_mut().for_each(|d| *d *= -level.t);
        self.has_projected = false;
        let (previous_dot_difference, difference_norm_sq) =
            self.previous.as_ref().map_or((0.0, 0.0), |previous| difference_products(previous, &self.direction));
        Ok(Directional {
            gradient_norm_sq: dot(&self.gradient, &self.gradient) as f32,
            slope: dot(&self.gradient, &self.direction) as f32,
            direction_norm_sq: dot(&self.direction, &self.direction) as f32,
            previous_dot_difference: previous_dot_difference as f32,
            difference_norm_sq: difference_norm_sq as f32,
        })
    }

    fn change(&mut self, step: f32) -> Result<f32, ProjectionError> {
        self.project_direction()?;
        let n = self.iterate.len();
        let scale = self.input_scale(self.objective.t);
        let trial = &mut self.lanes.images[..n];
        trial.copy_from_slice(&self.iterate);
        add_scaled(trial, step, &self.direction);
        if self.view == View::DriftFree {
            trial.iter_mut().for_each(|x| *x *= scale);
        }
        self.forward(OBJECTIVE..SMOOTHED);
        self.held = Held::Trial(step);
        let l = f64::from(step);
        let data = l * dot(&self.residual, &self.projected) + 0.5 * l * l * dot(&self.projected, &self.projected);
        let prior = half_square_change(&self.features, self.network.h(OBJECTIVE));
        Ok((data + f64::from(self.objective.prior_weight) * prior) as f32)
    }

    fn update(&mut self, step: f32) -> Result<(), ProjectionError> {
        self.project_direction()?;
        add_scaled(&mut self.iterate, step, &self.direction);
        self.update_residual(step)?;
        if self.held == Held::Trial(step) {
            self.keep_features();
        } else {
            self.held = Held::Other;
        }
        // The direction becomes the previous one; its old buffer is used again.
        let mut previous = self.previous.take().unwrap_or_else(|| std::mem::take(&mut self.spare));
        std::mem::swap(&mut previous, &mut self.direction);
        self.previous = Some(previous);
        Ok(())
    }
}

impl SliceEvaluator for CpuEvaluator {
    fn objective(&mut self) -> Result<f64, ProjectionError> {
        Ok(Self::objective(self))
    }

    fn copy_iterate(&self, image: &mut [f32]) -> Result<(), ProjectionError> {
        image.copy_from_slice(&self.iterate);
        Ok(())
    }

    fn restart(&mut self, x: &[f32], objective: Level) -> Result<(), ProjectionError> {
        Self::restart(self, x, objective)
    }

    fn counters(&self) -> Counters {
        Self::counters(self)
    }

    fn traffic(&self) -> Option<Traffic> {
        None
    }
}
