//! Work that is estimated and measured: passes, iterations, a step of training.

use gradus::backend::cpu::TrainingBatch;
use gradus::backend::cuda::projector::CudaProjector;
use gradus::backend::cuda::vector::Lanes;
use gradus::backend::cuda::{Buffer, CudaNetwork, CudaSlices, CudaTrainingNetwork, Device, DeviceError, Launched};
use gradus::backend::{Drift, Slice};
use gradus::ct::Geometry;
use gradus::prior::Prior;
use gradus_core::{Answer, Batch, Effort, Level, Request};
use std::error::Error;
use std::rc::Rc;

pub const VIEWS: usize = 60;
/// Conjugate gradient steps of an iteration of the default method.
pub const SOLVE_STEPS: u32 = 12;
pub const TIME: f32 = 0.1;
const OBJECTIVE: Level = Level { t: 1e-3, prior_weight: 1.0 };
const SMOOTHED: Level = Level { t: TIME, prior_weight: 1.0 };

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// One image's passes: network and projector, forward and back.
pub struct Passes {
    lanes: Lanes,
    network: CudaNetwork,
    projector: CudaProjector,
    image: Buffer<f32>,
    gradient: Buffer<f32>,
    sinogram: Buffer<f32>,
}

/// Names of the passes, in their order.
pub const PASSES: [&str; 4] = ["forward", "vjp", "projection", "adjoint"];

impl Passes {
    pub fn new(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Self> {
        let geometry = Geometry::covering(side, side, VIEWS);
        Ok(Self {
            lanes: Lanes::new(device, 1)?,
            network: CudaNetwork::new(device, prior, (side, side), 1)?,
            image: Buffer::of(device, &vec![0.3; side * side])?,
            gradient: Buffer::new(device, side * side)?,
            sinogram: Buffer::new(device, geometry.sinogram_len())?,
            projector: CudaProjector::new(device, geometry, 1)?,
        })
    }

    pub fn run(&mut self, pass: &str) -> Result<(), DeviceError> {
        let (image, sinogram, gradient) = (self.image.address(), self.sinogram.address(), self.gradient.address());
        match pass {
            "forward" => self.network.forward(&self.lanes, &[(0, TIME)], image),
            "vjp" => self.network.vjp(&self.lanes, self.network.h(), gradient),
            "projection" => self.projector.forward_project(&self.lanes, image, sinogram),
            _ => self.projector.adjoint(&self.lanes, sinogram, gradient),
        }
    }

    pub fn all(&mut self) -> Result<(), DeviceError> {
        PASSES.into_iter().try_for_each(|pass| self.run(pass))
    }
}

fn slices(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<CudaSlices> {
    let geometry = Geometry::covering(side, side, VIEWS);
    let (data, start) = (vec![1.0; geometry.sinogram_len()], vec![0.3; side * side]);
    Ok(CudaSlices::new(device, geometry, prior, &[Slice { data, start, objective: OBJECTIVE }])?)
}

/// On a scan that counts photons.
fn weighted_slices(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<CudaSlices> {
    let weights = vec![1.0; Geometry::covering(side, side, VIEWS).sinogram_len()];
    Ok(slices(device, prior, side)?.with_drift(Drift::DriftFree).with_weights(&[Some(&weights)])?)
}

fn ask(slices: &mut CudaSlices, requests: &[Request]) -> Result<(), DeviceError> {
    requests.iter().try_for_each(|request| slices.answer(&[(0, *request)], &mut [Answer::Ready]))
}

/// The launches and waits of some work.
#[derive(Debug)]
pub struct Listed {
    pub launches: Vec<Launched>,
    /// Waits of the host for what it has asked for.
    pub waits: u64,
}

/// The launches of `work`, none of which is made.
pub fn listed(device: &Rc<Device>, work: impl FnOnce() -> Result<(), DeviceError>) -> Outcome<Listed> {
    let before = device.traffic().waits;
    let launches = device.listed(work)?;
    Ok(Listed { launches, waits: device.traffic().waits - before })
}

/// The same of requests that were made once before, which also takes what later ones keep.
fn listed_again(mut slices: CudaSlices, device: &Rc<Device>, requests: &[Request]) -> Outcome<Listed> {
    device.listed(|| ask(&mut slices, requests))?;
    listed(device, || ask(&mut slices, requests))
}

const GRADIENT: Request = Request::Gradient { level: SMOOTHED, new_iterate: true };
const SOLVE: Request = Request::Solve { damping: 1.0, effort: Effort::fixed(SOLVE_STEPS) };

/// The launches of an iteration of Algorithm 2 whose first trial passes, as in the middle of a run.
pub fn algorithm_2(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Listed> {
    let direction = Request::Direction { level: SMOOTHED, new_iterate: true };
    let step = [Request::Change { step: 0.1 }, Request::Update { step: 0.1 }];
    listed_again(slices(device, prior, side)?, device, &[direction, step[0], step[1]])
}

/// Likewise of a level of the approach of the default method, on a scan that counts photons.
pub fn approach(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Listed> {
    let denoise = Request::Denoise { level: SMOOTHED, variance: 0.1, turn: 1, extrapolation: 0.0 };
    let mut slices = weighted_slices(device, prior, side)?;
    listed(device, || ask(&mut slices, &[denoise, SOLVE, Request::Update { step: 1.0 }]))
}

/// Likewise of a tested iteration.
pub fn solved(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Listed> {
    let step = [Request::Change { step: 1.0 }, Request::Update { step: 1.0 }];
    listed_again(weighted_slices(device, prior, side)?, device, &[GRADIENT, SOLVE, Request::Products, step[0], step[1]])
}

/// A step of training by the loss of score matching, for some images of `side` x `side` pixels.
pub struct Training {
    network: CudaTrainingNetwork,
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    images: Vec<f32>,
    n_images: usize,
}

impl Training {
    pub fn new(device: &Rc<Device>, prior: &Prior, side: usize, n_images: usize) -> Outcome<Self> {
        let weights = prior.weights();
        let network = CudaTrainingNetwork::new(device, weights.description(), side, side, n_images)?;
        let parameters = weights.parameters();
        let gradient = vec![0.0; parameters.len()];
        let images = (0..n_images * side * side).map(|i| (i % 97) as f32 / 97.0).collect();
        Ok(Self { network, parameters, gradient, images, n_images })
    }

    pub fn step(&mut self) -> Result<(), DeviceError> {
        let (t, weights) = (vec![TIME; self.n_images], vec![1.0; self.n_images]);
        let batch = TrainingBatch { x_t: &self.images, z: &self.images, t: &t, weights: &weights };
        self.network.score_matching_loss(&self.parameters, batch, &mut self.gradient).map(|_| ())
    }
}
