//! Checks of a backend on the machine at hand, small enough for every start.

pub mod cuda;

use crate::backend::Slice;
use crate::backend::cpu::{CpuSlices, Network, NetworkError};
use crate::backend::cuda::SlicesError;
use crate::ct::{GeometryError, ParallelBeam, ProjectionError, Projector};
use crate::unet::Weights;
use gradus_core::{Answer, Batch, Level, Request};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

/// A number that must not exceed a bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is checked.
    pub what: &'static str,
    /// The number found.
    pub found: f64,
    /// The most it may be.
    pub bound: f64,
}

impl Check {
    /// Whether the number is within its bound.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.found <= self.bound
    }
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The projector could not be built.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The projector could not be applied.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The network could not be built.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The device could not compute.
    #[error(transparent)]
    Cuda(#[from] SlicesError),
    /// Threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

const SIDE: usize = 48;
const TIME: f32 = 0.05;

fn noise(len: usize, seed: u64) -> Vec<f32> {
    StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed)).take(len).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn projector() -> Result<Projector, GeometryError> {
    Projector::new(ParallelBeam { detector_offset_mm: 1.3, ..ParallelBeam::covering(SIDE, SIDE, 17) })
}

/// `|<A x, y> - <x, A^T y>| / (|A x| |y|)` for random signed `x`, `y`.
///
/// # Errors
/// When the check cannot be made.
pub fn adjointness() -> Result<Check, DoctorError> {
    let mut projector = projector()?;
    let x = noise(projector.geometry().image_len(), 1);
    let y = noise(projector.geometry().sinogram_len(), 2);
    let (mut projected, mut smeared) = (vec![0.0; y.len()], vec![0.0; x.len()]);
    projector.forward_project(&x, &mut projected)?;
    projector.adjoint(&y, &mut smeared)?;
    let scale = (dot(&projected, &projected) * dot(&y, &y)).sqrt();
    let found = (dot(&projected, &y) - dot(&x, &smeared)).abs() / scale;
    Ok(Check { what: "projector and adjoint are transposes", found, bound: 1e-6 })
}

/// `|1 - (f(x + l d) - f(x)) / (l <grad f, d>)|` for `d = -t grad f` and a short `l`: gradient, score, energy and
/// projections agree.
///
/// # Errors
/// When the check cannot be made.
pub fn gradient(prior: &Weights) -> Result<Check, DoctorError> {
    let projector = projector()?;
    let network = Network::new(prior, SIDE, SIDE, CpuSlices::LANES)?;
    let (start, data) = (noise(SIDE * SIDE, 3), noise(projector.geometry().sinogram_len(), 4));
    let objective = Level { t: TIME, prior_weight: 1.0 };
    let mut slices = CpuSlices::new(projector, network, vec![Slice { data, start, objective }])?;
    Ok(gradient_of("changes of the objective agree with its gradient", &mut slices, objective)?)
}

/// The check of the only slice of a batch.
fn gradient_of<B: Batch>(what: &'static str, slices: &mut B, objective: Level) -> Result<Check, B::Error> {
    let mut ask = |request| -> Result<Answer, B::Error> {
        let mut answers = [Answer::Ready];
        slices.answer(&[(0, request)], &mut answers)?;
        Ok(answers[0])
    };
    let Answer::Direction(direction) = ask(Request::Direction { level: objective, new_iterate: true })? else {
        return Ok(Check { what, found: f64::NAN, bound: 0.0 });
    };
    // Two lengths: the part of the quotient that is linear in l, the curvature, is extrapolated away.
    let step = 1e-3 / direction.direction_norm_sq.sqrt();
    let mut quotient = |step: f32| -> Result<f64, B::Error> {
        let change = if let Answer::Change(change) = ask(Request::Change { step })? { change } else { f32::NAN };
        Ok(f64::from(change) / (f64::from(step) * f64::from(direction.slope)))
    };
    let (short, long) = (quotient(step)?, quotient(2.0 * step)?);
    Ok(Check { what, found: (2.0 * short - long - 1.0).abs(), bound: 1e-3 })
}

/// Number of values of energy, score and projections that differ between one thread and three.
///
/// # Errors
/// When the check cannot be made.
pub fn same_bits(prior: &Weights) -> Result<Check, DoctorError> {
    let compute = |threads: usize| -> Result<Vec<f32>, DoctorError> {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| {
            let mut network = Network::new(prior, SIDE, SIDE, 1)?;
            let x = noise(SIDE * SIDE, 5);
            network.forward(0..1, &x, &[TIME]);
            let mut values = network.h(0).to_vec();
            let mut score = vec![0.0; x.len()];
            network.vjp(0..1, &values, &mut score);
            let mut projector = projector()?;
            let (mut projected, mut smeared) = (vec![0.0; projector.geometry().sinogram_len()], vec![0.0; x.len()]);
            projector.forward_project(&x, &mut projected)?;
            projector.adjoint(&projected, &mut smeared)?;
            values.extend(score.iter().chain(&projected).chain(&smeared));
            Ok(values)
        })
    };
    let (one, three) = (compute(1)?, compute(3)?);
    let found = one.iter().zip(&three).filter(|(a, b)| a.to_bits() != b.to_bits()).count() as f64;
    Ok(Check { what: "values that depend on the number of threads", found, bound: 0.0 })
}
