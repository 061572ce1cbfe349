//! The vectors of one slice, and what the requests of its solver do with them.

use super::data_term::DataTerm;
use crate::backend::Mirror;
use crate::ct::ProjectionError;
use crate::vector::{add_scaled, difference_products, dot, half_square_change};
use gradus_core::{ConjugateGradient, Directional, Draw, Effort, Krylov, Level, Solved};
use rayon::prelude::*;

/// Updates between two fresh computations of the residual `A x - y`.
const REFRESH_RESIDUAL: u32 = 50;

/// Fours of normal numbers that a task draws.
const DRAWN: usize = 1024;

/// The image whose activations the objective's lane of the network holds.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Held {
    Other,
    Iterate,
    Trial(f32),
}

/// Gradients of the prior at the iterate: `grad R` at the level of the objective and at that of the direction.
#[derive(Clone, Copy)]
pub(super) struct OfPrior<'a> {
    pub(super) at_objective: &'a [f32],
    pub(super) at_level: &'a [f32],
}

/// One slice: images `[row][col]`, sinograms `[angle][bin]`.
pub(super) struct State {
    /// Number of the slice.
    number: usize,
    /// The member of the homotopy that is `f`.
    pub(super) objective: Level,
    pub(super) iterate: Vec<f32>,
    /// `W^(1/2) (A x - y)`.
    residual: Vec<f32>,
    data_gradient: Vec<f32>,
    /// `grad f(x)`; between two denoisings the `x` of the former one.
    gradient: Vec<f32>,
    pub(super) direction: Vec<f32>,
    /// The direction of the last update.
    previous: Vec<f32>,
    has_previous: bool,
    /// `W^(1/2) A d`.
    projected: Vec<f32>,
    has_projected: bool,
    /// `h(x, t_min)` at the iterate.
    features: Vec<f32>,
    pub(super) held: Held,
    /// Of the last denoising: the factor of the prior's gradient, and the mirror that it stands in.
    denoised: (f32, Mirror),
    updates: u32,
    /// Forward projections and adjoints so far.
    pub(super) projections: u64,
    /// Of the linear solves, where there are any.
    system: Option<LinearSystem>,
}

/// The vectors of the conjugate gradient method.
struct LinearSystem {
    /// `r`.
    residual: Vec<f32>,
    /// `p`.
    conjugate: Vec<f32>,
    /// `W^(1/2) A p`.
    projected: Vec<f32>,
    /// `A^T W A p`.
    normal: Vec<f32>,
    /// `P r` and the diagonal of `P`, where there are weights.
    scaled: Option<[Vec<f32>; 2]>,
}

impl LinearSystem {
    fn new(pixels: usize, values: usize) -> Self {
        let image = || vec![0.0; pixels];
        let (residual, conjugate, normal, projected) = (image(), image(), image(), vec![0.0; values]);
        Self { residual, conjugate, projected, normal, scaled: None }
    }

    /// Takes `P = (diag(A^T W 1) + damping I)^-1`, or none where all weights are 1.
    fn precondition(&mut self, sight: Option<&[f32]>, damping: f32) {
        let Some(sight) = sight else { return };
        let [_, scales] = self.scaled.get_or_insert_with(|| [sight.to_vec(), sight.to_vec()]);
        scales.iter_mut().zip(sight).for_each(|(scale, seen)| *scale = 1.0 / (seen + damping));
    }

    /// `<r, P r>`.
    fn residual_square(&mut self) -> f64 {
        let Some([scaled, scales]) = &mut self.scaled else {
            return dot(&self.residual, &self.residual);
        };
        scaled.iter_mut().zip(scales).zip(&self.residual).for_each(|((to, scale), r)| *to = *scale * r);
        dot(&self.residual, scaled)
    }

    /// `p <- P r + momentum p`.
    fn turn(&mut self, momentum: f32) {
        let from = self.scaled.as_ref().map_or(&self.residual, |[scaled, _]| scaled);
        self.conjugate.iter_mut().zip(from).for_each(|(p, r)| *p = r + momentum * *p);
    }
}

impl State {
    /// The slice of this number, whose residual is still to be computed.
    pub(super) fn new(number: usize, start: Vec<f32>, objective: Level, values: usize) -> Self {
        let image = || vec![0.0; start.len()];
        Self {
            number,
            objective,
            residual: vec![0.0; values],
            data_gradient: image(),
            gradient: image(),
            direction: image(),
            previous: image(),
            has_previous: false,
            projected: vec![0.0; values],
            has_projected: false,
            features: image(),
            held: Held::Other,
            denoised: (0.0, Mirror::of_turn(0)),
            updates: 0,
            projections: 0,
            system: None,
            iterate: start,
        }
    }

