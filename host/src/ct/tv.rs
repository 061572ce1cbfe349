//! Total-variation reconstruction by the primal-dual method of Chambolle and Pock.

use super::projection_error::{ProjectionError, check_lengths};
use super::projector::Projector;
use std::ops::ControlFlow;

/// ||grad||^2 of forward differences in two dimensions is below this.
const GRADIENT_NORM_SQUARED: f64 = 8.0;

/// How far primal steps are favoured over dual ones, as a multiple of the balance in which image and residual are of
/// one size. Any positive value converges; this one needs the fewest iterations on sparse, noisy scans.
const BALANCE: f64 = 4.0;

/// The power iteration's estimate of ||A|| is a lower bound; steps keep this distance from it.
const NORM_MARGIN: f64 = 1.02;

/// Power iterations for ||A|| at most.
const NORM_ITERATIONS: usize = 50;

/// What to minimise and when to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TvSettings {
    /// Weight of the total variation, in units of sinogram^2 / image.
    pub weight: f64,
    /// Whether no pixel may be negative.
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

/// What makes the settings unusable.
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

/// Where the iteration stands, for an observer.
#[derive(Debug, Clone, Copy)]
pub struct TvProgress<'a> {
    /// Iterations done, from 1.
    pub iteration: usize,
    /// 1/2 |A x - y|^2 + weight TV(x) at this iterate.
    pub objective: f64,
    /// |x - x_before| / |x|.
    pub relative_change: f64,
    /// The iterate.
    pub image: &'a [f32],
}

/// Why the iteration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TvEnd {
    /// The change fell below the tolerance.
    Converged,
    /// All iterations were done.
    IterationsDone,
    /// The observer asked to stop.
    Stopped,
}

/// How a reconstruction went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TvOutcome {
    /// Why it ended.
    pub end: TvEnd,
    /// Iterations done.
    pub iterations: usize,
    /// The objective at the image returned.
    pub objective: f64,
}

