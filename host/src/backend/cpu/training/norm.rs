//! Group normalisation, with SiLU behind it or without: value, tangent, and the gradients of both.
//!
//! In a group of N values, with x^ = (x - mean) rstd, z = g x^ + b and y = s(z):
//!
//! ```text
//! dot_x^ = rstd (dot_x - mean(dot_x) - x^ A),          A = mean(x^ dot_x),      dot_y = s' g dot_x^.
//! ```
//!
//! Given d_dot_y and d_y, with d = g d_dot_z, e = g d_z, B = mean(x^ d), M = mean(dot_x), D = mean(d):
//!
//! ```text
//! d_dot_z = s' d_dot_y,                             d_dot_x = rstd (d - D - x^ B),
//! d_z = s' d_y + s'' dot_z d_dot_y,                 d_g = sum(d_z x^ + d_dot_z dot_x^),   d_b = sum(d_z),
//! d_x = rstd (e + w - mean(e + w) - x^ mean(x^ (e + w))) - rstd x^ mean(d dot_x^),
//! w = -rstd (A d + B dot_x),  mean(w) = -rstd (A D + B M),  mean(x^ w) = -2 rstd A B.
//! ```
//!
//! (x^ varies with x as dot_x^ does with dot_x, which gives e + w its first factor; the last term is that of rstd.)

use super::super::blocked::Blocked;
use super::super::layer::group_norm::{GroupNorm, Pairs};
use super::lane::{Context, Lane};
use super::norm_kernels::GroupMeans;
use super::norm_kernels::{Activate, InputGradient, NormState, TangentSums, ValueGradient, nothing, run_blocks};
use crate::unet::operation::TensorId;
use crate::unet::tape::{Input, Inputs, Quantity};
use rayon::prelude::*;
use std::mem::take;
use std::ops::Range;

/// One normalisation with its place on the tape.
#[derive(Debug)]
pub(super) struct NormLayer {
    /// Number of its own state among the lane's.
    pub(super) number: usize,
    pub(super) inputs: Inputs,
    pub(super) output: TensorId,
    /// True if a SiLU follows.
    pub(super) silu: bool,
    pub(super) norm: GroupNorm,
    /// In the parameters.
    pub(super) gain: Range<usize>,
    pub(super) bias: Range<usize>,
    /// In the lane's gradient: gains, then biases.
    pub(super) gradient: Range<usize>,
}

impl NormLayer {
    pub(super) fn state(&self, layouts: &[Blocked]) -> NormState {
        NormState::new(self.gain.len(), self.norm.groups, layouts[self.output].n_blocks())
    }

    /// Takes over new weights.
    pub(super) fn repack(&mut self, parameters: &[f32]) {
        self.norm.gain.copy_from_slice(&parameters[self.gain.clone()]);
        self.norm.bias.copy_from_slice(&parameters[self.bias.clone()]);
    }

    /// Channels of group `group`.
    fn channels(&self, group: usize) -> Range<usize> {
        let per_group = self.gain.len() / self.norm.groups;
        group * per_group..(group + 1) * per_group
    }

    /// Values in a group.
    fn group_len(&self, context: &Context<'_>) -> f64 {
        (context.layouts[self.output].len() / self.norm.groups) as f64
    }

    /// The output's value.
    pub(super) fn forward(&self, context: &Context<'_>, lane: &mut Lane) {
        let layout = context.layouts[self.output];
        let (mut y, mut state) = (lane.take(Quantity::Value, self.output), take(&mut lane.norms[self.number]));
        let x = lane.inputs(context, Quantity::Value, self.inputs);
        let moments = |input: Input| {
            let (layout, values) = (context.layouts[input.tensor], &lane.moments[input.tensor][..]);
            Pairs { layout, values }
        };
        state.value.forward(&self.norm, moments(self.inputs.first), self.inputs.second.map(moments));
        let NormState { value, dot_hat, .. } = &state;
        run_blocks(layout, &mut y, nothing(layout), |block, pixels, y, ()| {
            let (gain, silu) = (&self.norm.gain[..], self.silu);
            let task = Activate { norm: value, dot_hat, gain, silu, x, dot_x: None, block, pixels, out: y };
            context.engine.arch.dispatch(task);
        });
        lane.norms[self.number] = state;
        lane.put(Quantity::Value, self.output, y);
    }

