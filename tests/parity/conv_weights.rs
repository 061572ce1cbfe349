//! Gradients of convolution weights and the losses of training, against plain loops in f64.

use crate::layer::{plain, sizes};
use crate::support::{lanes, upload};
use gradus::backend::cuda::layer::Concat;
use gradus::backend::cuda::layer::conv::{Epilogue, PackedConv, Packer, Pass, Prologue, Stencil};
use gradus::backend::cuda::layer::conv_weights::{WeightPass, WeightScratch, WeightShape};
use gradus::backend::cuda::layer::pixel_shuffle::{Direction, PixelShuffle};
use gradus::backend::cuda::layer::training_loss::{Objective, TrainingLoss};
use gradus::backend::cuda::{Buffer, Device, Precision};
use gradus_cuda_kernels::pixel_shuffle::LaneScalars;
use gradus_tests::fixtures::{dot, signed};
use std::rc::Rc;

/// Asserts that every value agrees to `bound` relative to the largest.
#[track_caller]
fn assert_each_close(what: &str, found: &[f32], wanted: &[f64], bound: f64) {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0_f64, |most, w| most.max(w.abs()));
    for (i, (&f, &w)) in found.iter().zip(wanted).enumerate() {
        let error = (f64::from(f) - w).abs();
        assert!(error <= bound * largest, "{what}, value {i}: {f} for {w}, largest {largest}");
    }
}

/// A case: layer, channels (out, first input, second input), size of the coarser side, lanes, pairs.
struct Case {
    stencil: Stencil,
    channels: (usize, usize, usize),
    coarse: (usize, usize),
    n_lanes: usize,
    n_pairs: usize,
    /// Whether rounding to TF32 leaves the numbers alone.
    short: bool,
}

impl Case {
    fn signed(&self, n: usize, seed: u64) -> Vec<f32> {
        signed(n, seed)
            .into_iter()
            .map(|value| if self.short { (value * 64.0).round() / 64.0 } else { value })
            .collect()
    }
}

/// Layers with the size of their coarser side, no multiple of a tile.
const KINDS: [(Stencil, (usize, usize)); 4] =
    [(Stencil::Same, (9, 17)), (Stencil::Point, (5, 19)), (Stencil::Down, (5, 9)), (Stencil::Up, (5, 9))];

/// Sizes that are no multiples of tiles, groups or columns; more steady and more moving channels than a block takes.
pub fn check(device: &Rc<Device>) {
    for (stencil, coarse) in KINDS {
        for (channels, n_lanes, n_pairs) in
            [((5, 3, 0), 1, 1), ((19, 7, 4), 5, 2), ((9, 67, 38), 1, 2), ((105, 5, 0), 1, 1)]
        {
            gradients(device, &Case { stencil, channels, coarse, n_lanes, n_pairs, short: false });
        }
    }
    more_units_than_splits(device);
}

/// Images smaller than a tile, and more tiles than parts of the sum, so that a block takes several.
fn more_units_than_splits(device: &Rc<Device>) {
    for (stencil, coarse) in KINDS {
        gradients(device, &Case { stencil, channels: (8, 8, 0), coarse: (2, 3), n_lanes: 2, n_pairs: 2, short: false });
        gradients(device, &Case { stencil, channels: (3, 2, 1), coarse, n_lanes: 90, n_pairs: 2, short: false });
    }
}

/// The same on tensor cores. That the sums are right shows with short numbers; with others the error is about 2^-11.
pub fn tf32(device: &Rc<Device>) {
    device.set_precision(Precision::Tf32);
    for (stencil, coarse) in KINDS {
        for (channels, n_lanes, n_pairs) in [((19, 7, 4), 5, 2), ((5, 38, 19), 1, 1), ((105, 3, 0), 1, 1)] {
            gradients(device, &Case { stencil, channels, coarse, n_lanes, n_pairs, short: true });
        }
        gradients(device, &Case { stencil, channels: (8, 7, 2), coarse, n_lanes: 2, n_pairs: 2, short: false });
    }
    let (stencil, channels) = (Stencil::Same, (3, 2, 1));
    gradients(device, &Case { stencil, channels, coarse: (2, 3), n_lanes: 300, n_pairs: 2, short: true });
    device.set_precision(Precision::Full);
}

