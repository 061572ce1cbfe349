//! The linear solves of several slices, and what they start from.

use super::buffer::Buffer;
use super::conjugate_gradient::LinearSystem;
use super::error::DeviceError;
use super::network::CudaNetwork;
use super::passes::{FIRST_TRIAL, directional};
use super::slices::CudaSlices;
use super::state::{Buffers, Denoising, Held, State};
use super::vector::{DirectionVectors, Lanes, MOST_SUMS, Vectors};
use crate::backend::Mirror;
use gradus_core::{Answer, Draw, Effort, Level};
use gradus_cuda_kernels::conjugate_gradient::Recurrence;
use gradus_cuda_kernels::vector::{DirectionScalars, PRODUCT_SUMS};

impl CudaSlices {
    /// The linear solves, whose vectors are made when they are first needed.
    fn system(&mut self) -> Result<&mut LinearSystem, DeviceError> {
        match &mut self.system {
            Some(system) => Ok(system),
            none => Ok(none.insert(LinearSystem::new(&self.device, self.states.len(), self.data_term.projector())?)),
        }
    }

    /// Answers `x <- D(x) + beta (D(x) - x')` with `D(x) = x - variance grad R(x, t)`, and `r <- -A^T W (A x - y)`.
    pub(super) fn denoises(&mut self, requests: &[(usize, Denoising)]) -> Result<Vec<Answer>, DeviceError> {
        let turn = |request: &Denoising| if self.mirrors { request.turn } else { 0 };
        let mirrors: Vec<Mirror> = requests.iter().map(|(_, request)| Mirror::of_turn(turn(request))).collect();
        let factor = |request: &Denoising| -(1.0 + request.extrapolation) * request.variance;
        let factors: Vec<f32> = requests.iter().map(|(_, request)| factor(request)).collect();
        let slices: Vec<usize> = requests.iter().map(|request| request.0).collect();
        let smoothed: Vec<(usize, f32)> = requests.iter().map(|&(slice, ref request)| (slice, request.t)).collect();
        let betas: Vec<f32> = requests.iter().map(|(_, request)| request.extrapolation).collect();
        let extrapolates = betas.iter().any(|beta| *beta != 0.0);
        let (r, size, iterate) = (self.system()?.residual(), self.size, self.buffers.iterate.address());
        self.slices.set(&slices)?;
        let images = self.of_smoothed(&self.buffers.images);
        if extrapolates {
            self.moved_since_denoised(&slices, &betas)?;
        }
        self.vectors.mirror(&self.slices, (&mirrors, None), size, (iterate, images))?;
        self.evaluate_images(&smoothed)?;
        self.slices.set(&slices)?;
        let products = self.of_smoothed(&self.buffers.products);
        self.vectors.mirror(&self.slices, (&mirrors, Some(&factors)), size, (products, iterate))?;
        if extrapolates {
            let moved = self.buffers.direction.address();
            self.vectors.add_scaled(&self.slices, &vec![1.0; slices.len()], self.n, moved, iterate)?;
        }
        self.refresh_data_gradients(&slices)?;
        let gradient = self.buffers.data_gradient.address();
        self.vectors.copy(&self.slices, self.n, (-1.0, gradient), r)?;
        slices.iter().for_each(|&slice| self.states[slice].is_tested = false);
        let denoised = mirrors.into_iter().zip(&factors);
        for (&slice, (mirror, factor)) in slices.iter().zip(denoised) {
            self.states[slice].denoised = (-factor, mirror);
        }
        Ok(vec![Answer::Ready; slices.len()])
    }

    /// `beta (x - x')` in the direction's place. Of `x'` there is the mirror image that was denoised, as long as no
    /// other takes its place.
    fn moved_since_denoised(&mut self, slices: &[usize], betas: &[f32]) -> Result<(), DeviceError> {
        let (iterate, moved) = (self.buffers.iterate.address(), self.buffers.direction.address());
        let mirrors: Vec<Mirror> = slices.iter().map(|&slice| self.states[slice].denoised.1).collect();
        let (less, images) =
            (betas.iter().map(|beta| -beta).collect::<Vec<_>>(), self.of_smoothed(&self.buffers.images));
        self.vectors.copy(&self.slices, self.n, (0.0, iterate), moved)?;
        self.vectors.add_scaled(&self.slices, betas, self.n, iterate, moved)?;
        self.vectors.mirror(&self.slices, (&mirrors, Some(&less)), self.size, (images, moved))
    }

