//! The energy network in plain `f64` loops: slow, independent of the product's layers, the judge of its energies.
//!
//! The architecture is that of guided diffusion as restated by Fernsel, Kereta and Denker; tensors are `[c][h][w]`,
//! weights carry the authors' state-dict names.

use std::collections::HashMap;

/// Weights by name, row-major.
pub type Weights = HashMap<String, Vec<f64>>;

/// What shapes the network.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// Side of the pixel-unshuffle stem; 1 for none.
    pub pixel_unshuffle: usize,
    /// Channels at the first level.
    pub model_channels: usize,
    /// Channel multiplier of each level.
    pub channel_mult: Vec<usize>,
    /// Residual blocks a level.
    pub num_res_blocks: usize,
    /// Downsampling factors with attention in their blocks.
    pub attention_resolutions: Vec<usize>,
    /// Groups of the normalisations.
    pub norm_groups: usize,
}

/// A feature map, `[c][h][w]`.
#[derive(Debug, Clone)]
struct Map {
    c: usize,
    h: usize,
    w: usize,
    v: Vec<f64>,
}

/// A network with its weights.
#[derive(Debug, Clone)]
pub struct ReferenceNetwork {
    /// Its shape.
    pub architecture: Architecture,
    /// Its weights.
    pub weights: Weights,
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

impl ReferenceNetwork {
    fn weight(&self, name: &str) -> &[f64] {
        self.weights.get(name).map_or_else(|| unreachable_weight(name), Vec::as_slice)
    }

    /// `U(x, t)` for an image `[row][col]`.
    #[must_use]
    pub fn forward(&self, x: &[f64], height: usize, width: usize, t: f64) -> Vec<f64> {
        let a = &self.architecture;
        let emb = self.time_embedding(t);
        let mut h = self.conv("input_blocks.0.0", &unshuffle(x, height, width, a.pixel_unshuffle), 1);
        let mut skips = vec![h.clone()];
        let (mut block, mut factor) = (1, 1);
        for level in 0..a.channel_mult.len() {
            for _ in 0..a.num_res_blocks {
                h = self.res_block(&format!("input_blocks.{block}.0"), &h, &emb);
                if a.attention_resolutions.contains(&factor) {
                    h = self.attention(&format!("input_blocks.{block}.1"), &h);
                }
                skips.push(h.clone());
                block += 1;
            }
            if level + 1 < a.channel_mult.len() {
                h = self.conv(&format!("input_blocks.{block}.0.op"), &h, 2);
                skips.push(h.clone());
                block += 1;
                factor *= 2;
            }
        }
        h = self.res_block("middle_block.0", &h, &emb);
        h = self.attention("middle_block.1", &h);
        h = self.res_block("middle_block.2", &h, &emb);
        block = 0;
        for level in (0..a.channel_mult.len()).rev() {
            for i in 0..=a.num_res_blocks {
                let skip = skips.pop().unwrap_or_else(|| unreachable_weight("a skip connection"));
                h = self.res_block(&format!("output_blocks.{block}.0"), &concat(&h, &skip), &emb);
                let attends = a.attention_resolutions.contains(&factor);
                if attends {
                    h = self.attention(&format!("output_blocks.{block}.1"), &h);
                }
                if level > 0 && i == a.num_res_blocks {
                    let name = format!("output_blocks.{block}.{}.conv", 1 + usize::from(attends));
                    h = self.conv(&name, &upsample(&h), 1);
                    factor /= 2;
                }
                block += 1;
            }
        }
        let out = self.conv("out.2", &self.norm("out.0", &h, true), 1);
        shuffle(&out, a.pixel_unshuffle)
    }

