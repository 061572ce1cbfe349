//! The state of one image at a normalisation in training, and the elementwise loops, one block of rows at a time.

use super::super::blocked::{Activation, Blocked, Concat};
use super::super::layer::group_norm::Normalisation;
use super::super::layer::silu::{silu, silu_slopes};
use super::super::simd::{Sum, for_each_vector, load_first, store_first};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Means over a group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GroupMeans {
    /// M and A of the tangent.
    pub(super) dot: f64,
    pub(super) dot_hat: f64,
    /// D and B of the tangent's gradient.
    pub(super) d: f64,
    pub(super) d_hat: f64,
}

/// The state of one image at a normalisation.
#[derive(Debug, Default)]
pub(super) struct NormState {
    pub(super) value: Normalisation,
    /// dot_x^ = p dot_x + q x + r, per channel.
    pub(super) dot_hat: Vec<[f32; 3]>,
    pub(super) means: Vec<GroupMeans>,
    /// d_x = rstd g d_z + s d_dot_z + t dot_x + q x + r: (s, t) and (q, r), per channel.
    pub(super) on_tangents: Vec<[f32; 2]>,
    pub(super) on_x: Vec<[f32; 2]>,
    pub(super) sums: Vec<[f32; 3]>,
}

impl NormState {
    pub(super) fn new(channels: usize, groups: usize, blocks: usize) -> Self {
        Self {
            value: Normalisation::new(channels),
            dot_hat: vec![[0.0; 3]; channels],
            means: vec![GroupMeans::default(); groups],
            on_tangents: vec![[0.0; 2]; channels],
            on_x: vec![[0.0; 2]; channels],
            sums: vec![[0.0; 3]; blocks * channels],
        }
    }
}

/// Calls `task(block, pixels, values, beside)` for every block of an activation, which may be in longer memory;
/// `beside` has one item for each block.
pub(super) fn run_blocks<T: Send>(
    layout: Blocked,
    values: &mut [f32],
    beside: impl IndexedParallelIterator<Item = T>,
    task: impl Fn(usize, usize, &mut [f32], T) + Sync,
) {
    let blocks = values[..layout.len()].par_chunks_mut(layout.block_len()).zip(beside).enumerate();
    blocks.for_each(|(block, (values, beside))| task(block, layout.block_pixels(block), values, beside));
}

/// Nothing beside the blocks.
pub(super) fn nothing(layout: Blocked) -> impl IndexedParallelIterator<Item = ()> {
    rayon::iter::repeat_n((), layout.n_blocks())
}

/// Sums of dot_x and dot_x x^.
pub(super) struct TangentSums<'a> {
    pub(super) norm: &'a Normalisation,
    pub(super) x: Concat<'a>,
    pub(super) dot_x: Concat<'a>,
    pub(super) block: usize,
    pub(super) pixels: usize,
    pub(super) sums: &'a mut [[f32; 3]],
}

impl WithSimd for TangentSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (channel, sums) in self.sums.iter_mut().enumerate() {
            let (x, dot_x) = (self.x.block(self.block, channel), self.dot_x.block(self.block, channel));
            let [_, _, scale, shift] = self.norm.of_channel(channel).map(|v| simd.splat_f32s(v));
            let (mut plain, mut hat) = (Sum::zero(simd), Sum::zero(simd));
            for_each_vector::<S>(
                self.pixels,
                #[inline(always)]
                |at, valid, part| {
                    let dot_x = load_first(simd, dot_x, at, valid);
                    plain.add(simd, part, valid, dot_x);
                    let x_hat = simd.mul_add_e_f32s(load_first(simd, x, at, valid), scale, shift);
                    hat.add_product(simd, part, valid, dot_x, x_hat);
                },
            );
            *sums = [plain.total() as f32, hat.total() as f32, 0.0];
        }
    }
}

/// out = s(z), or with `dot_x` its tangent s'(z) dot_z.
pub(super) struct Activate<'a> {
    pub(super) norm: &'a Normalisation,
    pub(super) dot_hat: &'a [[f32; 3]],
    pub(super) gain: &'a [f32],
    pub(super) silu: bool,
    pub(super) x: Concat<'a>,
    pub(super) dot_x: Option<Concat<'a>>,
    pub(super) block: usize,
    pub(super) pixels: usize,
    pub(super) out: &'a mut [f32],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { norm, silu: with_silu, .. } = self;
        for (channel, out) in self.out.chunks_exact_mut(self.pixels).enumerate() {
            let x = self.x.block(self.block, channel);
            let [scale, shift, ..] = norm.of_channel(channel).map(|v| simd.splat_f32s(v));
            let Some(dot_x) = self.dot_x else {
                for_each_vector::<S>(
                    self.pixels,
                    #[inline(always)]
                    |at, valid, _| {
                        let z = simd.mul_add_e_f32s(load_first(simd, x, at, valid), scale, shift);
                        store_first(simd, out, at, valid, if with_silu { silu(simd, z) } else { z });
                    },
                );
                continue;
            };
            let dot_x = dot_x.block(self.block, channel);
            let [p, q, r] = self.dot_hat[channel].map(|v| simd.splat_f32s(v * self.gain[channel]));
            for_each_vector::<S>(
                self.pixels,
                #[inline(always)]
                |at, valid, _| {
                    let (x, dot_x) = (load_first(simd, x, at, valid), load_first(simd, dot_x, at, valid));
                    let mut dot = simd.mul_add_e_f32s(p, dot_x, simd.mul_add_e_f32s(q, x, r));
                    if with_silu {
                        dot = simd.mul_f32s(dot, silu_slopes(simd, simd.mul_add_e_f32s(x, scale, shift)).0);
                    }
                    store_first(simd, out, at, valid, dot);
                },
            );
        }
    }
}

