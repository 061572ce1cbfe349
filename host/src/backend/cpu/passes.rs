//! The network of several slices: which of its lanes a pass goes through.

use super::network::Network;
use crate::backend::{Drift, Mirror};

/// A network with two lanes for each of n slices, lane s for the objective and lane n + s for the level of the
/// direction, and the images, levels and products of its lanes.
///
/// Passes are asked for lane by lane and made together. The lanes that are asked for go through in as few calls as they
/// have gaps between them: each is computed the same way in any company.
pub(super) struct Passes {
    network: Network,
    drift: Drift,
    /// Pixels of an image.
    n: usize,
    images: Vec<f32>,
    levels: Vec<f32>,
    covectors: Vec<f32>,
    products: Vec<f32>,
    forwards: Vec<usize>,
    vjps: Vec<usize>,
    /// Forward passes and products made so far.
    made: Vec<[u64; 2]>,
}

impl Passes {
    /// The passes of a network for images taken as diffused.
    pub(super) fn new(network: Network) -> Self {
        let (lanes, n) = (network.n_lanes(), network.image_len());
        let images = || vec![0.0; lanes * n];
        Self {
            drift: Drift::Diffused,
            n,
            images: images(),
            levels: vec![0.0; lanes],
            covectors: images(),
            products: images(),
            forwards: Vec::with_capacity(lanes),
            vjps: Vec::with_capacity(lanes),
            made: vec![[0; 2]; lanes],
            network,
        }
    }

    /// Another drift from now on.
    pub(super) fn set_drift(&mut self, drift: Drift) {
        self.drift = drift;
    }

    /// The factor on an image on its way into the network.
    fn input_scale(&self, t: f32) -> f32 {
        match self.drift {
            Drift::Diffused => 1.0,
            Drift::DriftFree => self.network.perturbation_kernel().at(t.into()).mean_scale as f32,
        }
    }

    /// Asks for a forward pass of `x + step d` at the level `t`.
    pub(super) fn ask_trial(&mut self, lane: usize, t: f32, x: &[f32], step: f32, d: &[f32]) {
        let (scale, image) = (self.input_scale(t), self.ask_forward(lane, t));
        image.iter_mut().zip(x.iter().zip(d)).for_each(|(image, (x, d))| *image = (x + step * d) * scale);
    }

    /// Asks for a forward pass of `x` in a mirror, for images of `width` columns.
    pub(super) fn ask_mirrored(&mut self, lane: usize, t: f32, x: &[f32], mirror: Mirror, width: usize) {
        let scale = self.input_scale(t);
        mirror.apply(scale, x, width, self.ask_forward(lane, t));
    }

    /// Asks for a forward pass of `x`.
    pub(super) fn ask(&mut self, lane: usize, t: f32, x: &[f32]) {
        let scale = self.input_scale(t);
        self.ask_forward(lane, t).iter_mut().zip(x).for_each(|(image, x)| *image = scale * x);
    }

    fn ask_forward(&mut self, lane: usize, t: f32) -> &mut [f32] {
        self.levels[lane] = t;
        self.forwards.push(lane);
        self.made[lane][0] += 1;
        &mut self.images[lane * self.n..][..self.n]
    }

    /// Asks for the gradient of `1/2 |h|^2` at the image of the lane's last forward pass.
    pub(super) fn ask_gradient(&mut self, lane: usize) {
        self.vjps.push(lane);
        self.made[lane][1] += 1;
    }

    /// Makes all passes that were asked for, forward passes first.
    pub(super) fn run(&mut self) {
        self.forward();
        self.vjp();
    }

    fn forward(&mut self) {
        let Self { network, n, images, levels, forwards, .. } = self;
        forwards.sort_unstable();
        for run in forwards.chunk_by(|a, b| a + 1 == *b) {
            let lanes = run[0]..run[0] + run.len();
            network.forward(lanes.clone(), &images[lanes.start * *n..lanes.end * *n], &levels[lanes]);
        }
        forwards.clear();
    }

    fn vjp(&mut self) {
        let mut lanes = std::mem::take(&mut self.vjps);
        lanes.sort_unstable();
        for run in lanes.chunk_by(|a, b| a + 1 == *b) {
            let values = run[0] * self.n..(run[0] + run.len()) * self.n;
            for &lane in run {
                self.covectors[lane * self.n..][..self.n].copy_from_slice(self.network.h(lane));
            }
            let (covectors, products) = (&self.covectors[values.clone()], &mut self.products[values]);
            self.network.vjp(run[0]..run[0] + run.len(), covectors, products);
            self.scale_products(run);
        }
        lanes.clear();
        self.vjps = lanes;
    }

    /// The gradients are those by x, not by what the network sees of it.
    fn scale_products(&mut self, lanes: &[usize]) {
        for &lane in lanes {
            let scale = self.input_scale(self.levels[lane]);
            self.products[lane * self.n..][..self.n].iter_mut().for_each(|product| *product *= scale);
        }
    }

    /// Forward passes and products that a lane has made.
    pub(super) fn made(&self, lane: usize) -> [u64; 2] {
        self.made[lane]
    }

    /// `h` of the lane's last forward pass.
    pub(super) fn h(&self, lane: usize) -> &[f32] {
        self.network.h(lane)
    }

    /// `grad 1/2 |h|^2` of the lane, as computed last.
    pub(super) fn gradient(&self, lane: usize) -> &[f32] {
        &self.products[lane * self.n..][..self.n]
    }
}
