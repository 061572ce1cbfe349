//! Operations one after the other, with the tensors, buffers, norms and places of weights that they need.
//!
//! Activations live from the forward pass to the vjp, in a buffer each. A gradient lives from the operation that first
//! writes it to the one that reads it last, so gradients share a few buffers.

use super::architecture::Architecture;
use super::layers;
use super::operation::{
    Attention, Convolution, Epilogue, Inputs, Kernel, Linear, Norm, NormId, Operation, Sampling, Target, TensorId,
    TensorShape, Term, TimeEmbedding,
};
use super::program::Program;
use std::collections::HashMap;
use std::ops::Range;

/// A program under construction.
pub(super) struct Lowering<'a> {
    architecture: &'a Architecture,
    /// Rows and columns at level 0.
    height: usize,
    width: usize,
    /// Place of every weight in the parameters.
    places: HashMap<String, Range<usize>>,
    free: Vec<usize>,
    /// The gradient of each activation, while it is alive.
    gradients: HashMap<TensorId, TensorId>,
    n_convolutions: usize,
    n_shifts: usize,
    /// Of the pass under way.
    pub(super) operations: Vec<Operation>,
    pub(super) program: Program,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(architecture: &'a Architecture, height: usize, width: usize) -> Self {
        let mut program = Program::default();
        let place = |(name, shape): (String, Vec<usize>)| {
            let first = program.n_parameters;
            program.n_parameters += shape.iter().product::<usize>();
            (name, first..program.n_parameters)
        };
        let places = layers::tensors(architecture).into_iter().map(place).collect();
        let (free, gradients, operations) = (Vec::new(), HashMap::new(), Vec::new());
        let (n_convolutions, n_shifts) = (0, 0);
        Self { architecture, height, width, places, free, gradients, n_convolutions, n_shifts, operations, program }
    }

    /// A new activation.
    pub(super) fn activation(&mut self, channels: usize, level: usize) -> TensorId {
        let shape = TensorShape { channels, height: self.height >> level, width: self.width >> level, level };
        self.program.buffer_lens.push(shape.len());
        self.tensor(shape, self.program.buffer_lens.len() - 1)
    }

    fn tensor(&mut self, shape: TensorShape, buffer: usize) -> TensorId {
        self.program.shapes.push(shape);
        self.program.buffers.push(buffer);
        self.program.shapes.len() - 1
    }

    /// A new gradient, shaped like `x`; to be released. Its buffer is the smallest free one that is large enough, else
    /// the largest free one, grown, else a new one.
    pub(super) fn gradient(&mut self, x: Inputs) -> TensorId {
        let channels = x.each().map(|tensor| self.program.shapes[tensor].channels).sum();
        let shape = TensorShape { channels, ..self.program.shapes[x.first] };
        let lens = &self.program.buffer_lens;
        let fits = self.free.iter().filter(|&&buffer| lens[buffer] >= shape.len()).min_by_key(|&&buffer| lens[buffer]);
        let best = fits.or_else(|| self.free.iter().max_by_key(|&&buffer| lens[buffer])).copied();
        let buffer = best.unwrap_or(lens.len());
        self.free.retain(|&free| free != buffer);
        self.program.buffer_lens.resize(self.program.buffer_lens.len().max(buffer + 1), 0);
        self.program.buffer_lens[buffer] = self.program.buffer_lens[buffer].max(shape.len());
        self.tensor(shape, buffer)
    }

    /// The buffer of a gradient that was read last.
    pub(super) fn release(&mut self, gradient: TensorId) {
        self.free.push(self.program.buffers[gradient]);
    }

    /// The gradient of an activation, to be written: the first time `=`, then `+=`.
    pub(super) fn target(&mut self, activation: TensorId) -> Target {
        if let Some(&tensor) = self.gradients.get(&activation) {
            return Target { tensor, accumulate: true };
        }
        let tensor = self.gradient(Inputs::one(activation));
        self.gradients.insert(activation, tensor);
        Target { tensor, accumulate: false }
    }

    /// The gradient of an activation that nothing will be added to any more; to be released.
    pub(super) fn complete(&mut self, activation: TensorId) -> TensorId {
        let Target { tensor, .. } = self.target(activation);
        self.gradients.remove(&activation);
        tensor
    }

    /// Weights and biases of a convolution.
    pub(super) fn kernel(&self, name: &str, sampling: Sampling) -> Kernel {
        let Linear { weight, bias } = self.linear(name);
        let n_in = weight.len() / (bias.len() * sampling.side().pow(2)).max(1);
        Kernel { sampling, n_out: bias.len(), n_in, weight, bias }
    }

    fn linear(&self, name: &str) -> Linear {
        let place = |part: &str| self.places.get(&format!("{name}.{part}")).cloned().unwrap_or(0..0);
        Linear { weight: place("weight"), bias: place("bias") }
    }

    /// A new normalisation.
    pub(super) fn norm(&mut self, name: &str) -> NormId {
        let Linear { weight: gain, bias } = self.linear(name);
        let Architecture { norm_groups: groups, norm_eps: eps, .. } = *self.architecture;
        self.program.norms.push(Norm { groups, eps, gain, bias });
        self.program.norms.len() - 1
    }

    /// A new self-attention.
    pub(super) fn attention(&mut self, qkv: TensorId, mixed: TensorId) -> Attention {
        let (number, heads) = (self.program.attentions.len(), self.architecture.num_heads);
        let attention = Attention { number, heads, qkv, mixed };
        self.program.attentions.push(attention);
        attention
    }

    /// A linear layer from the time embedding to shifts; its first one.
    pub(super) fn shift(&mut self, name: &str) -> usize {
        let (layer, first) = (self.linear(name), self.n_shifts);
        self.n_shifts += layer.bias.len();
        self.program.time_embedding.shifts.push(layer);
        first
    }

    /// The layers before the shifts.
    pub(super) fn time_embedding(&mut self) {
        let Architecture { model_channels, max_period, .. } = *self.architecture;
        let half = model_channels / 2;
        let frequency = |k: usize| (-max_period.ln() * k as f64 / half as f64).exp();
        self.program.time_embedding = TimeEmbedding {
            frequencies: (0..half).map(frequency).collect(),
            first: self.linear("time_embed.0"),
            second: self.linear("time_embed.2"),
            shifts: Vec::new(),
        };
    }

    pub(super) fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    pub(super) fn convolve(&mut self, main: Term, shortcut: Option<Term>, output: TensorId, epilogue: Epilogue) {
        let number = self.n_convolutions;
        self.n_convolutions += 1;
        self.push(Operation::Convolve(Box::new(Convolution { number, main, shortcut, output, epilogue })));
    }
}