fn gradients(device: &Rc<Device>, case: &Case) {
    let &Case { stencil, channels: (n_out, n_first, n_second), coarse, n_lanes, n_pairs, short } = case;
    let (sizes, n_in, factor) = (sizes(stencil, coarse), n_first + n_second, -0.5);
    let side = if stencil == Stencil::Point { 1 } else { 3 };
    let rounds = device.precision() == Precision::Tf32 && !short;
    let (bound, adjoint_bound) = if rounds { (2e-3, 1e-3) } else { (1e-5, 1e-6) };
    let [n_pixels_in, n_pixels_out] = sizes.map(|(rows, cols)| rows * cols);
    let tensor = |channels: usize, n_pixels: usize, seed: u64| case.signed(n_lanes * channels * n_pixels, seed);
    let d_outs: Vec<_> = (0..n_pairs).map(|pair| tensor(n_out, n_pixels_out, 10 + pair as u64)).collect();
    let firsts: Vec<_> = (0..n_pairs).map(|pair| tensor(n_first, n_pixels_in, 20 + pair as u64)).collect();
    let seconds: Vec<_> = (0..n_pairs).map(|pair| tensor(n_second, n_pixels_in, 30 + pair as u64)).collect();
    let there = |tensors: &[Vec<f32>]| tensors.iter().map(|tensor| upload(device, tensor)).collect::<Vec<_>>();
    let (d_there, first_there, second_there) = (there(&d_outs), there(&firsts), there(&seconds));
    let pairs: Vec<_> = (0..n_pairs)
        .map(|pair| {
            let input = Concat {
                first: (first_there[pair].address(), n_first),
                second: (second_there[pair].address(), n_second),
            };
            (d_there[pair].address(), input)
        })
        .collect();
    let shape = WeightShape { stencil, n_out, n_in, sizes };
    let scratch = WeightScratch::new(device, &[shape], n_lanes).unwrap();
    // Written at an offset into a gradient that is there: what surrounds it must stay.
    let n_weights = n_out * n_in * side * side;
    let gradient = upload(device, &vec![7.0; 3 + n_weights + n_out + 2]);
    let lane_sums = upload(device, &vec![7.0; n_lanes * (n_out + 1)]);
    let list = lanes(device, &(0..n_lanes).collect::<Vec<_>>());
    let pass = WeightPass {
        shape,
        pairs: &pairs,
        factor,
        lane_sums: (lane_sums.address(), n_out + 1),
        d_weight: gradient.address().offset(3),
        d_bias: gradient.address().offset(3 + n_weights),
    };
    pass.run(device, &list, &scratch).unwrap();
    let found = gradient.to_vec().unwrap();
    let name = format!("{stencil:?}, {n_out} from {n_first} and {n_second} channels, {n_lanes} lanes, {n_pairs} pairs");
    assert!(found[..3].iter().chain(&found[3 + n_weights + n_out..]).all(|&value| value == 7.0), "{name}");

    let inputs: Vec<_> = (0..n_pairs).map(|pair| side_by_side(&firsts[pair], &seconds[pair], n_lanes)).collect();
    let wanted = plain_gradient(case, &d_outs, &inputs, f64::from(factor));
    assert_each_close(&name, &found[3..3 + n_weights], &wanted, bound);
    adjoint(case, (&d_outs, &inputs), &found[3..3 + n_weights], (f64::from(factor), adjoint_bound));

    let sums: Vec<f64> = d_outs[0].chunks(n_pixels_out).map(|d| d.iter().map(|&d| f64::from(d)).sum()).collect();
    let of_lanes = lane_sums.to_vec().unwrap();
    for (lane, sums) in sums.chunks(n_out).enumerate() {
        assert_each_close(&name, &of_lanes[lane * (n_out + 1)..][..n_out], sums, 1e-5);
        assert_eq!(of_lanes[lane * (n_out + 1) + n_out], 7.0, "{name}");
    }
    let d_bias: Vec<f64> =
        (0..n_out).map(|o| f64::from(factor) * sums.iter().skip(o).step_by(n_out).sum::<f64>()).collect();
    assert_each_close(&name, &found[3 + n_weights..][..n_out], &d_bias, 1e-5);
}

/// The channels of two tensors, lane by lane.
fn side_by_side(first: &[f32], second: &[f32], n_lanes: usize) -> Vec<f32> {
    let (a, b) = (first.len() / n_lanes, second.len() / n_lanes);
    (0..n_lanes).flat_map(|lane| [&first[lane * a..][..a], &second[lane * b..][..b]].concat()).collect()
}