    /// Goes on from another image, as at the start of a run on another objective.
    pub(super) fn restart(&mut self, x: &[f32], objective: Level, data: &mut DataTerm) -> Result<(), ProjectionError> {
        self.iterate.copy_from_slice(x);
        self.objective = objective;
        self.has_previous = false;
        self.held = Held::Other;
        self.updates = 0;
        self.refresh_residual(data)
    }

    /// `r = W^(1/2) (A x - y)`.
    pub(super) fn refresh_residual(&mut self, data: &mut DataTerm) -> Result<(), ProjectionError> {
        self.projections += 1;
        data.residual(self.number, &self.iterate, &mut self.residual)
    }

    /// The data term's gradient.
    pub(super) fn refresh_data_gradient(&mut self, data: &mut DataTerm) -> Result<(), ProjectionError> {
        self.projections += 1;
        data.adjoint(self.number, &self.residual, &mut self.data_gradient)
    }

    /// `A d`, where it is not known yet.
    pub(super) fn project_direction(&mut self, data: &mut DataTerm) -> Result<(), ProjectionError> {
        if !self.has_projected {
            data.forward_project(self.number, &self.direction, &mut self.projected)?;
            self.projections += 1;
            self.has_projected = true;
        }
        Ok(())
    }

    /// `f(x)` without the constant of the prior.
    pub(super) fn objective_value(&self) -> f64 {
        let prior_weight = f64::from(self.objective.prior_weight);
        0.5 * (dot(&self.residual, &self.residual) + prior_weight * dot(&self.features, &self.features))
    }

    /// Keeps `h` of the iterate, which the objective's lane holds now.
    pub(super) fn keep_features(&mut self, h: &[f32]) {
        self.features.copy_from_slice(h);
        self.held = Held::Iterate;
    }

    /// `grad f(x)`, where `x` has changed, and `grad F(x, t)` into the direction's place, from the gradients of the
    /// prior.
    fn gradients(&mut self, level: Level, new_iterate: bool, OfPrior { at_objective, at_level }: OfPrior<'_>) {
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
    }

    /// Answers [`gradus_core::Request::Direction`].
    pub(super) fn descend(&mut self, level: Level, new_iterate: bool, of_prior: OfPrior<'_>) -> Directional {
        self.gradients(level, new_iterate, of_prior);
        self.direction.iter_mut().for_each(|d| *d *= -level.t);
        self.has_projected = false;
        self.products()
    }

    /// Answers [`gradus_core::Request::Products`].
    pub(super) fn products(&self) -> Directional {
        let previous = self.has_previous.then_some(&*self.previous);
        let dot = |a: &[f32], b: &[f32]| dot(a, b) as f32;
        Directional::by(dot, difference_products, &self.gradient, &self.direction, previous)
    }

    /// `x <- D(x) + extrapolation (D(x) - x')` with `D(x) = x - variance grad R(x, t)`, from the prior's gradient in a
    /// mirror; then `r = -grad` of the data term.
    pub(super) fn denoise(
        &mut self,
        (variance, extrapolation): (f32, f32),
        of_prior: &[f32],
        mirror: Mirror,
        data: &mut DataTerm,
    ) -> Result<(), ProjectionError> {
        mirror.apply(-(1.0 + extrapolation) * variance, of_prior, data.width(), &mut self.direction);
        if extrapolation != 0.0 {
            add_scaled(&mut self.direction, extrapolation, &self.iterate);
            add_scaled(&mut self.direction, -extrapolation, &self.gradient);
        }
        self.gradient.copy_from_slice(&self.iterate);
        add_scaled(&mut self.iterate, 1.0, &self.direction);
        self.held = Held::Other;
        self.denoised = (variance, mirror);
        self.refresh_residual(data)?;
        self.refresh_data_gradient(data)?;
        self.direction.copy_from_slice(&self.data_gradient);
        self.begin_solve();
        Ok(())
    }

