//! Promises of a network whatever its weights: derivatives, determinism, lanes, sizes.
#![allow(clippy::unwrap_used)]

mod common;

use common::{random, small};
use gradus::backend::cpu::{Curvature, Network};
use gradus::prior::Prior;
use gradus::unet::NetworkError;
use gradus_tests::fixtures::{RESIDUAL, distance, dot, signed};

/// The shared cases, each with a smoothing level.
fn cases() -> Vec<(Prior, usize, usize, f32)> {
    let levels = [0.2, 0.7, 0.05, 0.4];
    common::cases().into_iter().zip(levels).map(|((prior, height, width), t)| (prior, height, width, t)).collect()
}

#[test]
fn vjp_is_the_transpose_of_the_finite_difference_jacobian() {
    for (prior, height, width, t) in cases() {
        let n = height * width;
        let (x, u, v) = (signed(n, 1), signed(n, 2), signed(n, 3));
        let mut network = Network::new(&prior, height, width, 1).unwrap();
        let mut h_at = |step: f32| {
            let moved: Vec<f32> = x.iter().zip(&u).map(|(x, u)| x + step * u).collect();
            network.forward(0..1, &moved, &[t]);
            network.h(0).to_vec()
        };
        // Fourth order in the step, large enough for f32.
        let step = 0.02;
        let [far_up, up, down, far_down] = [2.0 * step, step, -step, -2.0 * step].map(|s| dot(&h_at(s), &v));
        let differences = (8.0 * (up - down) - (far_up - far_down)) / (12.0 * f64::from(step));
        h_at(0.0);
        let mut gradient = vec![0.0; n];
        network.vjp(0..1, &v, &mut gradient);
        let product = dot(&u, &gradient);
        let scale = (dot(&u, &u) * dot(&gradient, &gradient)).sqrt();
        assert!((differences - product).abs() / scale < 1e-4, "{differences} {product} of {scale}");
    }
}

/// H u against differences of the energy's gradient along u, of fourth order in the step; and H is symmetric.
#[test]
fn curvature_is_the_derivative_of_the_gradient() {
    let with_frame = cases().into_iter().take(1).map(|(prior, _, _, t)| (prior, 13, 9, t));
    for (prior, height, width, t) in cases().into_iter().chain(with_frame) {
        let n = height * width;
        let (x, u, v) = (signed(2 * n, 14), signed(2 * n, 15), signed(2 * n, 16));
        let times = [t, 0.5 * t];
        let mut network = Network::new(&prior, height, width, 2).unwrap();
        let mut gradient_at = |step: f32| {
            let moved: Vec<f32> = x.iter().zip(&u).map(|(x, u)| x + step * u).collect();
            network.forward(0..2, &moved, &times);
            let (h, mut gradient) = ([network.h(0), network.h(1)].concat(), vec![0.0; 2 * n]);
            network.vjp(0..2, &h, &mut gradient);
            gradient
        };
        let step = 0.02;
        let [far_up, up, down, far_down] = [2.0 * step, step, -step, -2.0 * step].map(&mut gradient_at);
        let difference = |i: usize| (8.0 * (up[i] - down[i]) - (far_up[i] - far_down[i])) / (12.0 * step);
        let differences: Vec<f32> = (0..2 * n).map(difference).collect();
        let mut curvature = Curvature::new(&prior, height, width, 2).unwrap();
        let mut of = |vectors: &[f32]| {
            let mut product = vec![f32::NAN; 2 * n];
            curvature.product(&x, &times, vectors, &mut product);
            product
        };
        let (hu, hv) = (of(&u), of(&v));
        for lane in [0..n, n..2 * n] {
            let error = distance(&hu[lane.clone()], &differences[lane.clone()]);
            assert!(error < 3e-4, "{height} x {width}, {lane:?}: {error}");
            let (left, right) = (dot(&hu[lane.clone()], &v[lane.clone()]), dot(&u[lane.clone()], &hv[lane.clone()]));
            let scale = (dot(&hu[lane.clone()], &hu[lane.clone()]) * dot(&v[lane.clone()], &v[lane])).sqrt();
            assert!((left - right).abs() < 1e-5 * scale, "{left} {right} of {scale}");
        }
    }
}

