//! The linear solves of several slices, and what they start from.

use super::error::DeviceError;
use super::passes::directional;
use super::slices::CudaSlices;
use super::state::{Buffers, Held, LinearSystem, SystemPlaces};
use super::vector::DirectionVectors;
use crate::backend::Mirror;
use gradus_core::{Answer, ConjugateGradient, Draw, Effort, Krylov, Level};
use gradus_cuda_kernels::vector::DirectionScalars;

/// An iteration of a solve: its place in the list of solves, its slice, `[momentum or length, damping]`.
type Step = (usize, usize, [f32; 2]);

impl CudaSlices {
    /// The vectors of the linear solves, which are made when they are first needed.
    fn system(&mut self) -> Result<SystemPlaces, DeviceError> {
        let system = match &mut self.system {
            Some(system) => system,
            none => {
                let (sizes, is_weighted) = ((self.n, self.n_values), self.data_term.is_weighted());
                none.insert(LinearSystem::new(&self.device, self.states.len(), sizes, is_weighted)?)
            }
        };
        Ok(system.places())
    }

    /// Answers `x <- x - variance grad R(x, t)` and `r <- -A^T W (A x - y)`, `(slice, (level, variance, turn))`.
    pub(super) fn denoises(&mut self, requests: &[(usize, (Level, f32, u32))]) -> Result<Vec<Answer>, DeviceError> {
        let mirrors: Vec<Mirror> =
            requests.iter().map(|(_, (.., turn))| Mirror::of_turn(if self.mirrors { *turn } else { 0 })).collect();
        let factors: Vec<f32> = requests.iter().map(|(_, (_, variance, _))| -variance).collect();
        let slices: Vec<usize> = requests.iter().map(|request| request.0).collect();
        let smoothed: Vec<(usize, f32)> = requests.iter().map(|&(slice, (level, ..))| (slice, level.t)).collect();
        let (r, size, iterate) = (self.system()?.residual, self.size, self.buffers.iterate.address());
        self.slices.set(&slices)?;
        let images = self.of_smoothed(&self.buffers.images);
        self.vectors.mirror(&self.slices, (&mirrors, None), size, (iterate, images))?;
        self.evaluate_images(&smoothed)?;
        self.slices.set(&slices)?;
        let products = self.of_smoothed(&self.buffers.products);
        self.vectors.mirror(&self.slices, (&mirrors, Some(&factors)), size, (products, iterate))?;
        self.refresh_data_gradients(&slices)?;
        let gradient = self.buffers.data_gradient.address();
        self.vectors.clear(&self.slices, self.n, r)?;
        self.vectors.add_scaled(&self.slices, &vec![-1.0; slices.len()], self.n, gradient, r)?;
        let squares = self.vectors.products(&self.slices, self.n, r, r)?;
        slices.iter().zip(squares).for_each(|(&slice, [_, square])| self.states[slice].residual_square = square);
        let denoised = mirrors.into_iter().zip(&factors);
        for (&slice, (mirror, factor)) in slices.iter().zip(denoised) {
            self.states[slice].denoised = (-factor, mirror);
        }
        Ok(vec![Answer::Ready; slices.len()])
    }

    /// Answers `x <- x + removed e + taken d' + fresh z`, `(slice, ([removed, taken, fresh], draw of z))`, with `e` what
    /// the last denoising took from `x`. The noise is drawn on the host, so that it is the CPU's.
    pub(super) fn diffuses(&mut self, requests: &[(usize, ([f32; 3], Draw))]) -> Result<Vec<Answer>, DeviceError> {
        let slices: Vec<usize> = requests.iter().map(|request| request.0).collect();
        let factors = |k: usize| requests.iter().map(|(_, (factors, _))| factors[k]).collect::<Vec<f32>>();
        let (n, iterate) = (self.n, self.buffers.iterate.address());
        let [removed, taken, fresh] = [0, 1, 2].map(factors);
        for &(slice, (_, draw)) in requests {
            let mut noise = vec![0.0; n];
            draw.add_to(1.0, 0, &mut noise);
            self.buffers.images.upload((self.states.len() + slice) * n, &noise)?;
            self.states[slice].held = Held::Other;
        }
        self.slices.set(&slices)?;
        if removed.iter().any(|factor| *factor != 0.0) {
            let mirrors: Vec<Mirror> = slices.iter().map(|&slice| self.states[slice].denoised.1).collect();
            let of_products =
                slices.iter().zip(&removed).map(|(&slice, factor)| factor * self.states[slice].denoised.0);
            let (factors, products) = (of_products.collect::<Vec<_>>(), self.of_smoothed(&self.buffers.products));
            self.vectors.mirror(&self.slices, (&mirrors, Some(&factors)), self.size, (products, iterate))?;
        }
        if taken.iter().any(|factor| *factor != 0.0) {
            self.vectors.add_scaled(&self.slices, &taken, n, self.buffers.previous.address(), iterate)?;
        }
        let noise = self.of_smoothed(&self.buffers.images);
        self.vectors.add_scaled(&self.slices, &fresh, n, noise, iterate)?;
        Ok(vec![Answer::Ready; slices.len()])
    }

