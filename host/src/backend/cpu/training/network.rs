//! Training through the energy: losses of the score and their gradients with respect to the weights, exact, in f32.
//!
//! The score is s = -J_h^T h, so a loss of it has mixed second derivatives. With v = dL/ds held fixed,
//!
//! ```text
//! dL/dtheta = -dG/dtheta,   G = <h, J_h v>,
//! ```
//!
//! and G is a plain function of the pair (value, tangent along v) that a forward pass carries. Its gradient with
//! respect to the tangents is what the score's own backward pass has computed, because G is linear in them; so a
//! gradient takes four passes of one convolution each - values, score, tangents, gradients of values - and one of the
//! weights' gradients, of two.
//!
//! Everything is written out into buffers here; the solver's passes fuse (`unet::operation`).

use super::super::aligned::Aligned;
use super::super::blocked::Blocked;
use super::super::engine::Engine;
use super::super::layer::pixel_shuffle::{shuffle, unshuffle};
use super::super::model::layouts;
use super::embedding::Embedding;
use super::head::AttentionScratch;
use super::lane::{Context, Lane};
use super::layers::{Layers, Operation};
use super::memory::Memory;
use crate::backend::training_batch::TrainingBatch;
use crate::unet::operation::TensorId;
use crate::unet::program::Program;
use crate::unet::tape::{Quantity, Tape};
use crate::unet::{Description, Direction, EnergyScales, NetworkError};
use pulp::Arch;
use rayon::prelude::*;

/// Losses of an energy network and their gradients, for batches of images of one size.
///
/// Parameters and gradients are one vector each, the tensors of [`crate::unet::layers::tensors`] one behind the other.
/// All memory is taken at construction. Results are the same bits for any number of threads.
///
/// ```
/// use gradus::backend::cpu::{TrainingBatch, TrainingNetwork};
/// use gradus::prior::Prior;
///
/// let prior = Prior::named("ellipses")?;
/// let parameters = prior.weights().parameters();
/// let mut network = TrainingNetwork::new(prior.weights().description(), 16, 16, 1)?;
/// let mut gradient = vec![0.0; network.n_parameters()];
/// let batch = TrainingBatch { x_t: &[0.3; 256], z: &[0.1; 256], t: &[0.1], weights: &[1.0] };
/// let loss = network.score_matching_loss(&parameters, batch, &mut gradient);
/// assert!(loss > 0.0 && gradient.iter().any(|g| *g != 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TrainingNetwork {
    pub(super) operations: Vec<Operation>,
    pub(super) shared: Shared,
    pub(super) lanes: Vec<Lane>,
}

/// The part that the lanes share and no call changes.
#[derive(Debug)]
pub(super) struct Shared {
    embedding: Embedding,
    engine: Engine,
    layouts: Vec<Blocked>,
    zeros: Vec<f32>,
    output: TensorId,
    description: Description,
    pub(super) image_len: usize,
    n_parameters: usize,
}

/// One image of a batch.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    pub(super) x: &'a [f32],
    pub(super) t: f64,
    pub(super) z: &'a [f32],
    /// Its loss counts this much in the mean.
    pub(super) weight: f64,
}

impl TrainingNetwork {
    /// A network for batches of up to `lanes` images of `height` x `width` pixels.
    ///
    /// # Errors
    /// `Size`, when the sides are not multiples of what the architecture needs, or `Architecture`, when it is
    /// impossible.
    pub fn new(description: &Description, height: usize, width: usize, lanes: usize) -> Result<Self, NetworkError> {
        let program = Program::new(&description.architecture, height, width)?;
        let tape = Tape::new(&program);
        let layouts = layouts(&program, &tape.tensors);
        let (layers, image_len) = (Layers::new(tape, layouts), program.image_len);
        let lanes = (0..lanes).map(|_| new_lane(&layers, image_len)).collect();
        let most_channels = layers.layouts.iter().map(|layout| layout.channels).max().unwrap_or(0);
        let shared = Shared {
            embedding: layers.embedding,
            engine: Engine::new(Arch::new(), layers.scratch_len),
            layouts: layers.layouts,
            zeros: vec![0.0; most_channels],
            output: layers.output,
            description: description.clone(),
            image_len,
            n_parameters: layers.n_parameters,
        };
        Ok(Self { operations: layers.operations, shared, lanes })
    }