    /// `x <- x + removed e + taken d' + fresh z`, where `e` is what the last denoising took from `x`, from the prior's
    /// gradient at that time.
    pub(super) fn diffuse(
        &mut self,
        (removed, of_prior): (f32, &[f32]),
        taken: f32,
        (fresh, draw): (f32, Draw),
        width: usize,
    ) {
        let (variance, mirror) = self.denoised;
        if removed != 0.0 {
            mirror.apply(removed * variance, of_prior, width, &mut self.direction);
            add_scaled(&mut self.iterate, 1.0, &self.direction);
        }
        if taken != 0.0 {
            add_scaled(&mut self.iterate, taken, &self.previous);
        }
        // Entries are known by their number: the same bits for any number of threads.
        self.iterate.par_chunks_mut(4 * DRAWN).enumerate().for_each(|(part, x)| {
            draw.add_to(fresh, (part * DRAWN) as u32, x);
        });
        self.held = Held::Other;
    }

    /// `r = -grad F(x, t)`.
    pub(super) fn begin_at_gradient(&mut self, level: Level, new_iterate: bool, of_prior: OfPrior<'_>) {
        self.gradients(level, new_iterate, of_prior);
        self.begin_solve();
    }

    /// The direction's place holds the gradient `g`: `r <- -g`.
    fn begin_solve(&mut self) {
        let system = self.system.get_or_insert_with(|| LinearSystem::new(self.direction.len(), self.projected.len()));
        system.residual.iter_mut().zip(&self.direction).for_each(|(r, gradient)| *r = -gradient);
    }

    /// Solves `(A^T W A + damping I) d = r` from 0. `A d` is gathered from the `A p` of the solve, so that the line
    /// search needs no projection of its own.
    pub(super) fn solve(
        &mut self,
        damping: f32,
        effort: Effort,
        data: &mut DataTerm,
    ) -> Result<Solved, ProjectionError> {
        let Self { number, direction, projected: of_direction, system, projections, .. } = self;
        let system = system.get_or_insert_with(|| LinearSystem::new(direction.len(), of_direction.len()));
        [&mut system.conjugate, &mut *direction, &mut *of_direction].into_iter().for_each(|vector| vector.fill(0.0));
        self.has_projected = true;
        system.precondition(data.sight(*number), damping);
        let mut solve = ConjugateGradient::new(system.residual_square() as f32, effort);
        loop {
            let told = match solve.request() {
                Krylov::Curvature { momentum } => {
                    system.turn(momentum);
                    let LinearSystem { conjugate, projected, .. } = &mut *system;
                    data.forward_project(*number, conjugate, projected)?;
                    dot(projected, projected) + f64::from(damping) * dot(conjugate, conjugate)
                }
                Krylov::Advance { length } => {
                    let LinearSystem { residual, conjugate, projected, normal, .. } = &mut *system;
                    data.adjoint(*number, projected, normal)?;
                    add_scaled(direction, length, conjugate);
                    add_scaled(of_direction, length, projected);
                    add_scaled(residual, -length, normal);
                    add_scaled(residual, -length * damping, conjugate);
                    system.residual_square()
                }
                Krylov::Done(solved) => return Ok(solved),
            };
            *projections += 1;
            solve.answer(told as f32);
        }
    }

    /// `f(x + step d) - f(x)`, where the objective's lane holds that trial with the features `h`.
    pub(super) fn change(&mut self, step: f32, h: &[f32]) -> f32 {
        self.held = Held::Trial(step);
        let l = f64::from(step);
        let of_data = l * dot(&self.residual, &self.projected) + 0.5 * l * l * dot(&self.projected, &self.projected);
        let of_prior = half_square_change(&self.features, h);
        (of_data + f64::from(self.objective.prior_weight) * of_prior) as f32
    }

    /// `x <- x + step d`, where the objective's lane holds the features `h`.
    pub(super) fn update(&mut self, step: f32, h: &[f32], data: &mut DataTerm) -> Result<(), ProjectionError> {
        self.project_direction(data)?;
        add_scaled(&mut self.iterate, step, &self.direction);
        self.updates += 1;
        if self.updates.is_multiple_of(REFRESH_RESIDUAL) {
            self.refresh_residual(data)?;
        } else {
            add_scaled(&mut self.residual, step, &self.projected);
        }
        if self.held == Held::Trial(step) {
            self.keep_features(h);
        } else {
            self.held = Held::Other;
        }
        std::mem::swap(&mut self.previous, &mut self.direction);
        self.has_previous = true;
        Ok(())
    }
}
