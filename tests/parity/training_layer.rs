//! Layers in training against differences of plain f64 functions.
//!
//! With f the layer on all its inputs a, a tangent dot_a, and covectors d_dot_y and d_y,
//!
//! ```text
//! dot_y = J dot_a,   <d_dot_a, u> = <d_dot_y, J u>,   <d_a, u> = d/de (<d_dot_y, J dot_a> + <d_y, f>)(a + e u).
//! ```

use crate::support::{assert_close, lanes, upload};
use gradus::backend::cuda::layer::Concat;
use gradus::backend::cuda::layer::attention_training::TrainingAttention;
use gradus::backend::cuda::layer::linear_training::{LinearPlace, TrainingEmbedding};
use gradus::backend::cuda::layer::norm_training::{NormGradient, NormTarget, TrainingNorm};
use gradus::backend::cuda::{Buffer, Device};
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;
use gradus_tests::fixtures::signed;
use std::rc::Rc;

type Function<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;

/// Step of differences: their error and that of rounding are some 1e-8.
const STEP: f64 = 1e-4;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

fn narrow(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// a + e u.
fn moved(a: &[f64], e: f64, u: &[f64]) -> Vec<f64> {
    a.iter().zip(u).map(|(a, u)| a + e * u).collect()
}

/// J u at a.
fn tangent(f: Function<'_>, a: &[f64], u: &[f64]) -> Vec<f64> {
    let (up, down) = (f(&moved(a, STEP, u)), f(&moved(a, -STEP, u)));
    up.iter().zip(down).map(|(up, down)| (up - down) / (2.0 * STEP)).collect()
}

/// What a layer made of its inputs.
struct Found<'a> {
    a: &'a [f64],
    dot_a: &'a [f64],
    d_dot_y: &'a [f32],
    d_y: &'a [f32],
    y: Vec<f32>,
    dot_y: Vec<f32>,
    d_dot_a: Vec<f32>,
    d_a: Vec<f32>,
    /// The gradient without tangents.
    d_a_plain: Vec<f32>,
}

fn check_layer(what: &str, f: Function<'_>, found: &Found<'_>) {
    let (a, d_dot_y, d_y) = (found.a, wide(found.d_dot_y), wide(found.d_y));
    assert_close(&format!("{what}: y"), &found.y, &narrow(f(a)), 1e-5);
    assert_close(&format!("{what}: dot_y"), &found.dot_y, &narrow(tangent(f, a, found.dot_a)), 1e-5);
    let (d_dot_a, d_a, plain) = (wide(&found.d_dot_a), wide(&found.d_a), wide(&found.d_a_plain));
    let value = |a: &[f64]| product(&d_dot_y, &tangent(f, a, found.dot_a)) + product(&d_y, &f(a));
    for seed in 0..4 {
        let u = wide(&signed(a.len(), 90 + seed));
        let slope = tangent(f, a, &u);
        let second = (value(&moved(a, STEP, &u)) - value(&moved(a, -STEP, &u))) / (2.0 * STEP);
        let n = d_dot_a.len();
        let pairs = [
            ("d_dot_a", &d_dot_a, product(&d_dot_y, &tangent(f, a, &[&u[..n], &vec![0.0; u.len() - n]].concat()))),
            ("d_a", &d_a, second),
            ("d_a without tangents", &plain, product(&d_y, &slope)),
        ];
        for (name, gradient, wanted) in pairs {
            let scale = (product(gradient, gradient) * product(&u, &u)).sqrt();
            let difference = (product(gradient, &u) - wanted).abs() / scale;
            assert!(difference <= 1e-5, "{what}: {name} is off by {difference:.2e}");
        }
    }
}

/// One and two inputs, several shares, shares with a tail.
pub fn norms(device: &Rc<Device>) {
    for (channels, second, groups, n, lanes, silu) in
        [(6, 0, 3, 35, 1, false), (5, 7, 4, 33, 5, true), (3, 1, 2, 1051, 2, true)]
    {
        norm(device, [channels, second], groups, n, lanes, silu);
    }
}

