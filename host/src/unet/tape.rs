//! The operations of training: a network as a list of convolutions, norms and attentions, each with an output of its
//! own, in the order of the forward pass. Backends make their layers from it.
//!
//! The [`Program`]'s operations fuse norms and shortcuts into convolutions; in training every one of them needs four
//! numbers per value (see `backend::cpu::training`), so here they stand alone. Activations are those of the program,
//! followed by the outputs of norms and shortcuts.

use super::operation::{self, Attention, Epilogue, Kernel, NormId, Prologue, TensorId, TensorShape, TimeEmbedding};
use super::program::Program;

/// The numbers of every activation a, where G = <h, J_h v> is the function that is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// a.
    Value,
    /// Its tangent J_a v.
    Dot,
    /// dG/d(tangent). As G is linear in the tangents, this is also the gradient of the energy with respect to a.
    DDot,
    /// dG/d(value); or, for a loss without tangents, the gradient of that loss.
    DValue,
}

/// An activation, and whether the gradient that an operation gives it is `+=` or the first one, `=`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    pub(crate) tensor: TensorId,
    pub(crate) accumulate: bool,
}

/// One activation, or two side by side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs {
    pub(crate) first: Input,
    pub(crate) second: Option<Input>,
}

impl Inputs {
    fn of(inputs: operation::Inputs) -> Self {
        let input = |tensor| Input { tensor, accumulate: false };
        Self { first: input(inputs.first), second: inputs.second.map(input) }
    }

    fn one(first: TensorId) -> Self {
        Self::of(operation::Inputs::one(first))
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut Input> {
        std::iter::once(&mut self.first).chain(&mut self.second)
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = Input> {
        std::iter::once(self.first).chain(self.second)
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Convolution(Convolution),
    Norm(Norm),
    Attention(Attention),
}

impl Operation {
    /// The activations that it reads, and the one that it makes.
    pub(crate) fn ends(&self) -> (Vec<TensorId>, TensorId) {
        let tensors = |inputs: &Inputs| inputs.each().map(|input| input.tensor).collect::<Vec<_>>();
        match self {
            Self::Convolution(conv) => {
                let residual = conv.residual.iter().flat_map(tensors);
                (tensors(&conv.inputs).into_iter().chain(residual).collect(), conv.output)
            }
            Self::Norm(norm) => (tensors(&norm.inputs), norm.output),
            Self::Attention(attention) => (vec![attention.qkv], attention.mixed),
        }
    }
}

/// out = conv(inputs) + bias + time shift + residual.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    pub(crate) kernel: Kernel,
    pub(crate) inputs: Inputs,
    pub(crate) output: TensorId,
    pub(crate) residual: Option<Inputs>,
    /// Offset of this operation's time shifts.
    pub(crate) shift: Option<usize>,
    /// True if the gradients of the inputs' values are needed.
    pub(crate) goes_back: bool,
}

impl Convolution {
    fn plain(kernel: &Kernel, inputs: Inputs, output: TensorId) -> Self {
        // The gradient of the network's input is not needed.
        let (kernel, goes_back) = (kernel.clone(), inputs.first.tensor != 0);
        Self { kernel, inputs, output, residual: None, shift: None, goes_back }
    }
}

/// Group normalisation, with SiLU behind it or without.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    pub(crate) norm: operation::Norm,
    pub(crate) inputs: Inputs,
    pub(crate) output: TensorId,
    pub(crate) silu: bool,
}

/// All operations, with the activations that they act on.
#[derive(Debug, Clone)]
pub(crate) struct Tape {
    pub(crate) operations: Vec<Operation>,
    pub(crate) tensors: Vec<TensorShape>,
    /// The network's output, before the pixel shuffle.
    pub(crate) output: TensorId,
    pub(crate) time_embedding: TimeEmbedding,
    pub(crate) n_parameters: usize,
}

impl Tape {
    pub(crate) fn new(program: &Program) -> Self {
        let tensors = program.shapes[..program.n_activations].to_vec();
        let mut builder = Builder { norms: &program.norms, tensors, operations: Vec::new() };
        let mut output = 0;
        for operation in &program.forward {
            match operation {
                operation::Operation::Convolve(convolution) => builder.convolution(convolution),
                operation::Operation::Attend(attention) => builder.operations.push(Operation::Attention(*attention)),
                operation::Operation::Leave { input, .. } => output = *input,
                _ => {}
            }
        }
        builder.mark_first_writers();
        Self {
            operations: builder.operations,
            tensors: builder.tensors,
            output,
            time_embedding: program.time_embedding.clone(),
            n_parameters: program.n_parameters,
        }
    }
}

struct Builder<'a> {
    norms: &'a [operation::Norm],
    tensors: Vec<TensorShape>,
    operations: Vec<Operation>,
}

