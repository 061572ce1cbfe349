//! Every layer against a plain f64 version of itself: values, adjointness, and gradients by central differences.

use super::super::blocked::{Activation, Blocked, Concat};
use super::super::engine::Engine;
use super::super::simd::tests::all_archs;
use super::attention::{Attention, VjpInputs};
use super::conv::{Convolution, Epilogue, PackedConv, Term};
use super::conv_tile::Prologue;
use super::group_norm::{GroupNorm, InputGradient, InputGradientBlock, Normalisation, Pairs};
use super::stencil::Stencil;
use super::time_embedding::TimeEmbedding;
use crate::test_support::{dot, signed};
use crate::unet::operation::{self, Kernel, Sampling};

fn layout(channels: usize, height: usize, width: usize, rows: usize) -> Blocked {
    Blocked { channels, height, width, rows }
}

fn get(data: &[f32], layout: Blocked, channel: usize, row: isize, col: isize) -> f64 {
    if row < 0 || col < 0 || row >= layout.height as isize || col >= layout.width as isize {
        return 0.0;
    }
    f64::from(Activation::new(data, layout).row(channel, row as usize)[col as usize])
}

fn engine<const N: usize>(arch: pulp::Arch, terms: [&PackedConv; N], output: Blocked) -> Engine {
    Engine::new(arch, Convolution::scratch_len(terms, output))
}

pub(super) fn convolve(arch: pulp::Arch, weights: &PackedConv, input: Blocked, x: &[f32], output: Blocked) -> Vec<f32> {
    let mut out = vec![f32::NAN; output.len()];
    let mut sums = vec![[0.0; 2]; output.n_blocks() * output.channels];
    let terms = [Term { weights, input: Concat::one(Activation::new(x, input)), prologue: Prologue::Identity }];
    let convolution = Convolution { terms: &terms, output, epilogue: Epilogue::Store };
    convolution.run(&engine(arch, [weights], output), &mut out, &mut sums);
    out
}

/// A convolution and its transpose.
pub(super) struct Pair {
    pub(super) forward: PackedConv,
    transposed: PackedConv,
}

impl Pair {
    pub(super) fn new(sampling: Sampling, output: Blocked, n_in: usize, weights: &[f32]) -> Self {
        let (kernel, stencils) = (kernel(sampling, output.channels, n_in), Stencil::pair(sampling, output));
        Self {
            forward: PackedConv::forward(stencils.0, &kernel, weights),
            transposed: PackedConv::transposed(stencils.1, 0..n_in, &kernel, weights),
        }
    }
}

/// A kernel whose weights are all parameters.
fn kernel(sampling: Sampling, n_out: usize, n_in: usize) -> Kernel {
    Kernel { sampling, n_out, n_in, weight: 0..n_out * n_in * sampling.side().pow(2), bias: 0..0 }
}

/// Layouts of input and output of a convolution whose coarser side is `height` x `width`.
fn ends(sampling: Sampling, n_in: usize, n_out: usize, (height, width): (usize, usize)) -> (Blocked, Blocked) {
    let fine = |channels| layout(channels, 2 * height, 2 * width, 4);
    let coarse = |channels| layout(channels, height, width, 4);
    match sampling {
        Sampling::Down => (fine(n_in), coarse(n_out)),
        Sampling::Up => (coarse(n_in), fine(n_out)),
        _ => (coarse(n_in), coarse(n_out)),
    }
}

const SIZES: [(usize, usize); 8] = [(1, 1), (2, 3), (3, 5), (5, 17), (7, 16), (4, 37), (8, 16), (12, 9)];
const SAMPLINGS: [Sampling; 3] = [Sampling::Same, Sampling::Down, Sampling::Up];

