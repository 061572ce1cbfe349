//! The energy network on the CPU: h(x, t), the energy 1/2 |h|^2, and J_h^T v.

use super::aligned::Aligned;
use super::blocked::Blocked;
use super::engine::Engine;
use super::layer::linear::Linear;
use super::layer::pixel_shuffle::{shuffle, unshuffle};
use super::layer::time_embedding::TimeEmbedding;
use super::step::{Activation, Compiler, Lane, NormState, Operation};
use crate::unet::layers::LayerKind;
use crate::unet::plan::{ActivationShape, Plan, PlanError, Step};
use crate::unet::{EnergyScales, Parametrisation, PerturbationKernelSpec, Weights};
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// Why a network cannot be made.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The image's size does not fit the network, or the description is not a network.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A network for images of one size, with buffers for a number of them ("lanes").
///
/// All memory is taken at construction: [`Network::forward`] and [`Network::vjp`] allocate nothing. Each lane keeps
/// the activations of its last forward pass until its next one, so a vjp may follow later and serve several lanes whose
/// forward passes happened in different calls. Results are the same bits for any number of threads and any grouping
/// of lanes. Work runs in the rayon pool of the calling thread, or in the global one.
///
/// Images are `[channel][row][col]` in network units, one after the other where there are several.
///
/// ```
/// use gradus::backend::cpu::Network;
/// use gradus::unet::Weights;
///
/// let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/ellipses.safetensors"))?;
/// let mut network = Network::new(&Weights::from_bytes(&bytes)?, 32, 32, 1)?;
/// network.forward(0..1, &[0.2; 32 * 32], &[0.1]);
/// let h = network.h(0).to_vec();
/// let mut gradient = vec![0.0; 32 * 32];
/// network.vjp(0..1, &h, &mut gradient); // of the energy; the score is minus this
/// assert!(network.energy(0) > 0.0 && gradient.iter().all(|g| g.is_finite()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Network {
    model: Arc<Model>,
    lanes: Vec<Lane>,
}

/// What the lanes share and no pass changes.
#[derive(Debug)]
pub(super) struct Model {
    plan: Plan,
    operations: Vec<Operation>,
    time_embedding: TimeEmbedding,
    engine: Engine,
    /// Layout of the network's input and output.
    ends: Blocked,
    pixel_unshuffle: usize,
    perturbation_kernel: PerturbationKernelSpec,
    parametrisation: Parametrisation,
    image_len: usize,
}

impl Network {
    /// Packs `weights` for images of `height` x `width` pixels, with buffers for `lanes` images.
    ///
    /// Scratch memory is for the threads of the current rayon pool; a larger pool works, but waits.
    ///
    /// # Errors
    /// `Plan`, when the sides are not multiples of what the architecture needs.
    pub fn new(weights: &Weights, height: usize, width: usize, lanes: usize) -> Result<Self, NetworkError> {
        Self::with_arch(weights, height, width, lanes, Arch::new())
    }

