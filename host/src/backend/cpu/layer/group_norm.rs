//! Group normalisation: z = gain (x - mean)/sqrt(var + eps) + bias, with mean and variance over the pixels of a group
//! of channels. As z = scale x + shift per channel the layer that reads x applies it; here are its statistics and its
//! vjp.
//!
//! With x^ = (x - mean) rstd, N values in the group and d = d_z gain:
//!
//! ```text
//! d_x = rstd (d - sum(d)/N - x^ sum(d x^)/N)  =  p d_z + q x + r,
//! ```
//!
//! with p per channel and q, r per group. Each block of rows contributes partial sums in f32; they are added in f64,
//! block by block.

use super::super::blocked::{Activation, Blocked, Concat};
use super::super::engine::Engine;
use super::super::simd::{Sum, for_each_vector, load_first, store_first};
use super::silu::silu_vjp;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Weights of one normalisation.
#[derive(Debug, Clone)]
pub(crate) struct GroupNorm {
    pub(crate) gain: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) groups: usize,
    pub(crate) eps: f64,
}

/// A normalisation of one image as affine maps per channel: z = scale x + shift and x^ = hat_scale x + hat_shift.
#[derive(Debug, Clone, Default)]
pub(crate) struct Normalisation {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
    pub(crate) hat_scale: Vec<f32>,
    pub(crate) hat_shift: Vec<f32>,
}

/// A normalisation's vjp of one image as an affine map per channel: d_x = p d_z + q x + r.
#[derive(Debug, Clone, Default)]
pub(crate) struct InputGradient {
    p: Vec<f32>,
    q: Vec<f32>,
    r: Vec<f32>,
}

/// A pair for each channel in each block, `[block][channel]`, with the layout they belong to: its mean and sum of
/// squared deviations, or the sums of a vjp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs<'a> {
    pub(crate) layout: Blocked,
    pub(crate) values: &'a [[f32; 2]],
}

impl Pairs<'_> {
    /// Mean and sum of squared deviations of a channel over the image.
    fn channel(&self, channel: usize) -> (f64, f64) {
        let blocks = || {
            (0..self.layout.n_blocks()).map(|block| {
                let [mean, deviations] = self.values[block * self.layout.channels + channel];
                (self.layout.block_pixels(block) as f64, f64::from(mean), f64::from(deviations))
            })
        };
        let n = (self.layout.height * self.layout.width) as f64;
        let mean = blocks().map(|(n, mean, _)| n * mean).sum::<f64>() / n;
        (mean, blocks().map(|(n, m, deviations)| deviations + n * (m - mean).powi(2)).sum())
    }
}

impl Normalisation {
    pub(crate) fn new(channels: usize) -> Self {
        let zeros = || vec![0.0; channels];
        Self { scale: zeros(), shift: zeros(), hat_scale: zeros(), hat_shift: zeros() }
    }

    /// Scale, shift, hat_scale and hat_shift.
    #[inline(always)]
    pub(crate) fn of_channel(&self, channel: usize) -> [f32; 4] {
        [self.scale[channel], self.shift[channel], self.hat_scale[channel], self.hat_shift[channel]]
    }

    /// Takes the statistics of an image whose channels stand in one or two activations.
    pub(crate) fn forward(&mut self, norm: &GroupNorm, first: Pairs<'_>, second: Option<Pairs<'_>>) {
        let pixels = (first.layout.height * first.layout.width) as f64;
        let per_group = norm.gain.len() / norm.groups;
        let moments = |channel: usize| match second {
            Some(second) if channel >= first.layout.channels => second.channel(channel - first.layout.channels),
            _ => first.channel(channel),
        };
        for group in 0..norm.groups {
            let channels = group * per_group..(group + 1) * per_group;
            let (mut sum, mut deviations) = (0.0, 0.0);
            for (mean, m2) in channels.clone().map(moments) {
                sum += mean;
                deviations += m2;
            }
            let mean = sum / per_group as f64;
            deviations += channels.clone().map(|c| pixels * (moments(c).0 - mean).powi(2)).sum::<f64>();
            let rstd = 1.0 / (deviations / (pixels * per_group as f64) + norm.eps).sqrt();
            for c in channels {
                let scale = f64::from(norm.gain[c]) * rstd;
                self.scale[c] = scale as f32;
                self.shift[c] = (f64::from(norm.bias[c]) - mean * scale) as f32;
                self.hat_scale[c] = rstd as f32;
                self.hat_shift[c] = (-mean * rstd) as f32;
            }
        }
    }
}

