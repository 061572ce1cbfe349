//! A network for images of one size, lowered once: the operations of a forward pass and of a vjp, and the buffers that
//! they need. Backends execute it, and know nothing else of the network.

use super::architecture::ArchitectureError;
use super::operation::{Attention, Norm, Operation, TensorShape, TimeEmbedding};
use std::ops::Range;
use thiserror::Error;

/// Reasons for which a network cannot be made.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The image's sides do not halve as often as the network needs.
    #[error(
        "an image of {height} x {width} pixels does not fit this network: both sides must be positive multiples of \
         {multiple}"
    )]
    Size {
        /// Rows asked for.
        height: usize,
        /// Columns asked for.
        width: usize,
        /// Sides must be multiples of this.
        multiple: usize,
    },
    /// The description is not a network.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}

/// Operations and buffers for one architecture and image size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    /// From an image x and t to h.
    pub(crate) forward: Vec<Operation>,
    /// From v to J_h^T v.
    pub(crate) vjp: Vec<Operation>,
    /// The operations of each stage of the network, first to last.
    pub(crate) stages: Vec<StageSpan>,
    /// Of all tensors: the activations, of which the first is the network's input, then the gradients.
    pub(crate) shapes: Vec<TensorShape>,
    pub(crate) n_activations: usize,
    /// The buffer of each tensor.
    pub(crate) buffers: Vec<usize>,
    /// Values in each buffer.
    pub(crate) buffer_lens: Vec<usize>,
    /// Most channels that a layer reads or makes, by the level of what it makes.
    pub(crate) widest: Vec<usize>,
    pub(crate) norms: Vec<Norm>,
    pub(crate) attentions: Vec<Attention>,
    pub(crate) time_embedding: TimeEmbedding,
    pub(crate) n_parameters: usize,
    /// Side of the square of pixels that becomes channels on the way in.
    pub(crate) pixel_unshuffle: usize,
    /// Values of an image.
    pub(crate) image_len: usize,
}

/// The operations of a stage.
#[derive(Debug, Clone)]
pub(crate) struct StageSpan {
    /// Prefix of its tensors in the state dict.
    pub(crate) name: String,
    pub(crate) forward: Range<usize>,
    pub(crate) vjp: Range<usize>,
}

impl Program {
    /// Of both passes; convolutions come in the order of their numbers.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.forward.iter().chain(&self.vjp)
    }
}

#[cfg(test)]
mod tests {
    use super::super::architecture::tests::small;
    use super::super::operation::{Epilogue, Inputs, Prologue, Target, TensorId};
    use super::*;

    #[test]
    fn sizes_that_do_not_halve_are_refused_with_the_sizes_that_do() {
        let error = Program::new(&small(), 16, 18).unwrap_err();
        assert_eq!(error, NetworkError::Size { height: 16, width: 18, multiple: 4 });
        assert!(error.to_string().contains("multiples of 4"));
        assert!(Program::new(&small(), 0, 16).is_err());
    }

    /// The moments that a norm asks for are made where its tensors are.
    #[test]
    fn what_is_normalised_has_moments() {
        let program = Program::new(&small(), 16, 24).unwrap();
        let mut observed = vec![false; program.shapes.len()];
        for operation in &program.forward {
            match operation {
                Operation::Normalise { x, .. } => assert!(x.each().all(|x| observed[x]), "{operation:?}"),
                Operation::Convolve(convolution) => {
                    observed[convolution.output] =
                        matches!(convolution.epilogue, Epilogue::Forward { moments: true, .. });
                }
                _ => {}
            }
        }
    }

    /// Tensors that an operation reads, and the one that it writes.
    fn ends(operation: &Operation) -> (Vec<TensorId>, Option<Target>) {
        let stored = |tensor| Some(Target { tensor, accumulate: false });
        match operation {
            Operation::Embed => (vec![], None),
            Operation::Enter { output, .. } => (vec![], stored(*output)),
            Operation::Leave { input, .. } => (vec![*input], None),
            Operation::Normalise { x, .. } => (x.each().collect(), None),
            Operation::Attend(attention) => (vec![attention.qkv], stored(attention.mixed)),
            Operation::AttendVjp { attention: Attention { qkv, mixed, .. }, d_mixed, d_qkv } => {
                (vec![*qkv, *mixed, *d_mixed], stored(*d_qkv))
            }
            Operation::NormVjp { d_z, .. } => (vec![*d_z], None),
            Operation::NormInput { vjp, base, d_x } => {
                ([vjp.d_z, vjp.x].into_iter().chain(*base).collect(), Some(*d_x))
            }
            Operation::Convolve(convolution) => {
                let (epilogue, accumulate) = match convolution.epilogue {
                    Epilogue::Forward { residual, .. } => {
                        (residual.into_iter().flat_map(Inputs::each).collect(), false)
                    }
                    Epilogue::Gradient { accumulate } => (vec![], accumulate),
                    Epilogue::NormSums { x, .. } => (x.each().collect(), false),
                    Epilogue::NormInput { vjp, accumulate } => (vec![vjp.d_z, vjp.x], accumulate),
                };
                let of_term = convolution.terms().flat_map(|term| {
                    let normalised = if let Prologue::NormVjp { x, .. } = term.prologue { Some(x) } else { None };
                    term.input.each().chain(normalised)
                });
                (of_term.chain(epilogue).collect(), Some(Target { tensor: convolution.output, accumulate }))
            }
        }
    }

    /// An operation that reads or adds to a tensor finds it in its buffer: nothing else has been written there since.
    #[test]
    fn live_tensors_never_share_a_buffer() {
        let program = Program::new(&small(), 16, 24).unwrap();
        let mut holds: Vec<Option<TensorId>> = vec![None; program.buffer_lens.len()];
        for operation in program.operations() {
            let (read, written) = ends(operation);
            for &tensor in &read {
                assert_eq!(holds[program.buffers[tensor]], Some(tensor), "{operation:?}");
            }
            let Some(Target { tensor, accumulate }) = written else { continue };
            let buffer = program.buffers[tensor];
            assert!(read.iter().all(|&read| program.buffers[read] != buffer), "{operation:?}");
            assert!(!accumulate || holds[buffer] == Some(tensor), "{operation:?}");
            assert!(program.shapes[tensor].len() <= program.buffer_lens[buffer]);
            holds[buffer] = Some(tensor);
        }
        let gradients = program.shapes.len() - program.n_activations;
        let shared = program.buffer_lens.len() - program.n_activations;
        assert!(shared < gradients / 4, "{shared} buffers for {gradients} gradients");
    }

    #[test]
    fn stages_are_all_operations_between_entrance_and_exit() {
        let program = Program::new(&small(), 16, 24).unwrap();
        let (mut forward, mut vjp) = (2, 1);
        for (stage, reverse) in program.stages.iter().zip(program.stages.iter().rev()) {
            assert_eq!((stage.forward.start, reverse.vjp.start), (forward, vjp), "{}", stage.name);
            (forward, vjp) = (stage.forward.end, reverse.vjp.end);
        }
        assert_eq!((forward + 1, vjp + 1), (program.forward.len(), program.vjp.len()));
    }
}
