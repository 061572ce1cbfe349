//! Total-variation reconstruction by the primal-dual method of Chambolle and Pock.

use super::projection_error::{ProjectionError, check_lengths};
use super::projector::Projector;
use super::variation::{GRADIENT_NORM_SQUARED, add_gradient_transposed, row_and_below, total_variation};
use std::ops::ControlFlow;

/// Favour of primal steps over dual ones, as a multiple of the balance in which image and residual are of
/// one size. Any positive value converges; this one needs the fewest iterations on sparse, noisy scans.
const BALANCE: f64 = 4.0;

/// The power iteration's estimate of ||A|| is a lower bound; steps keep this distance from it.
const NORM_MARGIN: f64 = 1.02;

/// Power iterations for ||A|| at most.
const NORM_ITERATIONS: usize = 50;

/// The objective and the end of a reconstruction by total variation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TvSettings {
    /// Weight of the total variation, in units of sinogram^2 / image.
    pub weight: f64,
    /// True if no pixel may be negative.
    pub nonnegative: bool,
    /// Most iterations.
    pub max_iterations: usize,
    /// Stop when an iteration changes the image by less than this, relative to its norm; 0 never stops early.
    pub tolerance: f64,
}

impl Default for TvSettings {
    fn default() -> Self {
        Self { weight: 1.0, nonnegative: true, max_iterations: 500, tolerance: 1e-5 }
    }
}

/// A fault that makes the settings unusable.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TvError {
    /// The weight is negative, infinite or not a number.
    #[error("tv: `weight` is {0}; give a finite number of at least 0")]
    Weight(f64),
    /// The tolerance is negative or not a number.
    #[error("tv: `tolerance` is {0}; give a number of at least 0, such as 1e-5")]
    Tolerance(f64),
    /// A buffer does not fit the geometry.
    #[error("tv: {0}")]
    Length(#[from] ProjectionError),
}

/// State of the iteration, for an observer.
#[derive(Debug, Clone, Copy)]
pub struct TvProgress<'a> {
    /// Iterations done, from 1.
    pub iteration: usize,
    /// The objective at this iterate.
    pub objective: f64,
    /// |x - x_before| / |x|.
    pub relative_change: f64,
    /// The iterate.
    pub image: &'a [f32],
}

/// Reason for which the iteration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TvEnd {
    /// The change fell below the tolerance.
    Converged,
    /// All iterations were done.
    IterationsDone,
    /// The observer asked to stop.
    Stopped,
}

/// The outcome of a reconstruction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TvOutcome {
    /// Reason for which it ended.
    pub end: TvEnd,
    /// Iterations done.
    pub iterations: usize,
    /// The objective at the image returned.
    pub objective: f64,
}

/// Minimises a least-squares misfit plus total variation, by default over images that are nowhere negative.
///
/// **Equation.** min over x (x >= 0 if asked for) of 1/2 |W^(1/2) (A x - y)|^2 + weight sum_pixels |(grad x)_pixel|,
/// with grad the forward differences to the right and downwards, 0 across the border, in image units per pixel, and W
/// the rays' weights, 1 if none are given. Solved by the primal-dual iteration (Chambolle and Pock 2011, J. Math.
/// Imaging Vis. 40, 120, Algorithm 1) on K = (A, grad):
///
/// ```text
/// q <- (q + s_A (A xbar - y)) / (1 + s_A W^-1)
/// g <- (g + s_g grad xbar), each pixel's vector shortened to at most `weight`
/// x <- P(x - t (A^T q + grad^T g)),     xbar = 2 x - x_before,
/// ```
///
/// with t (s_A ||A||^2 + s_g ||grad||^2) <= 1; ||A|| comes from power iteration. One forward projection and one adjoint
/// an iteration: A xbar is put together from A x, which also gives the objective.
///
/// **Memory.** All buffers are allocated in [`TvReconstructor::new`]. **Determinism.** Same bits for any number of
/// threads.
#[derive(Debug, Clone)]
pub struct TvReconstructor {
    projector: Projector,
    /// Of each ray; empty where all are 1.
    weights: Vec<f32>,
    norm_squared: f64,
    projection: Vec<f32>,
    projection_before: Vec<f32>,
    dual_data: Vec<f32>,
    dual_right: Vec<f32>,
    dual_down: Vec<f32>,
    extrapolated: Vec<f32>,
    descent: Vec<f32>,
}

