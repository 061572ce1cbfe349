//! Checks of the CUDA backend on a device of this machine.

use super::check::{Check, DoctorError, SIDE, TIME, geometry, gradient_of, noise, pair, slice, transposes};
use crate::backend::cpu::Network;
use crate::backend::cuda::projector::CudaProjector;
use crate::backend::cuda::vector::Lanes;
use crate::backend::cuda::{Buffer, CudaNetwork, CudaNetworkError, CudaSlices, Device, SlicesError};
use crate::prior::Prior;
use crate::vector::distance;
use std::rc::Rc;

/// All checks; a device that passes them computes what the CPU does.
///
/// # Errors
/// When a check cannot be made.
pub fn checks(device: &Rc<Device>, prior: &Prior) -> Result<[Check; 3], DoctorError> {
    Ok([adjointness(device)?, agreement(device, prior)?, gradient(device, prior)?])
}

/// The reason not to trust a device: a check that it does not pass.
#[must_use]
pub fn distrust(device: &Rc<Device>, prior: &Prior) -> Option<String> {
    match checks(device, prior) {
        Ok(checks) => {
            checks.iter().find(|check| !check.passed()).map(|check| format!("fails a check ({})", check.what))
        }
        Err(error) => Some(format!("cannot be checked ({error})")),
    }
}

fn adjointness(device: &Rc<Device>) -> Result<Check, SlicesError> {
    let (x, y) = pair();
    let (projector, lanes) = (CudaProjector::new(device, geometry(), 1)?, Lanes::new(device, 1)?);
    let (x_there, y_there) = (Buffer::of(device, &x)?, Buffer::of(device, &y)?);
    let (projected, smeared) = (Buffer::new(device, y.len())?, Buffer::new(device, x.len())?);
    projector.forward_project(&lanes, x_there.address(), projected.address())?;
    projector.adjoint(&lanes, y_there.address(), smeared.address())?;
    Ok(transposes("CUDA: projector and adjoint are transposes", &projected.to_vec()?, &smeared.to_vec()?))
}

/// Rows and columns of two images: more pixels and channels than one block of any kernel takes, and none of its
/// multiples.
const LARGER: (usize, usize) = (96, 80);

/// Distance of h and J_h^T h from the CPU's, relative to them: the largest of one small image and of two larger ones.
fn agreement(device: &Rc<Device>, prior: &Prior) -> Result<Check, SlicesError> {
    let distances = [distances(device, prior, (SIDE, SIDE), 1)?, distances(device, prior, LARGER, 2)?].concat();
    // Not `f64::max`, which would pass over NaN.
    let found = distances.into_iter().reduce(|a, b| if a > b { a } else { b }).unwrap_or(f64::NAN);
    Ok(Check { what: "CUDA: energy and score are those of the CPU", found, bound: 1e-4 })
}

/// Of h and J_h^T h of each of `n` images.
fn distances(device: &Rc<Device>, prior: &Prior, size: (usize, usize), n: usize) -> Result<Vec<f64>, SlicesError> {
    let len = size.0 * size.1;
    let x = noise(n * len, 5);
    let (mut lanes, images) = (Lanes::new(device, n)?, Buffer::of(device, &x)?);
    lanes.set(&(0..n).collect::<Vec<_>>())?;
    let levels: Vec<(usize, f32)> = (0..n).map(|lane| (lane, TIME * (1 + lane) as f32)).collect();
    let score = Buffer::new(device, x.len())?;
    let mut there = CudaNetwork::new(device, prior, size, n)?;
    there.forward(&lanes, &levels, images.address())?;
    there.vjp(&lanes, there.h(), score.address())?;
    let (h, score) = (there.h_buffer().to_vec()?, score.to_vec()?);
    let mut here = Network::new(prior, size.0, size.1, 1).map_err(CudaNetworkError::from)?;
    let mut found = Vec::new();
    for (lane, t) in levels {
        let part = lane * len..(lane + 1) * len;
        here.forward(0..1, &x[part.clone()], &[t]);
        let (wanted, mut wanted_score) = (here.h(0).to_vec(), vec![0.0; len]);
        here.vjp(0..1, &wanted, &mut wanted_score);
        found.extend([distance(&h[part.clone()], &wanted), distance(&score[part], &wanted_score)]);
    }
    Ok(found)
}

fn gradient(device: &Rc<Device>, prior: &Prior) -> Result<Check, DoctorError> {
    let mut slices = CudaSlices::new(device, geometry(), prior, &[slice()])?;
    let what = "CUDA: changes of the objective agree with its gradient";
    Ok(gradient_of(what, &mut slices).map_err(SlicesError::from)?)
}
