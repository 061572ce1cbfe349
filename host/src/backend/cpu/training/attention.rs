//! Self-attention in training. With q, k, v of `c` channels and `n` pixels, per head and image,
//!
//! ```text
//! S = scale k^T q  [key][query],   P = softmax of each column of S,   mixed = v P,
//! dot_P = P (dot_S - sum(P dot_S)),                                   dot_mixed = dot_v P + v dot_P.
//! ```
//!
//! (Products of matrices of one shape are elementwise, sums run down columns.) Backwards, with D = v^T d_dot_mixed:
//!
//! ```text
//! d_dot_S = P (D - sum(P D)),
//! E = v^T d_mixed + dot_v^T d_dot_mixed + D (dot_S - sum(P dot_S)) - dot_S sum(P D),
//! d_S = P (E - sum(P E)).
//! ```
//!
//! P and its kin are whole matrices here, recomputed in every pass and shared by all heads.

use super::super::layer::attention::Softmax;
use super::head::{AttentionScratch, Head, column_sums, gather, scatter, softmax_slope};
use super::lane::{Context, Lane};
use crate::unet::operation::TensorId;
use crate::unet::tape::Quantity;
use std::mem::take;

/// One attention with its place on the tape.
#[derive(Debug)]
pub(super) struct AttentionLayer {
    pub(super) heads: usize,
    pub(super) qkv: TensorId,
    pub(super) mixed: TensorId,
}

impl AttentionLayer {
    fn head(&self, context: &Context<'_>) -> Head {
        let mixed = context.layouts[self.mixed];
        let c = mixed.channels / self.heads;
        let scale = (1.0 / (c as f64).sqrt()) as f32;
        Head { arch: context.engine.arch, c, n: mixed.height * mixed.width, scale }
    }

    /// Copies q, k, v, and for gradients those of mixed, of one head.
    fn load(&self, context: &Context<'_>, lane: &Lane, quantity: Quantity, head: usize, into: &mut [Vec<f32>; 4]) {
        let Head { c, n, .. } = self.head(context);
        let into = &mut into[quantity as usize];
        match quantity {
            Quantity::Value | Quantity::Dot => {
                gather(lane.activation(context, quantity, self.qkv), 3 * head * c, 3 * c, &mut into[..3 * c * n]);
            }
            Quantity::DDot | Quantity::DValue => {
                gather(lane.activation(context, quantity, self.mixed), head * c, c, &mut into[3 * c * n..4 * c * n]);
            }
        }
    }

    /// P of the loaded values.
    fn probabilities(&self, head: Head, scratch: &mut AttentionScratch) {
        let part = head.c * head.n;
        let (q, k) = scratch.channels[0][..2 * part].split_at(part);
        let p = &mut scratch.p[..head.n * head.n];
        head.outer(k, q, false, p);
        let log_sums = &mut scratch.columns[0][..head.n];
        head.arch.dispatch(Softmax { scores: p, n: head.n, scale: head.scale, log_sums });
    }

    /// dot_S of the loaded values and tangents, and in columns 0 the sums of P dot_S.
    fn dot_scores(&self, head: Head, scratch: &mut AttentionScratch) {
        let (part, matrix) = (head.c * head.n, head.n * head.n);
        let AttentionScratch { p, dot_s, channels: [value, dot, ..], columns: [sums, _], .. } = scratch;
        let dot_s = &mut dot_s[..matrix];
        head.outer(&dot[part..], &value[..part], false, dot_s);
        head.outer(&value[part..], &dot[..part], true, dot_s);
        head.scale(dot_s);
        column_sums(&p[..matrix], dot_s, &mut sums[..head.n]);
    }