/// <d_out, conv(x; w)> = <d_w, w>.
fn adjoint(case: &Case, (d_outs, inputs): (&[Vec<f32>], &[Vec<f32>]), d_w: &[f32], (factor, bound): (f64, f64)) {
    let &Case { stencil, channels: (n_out, n_first, n_second), coarse, n_lanes, .. } = case;
    let (sizes, n_in) = (sizes(stencil, coarse), n_first + n_second);
    let w = signed(d_w.len(), 40);
    let (mut left, mut scale) = (0.0, 0.0);
    for (d_out, input) in d_outs.iter().zip(inputs) {
        for (d, x) in d_out.chunks(d_out.len() / n_lanes).zip(input.chunks(input.len() / n_lanes)) {
            let out = plain(stencil, &w, (x, n_in), sizes, n_out);
            left += factor * dot(d, &out);
            scale += factor.abs() * (dot(d, d) * dot(&out, &out)).sqrt();
        }
    }
    let right = dot(d_w, &w);
    assert!((left - right).abs() <= bound * scale, "{stencil:?}: {left} and {right}, of {scale}");
}

/// d_w as its definition has it.
fn plain_gradient(case: &Case, d_outs: &[Vec<f32>], inputs: &[Vec<f32>], factor: f64) -> Vec<f64> {
    let &Case { stencil, channels: (n_out, n_first, n_second), coarse, n_lanes, .. } = case;
    let ([(rows, cols), to], n_in) = (sizes(stencil, coarse), n_first + n_second);
    let side = if stencil == Stencil::Point { 1 } else { 3 };
    let (stride, doubled) = (1 + usize::from(stencil == Stencil::Down), 1 + usize::from(stencil == Stencil::Up));
    let mut d_w = vec![0.0; n_out * n_in * side * side];
    for (tap, lane) in (0..side * side).flat_map(|tap| (0..n_lanes).map(move |lane| (tap, lane))) {
        for (row, col) in (0..to.0).flat_map(|row| (0..to.1).map(move |col| (row, col))) {
            // Counted from the padding.
            let (y, x, pad) = (row * stride + tap / side, col * stride + tap % side, side / 2);
            if !(pad..rows * doubled + pad).contains(&y) || !(pad..cols * doubled + pad).contains(&x) {
                continue;
            }
            let place = (y - pad) / doubled * cols + (x - pad) / doubled;
            for (d_out, input) in d_outs.iter().zip(inputs) {
                for (o, c) in (0..n_out).flat_map(|o| (0..n_in).map(move |c| (o, c))) {
                    let d = d_out[((lane * n_out + o) * to.0 + row) * to.1 + col];
                    let value = input[(lane * n_in + c) * rows * cols + place];
                    d_w[(o * n_in + c) * side * side + tap] += factor * f64::from(d) * f64::from(value);
                }
            }
        }
    }
    d_w
}

/// Weights of several convolutions, packed in one launch from one vector of parameters.
pub fn packing(device: &Rc<Device>) {
    let (n_out, n_in, inputs) = (11, 9, 4..9);
    let (first, n) = (5, n_out * n_in * 9);
    let parameters = signed(first + n + 3, 50);
    let there = upload(device, &parameters);
    let forward = PackedConv::forward_at(device, Stencil::Up, (n_out, n_in), first).unwrap();
    let transposed = PackedConv::transposed_at(device, Stencil::UpTransposed, inputs, (n_out, n_in), first).unwrap();
    Packer::new(device, [&forward, &transposed]).unwrap().repack(device, there.address()).unwrap();
    let sizes = [(3, 5), (6, 10)];
    let (x, y) = (signed(n_in * 15, 51), signed(n_out * 60, 52));
    let list = lanes(device, &[0]);
    let run = |weights: &PackedConv, (x, channels): (&[f32], usize), sizes: [(usize, usize); 2]| {
        let (x, out) = (upload(device, x), Buffer::new(device, weights.n_out() * sizes[1].0 * sizes[1].1).unwrap());
        let (input, epilogue) = (Concat::one(x.address(), channels), Epilogue::STORE);
        let pass =
            Pass { weights, input, sizes, prologue: Prologue::Identity, epilogue, shortcut: None, out: out.address() };
        pass.run(device, &list).unwrap();
        out.to_vec().unwrap()
    };
    let convolved = run(&forward, (&x, n_in), sizes);
    let wanted = plain(Stencil::Up, &parameters[first..first + n], (&x, n_in), sizes, n_out);
    assert_each_close("packed", &convolved, &wanted.iter().map(|&w| w.into()).collect::<Vec<_>>(), 1e-6);
    // On its own inputs, the transposed convolution is the transpose of the forward one.
    let back = run(&transposed, (&y, n_out), [sizes[1], sizes[0]]);
    let only: Vec<f32> = x.iter().enumerate().map(|(i, &x)| if i < 4 * 15 { 0.0 } else { x }).collect();
    let (left, right) = (dot(&run(&forward, (&only, n_in), sizes), &y), dot(&x[4 * 15..], &back));
    assert!((left - right).abs() <= 1e-5 * (dot(&y, &y) * dot(&x, &x)).sqrt(), "{left} and {right}");
}