#[test]
fn convolutions_match_f64_at_odd_sizes() {
    let (n_in, n_out) = (3, 7);
    let weights = signed(n_out * n_in * 9, 1);
    for (sampling, size) in SAMPLINGS.into_iter().flat_map(|sampling| SIZES.map(|size| (sampling, size))) {
        let (input, output) = ends(sampling, n_in, n_out, size);
        let x = signed(input.len(), 2);
        let pair = Pair::new(sampling, output, n_in, &weights);
        let exact = |o: usize, row: usize, col: usize| {
            let mut sum = 0.0;
            for (i, k) in (0..n_in).flat_map(|i| (0..9).map(move |k| (i, k))) {
                let (dy, dx) = ((k / 3) as isize - 1, (k % 3) as isize - 1);
                let (row, col) = match sampling {
                    Sampling::Down => (2 * row as isize + dy, 2 * col as isize + dx),
                    Sampling::Up => ((row as isize + dy).div_euclid(2), (col as isize + dx).div_euclid(2)),
                    _ => (row as isize + dy, col as isize + dx),
                };
                sum += f64::from(weights[(o * n_in + i) * 9 + k]) * get(&x, input, i, row, col);
            }
            sum
        };
        for arch in all_archs() {
            let out = convolve(arch, &pair.forward, input, &x, output);
            for (o, row) in (0..n_out).flat_map(|o| (0..output.height).map(move |row| (o, row))) {
                for (col, &found) in Activation::new(&out, output).row(o, row).iter().enumerate() {
                    let error = (f64::from(found) - exact(o, row, col)).abs();
                    assert!(error < 5e-6, "{sampling:?} {size:?} {arch:?}: {error:e} at {o} {row} {col}");
                }
            }
        }
    }
}

#[test]
fn transposed_convolutions_are_adjoint() {
    let (n_in, n_out) = (5, 9);
    let weights = signed(n_out * n_in * 9, 3);
    for (sampling, size) in SAMPLINGS.into_iter().flat_map(|sampling| SIZES.map(|size| (sampling, size))) {
        let (input, output) = ends(sampling, n_in, n_out, size);
        let pair = Pair::new(sampling, output, n_in, &weights);
        let (x, y) = (signed(input.len(), 4), signed(output.len(), 5));
        for arch in all_archs() {
            let a_x = convolve(arch, &pair.forward, input, &x, output);
            let at_y = convolve(arch, &pair.transposed, output, &y, input);
            let norms = (dot(&a_x, &a_x) * dot(&y, &y)).sqrt();
            let error = (dot(&a_x, &y) - dot(&x, &at_y)).abs() / norms;
            assert!(error < 1e-6, "{sampling:?} {size:?} {arch:?}: {error:e}");
        }
    }
}

#[test]
fn terms_and_epilogues_add_up() {
    // A multiple of four computes rows four by four, another height one by one.
    terms_and_epilogues((6, 19));
    terms_and_epilogues((12, 19));
}

fn terms_and_epilogues(size: (usize, usize)) {
    let (n_in, n_out) = (4, 6);
    let (input, output) = ends(Sampling::Same, n_in, n_out, size);
    let conv = Pair::new(Sampling::Same, output, n_in, &signed(n_out * n_in * 9, 6));
    let point_weights = signed(n_out * n_in, 7);
    let point = Pair::new(Sampling::Point, output, n_in, &point_weights);
    let shortcut =
        PackedConv::forward(Stencil::shortcut(output), &kernel(Sampling::Point, n_out, n_in), &point_weights);
    let (x, residual) = (signed(input.len(), 8), signed(output.len(), 9));
    let (bias, shift) = (signed(n_out, 10), signed(n_out, 11));
    for arch in all_archs() {
        let activation = Concat::one(Activation::new(&x, input));
        let term = |weights| Term { weights, input: activation, prologue: Prologue::Identity };
        let terms = [term(&conv.forward), term(&shortcut)];
        let residual_in = Some(Concat::one(Activation::new(&residual, output)));
        let epilogue = Epilogue::Forward { bias: &bias, shift: Some(&shift), residual: residual_in };
        let (mut out, mut moments) = (vec![0.0; output.len()], vec![[0.0; 2]; output.n_blocks() * n_out]);
        let engine = engine(arch, [&conv.forward, &shortcut], output);
        Convolution { terms: &terms, output, epilogue }.run(&engine, &mut out, &mut moments);
        let first = convolve(arch, &conv.forward, input, &x, output);
        let second = convolve(arch, &point.forward, input, &x, output);
        for (channel, block) in (0..n_out).flat_map(|c| (0..output.n_blocks()).map(move |b| (c, b))) {
            let of = |data| Activation::new(data, output).block(block, channel).to_vec();
            let parts = [of(&first), of(&second), of(&residual)];
            let values = of(&out);
            for (i, &v) in values.iter().enumerate() {
                let expected = parts.iter().map(|p| p[i]).sum::<f32>() + bias[channel] + shift[channel];
                assert!((v - expected).abs() < 2e-6, "{arch:?}");
            }
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
            let deviations: f64 = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
            let [found_mean, found_deviations] = moments[block * n_out + channel];
            assert!((f64::from(found_mean) - mean).abs() < 1e-6);
            assert!((f64::from(found_deviations) - deviations).abs() < 1e-5 * deviations.max(1.0));
        }
    }
}