impl Builder<'_> {
    fn new_tensor(&mut self, shape: TensorShape) -> TensorId {
        self.tensors.push(shape);
        self.tensors.len() - 1
    }

    /// A convolution, behind the norm before it and the shortcut beside it.
    fn convolution(&mut self, fused: &operation::Convolution) {
        let (main, output) = (&fused.main, fused.output);
        let Epilogue::Forward { shift, residual, .. } = fused.epilogue else { return };
        let inputs = match main.prologue {
            Prologue::Norm { norm, silu } => Inputs::one(self.norm(norm, Inputs::of(main.input), silu)),
            _ => Inputs::of(main.input),
        };
        let mut convolution = Convolution {
            residual: residual.map(Inputs::of),
            shift,
            ..Convolution::plain(&main.kernel, inputs, output)
        };
        if let Some(shortcut) = &fused.shortcut {
            let projected = self.new_tensor(self.tensors[output]);
            let beside = Convolution::plain(&shortcut.kernel, Inputs::of(shortcut.input), projected);
            self.operations.push(Operation::Convolution(beside));
            convolution.residual = Some(Inputs::one(projected));
        }
        self.operations.push(Operation::Convolution(convolution));
    }

    /// A norm with an output of its own.
    fn norm(&mut self, norm: NormId, inputs: Inputs, silu: bool) -> TensorId {
        let norm = self.norms[norm].clone();
        let shape = TensorShape { channels: norm.gain.len(), ..self.tensors[inputs.first.tensor] };
        let output = self.new_tensor(shape);
        self.operations.push(Operation::Norm(Norm { norm, inputs, output, silu }));
        output
    }

    /// Lets the first gradient of every activation, last operation first, overwrite what was there.
    fn mark_first_writers(&mut self) {
        let mut written = vec![false; self.tensors.len()];
        let mut mark = |inputs: &mut Inputs| {
            inputs.each_mut().for_each(|input| input.accumulate = std::mem::replace(&mut written[input.tensor], true));
        };
        for operation in self.operations.iter_mut().rev() {
            match operation {
                Operation::Convolution(layer) => {
                    layer.residual.as_mut().into_iter().for_each(&mut mark);
                    mark(&mut layer.inputs);
                }
                Operation::Norm(layer) => mark(&mut layer.inputs),
                Operation::Attention(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;
    use std::ops::Range;

    #[test]
    fn every_parameter_belongs_to_one_operation() {
        let tape = Tape::new(&Program::new(&small(), 16, 16).unwrap());
        let of = |operation: &Operation| match operation {
            Operation::Convolution(Convolution { kernel, .. }) => vec![kernel.weight.clone(), kernel.bias.clone()],
            Operation::Norm(Norm { norm, .. }) => vec![norm.gain.clone(), norm.bias.clone()],
            Operation::Attention(_) => vec![],
        };
        let TimeEmbedding { first, second, shifts, .. } = &tape.time_embedding;
        let linear = [first, second].into_iter().chain(shifts).flat_map(|l| [l.weight.clone(), l.bias.clone()]);
        let mut ranges: Vec<Range<usize>> = tape.operations.iter().flat_map(of).chain(linear).collect();
        ranges.sort_by_key(|range| range.start);
        assert_eq!((ranges[0].start, ranges.last().map(|range| range.end)), (0, Some(tape.n_parameters)));
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}