    /// The output's tangent.
    pub(super) fn tangent(&self, context: &Context<'_>, lane: &mut Lane) {
        let layout = context.layouts[self.output];
        let (mut dot_y, mut state) = (lane.take(Quantity::Dot, self.output), take(&mut lane.norms[self.number]));
        let x = lane.inputs(context, Quantity::Value, self.inputs);
        let dot_x = lane.inputs(context, Quantity::Dot, self.inputs);
        let NormState { value, dot_hat, means, on_tangents, sums, .. } = &mut state;
        let channels = self.gain.len();
        run_blocks(layout, &mut dot_y, sums.par_chunks_mut(channels), |block, pixels, _, sums| {
            context.engine.arch.dispatch(TangentSums { norm: value, x, dot_x, block, pixels, sums });
        });
        let n = self.group_len(context);
        for (group, means) in means.iter_mut().enumerate() {
            let [dot, hat, _] = total(sums, channels, self.channels(group), |_| 1.0);
            (means.dot, means.dot_hat) = (dot / n, hat / n);
            for channel in self.channels(group) {
                let (rstd, offset) = (f64::from(value.hat_scale[channel]), f64::from(value.hat_shift[channel]));
                let constant = -rstd * (means.dot + offset * means.dot_hat);
                dot_hat[channel] = [rstd as f32, (-rstd * rstd * means.dot_hat) as f32, constant as f32];
                let on_d_dot_z = -rstd * rstd * means.dot_hat * f64::from(self.norm.gain[channel]);
                on_tangents[channel] = [on_d_dot_z as f32, (-rstd * rstd * means.d_hat) as f32];
            }
        }
        run_blocks(layout, &mut dot_y, nothing(layout), |block, pixels, dot_y, ()| {
            let (gain, silu) = (&self.norm.gain[..], self.silu);
            let dot_x = Some(dot_x);
            let task = Activate { norm: value, dot_hat, gain, silu, x, dot_x, block, pixels, out: dot_y };
            context.engine.arch.dispatch(task);
        });
        lane.norms[self.number] = state;
        lane.put(Quantity::Dot, self.output, dot_y);
    }

    /// d_dot_x from d_dot_y. What [`ValueGradient`] leaves stands in the memory of d_y, which is free until that
    /// arises.
    pub(super) fn backward_tangent(&self, context: &Context<'_>, lane: &mut Lane) {
        let layout = context.layouts[self.output];
        let (mut state, mut d) = (take(&mut lane.norms[self.number]), lane.take(Quantity::DValue, self.output));
        let x = lane.inputs(context, Quantity::Value, self.inputs);
        let NormState { value, dot_hat, means, on_tangents, on_x, sums } = &mut state;
        let d_y = Some(lane.activation(context, Quantity::DDot, self.output));
        let channels = self.gain.len();
        run_blocks(layout, &mut d, sums.par_chunks_mut(channels), |block, pixels, d, sums| {
            let (norm, gain, silu, second) = (&*value, &self.norm.gain[..], self.silu, None);
            let task = ValueGradient { norm, dot_hat, on_tangents, gain, silu, x, second, d_y, block, pixels, d, sums };
            context.engine.arch.dispatch(task);
        });
        let n = self.group_len(context);
        for (group, means) in means.iter_mut().enumerate() {
            let gain = |channel: usize| f64::from(self.norm.gain[channel]);
            let [d, hat, _] = total(sums, channels, self.channels(group), gain);
            (means.d, means.d_hat) = (d / n, hat / n);
            for c in self.channels(group) {
                let (rstd, offset) = (f64::from(value.hat_scale[c]), f64::from(value.hat_shift[c]));
                let constant = -rstd * (means.d + offset * means.d_hat);
                on_x[c] = [(-rstd * rstd * means.d_hat) as f32, constant as f32];
            }
        }
        lane.norms[self.number] = state;
        lane.put(Quantity::DValue, self.output, d);
        self.backward_inputs(context, lane, Quantity::DDot);
    }