    /// D in `d_dot_s`, and in columns 1 the sums of P D.
    fn d_probabilities(&self, head: Head, scratch: &mut AttentionScratch) {
        let (part, matrix) = (head.c * head.n, head.n * head.n);
        let AttentionScratch { p, d_dot_s, channels: [value, _, d_dot, _], columns: [_, sums], .. } = scratch;
        let d_dot_s = &mut d_dot_s[..matrix];
        head.outer(&value[2 * part..], &d_dot[3 * part..4 * part], false, d_dot_s);
        column_sums(&p[..matrix], d_dot_s, &mut sums[..head.n]);
    }

    /// The value of mixed, or its tangent.
    pub(super) fn forward(&self, context: &Context<'_>, lane: &mut Lane, quantity: Quantity) {
        let (mut scratch, mut mixed) = (take(&mut lane.attention), lane.take(quantity, self.mixed));
        let (shape, layout) = (self.head(context), context.layouts[self.mixed]);
        let (part, matrix) = (shape.c * shape.n, shape.n * shape.n);
        for head in 0..self.heads {
            self.load(context, lane, Quantity::Value, head, &mut scratch.channels);
            self.probabilities(shape, &mut scratch);
            if quantity == Quantity::Dot {
                self.load(context, lane, Quantity::Dot, head, &mut scratch.channels);
                self.dot_scores(shape, &mut scratch);
            }
            let AttentionScratch { p, dot_s, channels: [value, dot, ..], columns: [sums, _], .. } = &mut scratch;
            let (p, dot_s) = (&p[..matrix], &mut dot_s[..matrix]);
            let (value, value_out) = value.split_at_mut(3 * part);
            if quantity == Quantity::Dot {
                softmax_slope(p, &sums[..shape.n], dot_s);
                shape.inner(&dot[2 * part..], p, false, value_out);
                shape.inner(&value[2 * part..], dot_s, true, value_out);
            } else {
                shape.inner(&value[2 * part..], p, false, value_out);
            }
            scatter(value_out, layout, head * shape.c, shape.c, &mut mixed);
        }
        lane.attention = scratch;
        lane.put(quantity, self.mixed, mixed);
    }

    /// d_dot_qkv from d_dot_mixed.
    pub(super) fn backward_tangent(&self, context: &Context<'_>, lane: &mut Lane) {
        self.backward_first(context, lane, Quantity::DDot);
    }

    /// d_qkv from d_mixed and, `with_tangents`, all that went before.
    pub(super) fn backward_value(&self, context: &Context<'_>, lane: &mut Lane, with_tangents: bool) {
        if with_tangents {
            self.backward_second(context, lane);
        } else {
            self.backward_first(context, lane, Quantity::DValue);
        }
    }

    /// The transpose of the tangent, from either kind of gradient.
    fn backward_first(&self, context: &Context<'_>, lane: &mut Lane, quantity: Quantity) {
        let (mut scratch, mut d_qkv) = (take(&mut lane.attention), lane.take(quantity, self.qkv));
        let (shape, layout) = (self.head(context), context.layouts[self.qkv]);
        let (part, matrix) = (shape.c * shape.n, shape.n * shape.n);
        for head in 0..self.heads {
            self.load(context, lane, Quantity::Value, head, &mut scratch.channels);
            self.load(context, lane, quantity, head, &mut scratch.channels);
            if quantity == Quantity::DValue {
                scratch.channels.swap(Quantity::DDot as usize, Quantity::DValue as usize);
            }
            self.probabilities(shape, &mut scratch);
            self.d_probabilities(shape, &mut scratch);
            let AttentionScratch { p, d_dot_s, channels: [value, _, d, _], turned, columns: [_, sums], .. } =
                &mut scratch;
            let (p, d_s) = (&p[..matrix], &mut d_dot_s[..matrix]);
            softmax_slope(p, &sums[..shape.n], d_s);
            shape.scale(d_s);
            let (d_qkv_head, d_mixed) = d.split_at_mut(3 * part);
            let (d_q, d_kv) = d_qkv_head.split_at_mut(part);
            let (d_k, d_v) = d_kv.split_at_mut(part);
            shape.inner(&value[part..2 * part], d_s, false, d_q);
            shape.inner_transposed(d_s, &value[..part], false, d_k, turned);
            shape.inner_transposed(p, d_mixed, false, d_v, turned);
            scatter(d_qkv_head, layout, 3 * head * shape.c, 3 * shape.c, &mut d_qkv);
        }
        lane.attention = scratch;
        lane.put(quantity, self.qkv, d_qkv);
    }

