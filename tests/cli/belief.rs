//! The statements of a run about its picture: intervals where they were calibrated, and pictures of another kind.

use super::{gradus, json, listing, message};
use gradus::ct::ATTENUATION_PER_UNIT;
use gradus::data::image_files::{read_image, write_npy};
use gradus::data::scan::Scan;
use gradus::image::Image;
use gradus::simulate::{Simulation, simulate};
use std::path::Path;

/// A body with lungs and a spine, 256 x 256 pixels of 1.4 mm, seen from 20 directions.
fn write_body(path: &Path, noise: f64) -> Image {
    let inside = |k: usize, (row, col, tall, wide): (f64, f64, f64, f64)| {
        (((k / 256) as f64 - row) / tall).hypot(((k % 256) as f64 - col) / wide) < 1.0
    };
    let pixel = |k: usize| match k {
        k if inside(k, (120.0, 85.0, 35.0, 25.0)) || inside(k, (120.0, 170.0, 35.0, 25.0)) => 0.04,
        k if inside(k, (165.0, 128.0, 12.0, 14.0)) => 0.35,
        k if inside(k, (128.0, 128.0, 70.0, 100.0)) => 0.25,
        _ => 0.0,
    };
    let truth = Image { height: 256, width: 256, pixels: (0..256 * 256).map(pixel).collect() };
    let scan = simulate(&truth, 1.4, &Simulation { angles: 20, noise, ..Simulation::default() }).unwrap();
    let attenuation_per_unit_per_mm = Some(ATTENUATION_PER_UNIT.into());
    Scan { attenuation_per_unit_per_mm, prior: Some("ct".to_owned()), ..scan }.write(path).unwrap();
    truth
}

#[test]
fn a_mean_of_runs_has_intervals_as_calibrated_and_otherwise_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let truth = write_body(&dir.path().join("scan.npz"), 0.05);
    let run = ["reconstruct", "scan.npz", "--average", "4", "-o", "out", "--json"];
    let summary = json(&gradus(dir.path(), &run));
    let interval = &summary["interval"];
    assert_eq!(interval["level"], 0.9);
    let mean = interval["mean_half_width"].as_f64().unwrap();
    assert!((5e-4..5e-3).contains(&mean), "1/mm: {interval}");
    assert!(listing(&dir.path().join("out")).contains(&"half-width.npy".to_owned()));
    let read = |name: &str| read_image(dir.path().join("out").join(name)).unwrap().image;
    let (image, half) = (read("image.npy"), read("half-width.npy"));
    let in_body = |k: &usize| truth.pixels[*k] > 0.0;
    let held = |k: &usize| (ATTENUATION_PER_UNIT * truth.pixels[*k] - image.pixels[*k]).abs() <= half.pixels[*k];
    let (n, n_held) = ((0..256 * 256).filter(in_body).count(), (0..256 * 256).filter(in_body).filter(held).count());
    assert!(n_held as f64 > 0.85 * n as f64, "{n_held} of {n}");
    write_body(&dir.path().join("scan.npz"), 0.2);
    let run = ["reconstruct", "scan.npz", "--average", "4", "--steps", "2", "-o", "other", "--json"];
    let summary = json(&gradus(dir.path(), &run));
    assert!(summary["interval"]["refused"].as_str().unwrap().contains("default settings"), "{summary}");
    assert!(!listing(&dir.path().join("other")).contains(&"half-width.npy".to_owned()));
}

#[test]
fn pictures_of_another_kind_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let board = (0..128 * 128).map(|k| f32::from((k / 2048 + k % 128 / 16) % 2 == 0)).collect();
    write_npy(dir.path().join("board.npy"), &Image { height: 128, width: 128, pixels: board }).unwrap();
    let run = |image, out| gradus(dir.path(), &["reconstruct", image, "--noise", "0.02", "-o", out, "--json"]);
    let (board, ellipses) = (run("board.npy", "board"), run("ellipses:7", "ellipses"));
    assert!(message(&board).contains("unlike those that the prior ellipses learned from"), "{}", message(&board));
    assert_eq!(json(&board)["training"]["is_far"], true);
    assert!(!message(&ellipses).contains("unlike"), "{}", message(&ellipses));
    assert_eq!(json(&ellipses)["training"]["is_far"], false);
}