    /// Length of the parameters and of their gradient.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.shared.n_parameters
    }

    /// Denoising score matching: the weighted mean over images of |nu_t s(x_t, t) + z|^2, summed over pixels, and its
    /// gradient, which overwrites `gradient`.
    ///
    /// # Panics
    /// When there are more images than lanes, or a slice has another length than they ask for.
    pub fn score_matching_loss(&mut self, parameters: &[f32], batch: TrainingBatch<'_>, gradient: &mut [f32]) -> f64 {
        // The gradient is that of -G.
        self.loss(parameters, batch, -1.0, gradient, Shared::score_matching)
    }

    /// The denoiser's loss: the weighted mean over images of |h(x_t, t) - z|^2, summed over pixels, and its gradient.
    ///
    /// It has the same minimiser where h can be what it likes, and no second derivatives. Otherwise as
    /// [`TrainingNetwork::score_matching_loss`].
    ///
    /// # Panics
    /// As there.
    pub fn denoising_loss(&mut self, parameters: &[f32], batch: TrainingBatch<'_>, gradient: &mut [f32]) -> f64 {
        self.loss(parameters, batch, 1.0, gradient, Shared::denoising)
    }

    fn loss(
        &mut self,
        parameters: &[f32],
        batch: TrainingBatch<'_>,
        factor: f32,
        gradient: &mut [f32],
        loss: fn(&Shared, &[Operation], &[f32], &mut Lane, Sample<'_>),
    ) -> f64 {
        let Self { operations, shared, lanes } = self;
        let TrainingBatch { x_t, z, t, weights } = batch;
        let (n, lanes) = (shared.image_len, &mut lanes[..t.len()]);
        assert_eq!(x_t.len(), lanes.len() * n, "one image per smoothing level");
        assert_eq!(z.len(), x_t.len(), "as much noise as images");
        assert_eq!(weights.len(), t.len(), "one weight per image");
        assert_eq!(parameters.len(), shared.n_parameters, "one value per weight");
        assert_eq!(gradient.len(), shared.n_parameters, "one gradient per weight");
        let share = 1.0 / lanes.len() as f64;
        rayon::scope(|_| {
            operations.par_iter_mut().for_each(|operation| operation.repack(parameters));
            let samples = x_t.par_chunks(n).zip(z.par_chunks(n)).zip(t.par_iter().zip(weights));
            lanes.par_iter_mut().zip(samples).for_each(|(lane, ((x, z), (&t, &weight)))| {
                let sample = Sample { x, t: f64::from(t), z, weight: share * f64::from(weight) };
                loss(shared, operations, parameters, lane, sample);
            });
            gradient.fill(0.0);
            if let Some((first, others)) = lanes.split_first_mut() {
                add_up(&mut first.gradient, others);
                operations.iter().for_each(|operation| operation.collect(&first.gradient, factor, gradient));
            }
            shared.embedding.collect(lanes.iter().map(|lane| &lane.embedding), factor, gradient);
        });
        lanes.iter().map(|lane| lane.loss).sum()
    }
}

impl Shared {
    pub(super) fn context<'a>(&'a self, parameters: &'a [f32]) -> Context<'a> {
        let Self { engine, layouts, zeros, .. } = self;
        Context { engine, layouts, parameters, zeros, to_the_image: false }
    }

    fn score_matching(&self, operations: &[Operation], parameters: &[f32], lane: &mut Lane, sample: Sample<'_>) {
        let context = self.context(parameters);
        self.values(&context, operations, lane, sample);
        self.energy_gradient(&context, operations, lane);
        let std = self.description.perturbation_kernel.at(sample.t).std as f32;
        let mut loss = 0.0;
        for ((v, d), z) in lane.v.iter_mut().zip(&lane.d_image).zip(sample.z) {
            let residual = z - std * d;
            loss += f64::from(residual).powi(2);
            *v = 2.0 * std * sample.weight as f32 * residual;
        }
        lane.loss = sample.weight * loss;
        self.tangents(&context, operations, lane);
        self.ends(lane, Direction::Vjp, Quantity::DValue).enter(&mut lane.memory, &lane.dot_h);
        self.backward_values(&context, operations, lane, true);
    }

