//! Checks as numbers, and the two that every backend has.

use crate::backend::Slice;
use crate::backend::cpu::{self, NetworkError};
use crate::backend::cuda;
use crate::ct::{Detector, Fan, Geometry, GeometryError, ProjectionError};
use crate::vector::dot;
use gradus_core::{Answer, Batch, Level, Request};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

/// A number that must not exceed a bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The subject of the check.
    pub what: &'static str,
    /// The number found.
    pub found: f64,
    /// The most it may be.
    pub bound: f64,
}

impl Check {
    /// True if the number is within its bound.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.found <= self.bound
    }
}

/// Reasons why a check could not be made.
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
    /// The CPU could not compute.
    #[error(transparent)]
    Cpu(#[from] cpu::SlicesError),
    /// The device could not compute.
    #[error(transparent)]
    Cuda(#[from] cuda::SlicesError),
    /// Threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Sides of the images of all checks.
pub(super) const SIDE: usize = 48;
/// Their smoothing level.
pub(super) const TIME: f32 = 0.05;

pub(super) fn noise(len: usize, seed: u64) -> Vec<f32> {
    StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed)).take(len).collect()
}

/// The geometry of all checks, with a detector that is off the axis.
pub(super) fn geometry() -> Geometry {
    Geometry { detector_offset_mm: 1.3, ..Geometry::covering(SIDE, SIDE, 17) }
}

/// The same views and bins of a fan, three quarters of a turn.
pub(super) fn fan_geometry() -> Geometry {
    let (side, bins) = (SIDE as f64, geometry().n_bins as f64);
    let fan = Fan { detector: Detector::Flat, source_to_axis_mm: 2.0 * side, source_to_detector_mm: 3.0 * side };
    let covering = Geometry::covering_by_fan(SIDE, SIDE, 17, fan);
    let angles_rad = covering.angles_rad.iter().map(|angle| 0.75 * angle).collect();
    Geometry { angles_rad, detector_offset_mm: 2.0 * side / bins, ..covering }
}

/// A random image and a random sinogram of either beam, both signed, for [`transposes`].
pub(super) fn pair() -> (Vec<f32>, Vec<f32>) {
    let geometry = geometry();
    (noise(geometry.image_len(), 1), noise(geometry.sinogram_len(), 2))
}

/// `|<A x, y> - <x, A^T y>| / (|A x| |y|)` for [`pair`], by what a backend makes of it.
pub(super) fn transposes(what: &'static str, projected: &[f32], smeared: &[f32]) -> Check {
    let (x, y) = pair();
    let scale = (dot(projected, projected) * dot(&y, &y)).sqrt();
    let found = (dot(projected, &y) - dot(&x, smeared)).abs() / scale;
    Check { what, found, bound: 1e-6 }
}

/// The member of the homotopy that [`gradient_of`] takes for `f`.
const OBJECTIVE: Level = Level { t: TIME, prior_weight: 1.0 };

/// A random slice for [`gradient_of`].
pub(super) fn slice() -> Slice {
    let (start, data) = (noise(SIDE * SIDE, 3), noise(geometry().sinogram_len(), 4));
    Slice { data, start, objective: OBJECTIVE }
}

/// `|1 - (f(x + l d) - f(x)) / (l <grad f, d>)|` for `d = -t grad f` and a short `l`, of [`slice`] alone in a batch:
/// gradient, score, energy and projections agree.
pub(super) fn gradient_of<B: Batch>(what: &'static str, slices: &mut B) -> Result<Check, B::Error> {
    let mut ask = |request| -> Result<Answer, B::Error> {
        let mut answers = [Answer::Ready];
        slices.answer(&[(0, request)], &mut answers)?;
        Ok(answers[0])
    };
    let Answer::Direction(direction) = ask(Request::Direction { level: OBJECTIVE, new_iterate: true })? else {
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
