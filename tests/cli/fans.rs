//! Fan beams and images of any size, from simulation to the report.

use super::bad_input::{floats, npy};
use super::{gradus, json, text};
use std::fs;
use std::path::Path;

const METHODS: [&str; 6] = ["preconditioned", "gradient-like", "flow", "gradient-descent", "fbp", "tv"];

/// A disc off the middle, 1 in 0.
fn write_disc(path: &Path, height: usize, width: usize) {
    let inside = |k: usize| {
        let (row, col) = ((k / width) as f32 + 0.5, (k % width) as f32 + 0.5);
        (row - 0.55 * height as f32).hypot(col - 0.45 * width as f32) < 0.3 * height.min(width) as f32
    };
    let pixels: Vec<f32> = (0..height * width).map(|k| f32::from(u8::from(inside(k)))).collect();
    npy(path, "<f4", &format!("({height}, {width})"), &floats(&pixels));
}

/// The few iterations that show that a method runs.
fn short(method: &str) -> &'static [&'static str] {
    match method {
        "fbp" => &[],
        "tv" => &["--tv-iterations", "50"],
        _ => &["--steps", "4"],
    }
}

#[test]
fn a_fan_goes_from_simulation_to_the_report_by_every_method() {
    let dir = tempfile::tempdir().unwrap();
    write_disc(&dir.path().join("disc.npy"), 24, 24);
    let simulate = "simulate disc.npy --angles 40 --noise 0.01 --source-to-axis-mm 60 --source-to-detector-mm 90 \
                    --detector curved -o fan.npz --json";
    json(&gradus(dir.path(), &simulate.split_whitespace().collect::<Vec<_>>()));
    let found = json(&gradus(dir.path(), &["inspect", "fan.npz", "--json"]));
    let what = "scan, fan beam, curved detector; source 60 mm from the axis, 90 mm from the detector";
    assert_eq!(found["what"], what);
    assert!(found["angles_to_rad"].as_f64().unwrap() > 6.1, "a whole turn: {found}");
    for method in METHODS {
        let flags = [&["reconstruct", "fan.npz", "--method", method, "--json", "-o", method], short(method)].concat();
        let run = json(&gradus(dir.path(), &flags));
        assert!(run["psnr"].as_f64().unwrap() > 12.0, "{method}: {run}");
        let report = fs::read_to_string(dir.path().join(method).join("report.html")).unwrap();
        assert!(report.contains("fan"), "{method}");
    }
}

#[test]
fn part_of_a_turn_is_simulated_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    write_disc(&dir.path().join("disc.npy"), 16, 16);
    let simulate = |flags: &str, name: &str| {
        let words = format!("simulate disc.npy --angles 9 --arc-deg 90 {flags} -o {name} --json");
        json(&gradus(dir.path(), &words.split_whitespace().collect::<Vec<_>>()));
        json(&gradus(dir.path(), &["inspect", name, "--json"]))
    };
    for (flags, name) in [("", "parallel.npz"), ("--source-to-axis-mm 40", "fan.npz")] {
        let found = simulate(flags, name);
        let near = |key: &str, degrees: f64| {
            let angle = found[key].as_f64().unwrap().to_degrees();
            assert!((angle - degrees).abs() < 1e-4, "{name} {key}: {angle}");
        };
        near("angles_from_rad", 5.0);
        near("angles_to_rad", 85.0);
    }
}

/// Sides that are no multiples of what the networks take, smaller than that, and far from square.
#[test]
fn images_of_any_size_are_reconstructed_by_every_method() {
    let dir = tempfile::tempdir().unwrap();
    for (name, height, width) in [("13x29.npy", 13, 29), ("5x6.npy", 5, 6)] {
        write_disc(&dir.path().join(name), height, width);
        for method in METHODS {
            let flags = ["reconstruct", name, "--angles", "12", "--method", method, "--json"];
            let run = gradus(dir.path(), &[&flags, short(method)].concat());
            let run = json(&run);
            assert!(run["psnr"].as_f64().unwrap() > 8.0, "{name} {method}: {run}");
        }
    }
    let shown = text(&gradus(dir.path(), &["inspect", "ellipses"]).stdout);
    assert!(shown.contains("any, padded to multiples of 8"), "{shown}");
}
