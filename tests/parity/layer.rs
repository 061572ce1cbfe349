//! Layers whose sizes the small networks do not reach, against plain loops in f64.

use crate::support::{assert_close, lanes, upload};
use gradus::backend::cuda::layer::Concat;
use gradus::backend::cuda::layer::attention::Attention;
use gradus::backend::cuda::layer::conv::{Epilogue, PackedConv, Pass, Prologue, Stencil};
use gradus::backend::cuda::{Buffer, Device, Precision, Products};
use gradus_tests::fixtures::{dot, signed};
use std::rc::Rc;

/// More input channels than a chunk, more outputs than a block, more pixels than a tile, none of them a multiple; one
/// image and five. And levels that are long enough for the kernels that larger images have. On a card whose tensor
/// cores are slow.
pub fn convolutions(device: &Rc<Device>) {
    device.pretend((8, 6));
    let same = (Stencil::Same, Stencil::SameTransposed);
    let point = (Stencil::Point, Stencil::Point);
    let up = (Stencil::Up, Stencil::UpTransposed);
    let cases = [(same, (9, 17)), (point, (3, 19)), ((Stencil::Down, Stencil::DownTransposed), (5, 17)), (up, (5, 9))];
    for (stencils, coarse) in cases {
        for (n_out, n_in, n_images) in [(67, 3, 1), (5, 19, 5)] {
            convolution(device, stencils, (n_out, n_in), (coarse, n_images));
        }
    }
    for (stencils, shape, coarse) in [
        (same, (11, 10), (509, 3)),
        (point, (11, 17), (509, 3)),
        (up, (3, 9), (253, 2)),
        (same, (24, 9), (2050, 1)),
        (point, (24, 9), (2050, 1)),
    ] {
        convolution(device, stencils, shape, (coarse, 1));
    }
}

/// The layers that tensor cores have, with shares of outputs and channels that are not full, several chunks of
/// channels, and levels large enough for large tiles. Compensated products are held to 2e-6; with TF32 numbers the
/// error is about 2^-11, and that the sums themselves are right shows with numbers that rounding leaves alone.
pub fn on_tensor_cores(device: &Rc<Device>) {
    device.pretend((8, 0));
    let (same, point) = ((Stencil::Same, Stencil::SameTransposed), (Stencil::Point, Stencil::Point));
    for (stencils, n_out, n_in, size, n_images) in [
        (same, 35, 3, (16, 17), 5),
        (same, 19, 101, (9, 17), 1),
        (same, 19, 27, (61, 130), 1),
        (point, 101, 3, (16, 19), 5),
        (point, 29, 107, (9, 19), 1),
        (point, 19, 27, (61, 130), 1),
    ] {
        let layer = (stencils, (n_out, n_in), (size, n_images));
        let side = if stencils.0 == Stencil::Point { 1 } else { 3 };
        let (weights, x) = (signed(n_out * n_in * side * side, 1), signed(n_images * n_in * size.0 * size.1, 2));
        let coarse = |values: &[f32]| values.iter().map(|v| (v * 64.0).round() / 64.0).collect::<Vec<f32>>();
        assert_eq!(device.products(), Products::Compensated);
        by_products(device, layer, (&weights, &x), (2e-6, 2e-6));
        device.set_precision(Precision::Tf32);
        by_products(device, layer, (&coarse(&weights), &coarse(&x)), (1e-6, 1e-3));
        if n_images > 1 {
            by_products(device, layer, (&weights, &x), (1e-3, 1e-3));
        }
        device.set_precision(Precision::Full);
    }
}

type Layer = ((Stencil, Stencil), (usize, usize), ((usize, usize), usize));

/// A layer against f64, and its vjp against the layer.
fn by_products(
    device: &Rc<Device>,
    ((stencil, transposed), (n_out, n_in), (size, n_images)): Layer,
    (weights, x): (&[f32], &[f32]),
    (bound, of_vjp): (f64, f64),
) {
    let name = format!("{:?}, {stencil:?}, {n_in} to {n_out} channels", device.products());
    let packed = PackedConv::forward(device, stencil, (n_out, n_in), weights).unwrap();
    let out = run(device, &packed, (x, n_in), [size; 2], n_images);
    assert_close(&name, &out, &plain_images(stencil, weights, (x, n_in), [size; 2], (n_out, n_images)), bound);
    let packed = PackedConv::transposed(device, transposed, 0..n_in, (n_out, n_in), weights).unwrap();
    let back = run(device, &packed, (&out, n_out), [size; 2], n_images);
    let (left, right) = (dot(&out, &out), dot(x, &back));
    assert!((left - right).abs() <= of_vjp * left, "{name}: {left} and {right}");
}

