//! The steps of a pass over images of one size, and the buffers they need.
//!
//! Activations live from the forward pass to the vjp, one buffer each. Gradients live from the step that first writes
//! them to the step that produced the tensor, so they share a few slots; the plan decides which.

use super::architecture::{Architecture, ArchitectureError};
use super::layers::{self, Layer, LayerKind};
use thiserror::Error;

/// Index of an activation in [`Plan::tensors`].
pub type TensorId = usize;

/// Index of a gradient buffer in [`Plan::slots`].
pub type SlotId = usize;

/// Shape of one activation, `[channel][row][col]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivationShape {
    /// Number of channels.
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// Resolution level, 0 the finest.
    pub level: usize,
}

impl ActivationShape {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a step's vjp puts the gradient of one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GradientTarget {
    /// The buffer.
    pub slot: SlotId,
    /// `+=` when a later step has written the buffer already, `=` otherwise.
    pub accumulate: bool,
}

/// One layer with its buffers.
#[derive(Debug, Clone)]
pub struct Step {
    /// The layer.
    pub layer: Layer,
    /// Activation read.
    pub input: TensorId,
    /// Second activation read, concatenated behind the first.
    pub skip: Option<TensorId>,
    /// Activations inside the layer that the vjp needs: residual block `[u]`, the sum after its first convolution;
    /// attention `[qkv, mixed]`.
    pub hidden: Vec<TensorId>,
    /// Activation written.
    pub output: TensorId,
    /// Gradient of the output, read by the vjp.
    pub d_output: SlotId,
    /// Gradients inside the layer: residual block `[d_z2, d_z1]`; attention `[d_mixed, d_qkv, d_z]`; output `[d_z]`,
    /// where z is what goes into a SiLU (or, in attention, into the 1x1 convolution).
    pub d_hidden: Vec<SlotId>,
    /// Where the gradient of the input goes.
    pub d_input: GradientTarget,
    /// Where the gradient of the skip input goes.
    pub d_skip: Option<GradientTarget>,
}

/// Steps and buffers for one architecture and image size.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Shapes of all activations; the first is the network's input after the pixel unshuffle.
    pub tensors: Vec<ActivationShape>,
    /// First to last.
    pub steps: Vec<Step>,
    /// Values in each gradient buffer.
    pub slots: Vec<usize>,
    /// Slot of the gradient of the network's input, after the last step of the vjp.
    pub d_input: SlotId,
    /// Slot of the gradient of the network's output, before the first step of the vjp.
    pub d_output: SlotId,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The image's sides do not halve as often as the network needs.
    #[error(
        "an image of {height} x {width} pixels does not fit this network: both sides must be positive multiples of {multiple}"
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

impl Plan {
    /// Plans passes over images of `height` x `width` pixels.
    ///
    /// # Errors
    /// `Size` when a side is no multiple of [`Architecture::size_multiple`], `Architecture` for an impossible network.
    pub fn new(architecture: &Architecture, height: usize, width: usize) -> Result<Self, PlanError> {
        architecture.validate()?;
        let multiple = architecture.size_multiple();
        if height == 0 || width == 0 || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            return Err(PlanError::Size { height, width, multiple });
        }
        let unshuffle = architecture.pixel_unshuffle;
        let mut builder = Builder { height: height / unshuffle, width: width / unshuffle, ..Builder::default() };
        builder.forward(architecture);
        builder.backward();
        let (d_input, d_output) = (builder.gradients[0].unwrap_or(0), builder.d_output);
        Ok(Self { tensors: builder.tensors, steps: builder.steps, slots: builder.slots, d_input, d_output })
    }

    /// Shape of the network's output before the pixel shuffle.
    #[must_use]
    pub fn output(&self) -> TensorId {
        self.steps.last().map_or(0, |step| step.output)
    }
}

#[derive(Default)]
struct Builder {
    height: usize,
    width: usize,
    tensors: Vec<ActivationShape>,
    steps: Vec<Step>,
    slots: Vec<usize>,
    free: Vec<SlotId>,
    /// Slot that holds the gradient of each tensor, while it is alive.
    gradients: Vec<Option<SlotId>>,
    d_output: SlotId,
}

impl Builder {
    fn tensor(&mut self, channels: usize, level: usize) -> TensorId {
        let (height, width) = (self.height >> level, self.width >> level);
        self.tensors.push(ActivationShape { channels, height, width, level });
        self.tensors.len() - 1
    }

