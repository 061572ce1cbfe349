//! Checks of the CPU backend.

use super::check::{
    Check, DoctorError, SIDE, TIME, fan_geometry, geometry, gradient_of, noise, pair, slice, transposes,
};
use crate::backend::cpu::{CpuSlices, Network};
use crate::ct::{Geometry, Projector};
use crate::prior::Prior;

/// All checks.
///
/// # Errors
/// When a check cannot be made.
pub fn checks(prior: &Prior) -> Result<[Check; 4], DoctorError> {
    Ok([
        adjointness("projector and adjoint are transposes", geometry())?,
        adjointness("those of a fan are too", fan_geometry())?,
        gradient(prior)?,
        same_bits(prior)?,
    ])
}

fn adjointness(what: &'static str, geometry: Geometry) -> Result<Check, DoctorError> {
    let (mut projector, (x, y)) = (Projector::new(geometry)?, pair());
    let (mut projected, mut smeared) = (vec![0.0; y.len()], vec![0.0; x.len()]);
    projector.forward_project(&x, &mut projected)?;
    projector.adjoint(&y, &mut smeared)?;
    Ok(transposes(what, &projected, &smeared))
}

fn gradient(prior: &Prior) -> Result<Check, DoctorError> {
    let mut slices = CpuSlices::new(geometry(), prior, vec![slice()])?;
    Ok(gradient_of("changes of the objective agree with its gradient", &mut slices)?)
}

/// Number of values of energy, score and projections that differ between one thread and three.
fn same_bits(prior: &Prior) -> Result<Check, DoctorError> {
    let compute = |threads: usize| -> Result<Vec<f32>, DoctorError> {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| {
            let mut network = Network::new(prior, SIDE, SIDE, 1)?;
            let x = noise(SIDE * SIDE, 5);
            network.forward(0..1, &x, &[TIME]);
            let mut values = network.h(0).to_vec();
            let mut score = vec![0.0; x.len()];
            network.vjp(0..1, &values, &mut score);
            let mut projector = Projector::new(geometry())?;
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
