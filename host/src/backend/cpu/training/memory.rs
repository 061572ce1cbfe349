//! Memory of a lane for the four numbers of every activation.
//!
//! Values, tangents and gradients of tangents are wanted until the last pass ends, so each has memory of its own. The
//! gradient of a value is dead once the operation that made the value has gone back: its memory, which is then in a
//! cache, serves the next ones. And what is only ever added to something else, a projected shortcut, has the gradients
//! of the sum.

use super::super::aligned::Aligned;
use super::super::blocked::Blocked;
use crate::unet::operation::TensorId;
use crate::unet::tape::{Inputs, Operation, Quantity, Tape};
use std::mem::take;
use std::sync::Arc;

/// Buffers of a lane, and which of them every tensor has.
#[derive(Debug)]
pub(super) struct Places {
    /// `[quantity][tensor]`.
    buffers: [Vec<usize>; 4],
    /// `[quantity][buffer]`.
    lens: [Vec<usize>; 4],
    /// The tensor whose gradients each tensor has.
    gradient_of: Vec<TensorId>,
}

impl Places {
    pub(super) fn new(tape: &Tape, layouts: &[Blocked]) -> Self {
        let own: Vec<usize> = (0..layouts.len()).collect();
        let lens: Vec<usize> = layouts.iter().map(Blocked::len).collect();
        let gradient_of = gradients(tape);
        let (of_values, value_lens) = reuse(tape, &lens, &gradient_of);
        Self {
            buffers: [own.clone(), own, gradient_of.clone(), of_values],
            lens: [lens.clone(), lens.clone(), lens, value_lens],
            gradient_of,
        }
    }

    /// True if the gradients of `tensor` are those of another one.
    pub(super) fn are_anothers(&self, tensor: TensorId) -> bool {
        self.gradient_of[tensor] != tensor
    }
}

/// The tensor whose gradients each tensor has: a residual that nothing else reads has those of the sum.
fn gradients(tape: &Tape) -> Vec<TensorId> {
    let n = tape.tensors.len();
    let mut n_readers = vec![0; n];
    tape.operations.iter().flat_map(|operation| operation.ends().0).for_each(|tensor| n_readers[tensor] += 1);
    let mut gradient_of: Vec<TensorId> = (0..n).collect();
    for operation in &tape.operations {
        if let Operation::Convolution(conv) = operation
            && let Some(Inputs { first, second: None }) = conv.residual
            && n_readers[first.tensor] == 1
        {
            gradient_of[first.tensor] = conv.output;
        }
    }
    gradient_of
}

/// Buffers for the gradients of values, each free again when the gradient in it was read last; and their lengths.
fn reuse(tape: &Tape, lens: &[usize], gradient_of: &[TensorId]) -> (Vec<usize>, Vec<usize>) {
    let mut first_makers = vec![usize::MAX; lens.len()];
    for (index, operation) in tape.operations.iter().enumerate() {
        let first = &mut first_makers[gradient_of[operation.ends().1]];
        *first = index.min(*first);
    }
    let (mut places, mut buffers, mut free) = (vec![None; lens.len()], Vec::<usize>::new(), Vec::<usize>::new());
    let mut claim = |tensor: TensorId, free: &mut Vec<usize>| {
        *places[tensor].get_or_insert_with(|| {
            let fits = |&index: &usize| buffers[free[index]] >= lens[tensor];
            // Of those that are just as long, the one that was freed last.
            let best = (0..free.len()).rev().filter(fits).min_by_key(|&index| buffers[free[index]]);
            best.map_or_else(
                || {
                    buffers.push(lens[tensor]);
                    buffers.len() - 1
                },
                |index| free.remove(index),
            )
        })
    };
    for (index, operation) in tape.operations.iter().enumerate().rev() {
        let (inputs, output) = operation.ends();
        let output = gradient_of[output];
        let of_output = claim(output, &mut free);
        inputs.into_iter().for_each(|input| {
            claim(gradient_of[input], &mut free);
        });
        if first_makers[output] == index {
            free.push(of_output);
        }
    }
    (gradient_of.iter().map(|&tensor| places[tensor].unwrap_or(0)).collect(), buffers)
}

/// The activations of one lane.
#[derive(Debug)]
pub(super) struct Memory {
    places: Arc<Places>,
    /// `[quantity][buffer]`.
    buffers: [Vec<Aligned>; 4],
}

impl Memory {
    pub(super) fn new(places: &Arc<Places>) -> Self {
        let zeros = |lens: &Vec<usize>| lens.iter().map(|&len| Aligned::zeros(len)).collect();
        Self { places: Arc::clone(places), buffers: places.lens.each_ref().map(zeros) }
    }

    /// A buffer of at least the tensor's length.
    pub(super) fn of(&self, quantity: Quantity, tensor: TensorId) -> &Aligned {
        &self.buffers[quantity as usize][self.places.buffers[quantity as usize][tensor]]
    }

    /// As [`Memory::of`], to write.
    pub(super) fn of_mut(&mut self, quantity: Quantity, tensor: TensorId) -> &mut Aligned {
        &mut self.buffers[quantity as usize][self.places.buffers[quantity as usize][tensor]]
    }

    /// Lends a buffer out, to be [`Memory::put`] back.
    pub(super) fn take(&mut self, quantity: Quantity, tensor: TensorId) -> Aligned {
        take(self.of_mut(quantity, tensor))
    }

    pub(super) fn put(&mut self, quantity: Quantity, tensor: TensorId, values: Aligned) {
        *self.of_mut(quantity, tensor) = values;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;
    use crate::unet::program::Program;

    /// Goes back through the tape and writes into each buffer whose gradient it holds: nobody finds another's.
    #[test]
    fn no_gradient_is_overwritten_before_it_was_read() {
        let tape = Tape::new(&Program::new(&small(), 16, 16).unwrap());
        let layouts: Vec<Blocked> = tape.tensors.iter().map(|&shape| Blocked::new(shape, 4)).collect();
        let places = Places::new(&tape, &layouts);
        let [_, _, d_dots, d_values] = &places.buffers;
        let mut holds = vec![None; places.lens[3].len()];
        holds[d_values[tape.output]] = Some(tape.output);
        for operation in tape.operations.iter().rev() {
            let (inputs, output) = operation.ends();
            assert_eq!(holds[d_values[output]], Some(places.gradient_of[output]), "{operation:?}");
            for input in inputs {
                assert!(layouts[input].len() <= places.lens[3][d_values[input]]);
                assert!(d_values[input] != d_values[output] || places.are_anothers(input));
                holds[d_values[input]] = Some(places.gradient_of[input]);
            }
        }
        let alone = places.gradient_of.iter().enumerate().filter(|&(tensor, &of)| tensor == of).count();
        assert!(alone < layouts.len() && holds.len() < alone / 3, "{} buffers of {alone}", holds.len());
        assert_eq!(*d_dots, places.gradient_of);
    }
}
