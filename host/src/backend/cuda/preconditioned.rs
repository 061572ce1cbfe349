//! The linear solves of the preconditioned method, on the device: the twin of the CPU's.

use super::buffer::Buffer;
use super::device::Traffic;
use super::error::DeviceError;
use super::slice::Buffers;
use super::slices::CudaSlices;
use super::solve::Solve;
use super::vector::DirectionVectors;
use crate::backend::{Counters, Mirror, SliceEvaluator};
use gradus_core::{Directional, Evaluator, Level, PreconditionedEvaluator};
use gradus_cuda_kernels::vector::DirectionScalars;

/// [`CudaSlices`] with the vectors of the conjugate gradient method, `[slice][n]`.
///
/// `A d` is gathered from the `A p` of the solve, so the line search needs no projection of its own.
#[derive(Debug)]
pub struct PreconditionedCudaSlices {
    problem: CudaSlices,
    solve: Solve,
    /// `r`.
    residual: Buffer<f32>,
    /// `p`.
    conjugate: Buffer<f32>,
    /// `W^(1/2) A p`.
    projected: Buffer<f32>,
    /// `A^T W A p`.
    normal: Buffer<f32>,
    /// `|grad f|^2` of each slice.
    gradient_norms_sq: Vec<f64>,
    mirrors: bool,
}

impl PreconditionedCudaSlices {
    /// The same slices, at the same iterates.
    ///
    /// # Errors
    /// When the device cannot hold four vectors more for each.
    pub fn new(problem: CudaSlices) -> Result<Self, DeviceError> {
        let (device, n_slices) = (problem.device(), problem.n_slices());
        let images = || Buffer::new(device, n_slices * problem.n);
        Ok(Self {
            solve: Solve::new(device, n_slices)?,
            residual: images()?,
            conjugate: images()?,
            normal: images()?,
            projected: Buffer::new(device, n_slices * problem.n_values)?,
            gradient_norms_sq: vec![0.0; n_slices],
            mirrors: true,
            problem,
        })
    }

    /// The same slices, which are mirrored from turn to turn of the approach or are not; by default they are.
    #[must_use]
    pub fn with_mirrors(self, mirrors: bool) -> Self {
        Self { mirrors, ..self }
    }

    /// Number of slices.
    #[must_use]
    pub fn n_slices(&self) -> usize {
        self.problem.n_slices()
    }

    /// The problem at the current iterates.
    #[must_use]
    pub fn problem(&mut self) -> &mut CudaSlices {
        &mut self.problem
    }

    /// Answers requests for `x <- x - variance grad R(x, t)` and `r <- -A^T W (A x - y)`, `p <- 0`, `d <- 0`, `(slice, level,
    /// variance, turn)`: `|r|^2`.
    ///
    /// # Errors
    /// When the device failed.
    pub fn denoises(&mut self, requests: &[(usize, Level, f32, u32)]) -> Result<Vec<f32>, DeviceError> {
        let turn = |turn: u32| Mirror::of_turn(if self.mirrors { turn } else { 0 });
        let mirrors: Vec<Mirror> = requests.iter().map(|request| turn(request.3)).collect();
        let factors: Vec<f32> = requests.iter().map(|request| -request.2).collect();
        let slices: Vec<usize> = requests.iter().map(|request| request.0).collect();
        let smoothed: Vec<(usize, f32)> = requests.iter().map(|&(slice, level, ..)| (slice, level.t)).collect();
        let problem = &mut self.problem;
        let (size, iterate) = (problem.size, problem.buffers.iterate.address());
        problem.slices.set(&slices)?;
        let images = problem.of_smoothed(&problem.buffers.images);
        self.solve.mirror(&problem.slices, (&mirrors, None), size, (iterate, images))?;
        problem.evaluate_images(&smoothed)?;
        problem.slices.set(&slices)?;
        let products = problem.of_smoothed(&problem.buffers.products);
        self.solve.mirror(&problem.slices, (&mirrors, Some(&factors)), size, (products, iterate))?;
        problem.refresh_data_gradients(&slices)?;
        let (r, gradient) = (self.residual.address(), problem.buffers.data_gradient.address());
        self.solve.clear(&problem.slices, problem.n, r)?;
        problem.vectors.add_scaled(&problem.slices, &vec![-1.0; slices.len()], problem.n, gradient, r)?;
        let squares = problem.vectors.products(&problem.slices, problem.n, r, r)?;
        self.clear_directions(&slices)?;
        // A d is gathered by the solve, and no trial of the approach asks for its products.
        slices.iter().for_each(|&slice| self.problem.states[slice].projected = Some([f64::NAN; 2]));
        Ok(squares.into_iter().map(|[_, square]| square as f32).collect())
    }

