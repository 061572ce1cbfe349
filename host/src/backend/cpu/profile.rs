//! Where the time of a pass goes, layer by layer.

use super::network::Network;
use std::iter::Sum;
use std::ops::Add;
use std::time::Instant;

/// Floating-point operations of convolutions and matrix products; a product and its addition are two.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flop {
    /// As executed.
    pub done: f64,
    /// Of the definition, in which every value of a kernel meets every pixel: the usual count, up to 2.25 times what is
    /// executed here.
    pub direct: f64,
}

impl Flop {
    /// The same number by both counts.
    pub(crate) fn plain(flop: f64) -> Self {
        Self { done: flop, direct: flop }
    }
}

impl Add for Flop {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { done: self.done + other.done, direct: self.direct + other.direct }
    }
}

impl Sum for Flop {
    fn sum<I: Iterator<Item = Self>>(flops: I) -> Self {
        flops.fold(Self::default(), Add::add)
    }
}

/// One layer of one pass of each kind.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTime {
    /// Prefix of the layer's tensors in the state dict.
    pub name: String,
    /// Time of the forward pass, in seconds.
    pub forward_s: f64,
    /// Time of the vjp, in seconds.
    pub vjp_s: f64,
    /// Work of the forward pass.
    pub forward_flop: Flop,
    /// Work of the vjp.
    pub vjp_flop: Flop,
}

impl Network {
    /// Times every layer of a forward pass and a vjp of lane 0, where `x`, `t` and `v` are as in [`Network::forward`]
    /// and [`Network::vjp`].
    ///
    /// # Panics
    /// When there is no lane, or `x` or `v` is not one image.
    pub fn profile(&mut self, x: &[f32], t: f32, v: &[f32]) -> Vec<LayerTime> {
        self.forward(0..1, x, &[t]);
        self.vjp(0..1, v, &mut vec![0.0; x.len()]);
        let (model, lane) = self.parts();
        let engine = model.engine().shared_by(1);
        let mut times = Vec::new();
        rayon::scope(|_| {
            for (operation, step) in model.operations() {
                let start = Instant::now();
                operation.forward(&engine, step, lane);
                let (forward_flop, vjp_flop) = operation.flop(step, lane);
                let forward_s = start.elapsed().as_secs_f64();
                times.push(LayerTime { name: step.layer.name.clone(), forward_s, vjp_s: 0.0, forward_flop, vjp_flop });
            }
            for ((operation, step), time) in model.operations().zip(&mut times).rev() {
                let start = Instant::now();
                operation.vjp(&engine, step, lane);
                time.vjp_s = start.elapsed().as_secs_f64();
            }
        });
        times
    }
}