impl InputGradient {
    pub(crate) fn new(channels: usize) -> Self {
        Self { p: vec![0.0; channels], q: vec![0.0; channels], r: vec![0.0; channels] }
    }

    /// Closes the sums (d_z, d_z x^) per `[block][channel]`.
    pub(crate) fn vjp(&mut self, norm: &GroupNorm, at: &Normalisation, sums: Pairs<'_>) {
        let (channels, pixels) = (norm.gain.len(), sums.layout.height * sums.layout.width);
        let sums = &sums.values[..sums.layout.n_blocks() * channels];
        let per_group = channels / norm.groups;
        let n = (pixels * per_group) as f64;
        for group in 0..norm.groups {
            let range = group * per_group..(group + 1) * per_group;
            let (mut total, mut total_hat) = (0.0, 0.0);
            for block in sums.chunks_exact(channels) {
                for (&[d, d_hat], &gain) in block[range.clone()].iter().zip(&norm.gain[range.clone()]) {
                    total += f64::from(gain) * f64::from(d);
                    total_hat += f64::from(gain) * f64::from(d_hat);
                }
            }
            for c in range {
                let (rstd, offset) = (f64::from(at.hat_scale[c]), f64::from(at.hat_shift[c]));
                self.p[c] = (f64::from(norm.gain[c]) * rstd) as f32;
                self.q[c] = (-rstd * rstd * total_hat / n) as f32;
                self.r[c] = (-rstd * (total + offset * total_hat) / n) as f32;
            }
        }
    }

    /// p d_z + q x + r in channel `channel`.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(&self, simd: S, channel: usize, d_z: S::f32s, x: S::f32s) -> S::f32s {
        let (p, q, r) = (self.p[channel], self.q[channel], self.r[channel]);
        let norm = simd.mul_add_e_f32s(simd.splat_f32s(q), x, simd.splat_f32s(r));
        simd.mul_add_e_f32s(simd.splat_f32s(p), d_z, norm)
    }
}

/// Finishes a block of a forward convolution: out += bias + shift + residual, and the moments of the result.
pub(crate) struct BlockMoments<'a> {
    pub(crate) bias: &'a [f32],
    pub(crate) shift: Option<&'a [f32]>,
    pub(crate) residual: Option<Concat<'a>>,
    pub(crate) block: usize,
    pub(crate) pixels: usize,
    pub(crate) out: &'a mut [f32],
    pub(crate) moments: &'a mut [[f32; 2]],
}

impl WithSimd for BlockMoments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let pixels = self.pixels;
        for (channel, (out, moments)) in self.out.chunks_exact_mut(pixels).zip(self.moments).enumerate() {
            let offset = self.bias[channel] + self.shift.map_or(0.0, |shift| shift[channel]);
            let offset = simd.splat_f32s(offset);
            let residual = self.residual.map(|residual| residual.block(self.block, channel));
            let mut sum = Sum::zero(simd);
            for_each_vector::<S>(
                pixels,
                #[inline(always)]
                |at, valid, part| {
                    let mut v = simd.add_f32s(load_first(simd, out, at, valid), offset);
                    if let Some(residual) = residual {
                        v = simd.add_f32s(v, load_first(simd, residual, at, valid));
                    }
                    store_first(simd, out, at, valid, v);
                    sum.add(simd, part, valid, v);
                },
            );
            let mean = (sum.total() / pixels as f64) as f32;
            let centre = simd.splat_f32s(mean);
            let mut squares = Sum::zero(simd);
            for_each_vector::<S>(
                pixels,
                #[inline(always)]
                |at, valid, part| {
                    let d = simd.sub_f32s(load_first(simd, out, at, valid), centre);
                    squares.add_product(simd, part, valid, d, d);
                },
            );
            *moments = [mean, squares.total() as f32];
        }
    }
}