/// Group norm in f64 over values `[channel][pixel]`.
fn norm_f64(norm: &GroupNorm, x: &[f64]) -> Vec<f64> {
    let per_group = x.len() / norm.groups;
    let pixels = x.len() / norm.gain.len();
    let mut z = Vec::new();
    for group in x.chunks(per_group) {
        let mean = group.iter().sum::<f64>() / per_group as f64;
        let var = group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / per_group as f64;
        z.extend(group.iter().map(|v| (v - mean) / (var + norm.eps).sqrt()));
    }
    let affine = |(i, z): (usize, &f64)| z * f64::from(norm.gain[i / pixels]) + f64::from(norm.bias[i / pixels]);
    z.iter().enumerate().map(affine).collect()
}

fn silu_f64(z: f64) -> f64 {
    z / (1.0 + (-z).exp())
}

/// The centred difference quotient of <f(x), v> along each coordinate.
fn central_differences(x: &[f64], v: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let product = |x: &[f64]| f(x).iter().zip(v).map(|(f, &v)| f * f64::from(v)).sum::<f64>();
    let step = 1e-5;
    (0..x.len())
        .map(|i| {
            let mut moved = x.to_vec();
            moved[i] = x[i] + step;
            let up = product(&moved);
            moved[i] = x[i] - step;
            (up - product(&moved)) / (2.0 * step)
        })
        .collect()
}

