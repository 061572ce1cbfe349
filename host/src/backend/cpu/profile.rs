//! The time of a pass, layer by layer.

use super::execute::Execution;
use super::flop::Flop;
use super::network::Network;
use crate::unet::operation::Operation;
use std::time::Instant;

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
        let (program, engine) = (&model.program, model.engine.shared_by(1));
        let mut pass = Execution { model, engine: &engine, lane, image: x, out: &mut vec![0.0; x.len()] };
        let mut time = |operations: &[Operation]| {
            let start = Instant::now();
            pass.run(operations);
            start.elapsed().as_secs_f64()
        };
        rayon::scope(|_| {
            let forward_s: Vec<f64> =
                program.stages.iter().map(|stage| time(&program.forward[stage.forward.clone()])).collect();
            let mut times = Vec::new();
            for (stage, forward_s) in program.stages.iter().zip(forward_s).rev() {
                let (forward, vjp) = (&program.forward[stage.forward.clone()], &program.vjp[stage.vjp.clone()]);
                times.push(LayerTime {
                    name: stage.name.clone(),
                    forward_s,
                    vjp_s: time(vjp),
                    forward_flop: model.flop(forward),
                    vjp_flop: model.flop(vjp),
                });
            }
            times.reverse();
            times
        })
    }
}