/// Rows and columns of input and output.
pub fn sizes(stencil: Stencil, (rows, cols): (usize, usize)) -> [(usize, usize); 2] {
    match stencil {
        Stencil::Down => [(2 * rows, 2 * cols), (rows, cols)],
        Stencil::Up => [(rows, cols), (2 * rows, 2 * cols)],
        _ => [(rows, cols); 2],
    }
}

fn convolution(
    device: &Rc<Device>,
    stencils: (Stencil, Stencil),
    (n_out, n_in): (usize, usize),
    (coarse, n_images): ((usize, usize), usize),
) {
    let side = if stencils.0 == Stencil::Point { 1 } else { 3 };
    let sizes = sizes(stencils.0, coarse);
    let weights = signed(n_out * n_in * side * side, 1);
    let x = signed(n_images * n_in * sizes[0].0 * sizes[0].1, 2);
    let y = signed(n_images * n_out * sizes[1].0 * sizes[1].1, 3);
    let forward = PackedConv::forward(device, stencils.0, (n_out, n_in), &weights).unwrap();
    let transposed = PackedConv::transposed(device, stencils.1, 0..n_in, (n_out, n_in), &weights).unwrap();
    let convolved = run(device, &forward, (&x, n_in), sizes, n_images);
    let back = run(device, &transposed, (&y, n_out), [sizes[1], sizes[0]], n_images);
    let wanted = plain_images(stencils.0, &weights, (&x, n_in), sizes, (n_out, n_images));
    assert_close(&format!("{:?}, {n_in} to {n_out} channels", stencils.0), &convolved, &wanted, 1e-6);
    let (left, right) = (dot(&wanted, &y), dot(&x, &back));
    let scale = (dot(&wanted, &wanted) * dot(&y, &y)).sqrt();
    assert!((left - right).abs() <= 1e-6 * scale, "{:?}: {left} and {right}", stencils.1);
}

/// Of images one after the other, which the list of lanes names from the last to the first.
fn run(
    device: &Rc<Device>,
    weights: &PackedConv,
    (x, channels): (&[f32], usize),
    sizes: [(usize, usize); 2],
    n_images: usize,
) -> Vec<f32> {
    let len = n_images * weights.n_out() * sizes[1].0 * sizes[1].1;
    let (x, out) = (upload(device, x), Buffer::new(device, len).unwrap());
    let (input, epilogue) = (Concat::one(x.address(), channels), Epilogue::STORE);
    let pass =
        Pass { weights, input, sizes, prologue: Prologue::Identity, epilogue, shortcut: None, out: out.address() };
    pass.run(device, &lanes(device, &(0..n_images).rev().collect::<Vec<_>>())).unwrap();
    out.to_vec().unwrap()
}

/// [`plain`] of images one after the other.
fn plain_images(
    stencil: Stencil,
    weights: &[f32],
    (x, n_in): (&[f32], usize),
    sizes: [(usize, usize); 2],
    (n_out, n_images): (usize, usize),
) -> Vec<f32> {
    x.chunks(x.len() / n_images).flat_map(|x| plain(stencil, weights, (x, n_in), sizes, n_out)).collect()
}

/// The layer as its definition has it.
pub fn plain(
    stencil: Stencil,
    weights: &[f32],
    (x, n_in): (&[f32], usize),
    [(rows, cols), to]: [(usize, usize); 2],
    n_out: usize,
) -> Vec<f32> {
    let side = if stencil == Stencil::Point { 1 } else { 3 };
    let (stride, doubled) = (1 + usize::from(stencil == Stencil::Down), 1 + usize::from(stencil == Stencil::Up));
    let at = |c: usize, row: usize, col: usize| -> f64 {
        // Rows and columns count from the padding of one.
        let (pad, high, wide) = (side / 2, rows * doubled, cols * doubled);
        let inside = (pad..high + pad).contains(&row) && (pad..wide + pad).contains(&col);
        if inside { x[(c * rows + (row - pad) / doubled) * cols + (col - pad) / doubled].into() } else { 0.0 }
    };
    let mut out = Vec::new();
    for o in 0..n_out {
        for (row, col) in (0..to.0).flat_map(|row| (0..to.1).map(move |col| (row, col))) {
            let mut sum = 0.0;
            for c in 0..n_in {
                for (i, j) in (0..side).flat_map(|i| (0..side).map(move |j| (i, j))) {
                    let weight = f64::from(weights[((o * n_in + c) * side + i) * side + j]);
                    sum += weight * at(c, row * stride + i, col * stride + j);
                }
            }
            out.push(sum as f32);
        }
    }
    out
}