    /// Answers `x <- x + removed e + taken d' + fresh z`, `(slice, ([removed, taken, fresh], draw of z))`, with `e`
    /// what the last denoising took from `x`. The noise is drawn on the host, so that it is the CPU's.
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
        let vectors = DirectionVectors { direction: self.system()?.residual(), ..self.direction_vectors() };
        self.vectors.ask_direction(&self.slices, &scalars, self.n, vectors)?;
        requests.iter().for_each(|(slice, _)| self.states[*slice].is_tested = true);
        Ok(vec![Answer::Ready; requests.len()])
    }

    /// Answers `(A^T W A + damping I) d = r` by conjugate gradients, `(slice, (damping, effort))`, with one wait where
    /// its least iterations suffice: where directions are going to be tested, what will be asked about them comes
    /// along.
    pub(super) fn solves(&mut self, requests: &[(usize, (f32, Effort))]) -> Result<Vec<Answer>, DeviceError> {
        let slices: Vec<usize> = requests.iter().map(|request| request.0).collect();
        let starts: Vec<(f32, Effort)> = requests.iter().map(|request| request.1).collect();
        let looks_ahead = slices.iter().all(|&slice| self.states[slice].is_tested);
        self.system()?;
        self.slices.set(&slices)?;
        let Self { system, data_term, vectors, buffers, states, slices: list, network, lanes, n, n_values, .. } = self;
        let mut ahead =
            Ahead { vectors, buffers, network, lanes, list, slices: &slices, sizes: [*n, *n_values], states };
        let mut sums = vec![0.0; if looks_ahead { MOST_SUMS * slices.len() } else { 0 }];
        let copy = |recurrences: &Buffer<Recurrence>, found: &mut [Recurrence]| {
            if looks_ahead {
                ahead.ask()?;
            }
            recurrences.download_both(found, (ahead.vectors.sums.total(), &mut sums))
        };
        let to = (buffers.direction.address(), buffers.projected.address());
        let ends = system.as_mut().map_or(Ok(vec![]), |system| system.solve(list, data_term, &starts, to, copy))?;
        for (&slice, end) in slices.iter().zip(&ends) {
            states[slice].turn(true);
            let projections = &mut states[slice].counters.projections;
            *projections = projections.saturating_add(end.projections);
        }
        if looks_ahead {
            tell(states, &slices, &sums);
        }
        Ok(ends.iter().map(|end| Answer::Solved(end.solved)).collect())
    }

    /// Answers requests for the products of complete directions, which were computed with them.
    pub(super) fn products(&mut self, requests: &[(usize, ())]) -> Result<Vec<Answer>, DeviceError> {
        let is_unknown = |&slice: &usize| self.states[slice].of_direction.is_none();
        let unknown: Vec<usize> = requests.iter().map(|request| request.0).filter(is_unknown).collect();
        if !unknown.is_empty() {
            self.slices.set(&unknown)?;
            let Buffers { gradient, direction, .. } = &self.buffers;
            let sums = self.vectors.products(&self.slices, self.n, gradient.address(), direction.address())?;
            unknown.iter().zip(sums).for_each(|(&slice, sums)| self.states[slice].of_direction = Some(sums));
        }
        let answer = |&(slice, ()): &(usize, ())| {
            let [slope, square, gradient] = self.states[slice].of_direction.unwrap_or([f64::NAN; PRODUCT_SUMS]);
            Answer::Direction(directional([gradient, slope, square, 0.0, 0.0]))
        };
        Ok(requests.iter().map(answer).collect())
    }
}

/// Questions that a direction is going to be asked: its products, and the trial of the whole step, which comes first.
struct Ahead<'a> {
    vectors: &'a mut Vectors,
    buffers: &'a Buffers,
    network: &'a mut CudaNetwork,
    lanes: &'a mut Lanes,
    /// The same slices, on the device and here.
    list: &'a Lanes,
    slices: &'a [usize],
    /// Values of an image and of a sinogram.
    sizes: [usize; 2],
    states: &'a [State],
}

impl Ahead<'_> {
    /// Asks for six products and the change of the prior's energy, one after the other for all slices.
    fn ask(&mut self) -> Result<(), DeviceError> {
        let Self { vectors, buffers, network, lanes, list, slices, sizes: [n, n_values], states } = self;
        let Buffers { iterate, gradient, direction, projected, residual, images, features, .. } = *buffers;
        let at = |sums: usize| sums * slices.len();
        vectors.ask_products(list, *n, gradient.address(), direction.address(), at(0))?;
        vectors.ask_products(list, *n_values, residual.address(), projected.address(), at(PRODUCT_SUMS))?;
        let line = (iterate.address(), direction.address());
        vectors.trial(list, &vec![FIRST_TRIAL; slices.len()], *n, line, images.address())?;
        lanes.set(slices)?;
        let levels: Vec<(usize, f32)> = slices.iter().map(|&slice| (slice, states[slice].objective.t)).collect();
        network.forward(lanes, &levels, images.address())?;
        vectors.ask_change(list, *n, features.address(), network.h(), at(2 * PRODUCT_SUMS))
    }
}

/// Hands out the sums of [`Ahead`].
fn tell(states: &mut [State], slices: &[usize], sums: &[f64]) {
    let (of_directions, rest) = sums.split_at(PRODUCT_SUMS * slices.len());
    let (of_projected, changes) = rest.split_at(PRODUCT_SUMS * slices.len());
    let products = of_directions.as_chunks().0.iter().zip(of_projected.as_chunks::<PRODUCT_SUMS>().0);
    for ((&slice, (of_direction, &[product, square, _])), change) in slices.iter().zip(products).zip(changes) {
        let state = &mut states[slice];
        (state.of_direction, state.of_projected) = (Some(*of_direction), Some([product, square]));
        (state.held, state.first_trial) = (Held::Trial(FIRST_TRIAL), Some(*change));
    }
}
