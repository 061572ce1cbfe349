//! Losses and gradients of training, against PyTorch in float64 and against their own definition.
#![allow(clippy::unwrap_used)]

mod common;

use common::{cases, random, small};
use gradus::backend::cpu::{Network, TrainingBatch, TrainingNetwork};
use gradus::unet::{Parametrisation, layers};
use gradus_tests::fixtures::{RESIDUAL, VP, describe, dot, paper, signed};
use gradus_tests::npz;
use std::path::Path;

type Loss = fn(&mut TrainingNetwork, &[f32], TrainingBatch<'_>, &mut [f32]) -> f64;

/// Both losses, with their gradients.
const LOSSES: [Loss; 2] = [TrainingNetwork::score_matching_loss, TrainingNetwork::denoising_loss];

#[test]
fn the_paper_loss_and_every_gradient_match() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/paper_unet.npz");
    let array = |name: &str| npz::array(Path::new(path), name).unwrap().1;
    let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let architecture = paper();
    let tensors = layers::tensors(&architecture);
    let parameters: Vec<f32> = tensors.iter().flat_map(|(name, _)| single(array(&format!("w:{name}")))).collect();
    let (x, t, z) = (single(array("x")), single(array("t")), single(array("z")));
    let mut network = TrainingNetwork::new(&describe(&architecture, Parametrisation::Norm), 16, 24, 2).unwrap();
    let mut gradient = vec![f32::NAN; network.n_parameters()];
    let batch = TrainingBatch { x_t: &x, z: &z, t: &t, weights: &[1.0; 2] };
    let loss = network.score_matching_loss(&parameters, batch, &mut gradient);
    let expected = array("dsm_loss")[0];
    println!("loss {loss}, expected {expected}");
    assert!((loss / expected - 1.0).abs() < 1e-4);

    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let whole = norm(&mut gradient.iter().map(|&g| f64::from(g)));
    let (mut rest, mut worst, mut n_zero) = (&gradient[..], 0.0_f64, 0);
    for (name, _) in tensors {
        let exact = array(&format!("g:{name}"));
        let (found, behind) = rest.split_at(exact.len());
        rest = behind;
        let difference = norm(&mut found.iter().zip(&exact).map(|(&f, e)| f64::from(f) - e));
        let expected = norm(&mut exact.iter().copied());
        if expected < 1e-10 * whole {
            // With one channel a group, a norm takes away any constant added before it: the gradient is 0, here and in
            // PyTorch up to rounding.
            assert!(name.contains("bias") || name.contains("emb_layers"), "{name}");
            println!("{name}: 0, found {:.1e} of the whole gradient", difference / whole);
            assert!(difference < 1e-6 * whole, "{name}");
            n_zero += 1;
            continue;
        }
        worst = worst.max(difference / expected);
        assert!(difference < 1e-4 * expected, "{name}: {:.1e}", difference / expected);
    }
    println!("worst {worst:.1e}; {n_zero} vanish");
    assert!(rest.is_empty() && n_zero < 16);
}

#[test]
fn losses_are_those_of_the_solver_network() {
    for (prior, height, width) in cases() {
        let weights = prior.weights();
        let (n, parameters) = (height * width, weights.parameters());
        let (x, t, z) = (signed(2 * n, 1), [0.2, 0.7], signed(2 * n, 2));
        let mut solver = Network::new(&prior, height, width, 2).unwrap();
        solver.forward(0..2, &x, &t);
        let h = [solver.h(0), solver.h(1)].concat();
        let mut d = vec![0.0; 2 * n];
        solver.vjp(0..2, &h, &mut d);
        let std = |i: usize| VP.at(f64::from(t[i / n])).std;
        let factors = [0.5, 3.0];
        let sum =
            |term: &dyn Fn(usize) -> f64| (0..2 * n).map(|i| f64::from(factors[i / n]) * term(i).powi(2)).sum::<f64>();
        let score_matching = sum(&|i| f64::from(z[i]) - std(i) * f64::from(d[i]));
        let denoising = sum(&|i| f64::from(h[i] - z[i]));
        let batch = TrainingBatch { x_t: &x, z: &z, t: &t, weights: &factors };
        let mut network = TrainingNetwork::new(weights.description(), height, width, 2).unwrap();
        let mut gradient = vec![0.0; parameters.len()];
        for (loss, expected) in LOSSES.into_iter().zip([score_matching / 2.0, denoising / 2.0]) {
            let found = loss(&mut network, &parameters, batch, &mut gradient);
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        }
    }
}

/// L(theta + s d) - L(theta) - s <g, d> falls with the square of s; the energy is half the denoiser's loss without
/// noise.
#[test]
fn losses_leave_a_second_order_remainder() {
    for (prior, height, width) in cases() {
        let weights = prior.weights();
        let (n, parameters) = (height * width, weights.parameters());
        let (x, t, noise) = (signed(2 * n, 3), [0.1, 0.4], signed(2 * n, 4));
        let none = vec![0.0; 2 * n];
        let mut network = TrainingNetwork::new(weights.description(), height, width, 2).unwrap();
        let (mut gradient, mut unused) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
        for (loss, z) in [(LOSSES[0], &noise), (LOSSES[1], &noise), (LOSSES[1], &none)] {
            let batch = TrainingBatch { x_t: &x, z, t: &t, weights: &[1.5, 0.5] };
            let mut at = |parameters: &[f32], gradient: &mut [f32]| loss(&mut network, parameters, batch, gradient);
            let value = at(&parameters, &mut gradient);
            // A random direction with a part along the gradient, where the second derivative is far from nothing.
            let length = dot(&gradient, &gradient).sqrt() as f32;
            let random = signed(parameters.len(), 5);
            let spread = dot(&random, &random).sqrt() as f32;
            let direction: Vec<f32> = gradient.iter().zip(random).map(|(g, r)| g / length + r / spread).collect();
            let mut remainder = |step: f32| {
                let moved: Vec<f32> = parameters.iter().zip(&direction).map(|(p, d)| p + step * d).collect();
                let by: Vec<f32> = moved.iter().zip(&parameters).map(|(m, p)| m - p).collect();
                (at(&moved, &mut unused) - value - dot(&by, &gradient)).abs()
            };
            let remainders = [0.008, 0.004, 0.002].map(&mut remainder);
            for pair in remainders.windows(2) {
                let order = (pair[0] / pair[1]).log2();
                println!("loss {value:.3}, order {order:.3}");
                assert!((order - 2.0).abs() < 0.1, "order {order}, remainders {remainders:?}");
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (architecture, height, width, lanes) = (small(2, vec![1, 2]), 36, 40, 3);
    let n = height * width;
    let prior = random(&architecture, RESIDUAL);
    let (parameters, description) = (prior.weights().parameters(), prior.weights().description());
    let (x, t, z) = (signed(lanes * n, 6), [0.01, 0.3, 0.9], signed(lanes * n, 7));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut network = TrainingNetwork::new(description, height, width, lanes).unwrap();
            LOSSES.map(|loss| {
                let mut gradient = vec![0.0; parameters.len()];
                let batch = TrainingBatch { x_t: &x, z: &z, t: &t, weights: &[1.0; 3] };
                let value = loss(&mut network, &parameters, batch, &mut gradient);
                (value.to_bits(), gradient.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            })
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}