fn norm(device: &Rc<Device>, sizes: [usize; 2], groups: usize, n: usize, batch: usize, silu: bool) {
    const EPS: f64 = 1e-5;
    let channels = sizes[0] + sizes[1];
    let lens = sizes.map(|c| batch * c * n);
    let (len, values) = (lens[0] + lens[1], signed(lens[0] + lens[1] + 2 * channels, 11));
    let (dot, d_dot_y, d_y) = (signed(len, 12), signed(len, 13), signed(len, 14));
    let list = lanes(device, &(0..batch).collect::<Vec<_>>());
    let (x, dot_x) = (upload(device, &values), upload(device, &dot));
    let gain = x.address().offset(len);
    let concat =
        |b: &Buffer<f32>| Concat { first: (b.address(), sizes[0]), second: (b.address().offset(lens[0]), sizes[1]) };
    let layer = TrainingNorm::new(device, (channels, groups, EPS), silu, n, batch).unwrap();
    let (y, dot_y) = (upload(device, &d_y), upload(device, &d_y));
    let (there, dot_there) = (upload(device, &d_y), upload(device, &d_dot_y));
    // Begin with ones, which the second input's gradient is added to.
    let ones = || upload(device, &vec![1.0; values.len()]);
    let (d_dot_x, d_x, d_plain) = (ones(), ones(), ones());
    let targets = |b: &Buffer<f32>| {
        [(0, false), (lens[0], true)]
            .map(|(at, accumulate)| Some(NormTarget { d_x: b.address().offset(at), accumulate }))
    };
    let targets = |b: &Buffer<f32>| if sizes[1] == 0 { [targets(b)[0], None] } else { targets(b) };
    let gradient = |b: &Buffer<f32>| NormGradient {
        d_gain: b.address().offset(len),
        d_bias: b.address().offset(len + channels),
        factor: 1.0,
    };
    layer.forward(device, &list, (gain, gain.offset(channels)), concat(&x), y.address()).unwrap();
    layer.backward_tangent(device, &list, gain, concat(&x), dot_there.address(), targets(&d_dot_x)).unwrap();
    layer.tangent(device, &list, gain, (concat(&x), concat(&dot_x)), dot_y.address()).unwrap();
    let second = Some((concat(&dot_x), dot_there.address()));
    let run = |tangents, d_y: &Buffer<f32>, out: &Buffer<f32>| {
        let (d_y, x) = (d_y.address(), concat(&x));
        layer.backward_value(device, &list, gain, x, tangents, d_y, targets(out), gradient(out)).unwrap();
        let mut out = out.to_vec().unwrap();
        out[lens[0]..len].iter_mut().for_each(|d| *d -= 1.0);
        out
    };
    let d_a = run(second, &there, &d_x);
    let d_a_plain = run(None, &upload(device, &d_y), &d_plain);
    let mut d_dot_a = d_dot_x.to_vec().unwrap();
    d_dot_a.truncate(len);
    d_dot_a[lens[0]..].iter_mut().for_each(|d| *d -= 1.0);
    let dot_a = [wide(&dot), vec![0.0; 2 * channels]].concat();
    let (y, dot_y) = (y.to_vec().unwrap(), dot_y.to_vec().unwrap());
    let a = &wide(&values);
    let found = Found { a, dot_a: &dot_a, d_dot_y: &d_dot_y, d_y: &d_y, y, dot_y, d_dot_a, d_a, d_a_plain };
    let f = |a: &[f64]| plain_norm(a, sizes, (groups, EPS), n, batch, silu);
    check_layer(&format!("norm of {sizes:?} channels, {n} pixels"), &f, &found);
}

/// Of x, one tensor behind the other, gain and bias.
fn plain_norm(
    a: &[f64],
    sizes: [usize; 2],
    (groups, eps): (usize, f64),
    n: usize,
    batch: usize,
    silu: bool,
) -> Vec<f64> {
    let channels = sizes[0] + sizes[1];
    let (len, per_group) = (batch * channels * n, channels / groups * n);
    let (x, weights) = a.split_at(len);
    let (first, second) = x.split_at(batch * sizes[0] * n);
    let mut y: Vec<f64> = (0..batch)
        .flat_map(|b| {
            [&first[b * sizes[0] * n..][..sizes[0] * n], &second[b * sizes[1] * n..][..sizes[1] * n]].concat()
        })
        .collect();
    for group in y.chunks_exact_mut(per_group) {
        let mean = group.iter().sum::<f64>() / per_group as f64;
        let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / per_group as f64;
        group.iter_mut().for_each(|x| *x = (*x - mean) / (variance + eps).sqrt());
    }
    for (i, y) in y.iter_mut().enumerate() {
        let channel = i / n % channels;
        let z = weights[channel] * *y + weights[channels + channel];
        *y = if silu { z / (1.0 + (-z).exp()) } else { z };
    }
    y
}