/// Both losses, and tangents through the ends of the network.
pub fn losses(device: &Rc<Device>) {
    for (n, n_lanes) in [(1051, 1), (77, 5)] {
        losses_of(device, n, n_lanes);
    }
    tangents(device, &signed(5 * 8 * 5 * 3, 60));
}

fn losses_of(device: &Rc<Device>, n: usize, n_lanes: usize) {
    let list = lanes(device, &(0..n_lanes).collect::<Vec<_>>());
    let (a, z) = (signed(n_lanes * n, 60), signed(n_lanes * n, 61));
    let (a_there, z_there, v) = (upload(device, &a), upload(device, &z), upload(device, &a));
    let of_lanes = &[(0.3, 0.5), (0.01, 1.0), (0.9, 0.125), (0.5, 2.0), (0.7, 0.25)][..n_lanes];
    let mut loss = TrainingLoss::new(device, n_lanes).unwrap();
    for objective in [Objective::ScoreMatching, Objective::Denoising] {
        loss.set(objective, of_lanes).unwrap();
        loss.run(device, &list, n, (a_there.address(), z_there.address()), v.address()).unwrap();
        let (losses, v) = (loss.losses(&list).unwrap(), v.to_vec().unwrap());
        for (lane, &(std, weight)) in of_lanes.iter().enumerate() {
            let (std, mut wanted, mut squares) = (f64::from(std as f32), Vec::new(), 0.0);
            for (&a, &z) in a[lane * n..][..n].iter().zip(&z[lane * n..][..n]) {
                let (a, z) = (f64::from(a), f64::from(z));
                let residual = if objective == Objective::Denoising { a - z } else { z - std * a };
                squares += residual * residual;
                wanted.push(2.0 * weight * residual * if objective == Objective::Denoising { 1.0 } else { std });
            }
            assert_each_close("v", &v[lane * n..][..n], &wanted, 1e-6);
            assert!((losses[lane] - weight * squares).abs() <= 1e-6 * weight * squares, "{losses:?}");
        }
    }
}

/// A tangent is the difference of two values.
fn tangents(device: &Rc<Device>, x: &[f32]) {
    let ends = PixelShuffle { channels: 8, height: 5, width: 3, side: 2 };
    let at = LaneScalars { t: 0.1, input_scale: 1.5, input_shift: -0.4, output: 0.7, skip_scale: 0.6, skip_shift: 0.2 };
    let scalars = Buffer::of(device, &[at; 5]).unwrap();
    let list = lanes(device, &[3, 1, 4, 0, 2]);
    let to = (&list, scalars.address());
    let (zero, x_there) = (upload(device, &vec![0.0; x.len()]), upload(device, x));
    let unshuffled = |direction, image: &Buffer<f32>| {
        let out = Buffer::new(device, x.len()).unwrap();
        ends.unshuffle(device, to, direction, image.address(), out.address()).unwrap();
        out.to_vec().unwrap()
    };
    let shuffled = |direction, activation: &Buffer<f32>, image: &Buffer<f32>| {
        let out = Buffer::new(device, x.len()).unwrap();
        ends.shuffle(device, to, direction, (activation.address(), image.address()), out.address()).unwrap();
        out.to_vec().unwrap()
    };
    let difference = |a: Vec<f32>, b: Vec<f32>| -> Vec<f64> {
        a.into_iter().zip(b).map(|(a, b)| f64::from(a) - f64::from(b)).collect()
    };
    let wanted = difference(unshuffled(Direction::Forward, &x_there), unshuffled(Direction::Forward, &zero));
    assert_each_close("tangent in", &unshuffled(Direction::Tangent, &x_there), &wanted, 1e-6);
    let wanted =
        difference(shuffled(Direction::Forward, &x_there, &x_there), shuffled(Direction::Forward, &zero, &zero));
    assert_each_close("tangent out", &shuffled(Direction::Tangent, &x_there, &x_there), &wanted, 1e-6);
}