    /// [`Network::new`] without SIMD, for comparison and for hunting faults.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn portable(weights: &Weights, height: usize, width: usize, lanes: usize) -> Result<Self, NetworkError> {
        Self::with_arch(weights, height, width, lanes, Arch::Scalar)
    }

    fn with_arch(
        weights: &Weights,
        height: usize,
        width: usize,
        n_lanes: usize,
        arch: Arch,
    ) -> Result<Self, NetworkError> {
        let architecture = weights.architecture();
        let plan = Plan::new(architecture, height, width)?;
        let layouts = layouts(&plan, &plan.tensors);
        let mut compiler = Compiler::new(&plan, &layouts, weights);
        let operations = compiler.compile();
        let (norms, attentions, sums_len) = (compiler.norms.clone(), compiler.attentions.clone(), compiler.sums_len);
        let engine = Engine::new(arch, compiler.scratch_len);
        let time_embedding = time_embedding(&plan, weights);
        let image_len = architecture.in_channels * height * width;
        let lane = || Lane {
            activations: layouts.iter().copied().map(Activation::new).collect(),
            gradients: plan.slots.iter().map(|&length| Aligned::zeros(length)).collect(),
            norms: norms.iter().copied().map(NormState::new).collect(),
            sums: vec![[0.0; 2]; sums_len],
            embedded: time_embedding.buffers(),
            log_sums: attentions.iter().map(|&length| vec![0.0; length]).collect(),
            products: vec![0.0; attentions.iter().copied().max().unwrap_or(0)],
            scales: EnergyScales { input_scale: 0.0, input_shift: 0.0, skip: 0.0, output: 0.0 },
            h: vec![0.0; image_len],
        };
        let lanes = (0..n_lanes).map(|_| lane()).collect();
        let model = Model {
            operations,
            time_embedding,
            engine,
            ends: layouts[0],
            pixel_unshuffle: architecture.pixel_unshuffle,
            perturbation_kernel: *weights.perturbation_kernel(),
            parametrisation: *weights.parametrisation(),
            image_len,
            plan,
        };
        Ok(Self { model: Arc::new(model), lanes })
    }

    /// Number of images that the network has buffers for.
    #[must_use]
    pub fn n_lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The noise that the network was trained under.
    #[must_use]
    pub fn perturbation_kernel(&self) -> PerturbationKernelSpec {
        self.model.perturbation_kernel
    }

    /// Values of one image, and of its h.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.model.image_len
    }

    /// Forward passes: h(x, t) of one image per lane, kept with all activations until the lane's next forward pass.
    ///
    /// `x` holds the images of the lanes one after the other, `t` their smoothing levels in (0, 1].
    ///
    /// # Panics
    /// When `lanes` reaches beyond [`Network::n_lanes`], or `x` or `t` has another length than the lanes ask for.
    pub fn forward(&mut self, lanes: Range<usize>, x: &[f32], t: &[f32]) {
        let (model, lanes) = (&*self.model, &mut self.lanes[lanes]);
        let engine = model.engine.shared_by(lanes.len());
        assert_eq!(x.len(), lanes.len() * model.image_len, "one image per lane");
        assert_eq!(t.len(), lanes.len(), "one smoothing level per lane");
        // Entering the pool once saves a hand-over at every layer.
        rayon::scope(|_| {
            lanes.par_iter_mut().zip(x.par_chunks(model.image_len)).zip(t).for_each(|((lane, x), &t)| {
                model.forward(&engine, lane, x, f64::from(t));
            });
        });
    }

    /// h of the last forward pass of `lane`.
    ///
    /// # Panics
    /// When there is no such lane.
    #[must_use]
    pub fn h(&self, lane: usize) -> &[f32] {
        &self.lanes[lane].h
    }

    /// The energy 1/2 |h|^2 = -log p_t(x) + const(t) of the last forward pass of `lane`, summed in f64.
    ///
    /// # Panics
    /// When there is no such lane.
    #[must_use]
    pub fn energy(&self, lane: usize) -> f64 {
        0.5 * self.lanes[lane].h.iter().map(|&h| f64::from(h).powi(2)).sum::<f64>()
    }

    /// J_h^T v at the image of each lane's last forward pass; overwrites `out`. The score is -J_h^T h.
    ///
    /// # Panics
    /// When `lanes` reaches beyond [`Network::n_lanes`], or `v` or `out` has another length than the lanes ask for.
    pub fn vjp(&mut self, lanes: Range<usize>, v: &[f32], out: &mut [f32]) {
        let (model, lanes) = (&*self.model, &mut self.lanes[lanes]);
        let (n, engine) = (model.image_len, model.engine.shared_by(lanes.len()));
        assert_eq!(v.len(), lanes.len() * n, "one vector per lane");
        assert_eq!(out.len(), lanes.len() * n, "one gradient per lane");
        rayon::scope(|_| {
            lanes.par_iter_mut().zip(v.par_chunks(n)).zip(out.par_chunks_mut(n)).for_each(|((lane, v), out)| {
                model.vjp(&engine, lane, v, out);
            });
        });
    }
}

impl Network {
    /// The shared part, and lane 0.
    pub(super) fn parts(&mut self) -> (&Model, &mut Lane) {
        (&self.model, &mut self.lanes[0])
    }
}

impl Model {
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The operations with their steps, first to last.
    pub(super) fn operations(&self) -> impl DoubleEndedIterator<Item = (&Operation, &Step)> + ExactSizeIterator {
        self.operations.iter().zip(&self.plan.steps)
    }

    fn forward(&self, engine: &Engine, lane: &mut Lane, x: &[f32], t: f64) {
        lane.scales = EnergyScales::new(&self.parametrisation, self.perturbation_kernel.at(t));
        let EnergyScales { input_scale, input_shift, skip, output } = lane.scales;
        self.time_embedding.forward(engine.arch, t, &mut lane.embedded);
        let input = &mut lane.activations[0].values;
        unshuffle(self.ends, self.pixel_unshuffle, (input_scale as f32, input_shift as f32), x, input);
        for (operation, step) in self.operations() {
            operation.forward(engine, step, lane);
        }
        let u = &lane.activations[self.plan.output()].values;
        let on_x = ((skip * input_scale) as f32, x);
        shuffle(self.ends, self.pixel_unshuffle, (output as f32, u), on_x, (skip * input_shift) as f32, &mut lane.h);
    }

