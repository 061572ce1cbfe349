//! The network against values that PyTorch computed in float64.
#![allow(clippy::unwrap_used)]

use gradus::backend::cpu::Network;
use gradus::prior::Prior;
use gradus::unet::{Parametrisation, Tensor, Weights};
use gradus_tests::fixtures::{describe, paper};
use gradus_tests::npz;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn golden(name: &str) -> PathBuf {
    root().join("../tests/golden").join(name)
}

fn array(archive: &Path, name: &str) -> (Vec<usize>, Vec<f64>) {
    let (shape, values) = npz::array(archive, name).unwrap();
    (shape.into_iter().map(|n| n as usize).collect(), values)
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// Largest difference relative to the root mean square of what is expected, image by image.
fn error(found: &[f32], expected: &[f64], n: usize) -> f64 {
    assert_eq!(found.len(), expected.len());
    let of_image = |(found, expected): (&[f32], &[f64])| {
        let scale = (expected.iter().map(|v| v * v).sum::<f64>() / n as f64).sqrt();
        found.iter().zip(expected).map(|(&f, &e)| (f64::from(f) - e).abs()).fold(0.0, f64::max) / scale
    };
    found.chunks(n).zip(expected.chunks(n)).map(of_image).fold(0.0, f64::max)
}

fn check(prior: &Prior, archive: &Path) {
    let (shape, x) = array(archive, "x");
    let (_, t) = array(archive, "t");
    let (_, log_density) = array(archive, "log_density");
    let (_, score) = array(archive, "score");
    let (lanes, n) = (shape[0], shape[1..].iter().product::<usize>());
    for portable in [false, true] {
        let new = if portable { Network::portable } else { Network::new };
        let mut network = new(prior, shape[2], shape[3], lanes).unwrap();
        network.forward(0..lanes, &single(&x), &single(&t));
        if npz::names(archive).unwrap().iter().any(|name| name == "h") {
            let (_, h) = array(archive, "h");
            let found: Vec<f32> = (0..lanes).flat_map(|lane| network.h(lane).to_vec()).collect();
            let h_error = error(&found, &h, n);
            println!("portable {portable}: h {h_error:.2e}");
            assert!(h_error < 1e-4);
        }
        for (lane, expected) in log_density.iter().enumerate() {
            let relative = (-network.energy(lane) / expected - 1.0).abs();
            println!("portable {portable}: log density of image {lane} {relative:.2e}");
            assert!(relative < 1e-4);
        }
        let h: Vec<f32> = (0..lanes).flat_map(|lane| network.h(lane).to_vec()).collect();
        let mut found = vec![0.0; lanes * n];
        network.vjp(0..lanes, &h, &mut found);
        found.iter_mut().for_each(|v| *v = -*v);
        let score_error = error(&found, &score, n);
        println!("portable {portable}: score {score_error:.2e}");
        assert!(score_error < 1e-4);
    }
}

#[test]
fn the_paper_network_matches() {
    let archive = golden("paper_unet.npz");
    let names: Vec<String> = npz::names(&archive).unwrap().into_iter().filter(|n| n.starts_with("w:")).collect();
    let mut tensors = BTreeMap::new();
    for name in names {
        let (shape, values) = array(&archive, &name);
        tensors.insert(name[2..].to_owned(), Tensor { shape, data: single(&values) });
    }
    let weights = Weights::new(describe(&paper(), Parametrisation::Norm), String::new(), tensors).unwrap();
    check(&weights.into(), &archive);
}

#[test]
fn the_embedded_prior_matches() {
    check(&Prior::named("ellipses").unwrap(), &golden("ellipses_prior.npz"));
}