    fn time_embedding(&self, t: f64) -> Vec<f64> {
        let half = self.architecture.model_channels / 2;
        let phase = |k: usize| t * 0.005_f64.powf(-(k as f64) / half as f64);
        let waves: Vec<f64> = (0..half).map(|k| phase(k).cos()).chain((0..half).map(|k| phase(k).sin())).collect();
        let hidden: Vec<f64> = self.linear("time_embed.0", &waves).into_iter().map(silu).collect();
        self.linear("time_embed.2", &hidden)
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (w, b) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        w.chunks(x.len()).zip(b).map(|(row, b)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
    }

    fn res_block(&self, name: &str, x: &Map, emb: &[f64]) -> Map {
        let mut h = self.conv(&format!("{name}.in_layers.2"), &self.norm(&format!("{name}.in_layers.0"), x, true), 1);
        let active: Vec<f64> = emb.iter().copied().map(silu).collect();
        let shift = self.linear(&format!("{name}.emb_layers.1"), &active);
        h.v.chunks_mut(h.h * h.w).zip(shift).for_each(|(plane, s)| plane.iter_mut().for_each(|v| *v += s));
        h = self.conv(&format!("{name}.out_layers.3"), &self.norm(&format!("{name}.out_layers.0"), &h, true), 1);
        if self.weights.contains_key(&format!("{name}.skip_connection.weight")) {
            add(&mut h, &self.conv(&format!("{name}.skip_connection"), x, 1));
        } else {
            add(&mut h, x);
        }
        h
    }

    /// Group normalisation, then SiLU where `active`.
    fn norm(&self, name: &str, x: &Map, active: bool) -> Map {
        let (gain, bias) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        let (plane, per_group) = (x.h * x.w, x.c / self.architecture.norm_groups);
        let mut out = x.clone();
        for (group, values) in out.v.chunks_mut(per_group * plane).enumerate() {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            for (k, values) in values.chunks_mut(plane).enumerate() {
                let (gain, bias) = (gain[group * per_group + k], bias[group * per_group + k]);
                for v in values {
                    let normal = (*v - mean) * scale * gain + bias;
                    *v = if active { silu(normal) } else { normal };
                }
            }
        }
        out
    }

    /// Convolution with a square kernel, zero padding; 3 x 3 or 1 x 1 by the weight's length.
    fn conv(&self, name: &str, x: &Map, stride: usize) -> Map {
        let (w, b) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        let side = if w.len() == b.len() * x.c { 1 } else { 3 };
        let pad = side / 2;
        let (h, width) = (x.h.div_ceil(stride), x.w.div_ceil(stride));
        let mut out = Map { c: b.len(), h, w: width, v: vec![0.0; b.len() * h * width] };
        // Padded planes, so that the innermost loop has no branch.
        let (padded_h, padded_w) = (x.h + 2 * pad, x.w + 2 * pad);
        let mut padded = vec![0.0; x.c * padded_h * padded_w];
        for (row, values) in x.v.chunks(x.w).enumerate() {
            let start = ((row / x.h) * padded_h + row % x.h + pad) * padded_w + pad;
            padded[start..start + x.w].copy_from_slice(values);
        }
        for (o, plane) in out.v.chunks_mut(h * width).enumerate() {
            plane.fill(b[o]);
            for i in 0..x.c {
                for tap in 0..side * side {
                    let weight = w[(o * x.c + i) * side * side + tap];
                    for (r, row) in plane.chunks_mut(width).enumerate() {
                        let start = (i * padded_h + r * stride + tap / side) * padded_w + tap % side;
                        let source = &padded[start..start + (width - 1) * stride + 1];
                        if stride == 1 {
                            row.iter_mut().zip(source).for_each(|(out, x)| *out += weight * x);
                        } else {
                            row.iter_mut().zip(source.iter().step_by(stride)).for_each(|(out, x)| *out += weight * x);
                        }
                    }
                }
            }
        }
        out
    }

    /// Single-head self-attention with its residual.
    fn attention(&self, name: &str, x: &Map) -> Map {
        let (n, c) = (x.h * x.w, x.c);
        let qkv = self.conv(&format!("{name}.qkv"), &self.norm(&format!("{name}.norm"), x, false), 1);
        let (q, kv) = qkv.v.split_at(c * n);
        let (k, v) = kv.split_at(c * n);
        let mut mixed = Map { v: vec![0.0; c * n], ..x.clone() };
        for to in 0..n {
            let logit = |from: usize| (0..c).map(|c| q[c * n + to] * k[c * n + from]).sum::<f64>() / (c as f64).sqrt();
            let logits: Vec<f64> = (0..n).map(logit).collect();
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = logits.iter().map(|l| (l - largest).exp()).collect();
            let total: f64 = shares.iter().sum();
            for c in 0..c {
                let row = &v[c * n..(c + 1) * n];
                mixed.v[c * n + to] = row.iter().zip(&shares).map(|(v, s)| v * s).sum::<f64>() / total;
            }
        }
        let mut out = self.conv(&format!("{name}.proj_out"), &mixed, 1);
        add(&mut out, x);
        out
    }
}

#[expect(clippy::panic, reason = "test support: a golden file without a weight is a broken test")]
fn unreachable_weight<T>(name: &str) -> T {
    panic!("no weight {name}")
}

fn add(a: &mut Map, b: &Map) {
    a.v.iter_mut().zip(&b.v).for_each(|(a, b)| *a += b);
}

fn concat(a: &Map, b: &Map) -> Map {
    Map { c: a.c + b.c, h: a.h, w: a.w, v: [a.v.as_slice(), b.v.as_slice()].concat() }
}

fn upsample(x: &Map) -> Map {
    let (h, w) = (2 * x.h, 2 * x.w);
    let at = |k: usize| x.v[(k / (h * w) * x.h + (k / w) % h / 2) * x.w + k % w / 2];
    Map { c: x.c, h, w, v: (0..x.c * h * w).map(at).collect() }
}

/// Channel `s i + j` holds the pixels `(s r + i, s c + j)`.
fn unshuffle(x: &[f64], height: usize, width: usize, s: usize) -> Map {
    let (h, w) = (height / s, width / s);
    let at = |k: usize| {
        let (channel, r, c) = (k / (h * w), (k / w) % h, k % w);
        x[(s * r + channel / s) * width + s * c + channel % s]
    };
    Map { c: s * s, h, w, v: (0..height * width).map(at).collect() }
}

fn shuffle(x: &Map, s: usize) -> Vec<f64> {
    let (height, width) = (x.h * s, x.w * s);
    let at = |k: usize| {
        let (r, c) = (k / width, k % width);
        x.v[((r % s * s + c % s) * x.h + r / s) * x.w + c / s]
    };
    (0..height * width).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npz;
    use std::path::Path;

    /// The authors' network in PyTorch: the judge itself is judged.
    #[test]
    fn log_densities_are_those_of_the_authors_network() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/paper_unet.npz"));
        let golden = |name: &str| npz::array(file, name).unwrap().1;
        let mut weights = Weights::new();
        for name in npz::names(file).unwrap() {
            if let Some(weight) = name.strip_prefix("w:") {
                weights.insert(weight.to_owned(), golden(&name));
            }
        }
        let (x, t, log_density) = (golden("x"), golden("t"), golden("log_density"));
        let architecture = Architecture {
            pixel_unshuffle: 1,
            model_channels: 32,
            channel_mult: vec![1, 2],
            num_res_blocks: 1,
            attention_resolutions: vec![2],
            norm_groups: 32,
        };
        let network = ReferenceNetwork { architecture, weights };
        for ((x, t), wanted) in x.chunks(16 * 24).zip(t).zip(log_density) {
            let u = network.forward(x, 16, 24, t);
            let nu = (-(2.0 * (-t * t * 19.9 / 4.0 - t * 0.05)).exp_m1()).sqrt();
            let found = -u.iter().map(|u| u * u).sum::<f64>() / (2.0 * nu);
            assert!((found / wanted - 1.0).abs() < 1e-5, "{found} {wanted}");
        }
    }
}