    fn vjp(&self, engine: &Engine, lane: &mut Lane, v: &[f32], out: &mut [f32]) {
        let EnergyScales { input_scale, skip, output, .. } = lane.scales;
        let d_output = &mut lane.gradients[self.plan.d_output];
        unshuffle(self.ends, self.pixel_unshuffle, (output as f32, 0.0), v, d_output);
        for (operation, step) in self.operations().rev() {
            operation.vjp(engine, step, lane);
        }
        let d_input = &lane.gradients[self.plan.d_input];
        let on_v = ((skip * input_scale) as f32, v);
        shuffle(self.ends, self.pixel_unshuffle, (input_scale as f32, d_input), on_v, 0.0, out);
    }
}

/// Cuts every activation into blocks of rows: the same rows for all activations of a level, and an even number, so
/// that a block of a finer level covers whole rows of the coarser one. `tensors` are those of the plan, or more.
pub(super) fn layouts(plan: &Plan, tensors: &[ActivationShape]) -> Vec<Blocked> {
    /// A task's tile should stay in a second-level cache of 1 MiB along with what it writes.
    const TILE_VALUES: usize = 192 * 1024;
    let widest = |level| {
        let inputs = plan.steps.iter().filter(move |step| step.layer.level == level);
        inputs.map(|step| step.layer.total_input().max(step.layer.output)).max().unwrap_or(1)
    };
    let rows = |level: usize, width: usize| {
        let fits = |rows: usize| widest(level) * (rows + 2) * (width + 2) <= TILE_VALUES;
        if fits(8) { 8 } else { 4 }
    };
    tensors.iter().map(|&shape| Blocked::new(shape, rows(shape.level, shape.width))).collect()
}

fn time_embedding(plan: &Plan, weights: &Weights) -> TimeEmbedding {
    let architecture = weights.architecture();
    let (model, embedding) = (architecture.model_channels, architecture.embedding_channels());
    let layer = |name: &str| (weights.values(&format!("{name}.weight")), weights.values(&format!("{name}.bias")));
    let residuals = plan.steps.iter().filter(|step| step.layer.kind == LayerKind::Residual);
    TimeEmbedding {
        frequencies: TimeEmbedding::frequencies(model, architecture.max_period),
        first: Linear::stacked(model, std::iter::once(layer("time_embed.0"))),
        second: Linear::stacked(embedding, std::iter::once(layer("time_embed.2"))),
        shifts: Linear::stacked(embedding, residuals.map(|step| layer(&format!("{}.emb_layers.1", step.layer.name)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::tests::all_archs;
    use super::*;
    use crate::unet::architecture::tests::small;
    use crate::unet::weights::tests::random;

    /// Every instruction set with a fused multiply-add takes the same steps, whatever its vector width.
    #[test]
    fn vector_widths_agree_bit_for_bit() {
        let weights = random(&small(), Parametrisation::Residual { data_mean: 0.15, data_std: 0.25 });
        let x: Vec<f32> = (0..16 * 24).map(|i| (i as f32 * 0.37).sin()).collect();
        let results = all_archs().into_iter().filter(|arch| !matches!(arch, Arch::Scalar)).map(|arch| {
            let mut network = Network::with_arch(&weights, 16, 24, 1, arch).unwrap();
            network.forward(0..1, &x, &[0.2]);
            let h = network.h(0).to_vec();
            let mut gradient = vec![0.0; x.len()];
            network.vjp(0..1, &h, &mut gradient);
            (h, gradient)
        });
        let results: Vec<_> = results.collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// With 5 threads a block's output channels are shared by several tasks, with one they are not.
    #[test]
    fn threads_agree_bit_for_bit() {
        let weights = Weights::from_bytes(crate::prior::embedded("ellipses").unwrap().bytes).unwrap();
        let x: Vec<f32> = (0..32 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
        let results = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut network = Network::new(&weights, 32, 32, 1).unwrap();
                network.forward(0..1, &x, &[0.2]);
                let h = network.h(0).to_vec();
                let mut gradient = vec![0.0; x.len()];
                network.vjp(0..1, &h, &mut gradient);
                (h, gradient)
            })
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