/// Finishes a block of a backward convolution: d becomes d_z (through the SiLU when `silu`), and the sums of d_z and
/// d_z x^.
pub(crate) struct BlockVjpSums<'a> {
    pub(crate) norm: &'a Normalisation,
    /// Number, in the norm, of the first channel of `d`.
    pub(crate) first: usize,
    pub(crate) normalised: Concat<'a>,
    pub(crate) silu: bool,
    pub(crate) block: usize,
    pub(crate) pixels: usize,
    pub(crate) d: &'a mut [f32],
    pub(crate) sums: &'a mut [[f32; 2]],
}

impl WithSimd for BlockVjpSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let norm = self.norm;
        for (channel, (d, sums)) in (self.first..).zip(self.d.chunks_exact_mut(self.pixels).zip(self.sums)) {
            let x = self.normalised.block(self.block, channel);
            let [scale, shift, hat_scale, hat_shift] = norm.of_channel(channel).map(|v| simd.splat_f32s(v));
            let (mut plain, mut hat) = (Sum::zero(simd), Sum::zero(simd));
            for_each_vector::<S>(
                self.pixels,
                #[inline(always)]
                |at, valid, part| {
                    let x = load_first(simd, x, at, valid);
                    let mut d_z = load_first(simd, d, at, valid);
                    if self.silu {
                        d_z = silu_vjp(simd, simd.mul_add_e_f32s(x, scale, shift), d_z);
                        store_first(simd, d, at, valid, d_z);
                    }
                    plain.add(simd, part, valid, d_z);
                    hat.add_product(simd, part, valid, d_z, simd.mul_add_e_f32s(x, hat_scale, hat_shift));
                },
            );
            *sums = [plain.total() as f32, hat.total() as f32];
        }
    }
}

/// A norm's vjp restricted to the channels of one of its inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputGradientBlock<'a> {
    pub(crate) gradient: &'a InputGradient,
    /// Number, in the norm, of the first channel of `x`.
    pub(crate) first: usize,
    pub(crate) d_z: Activation<'a>,
    pub(crate) x: Activation<'a>,
}

impl InputGradientBlock<'_> {
    /// `channels` channels from `first` on.
    pub(crate) fn window(&self, first: usize, channels: usize) -> Self {
        let (d_z, x) = (self.d_z.window(first, channels), self.x.window(first, channels));
        Self { gradient: self.gradient, first: self.first + first, d_z, x }
    }

    /// out += p d_z + q x + r over one block.
    pub(crate) fn add_to(&self, engine: &Engine, block: usize, pixels: usize, out: &mut [f32]) {
        engine.arch.dispatch(AddInputGradient { gradient: *self, block, pixels, accumulate: true, base: None, out });
    }

    /// out = or += base + p d_z + q x + r over a whole activation.
    pub(crate) fn run(&self, engine: &Engine, base: Option<Activation<'_>>, accumulate: bool, out: &mut [f32]) {
        let layout = self.x.layout();
        out[..layout.len()].par_chunks_mut(layout.block_len()).enumerate().with_max_len(1).for_each(|(block, out)| {
            let pixels = layout.block_pixels(block);
            engine.arch.dispatch(AddInputGradient { gradient: *self, block, pixels, accumulate, base, out });
        });
    }
}

struct AddInputGradient<'a> {
    gradient: InputGradientBlock<'a>,
    block: usize,
    pixels: usize,
    accumulate: bool,
    base: Option<Activation<'a>>,
    out: &'a mut [f32],
}

impl WithSimd for AddInputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let InputGradientBlock { gradient, first, d_z, x } = self.gradient;
        for (channel, out) in self.out.chunks_exact_mut(self.pixels).enumerate() {
            let (d_z, x) = (d_z.block(self.block, channel), x.block(self.block, channel));
            let base = self.base.map(|activation| activation.block(self.block, channel));
            for_each_vector::<S>(
                self.pixels,
                #[inline(always)]
                |at, valid, _| {
                    let (d_z, x) = (load_first(simd, d_z, at, valid), load_first(simd, x, at, valid));
                    let mut d_x = gradient.apply(simd, first + channel, d_z, x);
                    if let Some(base) = base {
                        d_x = simd.add_f32s(d_x, load_first(simd, base, at, valid));
                    }
                    if self.accumulate {
                        d_x = simd.add_f32s(d_x, load_first(simd, out, at, valid));
                    }
                    store_first(simd, out, at, valid, d_x);
                },
            );
        }
    }
}
