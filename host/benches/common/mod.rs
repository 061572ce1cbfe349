//! Parts that benchmarks and timing examples share: the embedded prior, an image's scan, the work that is timed.
#![allow(dead_code, missing_docs, unreachable_pub)] // every target uses its part of this

use gradus::backend::Counters;
use gradus::backend::cpu::{Network, TrainingBatch, TrainingNetwork};
use gradus::ct::{Detector, Fan, Geometry, Projector};
use gradus::data::ellipses::ellipses;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, Method, PlacedPrior, reconstruct};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;
use std::time::Instant;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub const N_ANGLES: usize = 60;

pub fn prior() -> Outcome<Prior> {
    Ok(Prior::named("ellipses")?)
}

/// Passes of the network over a batch of images.
pub struct Passes {
    network: Network,
    x: Vec<f32>,
    t: Vec<f32>,
    h: Vec<f32>,
    gradient: Vec<f32>,
}

impl Passes {
    /// Scratch memory is for the threads of the current pool.
    pub fn new(size: usize, batch: usize) -> Outcome<Self> {
        let n = size * size;
        let x: Vec<f32> = (0..batch * n).map(|i| ((i * 37 % 101) as f32) / 101.0).collect();
        let network = Network::new(&prior()?, size, size, batch)?;
        let mut passes = Self { network, h: x.clone(), gradient: x.clone(), t: vec![0.3; batch], x };
        passes.score();
        Ok(passes)
    }

    /// The energies of the batch, added up.
    pub fn energy(&mut self) -> f64 {
        let batch = self.t.len();
        self.network.forward(0..batch, &self.x, &self.t);
        (0..batch).map(|lane| self.network.energy(lane)).sum()
    }

    /// J_h^T h of the last [`Passes::energy`].
    pub fn vjp(&mut self) -> &[f32] {
        let batch = self.t.len();
        for (lane, h) in self.h.chunks_exact_mut(self.network.image_len()).enumerate() {
            h.copy_from_slice(self.network.h(lane));
        }
        self.network.vjp(0..batch, &self.h, &mut self.gradient);
        &self.gradient
    }

    /// Minus the score: a forward pass and a vjp.
    pub fn score(&mut self) -> &[f32] {
        self.energy();
        self.vjp()
    }
}

/// Losses of the prior's network on a batch of images, with their gradients.
pub struct Training {
    network: TrainingNetwork,
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    x: Vec<f32>,
    z: Vec<f32>,
    t: Vec<f32>,
    weights: Vec<f32>,
}

impl Training {
    /// Scratch memory is for the threads of the current pool.
    pub fn new(size: usize, batch: usize) -> Outcome<Self> {
        let prior = prior()?;
        let weights = prior.weights();
        let network = TrainingNetwork::new(weights.description(), size, size, batch)?;
        let parameters = weights.parameters();
        let wave = |period: usize, scale: f32, shift: f32| {
            (0..batch * size * size).map(|i| (i * 37 % period) as f32 * scale - shift).collect()
        };
        let gradient = vec![0.0; parameters.len()];
        let (x, z) = (wave(101, 0.01, 0.0), wave(103, 0.02, 1.0));
        Ok(Self { network, parameters, gradient, x, z, t: vec![0.3; batch], weights: vec![1.0; batch] })
    }

    pub fn score_matching(&mut self) -> f64 {
        let Self { network, parameters, gradient, x, z, t, weights } = self;
        network.score_matching_loss(parameters, TrainingBatch { x_t: x, z, t, weights }, gradient)
    }

    pub fn denoising(&mut self) -> f64 {
        let Self { network, parameters, gradient, x, z, t, weights } = self;
        network.denoising_loss(parameters, TrainingBatch { x_t: x, z, t, weights }, gradient)
    }
}

/// Projections of one image.
pub struct Projections {
    projector: Projector,
    image: Vec<f32>,
    sinogram: Vec<f32>,
}

impl Projections {
    /// By a parallel beam, 60 views.
    pub fn new(size: usize) -> Outcome<Self> {
        Self::of(Geometry::covering(size, size, N_ANGLES))
    }

    /// By a fan with a flat detector, over a whole turn; the source is 5.4 sides of the image from the axis, and 7.3
    /// from the detector.
    pub fn fan(size: usize, views: usize) -> Outcome<Self> {
        let side = size as f64;
        let (source_to_axis_mm, source_to_detector_mm) = (5.4 * side, 7.3 * side);
        let fan = Fan { detector: Detector::Flat, source_to_axis_mm, source_to_detector_mm };
        Self::of(Geometry::covering_by_fan(size, size, views, fan))
    }

    fn of(geometry: Geometry) -> Outcome<Self> {
        let (size, projector) = (geometry.width, Projector::new(geometry)?);
        let sinogram = vec![0.0; projector.geometry().sinogram_len()];
        let mut projections = Self { projector, image: ellipses(1, size).pixels, sinogram };
        projections.forward_project()?;
        Ok(projections)
    }

    pub fn forward_project(&mut self) -> Outcome<&[f32]> {
        self.projector.forward_project(&self.image, &mut self.sinogram)?;
        Ok(&self.sinogram)
    }

    pub fn adjoint(&mut self) -> Outcome<&[f32]> {
        self.projector.adjoint(&self.sinogram, &mut self.image)?;
        Ok(&self.image)
    }
}

/// The scan of an image of ellipses under the default noise, in network units.
pub fn measurement(size: usize) -> Outcome<Measurement> {
    Ok(Measurement::new(&simulate(&ellipses(1, size), 1.0, &Simulation::default())?)?)
}

/// One run of Algorithm 2.
pub struct Run {
    /// Mean over the iterations after the first.
    pub seconds_per_iteration: f64,
    pub iterations: u64,
    /// Of all iterations.
    pub counters: Counters,
    /// `f` at the end.
    pub objective: f64,
}

/// The first `iterations` iterations of Algorithm 2 with the default settings, whose schedule has 300 levels.
pub fn algorithm_2(measurement: &Measurement, iterations: u64) -> Outcome<Run> {
    let (mut first, mut last) = (None, Instant::now());
    let named = prior()?;
    let prior = PlacedPrior::on_cpu(&named);
    let outcome = reconstruct(measurement, &Method::GradientLike.into(), Some(&prior), &mut |progress| {
        last = Instant::now();
        first.get_or_insert(last);
        if progress.done < iterations { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let seconds = last.duration_since(first.ok_or("no iteration was made")?).as_secs_f64();
    Ok(Run {
        seconds_per_iteration: seconds / (outcome.iterations - 1).max(1) as f64,
        iterations: outcome.iterations,
        counters: outcome.counters,
        objective: outcome.objective.unwrap_or(f64::NAN),
    })
}

/// Smallest and median time of `runs` calls, in seconds, after one that is not counted.
pub fn time<R>(runs: usize, mut work: impl FnMut() -> R) -> (f64, f64) {
    std::hint::black_box(work());
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(work());
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[runs / 2])
}

/// A pool of `threads` threads.
pub fn pool(threads: usize) -> Outcome<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
}