    fn denoising(&self, operations: &[Operation], parameters: &[f32], lane: &mut Lane, sample: Sample<'_>) {
        let context = self.context(parameters);
        self.values(&context, operations, lane, sample);
        let mut loss = 0.0;
        for ((v, h), z) in lane.v.iter_mut().zip(&lane.h).zip(sample.z) {
            let residual = h - z;
            loss += f64::from(residual).powi(2);
            *v = 2.0 * sample.weight as f32 * residual;
        }
        lane.loss = sample.weight * loss;
        self.ends(lane, Direction::Vjp, Quantity::DValue).enter(&mut lane.memory, &lane.v);
        self.backward_values(&context, operations, lane, false);
    }

    /// h, and every value on the way.
    pub(super) fn values(&self, context: &Context<'_>, operations: &[Operation], lane: &mut Lane, sample: Sample<'_>) {
        let Description { parametrisation, perturbation_kernel, .. } = &self.description;
        lane.scales = EnergyScales::new(parametrisation, perturbation_kernel.at(sample.t));
        self.embedding.forward(context.parameters, sample.t, &mut lane.embedding);
        let ends = self.ends(lane, Direction::Forward, Quantity::Value);
        ends.enter(&mut lane.memory, sample.x);
        operations.iter().for_each(|operation| operation.forward(context, lane, Quantity::Value));
        ends.leave(&lane.memory, sample.x, &mut lane.h);
    }

    /// J_h^T h, minus the score, and the gradients of all tangents.
    pub(super) fn energy_gradient(&self, context: &Context<'_>, operations: &[Operation], lane: &mut Lane) {
        let ends = self.ends(lane, Direction::Vjp, Quantity::DDot);
        ends.enter(&mut lane.memory, &lane.h);
        operations.iter().rev().for_each(|operation| operation.backward_tangent(context, lane));
        ends.leave(&lane.memory, &lane.h, &mut lane.d_image);
    }

    /// J_h v, and every tangent on the way.
    pub(super) fn tangents(&self, context: &Context<'_>, operations: &[Operation], lane: &mut Lane) {
        let ends = self.ends(lane, Direction::Tangent, Quantity::Dot);
        ends.enter(&mut lane.memory, &lane.v);
        operations.iter().for_each(|operation| operation.forward(context, lane, Quantity::Dot));
        ends.leave(&lane.memory, &lane.v, &mut lane.dot_h);
    }

    /// The gradients of all values and parameters, from that of the network's output.
    pub(super) fn backward_values(
        &self,
        context: &Context<'_>,
        operations: &[Operation],
        lane: &mut Lane,
        with_tangents: bool,
    ) {
        operations.iter().rev().for_each(|operation| operation.backward_value(context, lane, with_tangents));
        self.embedding.backward(context.parameters, &mut lane.embedding);
    }

    pub(super) fn ends(&self, lane: &Lane, direction: Direction, quantity: Quantity) -> Ends<'_> {
        let (input, output) = (0, self.output);
        let [from, to] = if direction == Direction::Vjp { [output, input] } else { [input, output] };
        Ends { shared: self, scales: lane.scales, direction, quantity, from, to }
    }
}

/// Begin and end of a pass over an image.
pub(super) struct Ends<'a> {
    shared: &'a Shared,
    scales: EnergyScales,
    direction: Direction,
    quantity: Quantity,
    from: TensorId,
    to: TensorId,
}

impl Ends<'_> {
    /// Write the network's input for an image.
    pub(super) fn enter(&self, memory: &mut Memory, image: &[f32]) {
        let (layout, side) = (self.shared.layouts[self.from], self.shared.description.architecture.pixel_unshuffle);
        let values = memory.of_mut(self.quantity, self.from);
        unshuffle(layout, side, self.scales.entrance(self.direction), image, values);
    }

    /// The image that follows from what leaves the network.
    pub(super) fn leave(&self, memory: &Memory, image: &[f32], out: &mut [f32]) {
        let (layout, side) = (self.shared.layouts[self.to], self.shared.description.architecture.pixel_unshuffle);
        shuffle(layout, side, self.scales.exit(self.direction), memory.of(self.quantity, self.to), image, out);
    }
}