/// Minimises a least-squares misfit plus total variation.
///
/// **Equation.** min over x (x >= 0 if asked for) of 1/2 |A x - y|^2 + weight sum_pixels |(grad x)_pixel|, with grad the
/// forward differences to the right and downwards, 0 across the border, in image units per pixel. Solved by the
/// primal-dual iteration (Chambolle and Pock 2011, J. Math. Imaging Vis. 40, 120, Algorithm 1) on K = (A, grad):
///
/// ```text
/// q <- (q + s_A (A xbar - y)) / (1 + s_A)
/// g <- (g + s_g grad xbar), each pixel's vector shortened to at most `weight`
/// x <- P(x - t (A^T q + grad^T g)),     xbar = 2 x - x_before,
/// ```
///
/// with t (s_A ||A||^2 + s_g ||grad||^2) <= 1; ||A|| comes from power iteration. One forward projection and one adjoint
/// an iteration: A xbar is put together from A x, which also gives the objective.
///
/// **Memory.** All buffers are allocated in [`TvReconstructor::new`]. **Determinism.** Same bits for any number of threads.
#[derive(Debug, Clone)]
pub struct TvReconstructor {
    projector: Projector,
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
        for ((q, y), (now, before)) in self.dual_data.iter_mut().zip(sinogram).zip(projections) {
            *q = (*q + steps.data * (2.0 * now - before - y)) / (1.0 + steps.data);
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

    /// 1/2 |A x - y|^2 + weight TV(x), from the projection at hand.
    fn objective(&self, sinogram: &[f32], image: &[f32], weight: f64) -> f64 {
        let residuals = self.projection.iter().zip(sinogram).map(|(ax, y)| f64::from(ax - y));
        0.5 * residuals.map(|r| r * r).sum::<f64>() + weight * total_variation(image, self.projector.geometry().width)
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

/// A row of an image and the one below it, which is the row itself at the bottom: no difference across the border.
fn row_and_below(image: &[f32], width: usize, row: usize) -> (&[f32], &[f32]) {
    let here = &image[row * width..(row + 1) * width];
    (here, image.get((row + 1) * width..(row + 2) * width).unwrap_or(here))
}

/// The isotropic total variation of an image: sum over pixels of the length of its forward differences.
#[must_use]
pub fn total_variation(image: &[f32], width: usize) -> f64 {
    let mut sum = 0.0f64;
    for row in 0..image.len().checked_div(width).unwrap_or(0) {
        let (here, below) = row_and_below(image, width, row);
        for col in 0..width {
            let (right, down) = (here[(col + 1).min(width - 1)] - here[col], below[col] - here[col]);
            sum += f64::from(right * right + down * down).sqrt();
        }
    }
    sum
}

/// `image` += grad^T (right, down).
fn add_gradient_transposed(image: &mut [f32], right: &[f32], down: &[f32], width: usize) {
    let height = image.len() / width;
    for (row, pixels) in image.chunks_exact_mut(width).enumerate() {
        let here = row * width;
        for (col, pixel) in pixels.iter_mut().enumerate() {
            let from_left = if col > 0 { right[here + col - 1] } else { 0.0 };
            let to_right = if col + 1 < width { right[here + col] } else { 0.0 };
            let from_above = if row > 0 { down[here + col - width] } else { 0.0 };
            let to_below = if row + 1 < height { down[here + col] } else { 0.0 };
            *pixel += (from_left - to_right) + (from_above - to_below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::*;
    use super::super::{FilteredBackprojector, Geometry, Window, relative_gaussian};
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Exp, Poisson};

    fn run(g: &Geometry, sinogram: &[f32], start: f32, settings: &TvSettings) -> (Vec<f32>, TvOutcome) {
        let mut image = vec![start; g.image_len()];
        let mut tv = TvReconstructor::new(Projector::new(g.clone()).unwrap());
        let outcome = tv.reconstruct(sinogram, &mut image, settings, |_| ControlFlow::Continue(())).unwrap();
        (image, outcome)
    }

    fn project(g: &Geometry, image: &[f32]) -> Vec<f32> {
        let mut sinogram = vec![0.0; g.sinogram_len()];
        Projector::new(g.clone()).unwrap().forward_project(image, &mut sinogram).unwrap();
        sinogram
    }

    /// An image of the ELLIPSES experiment: about 20 overlapping ellipses, divided by the maximum.
    fn ellipses(n: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = Poisson::new(20.0f64).unwrap().sample(&mut random) as usize;
        let value = Exp::new(1.0 / 0.4f64).unwrap();
        let shapes: Vec<Ellipse> = (0..count.max(1))
            .map(|_| Ellipse {
                value: value.sample(&mut random),
                half_axes: (random.random_range(0.0..0.5), random.random_range(0.0..0.5)),
                centre: (random.random_range(-0.5..0.5), random.random_range(-0.5..0.5)),
                rotation_rad: random.random_range(0.0..std::f64::consts::TAU),
            })
            .collect();
        let at = |i: usize| -1.0 + 2.0 * i as f64 / (n as f64 - 1.0);
        let pixel = |i: usize| shapes.iter().filter(|e| e.contains(at(i % n), at(i / n))).map(|e| e.value).sum::<f64>();
        let image: Vec<f64> = (0..n * n).map(pixel).collect();
        let largest = image.iter().fold(0.0f64, |a, &b| a.max(b));
        image.iter().map(|v| (v / largest) as f32).collect()
    }

    #[test]
    fn gradient_and_its_transpose_belong_together() {
        for (height, width) in [(7, 5), (1, 6), (6, 1), (8, 8)] {
            let (x, right, down) = (signed(height * width, 1), signed(height * width, 2), signed(height * width, 3));
            let mut left = 0.0;
            for row in 0..height {
                let (here, below) = row_and_below(&x, width, row);
                for col in 0..width {
                    left += f64::from((here[(col + 1).min(width - 1)] - here[col]) * right[row * width + col]);
                    left += f64::from((below[col] - here[col]) * down[row * width + col]);
                }
            }
            let mut transposed = vec![0.0; x.len()];
            add_gradient_transposed(&mut transposed, &right, &down, width);
            assert!((left - dot(&x, &transposed)).abs() < 1e-5, "{height} {width}");
        }
    }

    #[test]
    fn variation_of_a_step_is_its_length() {
        let image: Vec<f32> = (0..12 * 9).map(|i| if i % 9 < 4 { 0.0 } else { 2.5 }).collect();
        assert!((total_variation(&image, 9) - 12.0 * 2.5).abs() < 1e-9);
        assert_eq!(total_variation(&[], 0), 0.0);
    }

    #[test]
    fn objective_falls_to_that_of_a_long_run() {
        let g = Geometry::covering(48, 48, 20);
        let mut sinogram = project(&g, &ellipses(48, 2));
        relative_gaussian(&mut sinogram, 0.1, 1).unwrap();
        let settings = TvSettings { weight: 2.0, tolerance: 0.0, ..TvSettings::default() };
        let (_, long) = run(&g, &sinogram, 0.0, &TvSettings { max_iterations: 6000, ..settings });
        let mut tv = TvReconstructor::new(Projector::new(g.clone()).unwrap());
        let (mut image, mut curve) = (vec![0.0; g.image_len()], Vec::new());
        tv.reconstruct(&sinogram, &mut image, &settings, |p| {
            curve.push(p.objective);
            ControlFlow::Continue(())
        })
        .unwrap();
        let excess = |i: usize| curve[i] / long.objective - 1.0;
        println!("excess over {}: {:?}", long.objective, [10, 30, 100, 200, 300, 499].map(excess));
        assert!(excess(499) < 1e-4 && excess(499) > -1e-6, "{}", excess(499));
        assert!(excess(10) > excess(100) && excess(100) > excess(499));
    }

    #[test]
    fn weight_zero_is_least_squares() {
        let g = Geometry::covering(16, 16, 40);
        let mut sinogram = project(&g, &ellipses(16, 3));
        relative_gaussian(&mut sinogram, 0.02, 1).unwrap();
        let settings = TvSettings { weight: 0.0, nonnegative: false, max_iterations: 4000, tolerance: 0.0 };
        let (image, _) = run(&g, &sinogram, 0.0, &settings);
        let residual: Vec<f32> = project(&g, &image).iter().zip(&sinogram).map(|(a, y)| a - y).collect();
        let mut normal = vec![0.0; g.image_len()];
        let mut projector = Projector::new(g).unwrap();
        projector.adjoint(&residual, &mut normal).unwrap();
        let stationarity = norm(&normal) / (projector.norm(100) * norm(&residual));
        assert!(stationarity < 1e-3, "{stationarity:e}");
    }

    #[test]
    fn a_constant_image_stays() {
        let g = Geometry::covering(32, 32, 24);
        let constant = vec![0.7f32; g.image_len()];
        let sinogram = project(&g, &constant);
        let settings = TvSettings { weight: 1.0, tolerance: 0.0, max_iterations: 1000, ..TvSettings::default() };
        let (kept, _) = run(&g, &sinogram, 0.7, &TvSettings { max_iterations: 50, ..settings });
        assert!(relative_error(&kept, &constant) < 1e-6);
        let (found, _) = run(&g, &sinogram, 0.0, &settings);
        assert!(relative_error(&found, &constant) < 1e-3, "{}", relative_error(&found, &constant));
    }

    #[test]
    fn no_pixel_is_negative_when_asked() {
        let g = Geometry::covering(24, 24, 10);
        let sinogram: Vec<f32> =
            project(&g, &ellipses(24, 1)).iter().zip(signed(g.sinogram_len(), 1)).map(|(a, n)| a + n).collect();
        let settings = TvSettings { weight: 0.01, max_iterations: 60, ..TvSettings::default() };
        assert!(run(&g, &sinogram, -1.0, &settings).0.iter().all(|&x| x >= 0.0));
        assert!(run(&g, &sinogram, 0.0, &TvSettings { nonnegative: false, ..settings }).0.iter().any(|&x| x < 0.0));
    }

    /// The ELLIPSES experiment: 128 x 128, 60 views, 10 % noise. Plain FBP reaches about 22 dB, tuned TV 10 dB more.
    #[test]
    fn ellipses_are_far_better_than_by_filtered_backprojection() {
        let g = Geometry::covering(128, 128, 60);
        let (mut tv_db, mut fbp_db) = (0.0, 0.0);
        for seed in 0..3 {
            let truth = ellipses(128, seed);
            let mut sinogram = project(&g, &truth);
            relative_gaussian(&mut sinogram, 0.1, seed).unwrap();
            let settings = TvSettings { weight: 8.0, max_iterations: 200, ..TvSettings::default() };
            tv_db += psnr(&run(&g, &sinogram, 0.0, &settings).0, &truth) / 3.0;
            let mut image = vec![0.0; g.image_len()];
            let mut fbp = FilteredBackprojector::new(g.clone(), Window::Ramp).unwrap();
            fbp.filtered_backproject(&sinogram, &mut image).unwrap();
            fbp_db += psnr(&image, &truth) / 3.0;
        }
        println!("TV {tv_db} dB, FBP {fbp_db} dB");
        assert!(tv_db > 31.0 && fbp_db > 20.0 && tv_db > fbp_db + 8.0, "{tv_db} {fbp_db}");
    }

    #[test]
    fn the_observer_sees_every_iteration_and_may_stop() {
        let g = Geometry::covering(12, 12, 8);
        let sinogram = vec![1.0; g.sinogram_len()];
        let mut tv = TvReconstructor::new(Projector::new(g.clone()).unwrap());
        let (mut image, mut seen) = (vec![0.0; g.image_len()], Vec::new());
        let outcome = tv.reconstruct(&sinogram, &mut image, &TvSettings::default(), |p| {
            seen.push((p.iteration, p.image.to_vec()));
            if p.iteration == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(outcome.unwrap().end, TvEnd::Stopped);
        assert_eq!((seen.len(), &seen[6].1), (7, &image));
    }

    #[test]
    fn converges_and_repeats_itself() {
        let g = Geometry::covering(16, 16, 12);
        let sinogram = project(&g, &ellipses(16, 5));
        let settings = TvSettings { weight: 0.5, max_iterations: 20_000, ..TvSettings::default() };
        let (first, outcome) = run(&g, &sinogram, 0.0, &settings);
        assert_eq!(outcome.end, TvEnd::Converged);
        assert_eq!(first, run(&g, &sinogram, 0.0, &settings).0);
    }

    #[test]
    fn nonsense_is_refused() {
        let g = Geometry::covering(8, 8, 3);
        let mut tv = TvReconstructor::new(Projector::new(g.clone()).unwrap());
        let (sinogram, mut image) = (vec![0.0; g.sinogram_len()], vec![0.0; 64]);
        let mut refuse = |settings: TvSettings, n: usize| {
            tv.reconstruct(&sinogram[..n], &mut image, &settings, |_| ControlFlow::Continue(())).unwrap_err()
        };
        let (n, good) = (g.sinogram_len(), TvSettings::default());
        assert_eq!(refuse(TvSettings { weight: -1.0, ..good }, n), TvError::Weight(-1.0));
        assert_eq!(refuse(TvSettings { tolerance: -2.0, ..good }, n), TvError::Tolerance(-2.0));
        assert!(matches!(refuse(good, 3), TvError::Length(ProjectionError::SinogramLength { got: 3, .. })));
    }
}