/// Norm, SiLU and an identity 1x1 convolution through the fused path, over two concatenated inputs, and its vjp.
#[test]
fn group_norm_and_silu_match_f64_and_central_differences() {
    let (first, second) = (layout(3, 5, 7, 5), layout(3, 5, 7, 5));
    let both = layout(6, 5, 7, 5);
    let norm = GroupNorm { gain: signed(6, 12), bias: signed(6, 13), groups: 2, eps: 1e-5 };
    let x: Vec<f32> = signed(both.len(), 14).iter().map(|v| 0.7 * v + 3.0).collect();
    let x_f64: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let v = signed(both.len(), 15);
    let identity: Vec<f32> = (0..36).map(|i| f32::from(u8::from(i % 7 == 0))).collect();
    let f = |x: &[f64]| norm_f64(&norm, x).into_iter().map(silu_f64).collect::<Vec<_>>();
    let (exact, exact_vjp) = (f(&x_f64), central_differences(&x_f64, &v, f));
    for arch in all_archs() {
        let point = Pair::new(Sampling::Point, both, 6, &identity);
        let engine = engine(arch, [&point.forward], both);
        // The moments come from the epilogue of a convolution, here the identity.
        let mut moments = vec![[0.0; 2]; 6];
        let mut copy = vec![0.0; both.len()];
        let whole = Concat::one(Activation::new(&x, both));
        let terms = [Term { weights: &point.forward, input: whole, prologue: Prologue::Identity }];
        let epilogue = Epilogue::Forward { bias: &[0.0; 6], shift: None, residual: None };
        Convolution { terms: &terms, output: both, epilogue }.run(&engine, &mut copy, &mut moments);
        assert_eq!(copy, x);

        let mut state = Normalisation::new(6);
        let of = |layout, values| Pairs { layout, values };
        state.forward(&norm, of(first, &moments[..3]), Some(of(second, &moments[3..])));
        let (x_first, x_second) = x.split_at(first.len());
        let input = Concat { first: Activation::new(x_first, first), second: Some(Activation::new(x_second, second)) };
        let terms = [Term { weights: &point.forward, input, prologue: Prologue::Norm { norm: &state, silu: true } }];
        let mut out = vec![0.0; both.len()];
        Convolution { terms: &terms, output: both, epilogue: Epilogue::Store }.run(&engine, &mut out, &mut moments);
        for (found, exact) in out.iter().zip(&exact) {
            assert!((f64::from(*found) - exact).abs() < 3e-6, "{arch:?}: {found} {exact}");
        }

        let d_out = Concat::one(Activation::new(&v, both));
        let terms = [Term { weights: &point.transposed, input: d_out, prologue: Prologue::Identity }];
        let epilogue = Epilogue::NormSums { norm: &state, normalised: input, silu: true };
        let (mut d_z, mut sums) = (vec![0.0; both.len()], vec![[0.0; 2]; 6]);
        Convolution { terms: &terms, output: both, epilogue }.run(&engine, &mut d_z, &mut sums);
        let mut gradient = InputGradient::new(6);
        gradient.vjp(&norm, &state, Pairs { layout: both, values: &sums });
        for (from, (activation, x_len)) in
            [(0, (input.first, first.len())), (3, (Activation::new(x_second, second), second.len()))]
        {
            let mut d_x = vec![1.0; x_len];
            let d_z = Activation::new(&d_z, both).window(from, 3);
            InputGradientBlock { gradient: &gradient, first: from, d_z, x: activation }
                .run(&engine, None, true, &mut d_x);
            for (found, exact) in d_x.iter().zip(&exact_vjp[from * 35..]) {
                assert!((f64::from(*found) - 1.0 - exact).abs() < 5e-6, "{arch:?}: {found} {exact}");
            }
        }
    }
}

/// Self-attention in f64 over qkv `[head][q | k | v][c][pixel]`; the result is `[head][c][pixel]`.
fn attention_f64(heads: usize, c: usize, pixels: usize, qkv: &[f64]) -> Vec<f64> {
    let mut mixed = vec![0.0; heads * c * pixels];
    for head in 0..heads {
        let at = |part: usize, channel: usize, pixel: usize| qkv[((3 * head + part) * c + channel) * pixels + pixel];
        for i in 0..pixels {
            let score = |j| (0..c).map(|l| at(0, l, i) * at(1, l, j)).sum::<f64>() / (c as f64).sqrt();
            let weights: Vec<f64> = (0..pixels).map(|j| score(j).exp()).collect();
            let total: f64 = weights.iter().sum();
            for l in 0..c {
                let sum: f64 = (0..pixels).map(|j| weights[j] * at(2, l, j)).sum();
                mixed[(head * c + l) * pixels + i] = sum / total;
            }
        }
    }
    mixed
}

/// Blocked `[block][channel][pixel]` to `[channel][pixel]`.
fn unblock(data: &[f32], layout: Blocked) -> Vec<f32> {
    let activation = Activation::new(data, layout);
    (0..layout.channels).flat_map(|c| (0..layout.height).flat_map(move |row| activation.row(c, row).to_vec())).collect()
}