    /// Answers `r <- -grad F(x, t)`, `(slice, (level, whether x has changed))`.
    pub(super) fn gradients(&mut self, requests: &[(usize, (Level, bool))]) -> Result<Vec<Answer>, DeviceError> {
        self.evaluate_gradients(requests)?;
        // -1 grad F in the direction's place is r; p is made from it at the first step.
        let scalars: Vec<DirectionScalars> =
            requests.iter().map(|&(slice, (level, _))| self.gradient_scalars(slice, level, 1.0)).collect();
        self.slices.set(&requests.iter().map(|request| request.0).collect::<Vec<_>>())?;
        let vectors = DirectionVectors { direction: self.system()?.residual, ..self.direction_vectors() };
        let sums = self.vectors.direction(&self.slices, &scalars, self.n, vectors)?;
        for (&(slice, _), sums) in requests.iter().zip(sums) {
            (self.states[slice].gradient_norm_sq, self.states[slice].residual_square) = (sums[0], sums[2]);
        }
        Ok(vec![Answer::Ready; requests.len()])
    }

    /// Answers `(A^T W A + damping I) d = r` by conjugate gradients, `(slice, (damping, effort))`: each of their
    /// steps is one pass over the slices that are not done.
    pub(super) fn solves(&mut self, requests: &[(usize, (f32, Effort))]) -> Result<Vec<Answer>, DeviceError> {
        let squares = self.precondition(requests)?;
        let solve =
            |(&(_, (_, effort)), square): (&(usize, (f32, Effort)), f64)| ConjugateGradient::new(square as f32, effort);
        let mut solves: Vec<ConjugateGradient> = requests.iter().zip(squares).map(solve).collect();
        self.clear_directions(&requests.iter().map(|request| request.0).collect::<Vec<_>>())?;
        loop {
            let (mut curvatures, mut advances): (Vec<Step>, Vec<Step>) = (Vec::new(), Vec::new());
            for (place, (solve, &(slice, (damping, _)))) in solves.iter().zip(requests).enumerate() {
                match solve.request() {
                    Krylov::Curvature { momentum } => curvatures.push((place, slice, [momentum, damping])),
                    Krylov::Advance { length } => advances.push((place, slice, [length, damping])),
                    Krylov::Done(_) => {}
                }
            }
            if curvatures.is_empty() && advances.is_empty() {
                break;
            }
            let (curved, advanced) = (self.curvatures(&curvatures)?, self.advances(&advances)?);
            let told = curvatures.iter().zip(curved).chain(advances.iter().zip(advanced));
            told.for_each(|((place, ..), value)| solves[*place].answer(value as f32));
        }
        let solved = |solve: &ConjugateGradient| match solve.request() {
            Krylov::Done(solved) => Answer::Solved(solved),
            _ => Answer::Ready,
        };
        Ok(solves.iter().map(solved).collect())
    }

    /// Takes `P = (diag(A^T W 1) + damping I)^-1` for slices that have weights, 1 for the others; `<r, P r>`.
    fn precondition(&mut self, requests: &[(usize, (f32, Effort))]) -> Result<Vec<f64>, DeviceError> {
        let squares: Vec<f64> = requests.iter().map(|&(slice, _)| self.states[slice].residual_square).collect();
        if self.system()?.preconditioned.is_none() {
            return Ok(squares);
        }
        for &(slice, (damping, _)) in requests {
            let scales: Vec<f32> = match self.data_term.sight(slice) {
                Some(sight) => sight.iter().map(|seen| 1.0 / (seen + damping)).collect(),
                None => vec![1.0; self.n],
            };
            self.system.iter_mut().try_for_each(|system| system.precondition(slice, &scales))?;
        }
        self.slices.set(&requests.iter().map(|request| request.0).collect::<Vec<_>>())?;
        self.preconditioned(squares)
    }