#[test]
fn score_leaves_a_second_order_remainder() {
    for (prior, height, width, t) in cases() {
        let n = height * width;
        let x = signed(n, 4);
        let mut network = Network::new(&prior, height, width, 2).unwrap();
        network.forward(0..1, &x, &[t]);
        let h = network.h(0).to_vec();
        let mut gradient = vec![0.0; n];
        network.vjp(0..1, &h, &mut gradient);
        // Along the gradient, where the second derivative does not vanish by chance.
        let length = (dot(&gradient, &gradient) / n as f64).sqrt() as f32;
        let direction: Vec<f32> = gradient.iter().map(|g| g / length).collect();
        let mut remainder = |step: f32| {
            let moved: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            network.forward(1..2, &moved, &[t]);
            // E(x + s d) - E(x) = 1/2 <h1 - h0, h1 + h0>, without the cancellation of the difference.
            let pairs = network.h(1).iter().zip(&h).map(|(&a, &b)| (f64::from(a), f64::from(b)));
            let difference = pairs.map(|(a, b)| 0.5 * (a - b) * (a + b)).sum::<f64>();
            let moved_by = moved.iter().zip(&x).map(|(m, x)| f64::from(m - x));
            let linear: f64 = moved_by.zip(&gradient).map(|(d, &g)| d * f64::from(g)).sum();
            (difference - linear).abs()
        };
        let steps = [0.016, 0.008, 0.004];
        let remainders = steps.map(&mut remainder);
        for pair in remainders.windows(2) {
            let order = (pair[0] / pair[1]).log2();
            assert!((order - 2.0).abs() < 0.25, "order {order}, remainders {remainders:?}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let prior = random(&small(2, vec![1, 2]), RESIDUAL);
    let (height, width, lanes) = (36, 40, 3);
    let n = height * width;
    let (x, t) = (signed(lanes * n, 6), [0.01, 0.3, 0.9]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut network = Network::new(&prior, height, width, lanes).unwrap();
            network.forward(0..lanes, &x, &t);
            let h: Vec<f32> = (0..lanes).flat_map(|lane| network.h(lane).to_vec()).collect();
            let mut score = vec![0.0; lanes * n];
            network.vjp(0..lanes, &h, &mut score);
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            (bits(h), bits(score))
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3) && one == run(5));
}

#[test]
fn lanes_keep_their_activations_and_do_not_mix() {
    let prior = random(&small(2, vec![1, 2]), RESIDUAL);
    let (height, width) = (12, 16);
    let n = height * width;
    let (x, v) = (signed(2 * n, 7), signed(2 * n, 8));
    let mut network = Network::new(&prior, height, width, 2).unwrap();
    network.forward(0..2, &x, &[0.01, 0.5]);
    let mut together = vec![0.0; 2 * n];
    network.vjp(0..2, &v, &mut together);

    // Lane 0 accepted first, lane 1 evaluated later and more than once.
    let mut apart = vec![f32::NAN; 2 * n];
    network.forward(0..1, &x[..n], &[0.01]);
    network.forward(1..2, &x[..n], &[0.9]);
    network.forward(1..2, &x[n..], &[0.5]);
    network.vjp(0..2, &v, &mut apart);
    assert_eq!(together, apart);
    network.vjp(1..2, &v[n..], &mut apart[..n]);
    assert_eq!(together[n..], apart[..n]);
}

fn h_and_score(mut network: Network, x: &[f32], t: f32) -> (Vec<f32>, Vec<f32>) {
    network.forward(0..1, x, &[t]);
    let h = network.h(0).to_vec();
    let mut score = vec![0.0; x.len()];
    network.vjp(0..1, &h, &mut score);
    (h, score)
}

/// Without fused multiply-add every product is rounded once more, so the bits differ.
#[test]
fn the_portable_path_agrees() {
    for (prior, height, width, t) in cases() {
        let x = signed(height * width, 9);
        let (fast, _) = h_and_score(Network::new(&prior, height, width, 1).unwrap(), &x, t);
        let (portable, _) = h_and_score(Network::portable(&prior, height, width, 1).unwrap(), &x, t);
        assert!(distance(&fast, &portable) < 1e-6);
    }
    let prior = Prior::named("ellipses").unwrap();
    for t in [1e-3, 0.1, 1.0] {
        let x: Vec<f32> = signed(32 * 40, 10).iter().map(|v| 0.3 + 0.2 * v).collect();
        let fast = h_and_score(Network::new(&prior, 32, 40, 1).unwrap(), &x, t);
        let portable = h_and_score(Network::portable(&prior, 32, 40, 1).unwrap(), &x, t);
        let errors = (distance(&fast.0, &portable.0), distance(&fast.1, &portable.1));
        println!("t = {t}: portable h differs by {:.1e}, score by {:.1e}", errors.0, errors.1);
        assert!(errors.0 < 2e-6 && errors.1 < 2e-6, "{errors:?}");
    }
}

/// The vector minimum and maximum of some machines drop NaN; the network must not.
#[test]
fn nan_reaches_the_energy() {
    for (prior, height, width, t) in cases() {
        let mut x = signed(height * width, 11);
        x[height * width / 2] = f32::NAN;
        for new in [Network::new, Network::portable] {
            let mut network = new(&prior, height, width, 1).unwrap();
            network.forward(0..1, &x, &[t]);
            assert!(network.energy(0).is_nan());
        }
    }
}

#[test]
fn images_without_pixels_are_refused() {
    for (height, width) in [(0, 18), (12, 0)] {
        let error = Network::new(&random(&small(2, vec![1, 2]), RESIDUAL), height, width, 1).unwrap_err();
        assert_eq!(error, NetworkError::Size { height, width, multiple: 4 });
    }
}