    /// `d <- 0` and `A d <- 0` of slices that the list names.
    fn clear_directions(&mut self, slices: &[usize]) -> Result<(), DeviceError> {
        let problem = &mut self.problem;
        let Buffers { direction, projected, .. } = &problem.buffers;
        self.solve.clear(&problem.slices, problem.n, direction.address())?;
        self.solve.clear(&problem.slices, problem.n_values, projected.address())?;
        slices.iter().for_each(|&slice| problem.states[slice].projected = None);
        Ok(())
    }

    /// Answers requests for `r <- -grad F(x, t)`, `p <- 0`, `d <- 0`, `(slice, level, whether x has changed)`: `|r|^2`.
    ///
    /// # Errors
    /// When the device failed.
    pub fn begin_solves(&mut self, requests: &[(usize, Level, bool)]) -> Result<Vec<f32>, DeviceError> {
        let problem = &mut self.problem;
        problem.evaluate_gradients(requests)?;
        // -1 grad F in the direction's place is r; p is made from it at the first step.
        let scalars: Vec<DirectionScalars> =
            requests.iter().map(|&(slice, level, _)| problem.gradient_scalars(slice, level, 1.0)).collect();
        let slices: Vec<usize> = requests.iter().map(|request| request.0).collect();
        problem.slices.set(&slices)?;
        let vectors = DirectionVectors { direction: self.residual.address(), ..problem.direction_vectors() };
        let sums = problem.vectors.direction(&problem.slices, &scalars, problem.n, vectors)?;
        slices.iter().zip(&sums).for_each(|(&slice, sums)| self.gradient_norms_sq[slice] = sums[0]);
        self.clear_directions(&slices)?;
        Ok(sums.iter().map(|sums| sums[2] as f32).collect())
    }

    /// Answers requests for `p <- r + momentum p`, `(slice, momentum, damping)`: `<p, (A^T W A + damping I) p>`.
    ///
    /// # Errors
    /// When the device failed.
    pub fn curvatures(&mut self, requests: &[(usize, f32, f32)]) -> Result<Vec<f32>, DeviceError> {
        let problem = &mut self.problem;
        problem.slices.set(&requests.iter().map(|request| request.0).collect::<Vec<_>>())?;
        let momenta: Vec<f32> = requests.iter().map(|request| request.1).collect();
        let (conjugate, projected) = (self.conjugate.address(), self.projected.address());
        self.solve.conjugate(&problem.slices, &momenta, problem.n, (self.residual.address(), conjugate))?;
        problem.data_term.forward_project(&problem.slices, conjugate, projected)?;
        requests.iter().for_each(|request| problem.states[request.0].counters.projections += 1);
        let squares = self.solve.squares(&problem.slices, problem.n_values, projected)?;
        let curvature =
            |(&(_, _, damping), [p, s]): (&(usize, f32, f32), [f64; 2])| (s + f64::from(damping) * p) as f32;
        Ok(requests.iter().zip(squares).map(curvature).collect())
    }