    fn forward(&mut self, architecture: &Architecture) {
        let mut stack = Vec::new();
        let mut input = self.tensor(architecture.in_channels * architecture.pixel_unshuffle.pow(2), 0);
        for layer in layers::layers(architecture) {
            let skip = if layer.skip > 0 { stack.pop() } else { None };
            let hidden = match layer.kind {
                LayerKind::Residual => vec![self.tensor(layer.output, layer.level)],
                LayerKind::Attention => {
                    vec![self.tensor(3 * layer.output, layer.level), self.tensor(layer.output, layer.level)]
                }
                _ => vec![],
            };
            let output = self.tensor(layer.output, layer.level);
            if layer.pushed {
                stack.push(output);
            }
            let target = GradientTarget { slot: 0, accumulate: false };
            self.steps.push(Step {
                layer,
                input,
                skip,
                hidden,
                output,
                d_output: 0,
                d_hidden: vec![],
                d_input: target,
                d_skip: skip.map(|_| target),
            });
            input = output;
        }
    }

    /// Walks the steps last to first and gives every gradient a slot from its first writer to its last reader.
    fn backward(&mut self) {
        self.gradients = vec![None; self.tensors.len()];
        let Some(last) = self.steps.last().map(|step| step.output) else { return };
        self.d_output = self.take(self.tensors[last].len());
        self.gradients[last] = Some(self.d_output);
        for index in (0..self.steps.len()).rev() {
            let (kind, input, skip) = (self.steps[index].layer.kind, self.steps[index].input, self.steps[index].skip);
            let (hidden, output) = (self.steps[index].hidden.clone(), self.steps[index].output);
            let total = self.tensors[input].len() + skip.map_or(0, |skip| self.tensors[skip].len());
            let lengths = match kind {
                LayerKind::Residual => vec![self.tensors[hidden[0]].len(), total],
                LayerKind::Attention => vec![self.tensors[hidden[1]].len(), self.tensors[hidden[0]].len(), total],
                LayerKind::ConvOut => vec![total],
                LayerKind::ConvIn | LayerKind::Down | LayerKind::Up => vec![],
            };
            let d_hidden: Vec<SlotId> = lengths.into_iter().map(|length| self.take(length)).collect();
            let d_input = self.target(input);
            let d_skip = skip.map(|skip| self.target(skip));
            self.free.extend(&d_hidden);
            let d_output = self.gradients[output].take().unwrap_or(0);
            self.free.push(d_output);
            let step = &mut self.steps[index];
            (step.d_output, step.d_hidden, step.d_input, step.d_skip) = (d_output, d_hidden, d_input, d_skip);
        }
    }

    fn target(&mut self, tensor: TensorId) -> GradientTarget {
        if let Some(slot) = self.gradients[tensor] {
            return GradientTarget { slot, accumulate: true };
        }
        let slot = self.take(self.tensors[tensor].len());
        self.gradients[tensor] = Some(slot);
        GradientTarget { slot, accumulate: false }
    }

    /// The smallest free slot that is large enough; else the largest free one, grown; else a new one.
    fn take(&mut self, length: usize) -> SlotId {
        let fits = self.free.iter().filter(|&&s| self.slots[s] >= length).min_by_key(|&&s| self.slots[s]);
        let best = fits.or_else(|| self.free.iter().max_by_key(|&&s| self.slots[s])).copied();
        if let Some(slot) = best {
            self.free.retain(|&s| s != slot);
            self.slots[slot] = self.slots[slot].max(length);
            return slot;
        }
        self.slots.push(length);
        self.slots.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;

    #[test]
    fn sizes_that_do_not_halve_are_refused_with_the_sizes_that_do() {
        let error = Plan::new(&small(), 16, 18).unwrap_err();
        assert_eq!(error, PlanError::Size { height: 16, width: 18, multiple: 4 });
        assert!(error.to_string().contains("multiples of 4"));
        assert!(Plan::new(&small(), 0, 16).is_err());
    }

    #[test]
    fn live_gradients_never_share_a_slot() {
        let plan = Plan::new(&small(), 16, 24).unwrap();
        let mut owner: Vec<Option<TensorId>> = vec![None; plan.slots.len()];
        owner[plan.d_output] = Some(plan.output());
        for step in plan.steps.iter().rev() {
            assert_eq!(owner[step.d_output], Some(step.output), "{}", step.layer.name);
            for &slot in &step.d_hidden {
                assert_eq!(owner[slot], None, "{}", step.layer.name);
            }
            let targets = [(Some(step.input), Some(step.d_input)), (step.skip, step.d_skip)];
            for (tensor, target) in targets.into_iter().filter_map(|(a, b)| Some((a?, b?))) {
                assert!(!step.d_hidden.contains(&target.slot));
                assert_eq!(owner[target.slot], target.accumulate.then_some(tensor), "{}", step.layer.name);
                owner[target.slot] = Some(tensor);
                assert!(plan.slots[target.slot] >= plan.tensors[tensor].len());
            }
            owner[step.d_output] = None;
        }
        assert_eq!(owner[plan.d_input], Some(0));
    }
}