    /// Sets `P r` for the slices of the launches to come; `<r, P r>`, which is `squares` where nothing has weights.
    fn preconditioned(&mut self, squares: Vec<f64>) -> Result<Vec<f64>, DeviceError> {
        let SystemPlaces { residual, preconditioned, .. } = self.system()?;
        let Some([diagonal, product]) = preconditioned else { return Ok(squares) };
        self.data_term.scale(&self.slices, self.n, (diagonal, residual, product))?;
        let products = self.vectors.products(&self.slices, self.n, residual, product)?;
        Ok(products.into_iter().map(|[square, _]| square).collect())
    }

    /// An iteration of a solve for slice 0 as `Request::Solve` makes it, with scalars that are of no use: for a list of
    /// its launches, in which nothing is computed that could tell others.
    ///
    /// # Errors
    /// When the device failed.
    pub fn idle_iteration(&mut self) -> Result<(), DeviceError> {
        let step = [(0, 0, [0.5, 1.0])];
        self.curvatures(&step)?;
        self.advances(&step).map(drop)
    }

    /// `d <- 0` and `A d <- 0`.
    fn clear_directions(&mut self, slices: &[usize]) -> Result<(), DeviceError> {
        self.slices.set(slices)?;
        let Buffers { direction, projected, .. } = &self.buffers;
        self.vectors.clear(&self.slices, self.n, direction.address())?;
        self.vectors.clear(&self.slices, self.n_values, projected.address())?;
        slices.iter().for_each(|&slice| self.states[slice].turn(true));
        Ok(())
    }

    /// Names the slices of steps for the launches to come, and counts a projection of each; their first scalars.
    fn begin_steps(&mut self, steps: &[Step]) -> Result<Vec<f32>, DeviceError> {
        self.slices.set(&steps.iter().map(|step| step.1).collect::<Vec<_>>())?;
        steps.iter().for_each(|step| self.states[step.1].counters.projections += 1);
        Ok(steps.iter().map(|(.., [scalar, _])| *scalar).collect())
    }

    /// `p <- P r + momentum p`; `<p, (A^T W A + damping I) p>`.
    fn curvatures(&mut self, steps: &[Step]) -> Result<Vec<f64>, DeviceError> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let SystemPlaces { residual, conjugate, projected, preconditioned, .. } = self.system()?;
        let momenta = self.begin_steps(steps)?;
        let from = preconditioned.map_or(residual, |[_, product]| product);
        self.vectors.conjugate(&self.slices, &momenta, self.n, (from, conjugate))?;
        self.data_term.forward_project(&self.slices, conjugate, projected)?;
        let squares = self.vectors.squares(&self.slices, self.n_values, projected)?;
        let curvature = |(&(.., [_, damping]), [p, s]): (&Step, [f64; 2])| s + f64::from(damping) * p;
        Ok(steps.iter().zip(squares).map(curvature).collect())
    }

    /// `d <- d + length p`, `r <- r - length (A^T W A + damping I) p`; `<r, P r>`.
    fn advances(&mut self, steps: &[Step]) -> Result<Vec<f64>, DeviceError> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let SystemPlaces { residual, conjugate, projected, normal, .. } = self.system()?;
        let lengths = self.begin_steps(steps)?;
        self.data_term.adjoint(&self.slices, projected, normal)?;
        let scalars: Vec<[f32; 2]> = steps.iter().map(|(.., scalars)| *scalars).collect();
        let Buffers { direction, projected: of_direction, .. } = &self.buffers;
        self.vectors.add_scaled(&self.slices, &lengths, self.n_values, projected, of_direction.address())?;
        let (from, to) = ((conjugate, normal), (direction.address(), residual));
        let squares = self.vectors.advance(&self.slices, &scalars, self.n, from, to)?;
        self.preconditioned(squares)
    }

    /// Answers requests for the products of complete directions.
    pub(super) fn products(&mut self, requests: &[(usize, ())]) -> Result<Vec<Answer>, DeviceError> {
        let slices: Vec<usize> = requests.iter().map(|request| request.0).collect();
        self.slices.set(&slices)?;
        let Buffers { gradient, direction, .. } = &self.buffers;
        let sums = self.vectors.products(&self.slices, self.n, gradient.address(), direction.address())?;
        let answer = |(slice, [slope, square]): (usize, [f64; 2])| {
            Answer::Direction(directional([self.states[slice].gradient_norm_sq, slope, square, 0.0, 0.0]))
        };
        Ok(slices.into_iter().zip(sums).map(answer).collect())
    }
}