    /// Answers requests for `d <- d + length p`, `r <- r - length (A^T W A + damping I) p`, `(slice, length, damping)`:
    /// `|r|^2`.
    ///
    /// # Errors
    /// When the device failed.
    pub fn advances(&mut self, requests: &[(usize, f32, f32)]) -> Result<Vec<f32>, DeviceError> {
        let problem = &mut self.problem;
        problem.slices.set(&requests.iter().map(|request| request.0).collect::<Vec<_>>())?;
        let (projected, normal) = (self.projected.address(), self.normal.address());
        problem.data_term.adjoint(&problem.slices, projected, normal)?;
        requests.iter().for_each(|request| problem.states[request.0].counters.projections += 1);
        let lengths: Vec<f32> = requests.iter().map(|request| request.1).collect();
        let scalars: Vec<[f32; 2]> = requests.iter().map(|&(_, length, damping)| [length, damping]).collect();
        let Buffers { direction, projected: of_direction, .. } = &problem.buffers;
        let (slices, n_values) = (&problem.slices, problem.n_values);
        problem.vectors.add_scaled(slices, &lengths, n_values, projected, of_direction.address())?;
        let (from, to) = ((self.conjugate.address(), normal), (direction.address(), self.residual.address()));
        let squares = self.solve.advance(slices, &scalars, problem.n, from, to)?;
        Ok(squares.into_iter().map(|square| square as f32).collect())
    }

    /// Answers requests for the products of complete directions.
    ///
    /// # Errors
    /// When the device failed.
    pub fn products(&mut self, slices: &[usize]) -> Result<Vec<Directional>, DeviceError> {
        let problem = &mut self.problem;
        problem.slices.set(slices)?;
        let Buffers { gradient, direction, residual, projected, .. } = &problem.buffers;
        let (vectors, list) = (&problem.vectors, &problem.slices);
        let sums = vectors.products(list, problem.n, gradient.address(), direction.address())?;
        let of_data = vectors.products(list, problem.n_values, residual.address(), projected.address())?;
        slices.iter().zip(of_data).for_each(|(&slice, sums)| problem.states[slice].projected = Some(sums));
        let directional = |(&slice, [slope, square]): (&usize, [f64; 2])| Directional {
            gradient_norm_sq: self.gradient_norms_sq[slice] as f32,
            slope: slope as f32,
            direction_norm_sq: square as f32,
            ..Directional::default()
        };
        Ok(slices.iter().zip(sums).map(directional).collect())
    }
}

/// The only slice of one: for solvers that run alone.
impl Evaluator for PreconditionedCudaSlices {
    type Error = DeviceError;

    fn direction(&mut self, level: Level, new_iterate: bool) -> Result<Directional, DeviceError> {
        self.problem.direction(level, new_iterate)
    }

    fn change(&mut self, step: f32) -> Result<f32, DeviceError> {
        self.problem.change(step)
    }

    fn update(&mut self, step: f32) -> Result<(), DeviceError> {
        self.problem.update(step)
    }
}

impl PreconditionedEvaluator for PreconditionedCudaSlices {
    fn denoise(&mut self, level: Level, variance: f32, turn: u32) -> Result<f32, DeviceError> {
        Ok(self.denoises(&[(0, level, variance, turn)])?.first().copied().unwrap_or(f32::NAN))
    }

    fn begin_solve(&mut self, level: Level, new_iterate: bool) -> Result<f32, DeviceError> {
        Ok(self.begin_solves(&[(0, level, new_iterate)])?.first().copied().unwrap_or(f32::NAN))
    }

    fn curvature(&mut self, momentum: f32, damping: f32) -> Result<f32, DeviceError> {
        Ok(self.curvatures(&[(0, momentum, damping)])?.first().copied().unwrap_or(f32::NAN))
    }

    fn advance(&mut self, length: f32, damping: f32) -> Result<f32, DeviceError> {
        Ok(self.advances(&[(0, length, damping)])?.first().copied().unwrap_or(f32::NAN))
    }

    fn products(&mut self) -> Result<Directional, DeviceError> {
        Ok(Self::products(self, &[0])?.first().copied().unwrap_or_default())
    }
}

impl SliceEvaluator for PreconditionedCudaSlices {
    fn objective(&mut self) -> Result<f64, DeviceError> {
        SliceEvaluator::objective(&mut self.problem)
    }

    fn copy_iterate(&self, image: &mut [f32]) -> Result<(), DeviceError> {
        self.problem.iterate(0, image)
    }

    fn restart(&mut self, x: &[f32], objective: Level) -> Result<(), DeviceError> {
        self.problem.restart(0, x, objective)
    }

    fn counters(&self) -> Counters {
        self.problem.counters(0)
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.problem.traffic())
    }
}