/// More channels and pixels than a tile of a product, heads, lanes.
pub fn attentions(device: &Rc<Device>) {
    for (heads, c, n, batch) in [(1, 67, 35, 1), (2, 5, 66, 1), (3, 4, 9, 5)] {
        let (len, out) = (3 * batch * heads * c * n, batch * heads * c * n);
        let (qkv, dot, d_dot_y, d_y) = (signed(len, 21), signed(len, 22), signed(out, 23), signed(out, 24));
        let list = lanes(device, &(0..batch).collect::<Vec<_>>());
        let layer = TrainingAttention::new(device, heads, heads * c, n, batch).unwrap();
        let there = [&qkv, &dot, &d_dot_y, &d_y].map(|values| upload(device, values));
        let [x, dot_x, d_dot, d] = there.each_ref().map(Buffer::address);
        let room = |n: usize| upload(device, &vec![f32::NAN; n]);
        let (y, dot_y, d_dot_x, d_x, plain) = (room(out), room(out), room(len), room(len), room(len));
        layer.forward(device, &list, x, y.address()).unwrap();
        layer.backward_tangent(device, &list, x, d_dot, d_dot_x.address()).unwrap();
        layer.tangent(device, &list, (x, dot_x), dot_y.address()).unwrap();
        layer.backward_value(device, &list, x, Some((dot_x, d_dot)), (d, d_x.address())).unwrap();
        layer.backward_value(device, &list, x, None, (d, plain.address())).unwrap();
        let [y, dot_y, d_dot_a, d_a, d_a_plain] = [y, dot_y, d_dot_x, d_x, plain].map(|b| b.to_vec().unwrap());
        let (a, dot_a) = (&wide(&qkv), &wide(&dot));
        let found = Found { a, dot_a, d_dot_y: &d_dot_y, d_y: &d_y, y, dot_y, d_dot_a, d_a, d_a_plain };
        let f = |a: &[f64]| a.chunks_exact(3 * c * n).flat_map(|head| plain_attention(head, c, n)).collect();
        check_layer(&format!("attention of {c} channels, {n} pixels"), &f, &found);
    }
}

fn plain_attention(qkv: &[f64], c: usize, n: usize) -> Vec<f64> {
    let (scale, mut mixed) = (1.0 / (c as f64).sqrt(), vec![0.0; c * n]);
    for i in 0..n {
        let score = |j: usize| (0..c).map(|k| qkv[k * n + i] * qkv[(c + k) * n + j]).sum::<f64>();
        let p: Vec<f64> = (0..n).map(|j| (scale * score(j)).exp()).collect();
        let total: f64 = p.iter().sum();
        for k in 0..c {
            mixed[k * n + i] = product(&p, &qkv[(2 * c + k) * n..][..n]) / total;
        }
    }
    mixed
}

/// Gradients of all weights, against differences of <d_shifts, shifts>.
pub fn embeddings(device: &Rc<Device>) {
    let (frequencies, widths) = ([1.0, 0.3, 0.01], [6, 35, 41, 13, 9]);
    let mut n = 0;
    let places = [(0, 1), (1, 2), (2, 3), (2, 4)].map(|(from, to)| {
        let (weight, n_out) = (n, widths[to]);
        n += (widths[from] + 1) * n_out;
        LinearPlace { weight, bias: n - n_out, n_out }
    });
    let (parameters, t) = (signed(n, 31), [0.1_f32, 0.9, 0.5, 0.3, 1.0]);
    for batch in [1, 5] {
        let list = lanes(device, &(0..batch).collect::<Vec<_>>());
        let scalars: Vec<_> = t[..batch].iter().map(|&t| LaneScalars { t, ..LaneScalars::default() }).collect();
        let scalars = Buffer::of(device, &scalars).unwrap();
        let layers = (places[0], places[1], &places[2..]);
        let layer = TrainingEmbedding::new(device, &frequencies, layers, batch).unwrap();
        let (there, gradient) = (upload(device, &parameters), upload(device, &vec![f32::NAN; n]));
        layer.forward(device, &list, scalars.address(), there.address()).unwrap();
        let (d_shifts, half) = (signed(batch * layer.n_shifts(), 32), frequencies.len());
        let d_there = upload(device, &d_shifts);
        layer.backward(device, &list, there.address(), d_there.address(), (gradient.address(), -1.0)).unwrap();
        let f = |parameters: &[f64]| -> Vec<f64> {
            let of_lane = |&t: &f32| {
                let waves = (0..2 * half).map(|k| {
                    let angle = f64::from(t) * frequencies[k % half];
                    if k < half { angle.cos() } else { angle.sin() }
                });
                let hidden = plain_linear(parameters, places[0], &waves.collect::<Vec<_>>(), true);
                let embedding = plain_linear(parameters, places[1], &hidden, true);
                places[2..].iter().flat_map(|&p| plain_linear(parameters, p, &embedding, false)).collect::<Vec<_>>()
            };
            t[..batch].iter().flat_map(of_lane).collect()
        };
        let (a, found) = (wide(&parameters), wide(&gradient.to_vec().unwrap()));
        assert_close("shifts", &layer.shifts().to_vec().unwrap(), &narrow(f(&a)), 1e-5);
        for seed in 0..4 {
            let u = wide(&signed(n, 40 + seed));
            let wanted = -product(&wide(&d_shifts), &tangent(&f, &a, &u));
            let difference = (product(&found, &u) - wanted).abs() / (product(&found, &found) * product(&u, &u)).sqrt();
            assert!(difference <= 1e-5, "gradient of the embedding is off by {difference:.2e}");
        }
    }
}

fn plain_linear(parameters: &[f64], place: LinearPlace, x: &[f64], silu: bool) -> Vec<f64> {
    let rows = parameters[place.weight..place.bias].chunks_exact(x.len());
    let sums = rows.zip(&parameters[place.bias..]).map(|(row, bias)| bias + product(row, x));
    sums.map(|z| if silu { z / (1.0 + (-z).exp()) } else { z }).collect()
}