#[test]
fn attention_matches_f64_and_central_differences() {
    let (heads, c, mixed_layout) = (2, 3, layout(6, 5, 3, 2));
    let (qkv_layout, pixels) = (Blocked { channels: 18, ..mixed_layout }, 15);
    let qkv: Vec<f32> = signed(qkv_layout.len(), 16).iter().map(|v| 2.0 * v).collect();
    let d_mixed = signed(mixed_layout.len(), 17);
    let plain: Vec<f64> = unblock(&qkv, qkv_layout).iter().map(|&v| f64::from(v)).collect();
    let f = |x: &[f64]| attention_f64(heads, c, pixels, x);
    let exact = f(&plain);
    let exact_vjp = central_differences(&plain, &unblock(&d_mixed, mixed_layout), f);
    let attention = Attention { heads, mixed: mixed_layout };
    for arch in all_archs() {
        let engine = Engine::new(arch, attention.scratch_len());
        let (mut mixed, mut log_sums) = (vec![0.0; mixed_layout.len()], vec![0.0; attention.per_pixel_len()]);
        attention.forward(&engine, Activation::new(&qkv, qkv_layout), &mut mixed, &mut log_sums);
        for (found, exact) in unblock(&mixed, mixed_layout).iter().zip(&exact) {
            assert!((f64::from(*found) - exact).abs() < 2e-6, "{arch:?}: {found} {exact}");
        }
        let (mut products, mut d_qkv) = (vec![0.0; attention.per_pixel_len()], vec![f32::NAN; qkv_layout.len()]);
        let d_mixed = Activation::new(&d_mixed, mixed_layout);
        attention.products(Activation::new(&mixed, mixed_layout), d_mixed, &mut products);
        let inputs =
            VjpInputs { qkv: Activation::new(&qkv, qkv_layout), d_mixed, log_sums: &log_sums, products: &products };
        attention.vjp(&engine, inputs, &mut d_qkv);
        for (found, exact) in unblock(&d_qkv, qkv_layout).iter().zip(&exact_vjp) {
            assert!((f64::from(*found) - exact).abs() < 5e-6, "{arch:?}: {found} {exact}");
        }
    }
}

#[test]
fn time_embedding_matches_f64() {
    let (model, embedding, shifts) = (6, 20, 21);
    let w = [signed(embedding * model, 18), signed(embedding * embedding, 19), signed(shifts * embedding, 20)];
    let b = [signed(embedding, 21), signed(embedding, 22), signed(shifts, 23)];
    let parameters: Vec<f32> = w.iter().zip(&b).flat_map(|(w, b)| w.iter().chain(b)).copied().collect();
    let mut end = 0;
    let places: [operation::Linear; 3] = std::array::from_fn(|layer| {
        let weight = end..end + w[layer].len();
        end = weight.end + b[layer].len();
        operation::Linear { bias: weight.end..end, weight }
    });
    let [first, second, shift] = places;
    let frequencies = (0..3).map(|k| 200_f64.powf(f64::from(k) / 3.0)).collect();
    let places = operation::TimeEmbedding { frequencies, first, second, shifts: vec![shift] };
    let time = TimeEmbedding::new(places, &parameters);
    let exact = |t: f64| {
        let angles = (0..3).map(|k| t * 200_f64.powf(f64::from(k) / 3.0));
        let mut x: Vec<f64> = angles.clone().map(f64::cos).chain(angles.map(f64::sin)).collect();
        for layer in 0..3 {
            let row = |row: &[f32]| row.iter().zip(&x).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
            let y = w[layer].chunks(x.len()).zip(&b[layer]).map(|(w, &b)| row(w) + f64::from(b));
            x = if layer < 2 { y.map(silu_f64).collect() } else { y.collect() };
        }
        x
    };
    for arch in all_archs() {
        let mut buffers = time.buffers();
        for t in [1e-3, 0.4, 1.0] {
            time.forward(arch, t, &mut buffers);
            for (found, exact) in buffers.shifts.iter().zip(exact(t)) {
                assert!((f64::from(*found) - exact).abs() < 1e-5, "{arch:?}: {found} {exact}");
            }
        }
    }
}