    /// d_qkv of the pair (value, tangent).
    fn backward_second(&self, context: &Context<'_>, lane: &mut Lane) {
        let (mut scratch, mut d_qkv) = (take(&mut lane.attention), lane.take(Quantity::DValue, self.qkv));
        let (shape, layout) = (self.head(context), context.layouts[self.qkv]);
        for head in 0..self.heads {
            for quantity in [Quantity::Value, Quantity::Dot, Quantity::DDot, Quantity::DValue] {
                self.load(context, lane, quantity, head, &mut scratch.channels);
            }
            self.probabilities(shape, &mut scratch);
            self.dot_scores(shape, &mut scratch);
            self.d_probabilities(shape, &mut scratch);
            self.close_second(shape, &mut scratch);
            let d_head = &scratch.channels[Quantity::DValue as usize];
            scatter(d_head, layout, 3 * head * shape.c, 3 * shape.c, &mut d_qkv);
        }
        lane.attention = scratch;
        lane.put(Quantity::DValue, self.qkv, d_qkv);
    }

    /// From P, dot_S and D with their sums to d_q, d_k and d_v.
    fn close_second(&self, head: Head, scratch: &mut AttentionScratch) {
        let (part, matrix, n) = (head.c * head.n, head.n * head.n, head.n);
        let AttentionScratch { p, dot_s, d_dot_s, d_s, channels: [value, dot, d_dot, d], turned, columns } = scratch;
        let (p, dot_s, d_dot_s, d_s) = (&p[..matrix], &mut dot_s[..matrix], &mut d_dot_s[..matrix], &mut d_s[..matrix]);
        let [dot_sums, d_sums] = columns;
        let (dot_sums, d_sums) = (&mut dot_sums[..n], &mut d_sums[..n]);
        let d_dot_mixed = &d_dot[3 * part..4 * part];
        let (d_qkv, d_mixed) = d.split_at_mut(3 * part);
        head.outer(&value[2 * part..], d_mixed, false, d_s);
        head.outer(&dot[2 * part..], d_dot_mixed, true, d_s);
        let rows = d_s.chunks_exact_mut(n).zip(dot_s.chunks_exact(n)).zip(d_dot_s.chunks_exact(n));
        for ((d_s, dot_s), d_dot) in rows {
            for col in 0..n {
                d_s[col] += d_dot[col] * (dot_s[col] - dot_sums[col]) - dot_s[col] * d_sums[col];
            }
        }
        // Now that E stands, the others become dot_P and d_dot_S.
        softmax_slope(p, dot_sums, dot_s);
        softmax_slope(p, d_sums, d_dot_s);
        column_sums(p, d_s, d_sums);
        softmax_slope(p, d_sums, d_s);
        head.scale(d_s);
        head.scale(d_dot_s);
        let (d_q, d_kv) = d_qkv.split_at_mut(part);
        let (d_k, d_v) = d_kv.split_at_mut(part);
        head.inner(&value[part..2 * part], d_s, false, d_q);
        head.inner(&dot[part..2 * part], d_dot_s, true, d_q);
        head.inner_transposed(d_s, &value[..part], false, d_k, turned);
        head.inner_transposed(d_dot_s, &dot[..part], true, d_k, turned);
        head.inner_transposed(p, d_mixed, false, d_v, turned);
        head.inner_transposed(dot_s, d_dot_mixed, true, d_v, turned);
    }
}
