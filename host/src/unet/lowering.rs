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
use std::collections::HashMap;
use std::ops::Range;

/// A list of operations under construction.
pub(super) struct Lowering<'a> {
    architecture: &'a Architecture,
    /// Rows and columns at level 0.
    height: usize,
    width: usize,
    /// Place in the parameters and shape of every weight.
    places: HashMap<String, (Range<usize>, Vec<usize>)>,
    pub(super) n_parameters: usize,
    pub(super) shapes: Vec<TensorShape>,
    /// The buffer of each tensor.
    pub(super) buffers: Vec<usize>,
    /// Values in each buffer.
    pub(super) buffer_lens: Vec<usize>,
    free: Vec<usize>,
    /// The gradient of each activation, while it is alive.
    gradients: HashMap<TensorId, TensorId>,
    pub(super) norms: Vec<Norm>,
    pub(super) attentions: Vec<Attention>,
    n_convolutions: usize,
    shifts: Vec<Linear>,
    n_shifts: usize,
    pub(super) operations: Vec<Operation>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(architecture: &'a Architecture, height: usize, width: usize) -> Self {
        let (mut places, mut n_parameters) = (HashMap::new(), 0);
        for (name, shape) in layers::tensors(architecture) {
            let first = n_parameters;
            n_parameters += shape.iter().product::<usize>();
            places.insert(name, (first..n_parameters, shape));
        }
        Self {
            architecture,
            height,
            width,
            places,
            n_parameters,
            shapes: Vec::new(),
            buffers: Vec::new(),
            buffer_lens: Vec::new(),
            free: Vec::new(),
            gradients: HashMap::new(),
            norms: Vec::new(),
            attentions: Vec::new(),
            n_convolutions: 0,
            shifts: Vec::new(),
            n_shifts: 0,
            operations: Vec::new(),
        }
    }

    /// A new activation.
    pub(super) fn activation(&mut self, channels: usize, level: usize) -> TensorId {
        let shape = TensorShape { channels, height: self.height >> level, width: self.width >> level, level };
        self.buffer_lens.push(shape.len());
        self.tensor(shape, self.buffer_lens.len() - 1)
    }

    fn tensor(&mut self, shape: TensorShape, buffer: usize) -> TensorId {
        self.shapes.push(shape);
        self.buffers.push(buffer);
        self.shapes.len() - 1
    }

    /// A new gradient, shaped like `x`; to be released. Its buffer is the smallest free one that is large enough, else
    /// the largest free one, grown, else a new one.
    pub(super) fn gradient(&mut self, x: Inputs) -> TensorId {
        let channels = x.each().map(|tensor| self.shapes[tensor].channels).sum();
        let shape = TensorShape { channels, ..self.shapes[x.first] };
        let lens = &self.buffer_lens;
        let fits = self.free.iter().filter(|&&buffer| lens[buffer] >= shape.len()).min_by_key(|&&buffer| lens[buffer]);
        let best = fits.or_else(|| self.free.iter().max_by_key(|&&buffer| lens[buffer])).copied();
        let buffer = best.unwrap_or(lens.len());
        self.free.retain(|&free| free != buffer);
        self.buffer_lens.resize(self.buffer_lens.len().max(buffer + 1), 0);
        self.buffer_lens[buffer] = self.buffer_lens[buffer].max(shape.len());
        self.tensor(shape, buffer)
    }

    /// The buffer of a gradient that was read last.
    pub(super) fn release(&mut self, gradient: TensorId) {
        self.free.push(self.buffers[gradient]);
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
        let place = |part: &str| self.places.get(&format!("{name}.{part}")).map_or(0..0, |(place, _)| place.clone());
        Linear { weight: place("weight"), bias: place("bias") }
    }

    /// A new normalisation.
    pub(super) fn norm(&mut self, name: &str) -> NormId {
        let Linear { weight: gain, bias } = self.linear(name);
        let Architecture { norm_groups: groups, norm_eps: eps, .. } = *self.architecture;
        self.norms.push(Norm { groups, eps, gain, bias });
        self.norms.len() - 1
    }

    /// A new self-attention.
    pub(super) fn attention(&mut self, qkv: TensorId, mixed: TensorId) -> Attention {
        let (number, heads) = (self.attentions.len(), self.architecture.num_heads);
        let attention = Attention { number, heads, qkv, mixed };
        self.attentions.push(attention);
        attention
    }

    /// A linear layer from the time embedding to shifts; its first one.
    pub(super) fn shift(&mut self, name: &str) -> usize {
        let (layer, first) = (self.linear(name), self.n_shifts);
        self.n_shifts += layer.bias.len();
        self.shifts.push(layer);
        first
    }

    pub(super) fn time_embedding(&self) -> TimeEmbedding {
        let Architecture { model_channels, max_period, .. } = *self.architecture;
        let half = model_channels / 2;
        let frequency = |k: usize| (-max_period.ln() * k as f64 / half as f64).exp();
        TimeEmbedding {
            frequencies: (0..half).map(frequency).collect(),
            first: self.linear("time_embed.0"),
            second: self.linear("time_embed.2"),
            shifts: self.shifts.clone(),
        }
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