impl TvReconstructor {
    /// Takes a projector, estimates its norm and allocates the buffers.
    #[must_use]
    pub fn new(mut projector: Projector) -> Self {
        let norm = projector.norm(NORM_ITERATIONS) * NORM_MARGIN;
        let (pixels, values) = (projector.geometry().image_len(), projector.geometry().sinogram_len());
        Self {
            projector,
            weights: Vec::new(),
            norm_squared: norm * norm,
            projection: vec![0.0; values],
            projection_before: vec![0.0; values],
            dual_data: vec![0.0; values],
            dual_right: vec![0.0; pixels],
            dual_down: vec![0.0; pixels],
            extrapolated: vec![0.0; pixels],
            descent: vec![0.0; pixels],
        }
    }

    /// The same with the weight of each ray, `[angle][bin]`: that of a ray that was not measured is 0.
    ///
    /// # Errors
    /// [`TvError::Length`] when there is not one for each ray.
    pub fn with_weights(mut self, weights: Vec<f32>) -> Result<Self, TvError> {
        check_lengths(self.projector.geometry(), self.projector.geometry().image_len(), weights.len())?;
        self.weights = weights;
        Ok(self)
    }

    /// Reconstructs from `sinogram`, starting at what `image` holds and leaving the result there.
    ///
    /// `observer` is called after each iteration and may end the run with [`ControlFlow::Break`]; the image then holds
    /// the iterate it saw.
    ///
    /// # Errors
    /// [`TvError`] on unusable settings or lengths; `image` is untouched then.
    pub fn reconstruct(
        &mut self,
        sinogram: &[f32],
        image: &mut [f32],
        settings: &TvSettings,
        mut observer: impl FnMut(TvProgress<'_>) -> ControlFlow<()>,
    ) -> Result<TvOutcome, TvError> {
        check_lengths(self.projector.geometry(), image.len(), sinogram.len())?;
        check_settings(settings)?;
        let steps = Steps::balanced(self.norm_squared);
        self.start(image, settings.nonnegative)?;
        let mut outcome = TvOutcome { end: TvEnd::IterationsDone, iterations: 0, objective: 0.0 };
        outcome.objective = self.objective(sinogram, image, settings.weight);
        for iteration in 1..=settings.max_iterations {
            self.dual_step(sinogram, settings.weight as f32, &steps);
            let relative_change = self.primal_step(image, settings.nonnegative, &steps)?;
            let objective = self.objective(sinogram, image, settings.weight);
            outcome = TvOutcome { iterations: iteration, objective, ..outcome };
            let told = observer(TvProgress { iteration, objective, relative_change, image });
            if told.is_break() {
                outcome.end = TvEnd::Stopped;
                break;
            }
            if relative_change < settings.tolerance {
                outcome.end = TvEnd::Converged;
                break;
            }
        }
        Ok(outcome)
    }

    fn start(&mut self, image: &mut [f32], nonnegative: bool) -> Result<(), ProjectionError> {
        if nonnegative {
            image.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        for dual in [&mut self.dual_data, &mut self.dual_right, &mut self.dual_down] {
            dual.fill(0.0);
        }
        self.extrapolated.copy_from_slice(image);
        self.projector.forward_project(image, &mut self.projection)?;
        self.projection_before.copy_from_slice(&self.projection);
        Ok(())
    }

    fn dual_step(&mut self, sinogram: &[f32], weight: f32, steps: &Steps) {
        let projections = self.projection.iter().zip(&self.projection_before);
        for (ray, ((q, y), (now, before))) in self.dual_data.iter_mut().zip(sinogram).zip(projections).enumerate() {
            // A ray of weight 0 pulls nothing.
            let shrink = 1.0 + steps.data / self.weights.get(ray).copied().unwrap_or(1.0);
            *q = (*q + steps.data * (2.0 * now - before - y)) / shrink;
        }
        let width = self.projector.geometry().width;
        let duals = self.dual_right.chunks_exact_mut(width).zip(self.dual_down.chunks_exact_mut(width));
        for (row, (rights, downs)) in duals.enumerate() {
            let (here, below) = row_and_below(&self.extrapolated, width, row);
            for (col, (right, down)) in rights.iter_mut().zip(downs).enumerate() {
                let next = here[(col + 1).min(width - 1)];
                let (r, d) =
                    (*right + steps.gradient * (next - here[col]), *down + steps.gradient * (below[col] - here[col]));
                let length = (r * r + d * d).sqrt();
                let shorten = if length > weight { weight / length } else { 1.0 };
                (*right, *down) = (r * shorten, d * shorten);
            }
        }
    }

    /// Moves `image`, projects it and extrapolates; returns the relative change.
    fn primal_step(&mut self, image: &mut [f32], nonnegative: bool, steps: &Steps) -> Result<f64, ProjectionError> {
        self.projector.adjoint(&self.dual_data, &mut self.descent)?;
        add_gradient_transposed(&mut self.descent, &self.dual_right, &self.dual_down, self.projector.geometry().width);
        let floor = if nonnegative { 0.0 } else { f32::NEG_INFINITY };
        let (mut change, mut size) = (0.0f64, 0.0f64);
        for ((x, bar), descent) in image.iter_mut().zip(&mut self.extrapolated).zip(&self.descent) {
            let next = (*x - steps.primal * descent).max(floor);
            *bar = 2.0 * next - *x;
            change += f64::from(next - *x).powi(2);
            size += f64::from(next).powi(2);
            *x = next;
        }
        std::mem::swap(&mut self.projection, &mut self.projection_before);
        self.projector.forward_project(image, &mut self.projection)?;
        Ok(if size > 0.0 { (change / size).sqrt() } else { change.sqrt() })
    }

    /// 1/2 |W^(1/2) (A x - y)|^2 + weight TV(x), from the projection at hand.
    fn objective(&self, sinogram: &[f32], image: &[f32], weight: f64) -> f64 {
        let residuals = self.projection.iter().zip(sinogram).map(|(ax, y)| f64::from(ax - y)).enumerate();
        let square = |(ray, r): (usize, f64)| self.weights.get(ray).map_or(1.0, |weight| f64::from(*weight)) * r * r;
        0.5 * residuals.map(square).sum::<f64>() + weight * total_variation(image, self.projector.geometry().width)
    }
}

/// Step sizes t, s_A, s_g of the iteration.
struct Steps {
    primal: f32,
    data: f32,
    gradient: f32,
}

impl Steps {
    /// Each of A and grad gets half of the bound: t s_A ||A||^2 = t s_g ||grad||^2 = 1/2.
    fn balanced(norm_squared: f64) -> Self {
        let primal = BALANCE * std::f64::consts::FRAC_1_SQRT_2 / norm_squared.max(f64::MIN_POSITIVE);
        Self {
            primal: primal as f32,
            data: (std::f64::consts::FRAC_1_SQRT_2 / BALANCE) as f32,
            gradient: (0.5 / (primal * GRADIENT_NORM_SQUARED)) as f32,
        }
    }
}

fn check_settings(settings: &TvSettings) -> Result<(), TvError> {
    if !(settings.weight.is_finite() && settings.weight >= 0.0) {
        Err(TvError::Weight(settings.weight))
    } else if settings.tolerance.is_nan() || settings.tolerance < 0.0 {
        Err(TvError::Tolerance(settings.tolerance))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