    /// d_x, and the gradients of gain and bias, from d_y and, `with_tangents`, all that went before.
    pub(super) fn backward_value(&self, context: &Context<'_>, lane: &mut Lane, with_tangents: bool) {
        let layout = context.layouts[self.output];
        let (mut state, mut d) = (take(&mut lane.norms[self.number]), lane.take(Quantity::DValue, self.output));
        let x = lane.inputs(context, Quantity::Value, self.inputs);
        let dot_x = lane.inputs(context, Quantity::Dot, self.inputs);
        let d_dot_y = lane.activation(context, Quantity::DDot, self.output);
        let NormState { value, dot_hat, means, on_tangents, on_x, sums } = &mut state;
        let (channels, second) = (self.gain.len(), with_tangents.then_some((dot_x, d_dot_y)));
        run_blocks(layout, &mut d, sums.par_chunks_mut(channels), |block, pixels, d, sums| {
            let (norm, gain, silu, d_y) = (&*value, &self.norm.gain[..], self.silu, None);
            let task = ValueGradient { norm, dot_hat, on_tangents, gain, silu, x, second, d_y, block, pixels, d, sums };
            context.engine.arch.dispatch(task);
        });
        let n = self.group_len(context);
        for (group, means) in means.iter().enumerate() {
            let gain = |channel: usize| f64::from(self.norm.gain[channel]);
            let [e, e_hat, d_dot] = total(sums, channels, self.channels(group), gain).map(|sum| sum / n);
            let GroupMeans { dot, dot_hat, d, d_hat } = if with_tangents { *means } else { GroupMeans::default() };
            for c in self.channels(group) {
                let (rstd, offset) = (f64::from(value.hat_scale[c]), f64::from(value.hat_shift[c]));
                let on_hat = rstd * (e_hat - 2.0 * rstd * dot_hat * d_hat + d_dot);
                let constant = -on_hat * offset - rstd * (e - rstd * (dot_hat * d + d_hat * dot));
                on_x[c] = [(-on_hat * rstd) as f32, constant as f32];
            }
        }
        let (d_gain, d_bias) = lane.gradient[self.gradient.clone()].split_at_mut(channels);
        for (c, (d_gain, d_bias)) in d_gain.iter_mut().zip(d_bias).enumerate() {
            let [plain, hat, dot] = total(sums, channels, c..c + 1, |_| 1.0);
            (*d_gain, *d_bias) = ((hat + dot) as f32, plain as f32);
        }
        lane.norms[self.number] = state;
        lane.put(Quantity::DValue, self.output, d);
        self.backward_inputs(context, lane, Quantity::DValue);
    }

    /// d_x = or += what [`ValueGradient`] left, + q x + r, input by input.
    fn backward_inputs(&self, context: &Context<'_>, lane: &mut Lane, quantity: Quantity) {
        let mut first = 0;
        for input in self.inputs.each() {
            let (layout, accumulate) = (context.layouts[input.tensor], input.accumulate);
            let mut d_x = lane.take(quantity, input.tensor);
            let d = lane.activation(context, Quantity::DValue, self.output).window(first, layout.channels);
            let x = lane.activation(context, Quantity::Value, input.tensor);
            let coefficients = &lane.norms[self.number].on_x[first..first + layout.channels];
            run_blocks(layout, &mut d_x, nothing(layout), |block, pixels, out, ()| {
                context.engine.arch.dispatch(InputGradient { coefficients, d, x, accumulate, block, pixels, out });
            });
            lane.put(quantity, input.tensor, d_x);
            first += layout.channels;
        }
    }

    /// The gradient of the parameters from that of what the lanes keep.
    pub(super) fn collect(&self, of_lanes: &[f32], factor: f32, gradient: &mut [f32]) {
        let (d_gain, d_bias) = of_lanes[self.gradient.clone()].split_at(self.gain.len());
        for (range, from) in [(self.gain.clone(), d_gain), (self.bias.clone(), d_bias)] {
            gradient[range].iter_mut().zip(from).for_each(|(to, from)| *to = factor * from);
        }
    }
}

/// Weighted sums over the channels of a group and all blocks, of `[block][channel]`.
fn total(sums: &[[f32; 3]], channels: usize, range: Range<usize>, weight: impl Fn(usize) -> f64) -> [f64; 3] {
    let mut total = [0.0; 3];
    for block in sums.chunks_exact(channels) {
        for c in range.clone() {
            for (total, &sum) in total.iter_mut().zip(&block[c]) {
                *total += weight(c) * f64::from(sum);
            }
        }
    }
    total
}