/// Adds the gradients of `others` to `sum`, in the order of the lanes.
fn add_up(sum: &mut [f32], others: &[Lane]) {
    /// Values of a task; they stay in a first-level cache.
    const CHUNK: usize = 4096;
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sum)| {
        for lane in others {
            let values = &lane.gradient[chunk * CHUNK..];
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    });
}

fn new_lane(layers: &Layers, image_len: usize) -> Lane {
    let zeros = |n: usize| vec![0.0; n];
    let norms = layers.operations.iter().filter_map(|operation| match operation {
        Operation::Norm(layer) => Some(layer.state(&layers.layouts)),
        _ => None,
    });
    Lane {
        memory: Memory::new(&layers.places),
        norms: norms.collect(),
        embedding: layers.embedding.state(),
        attention: AttentionScratch::new(layers.head_channels, layers.head_pixels),
        gradient: zeros(layers.gradient_len),
        moments: layers.layouts.iter().map(|layout| vec![[0.0; 2]; layout.n_blocks() * layout.channels]).collect(),
        sums: vec![[0.0; 2]; layers.layouts.iter().map(|l| l.n_blocks() * l.channels).max().unwrap_or(0)],
        phases: Aligned::zeros(layers.phases_len),
        h: zeros(image_len),
        dot_h: zeros(image_len),
        d_image: zeros(image_len),
        v: zeros(image_len),
        scales: EnergyScales::default(),
        loss: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::dot;
    use crate::unet::Parametrisation;
    use crate::unet::architecture::tests::small;
    use crate::unet::weights::tests::random;

    /// <J u, v> = <u, J^T v> for every operation of a network.
    #[test]
    fn tangents_and_gradients_of_every_layer_are_adjoint() {
        let weights = random(&small(), Parametrisation::Residual { data_mean: 0.15, data_std: 0.25 });
        let parameters = weights.parameters();
        let mut network = TrainingNetwork::new(weights.description(), 20, 28, 1).unwrap();
        let wave = |n: usize, frequency: f32| (0..n).map(|i| (i as f32 * frequency).sin()).collect::<Vec<f32>>();
        let (x, z) = (wave(560, 0.37), wave(560, 0.73));
        let mut gradient = vec![0.0; parameters.len()];
        let batch = TrainingBatch { x_t: &x, z: &z, t: &[0.2], weights: &[1.0] };
        network.score_matching_loss(&parameters, batch, &mut gradient);
        let TrainingNetwork { operations, shared, lanes } = &mut network;
        let (context, lane) = (shared.context(&parameters), &mut lanes[0]);
        let tape = Tape::new(&Program::new(&small(), 20, 28).unwrap());
        for (operation, on_tape) in operations.iter().zip(&tape.operations) {
            let (mut inputs, output) = on_tape.ends();
            inputs.sort_unstable();
            inputs.dedup();
            for &input in &inputs {
                let dots = lane.memory.of_mut(Quantity::Dot, input);
                let values = wave(dots.len(), 0.31 + input as f32);
                dots.copy_from_slice(&values);
                lane.memory.of_mut(Quantity::DDot, input).fill(0.0);
            }
            operation.forward(&context, lane, Quantity::Dot);
            let v = wave(lane.memory.of(Quantity::Dot, output).len(), 0.83);
            lane.memory.of_mut(Quantity::DDot, output).copy_from_slice(&v);
            operation.backward_tangent(&context, lane);
            let (dots, d_dots) = (
                |tensor| &lane.memory.of(Quantity::Dot, tensor)[..],
                |tensor| &lane.memory.of(Quantity::DDot, tensor)[..],
            );
            let forward = dot(dots(output), &v);
            let backward: f64 = inputs.iter().map(|&input| dot(dots(input), d_dots(input))).sum();
            let scale = (dot(dots(output), dots(output)) * dot(&v, &v)).sqrt();
            assert!((forward - backward).abs() < 1e-5 * scale, "{operation:?}: {forward} {backward} of {scale}");
        }
    }
}