/// More channels than a block makes, and several tiles of pixels with a tail; one of two lanes, and five of six.
pub fn attentions(device: &Rc<Device>) {
    // With large queries the exponentials of the scores overflow, and errors of the scores count. Keys that grow give
    // almost every query its largest score so far in each tile.
    for (heads, channels, n, list, (size, growth), bound) in [
        (1, 133, 67, &[1][..], (1.0, 0.0), 1e-5),
        (3, 4, 65, &[4, 2, 5, 1, 3], (1.0, 0.0), 1e-5),
        (1, 4, 65, &[1], (300.0, 0.0), 1e-3),
        (1, 5, 133, &[1], (1.0, 4.0), 1e-5),
    ] {
        let n_lanes = list.len() + 1;
        let (mut qkv, d_mixed) =
            (signed(n_lanes * 3 * heads * channels * n, 5), signed(n_lanes * heads * channels * n, 6));
        for head in qkv.chunks_mut(3 * channels * n) {
            head[..channels * n].iter_mut().for_each(|q| *q *= size);
            let keys = head[channels * n..2 * channels * n].iter_mut().enumerate();
            keys.for_each(|(i, k)| *k *= 1.0 + growth * (i % n) as f32 / n as f32);
        }
        let attention = Attention::new(device, heads, heads * channels, n, n_lanes).unwrap();
        let list = lanes(device, list);
        let (qkv_there, d_mixed_there) = (upload(device, &qkv), upload(device, &d_mixed));
        let (mixed, d_qkv) = (upload(device, &d_mixed), upload(device, &qkv));
        attention.forward(device, &list, qkv_there.address(), mixed.address()).unwrap();
        let kept = (qkv_there.address(), mixed.address());
        attention.vjp(device, &list, kept, d_mixed_there.address(), d_qkv.address()).unwrap();
        let (mixed, d_qkv) = (mixed.to_vec().unwrap(), d_qkv.to_vec().unwrap());
        for head in heads..n_lanes * heads {
            let part = channels * n;
            let [query, key, value] = [0, 1, 2].map(|i| &qkv[(3 * head + i) * part..][..part]);
            let covector = &d_mixed[head * part..][..part];
            let (wanted, d_wanted) = plain_attention([query, key, value], covector, channels, n);
            assert_close("mixed", &mixed[head * part..][..part], &wanted, bound);
            assert_close("d_qkv", &d_qkv[3 * head * part..][..3 * part], &d_wanted, bound);
        }
    }
}

/// mixed, and d_q, d_k, d_v one after the other, of one head; all `[channel][pixel]`.
fn plain_attention([q, k, v]: [&[f32]; 3], d: &[f32], channels: usize, n: usize) -> (Vec<f32>, Vec<f32>) {
    let scale = 1.0 / (channels as f64).sqrt();
    let product = |a: &[f32], i: usize, b: &[f32], j: usize| -> f64 {
        (0..channels).map(|c| f64::from(a[c * n + i]) * f64::from(b[c * n + j])).sum()
    };
    let (mut mixed, mut gradients) = (vec![0.0; channels * n], vec![0.0; 3 * channels * n]);
    for i in 0..n {
        let exponentials: Vec<f64> = (0..n).map(|j| (scale * product(q, i, k, j)).exp()).collect();
        let total: f64 = exponentials.iter().sum();
        let p: Vec<f64> = exponentials.iter().map(|e| e / total).collect();
        let d_p: Vec<f64> = (0..n).map(|j| product(d, i, v, j)).collect();
        let mean: f64 = p.iter().zip(&d_p).map(|(p, d)| p * d).sum();
        for (c, j) in (0..channels).flat_map(|c| (0..n).map(move |j| (c, j))) {
            let slope = p[j] * (d_p[j] - mean) * scale;
            mixed[c * n + i] += p[j] * f64::from(v[c * n + j]);
            gradients[c * n + i] += slope * f64::from(k[c * n + j]);
            gradients[(channels + c) * n + j] += slope * f64::from(q[c * n + i]);
            gradients[(2 * channels + c) * n + j] += p[j] * f64::from(d[c * n + i]);
        }
    }
    let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
    (single(mixed), single(gradients))
}