/// s'(z) and s''(z) of the SiLU or, without it, of z itself.
#[inline(always)]
fn slopes<S: Simd>(simd: S, silu: bool, z: S::f32s) -> (S::f32s, S::f32s) {
    if silu { silu_slopes(simd, z) } else { (simd.splat_f32s(1.0), simd.splat_f32s(0.0)) }
}

/// d_z = s'(z) d_y, where d_y is given or stands where the result will; with `second` = (dot_x, d_dot_y) also + s''(z)
/// dot_z d_dot_y. Sums of d_z, d_z x^ and d_dot_z dot_x^. What is kept is the part of d_x that does not depend on them,
/// rstd g d_z, and with `second` also + on_tangents . (d_dot_z, dot_x).
pub(super) struct ValueGradient<'a> {
    pub(super) norm: &'a Normalisation,
    pub(super) dot_hat: &'a [[f32; 3]],
    pub(super) on_tangents: &'a [[f32; 2]],
    pub(super) gain: &'a [f32],
    pub(super) silu: bool,
    pub(super) x: Concat<'a>,
    pub(super) second: Option<(Concat<'a>, Activation<'a>)>,
    pub(super) d_y: Option<Activation<'a>>,
    pub(super) block: usize,
    pub(super) pixels: usize,
    pub(super) d: &'a mut [f32],
    pub(super) sums: &'a mut [[f32; 3]],
}

impl WithSimd for ValueGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { norm, silu, block, pixels, .. } = self;
        for (channel, (d, sums)) in self.d.chunks_exact_mut(pixels).zip(self.sums).enumerate() {
            let x = self.x.block(block, channel);
            let [scale, shift, hat_scale, hat_shift] = norm.of_channel(channel).map(|v| simd.splat_f32s(v));
            let [p, q, r] = self.dot_hat[channel].map(|v| simd.splat_f32s(v));
            let gain = simd.splat_f32s(self.gain[channel]);
            let [on_d_dot_z, on_dot_x] = self.on_tangents[channel].map(|v| simd.splat_f32s(v));
            let d_y = self.d_y.map(|d_y| d_y.block(block, channel));
            let second =
                self.second.map(|(dot_x, d_dot_y)| (dot_x.block(block, channel), d_dot_y.block(block, channel)));
            let (mut plain, mut hat, mut dot) = (Sum::zero(simd), Sum::zero(simd), Sum::zero(simd));
            for_each_vector::<S>(
                pixels,
                #[inline(always)]
                |at, valid, part| {
                    let x = load_first(simd, x, at, valid);
                    let mut d_z = load_first(simd, d_y.unwrap_or(d), at, valid);
                    let (slope, bend) = slopes(simd, silu, simd.mul_add_e_f32s(x, scale, shift));
                    d_z = simd.mul_f32s(d_z, slope);
                    let mut d_x = simd.splat_f32s(0.0);
                    if let Some((dot_x, d_dot_y)) = second {
                        let (dot_x, d_dot_y) =
                            (load_first(simd, dot_x, at, valid), load_first(simd, d_dot_y, at, valid));
                        let dot_hat = simd.mul_add_e_f32s(p, dot_x, simd.mul_add_e_f32s(q, x, r));
                        let d_dot_z = simd.mul_f32s(d_dot_y, slope);
                        d_z = simd.mul_add_e_f32s(simd.mul_f32s(bend, d_dot_y), simd.mul_f32s(gain, dot_hat), d_z);
                        dot.add_product(simd, part, valid, d_dot_z, dot_hat);
                        d_x = simd.mul_add_e_f32s(on_d_dot_z, d_dot_z, simd.mul_f32s(on_dot_x, dot_x));
                    }
                    store_first(simd, d, at, valid, simd.mul_add_e_f32s(scale, d_z, d_x));
                    plain.add(simd, part, valid, d_z);
                    hat.add_product(simd, part, valid, d_z, simd.mul_add_e_f32s(x, hat_scale, hat_shift));
                },
            );
            *sums = [plain.total(), hat.total(), dot.total()].map(|v| v as f32);
        }
    }
}

/// out = or += d + q x + r.
pub(super) struct InputGradient<'a> {
    /// (q, r) per channel of x.
    pub(super) coefficients: &'a [[f32; 2]],
    pub(super) d: Activation<'a>,
    pub(super) x: Activation<'a>,
    pub(super) accumulate: bool,
    pub(super) block: usize,
    pub(super) pixels: usize,
    pub(super) out: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let block = self.block;
        for (channel, out) in self.out.chunks_exact_mut(self.pixels).enumerate() {
            let (d, x) = (self.d.block(block, channel), self.x.block(block, channel));
            let [q, r] = self.coefficients[channel].map(|v| simd.splat_f32s(v));
            for_each_vector::<S>(
                self.pixels,
                #[inline(always)]
                |at, valid, _| {
                    let mut d_x = simd.mul_add_e_f32s(q, load_first(simd, x, at, valid), r);
                    d_x = simd.add_f32s(load_first(simd, d, at, valid), d_x);
                    if self.accumulate {
                        d_x = simd.add_f32s(d_x, load_first(simd, out, at, valid));
                    }
                    store_first(simd, out, at, valid, d_x);
                },
            );
        }
    }
}
