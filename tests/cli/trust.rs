//! What a run says of how far its picture is to be believed.

use super::{gradus, json, message};
use gradus::ct::{Geometry, relative_gaussian};
use gradus::data::ellipses::ellipses;
use gradus::data::scan::Scan;
use gradus::simulate::{Simulation, simulate};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// 64 x 64 pixels, 60 views, 5 % noise, nothing said about it.
fn right() -> Scan {
    let scan = simulate(&ellipses(3, 64), 1.0, &Simulation { noise: 0.05, ..Simulation::default() }).unwrap();
    Scan { truth: None, noise_std: None, prior: Some("ellipses".to_owned()), ..scan }
}

/// Reconstructs a scan: the exit code, the summary and what was said.
fn run(dir: &Path, scan: &Scan, flags: &[&str]) -> (Option<i32>, Value, String) {
    let (path, out) = (dir.join("scan.npz"), dir.join("out"));
    scan.write(&path).unwrap();
    let output = gradus(dir, &[&["reconstruct", "scan.npz", "-o", "out", "--json"], flags].concat());
    let _ = fs::remove_dir_all(out);
    fs::remove_file(path).unwrap();
    let summary = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), summary, message(&output))
}

#[test]
fn right_scans_explain_their_data_by_every_method() {
    let dir = tempfile::tempdir().unwrap();
    for flags in [&[][..], &["--method", "tv", "--tv-iterations", "200"], &["--method", "fbp"], &["--average", "2"]] {
        let (code, summary, said) = run(dir.path(), &right(), flags);
        let chi = summary["fit"]["chi_squared"].as_f64().unwrap();
        assert!(code == Some(0) && said.is_empty(), "{flags:?}: {chi} {said}");
        assert!((0.3..2.0).contains(&chi) && summary["fit"]["better"].is_null(), "{summary}");
    }
    for input in ["ellipses:2", "spine"] {
        let output = gradus(dir.path(), &["reconstruct", input, "-o", input.split(':').next().unwrap()]);
        assert!(output.status.code() == Some(0) && output.stderr.is_empty(), "{input}: {}", message(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("chi squared 0.9"), "{input}");
    }
    let report = fs::read_to_string(dir.path().join("spine/report.html")).unwrap();
    assert!(report.contains("Chi squared a ray") && report.contains("Residual A x \u{2212} y, one row a view"));
}

/// Less is left than was reckoned with, for the error of pixels and bins, not for a misstated noise.
#[test]
fn few_views_of_many_photons_are_no_misstated_noise() {
    let dir = tempfile::tempdir().unwrap();
    for (views, photons) in [("8", "1e5"), ("20", "1e6")] {
        let flags = ["reconstruct", "ellipses:3", "--angles", views, "--photons", photons, "-o", views];
        let output = gradus(dir.path(), &flags);
        assert!(output.status.code() == Some(0) && output.stderr.is_empty(), "{views}: {}", message(&output));
        let report = fs::read_to_string(dir.path().join(views).join("report.html")).unwrap();
        assert!(report.contains("closer than was reckoned with"), "{views}: {output:?}");
    }
}

#[test]
fn wrong_scans_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let scan = right();
    let n_bins = scan.geometry.n_bins;
    let of_values = |change: &dyn Fn(f32) -> f32| Scan {
        sinogram: scan.sinogram.iter().map(|y| change(*y)).collect(),
        ..scan.clone()
    };
    let of_geometry = |change: &dyn Fn(&mut Geometry)| {
        let mut changed = scan.clone();
        change(&mut changed.geometry);
        changed
    };
    // As many views as bins, so that no length tells of it. Its ends look like those of an object beyond the detector.
    let square = Simulation { noise: 0.02, angles: n_bins, ..Simulation::default() };
    let mut transposed = Scan { truth: None, noise_std: None, ..simulate(&ellipses(3, 64), 1.0, &square).unwrap() };
    transposed.prior = scan.prior.clone();
    transposed.sinogram =
        (0..n_bins * n_bins).map(|ray| transposed.sinogram[ray % n_bins * n_bins + ray / n_bins]).collect();
    let cut = n_bins / 4;
    let views = scan.sinogram.chunks_exact(n_bins).flat_map(|view| &view[cut..n_bins - cut]);
    let mut interior = Scan { sinogram: views.copied().collect(), ..scan.clone() };
    interior.geometry.n_bins -= 2 * cut;
    for (what, wrong, code, words) in [
        ("degrees", of_geometry(&|g| g.angles_rad.iter_mut().for_each(|a| *a = a.to_degrees() % 12.0)), 1, "angles"),
        ("transposed", transposed, 1, "rows and columns exchanged"),
        ("ten times the photons", of_values(&|y| y + 10.0_f32.ln()), 1, "look at photons"),
        ("-log forgotten", of_values(&|y| (-y).exp()), 1, "-ln"),
        ("3 mm offset", of_geometry(&|g| g.detector_offset_mm = 3.0), 0, "--detector-offset-mm"),
        ("interior", interior, 0, "beyond the detector"),
        ("grid", of_geometry(&|g| (g.height, g.width) = (32, 32)), 0, "beyond the image"),
    ] {
        let (found, summary, said) = run(dir.path(), &wrong, &[]);
        println!("{what}: {} {}", summary["fit"], summary["field"]);
        assert!(said.contains(words), "{what}: {said} {}", summary["fit"]);
        assert!(found == Some(code) || (code == 0 && found == Some(1)), "{what}: {found:?} {}", summary["fit"]);
    }
}

/// A disc of attenuation 0.02 in the middle, on pixels of 1 mm, as its scan sees it.
fn disc(radius: f64, n_bins: usize) -> Scan {
    let geometry = Geometry { n_bins, bin_width_mm: 1.0, ..Geometry::covering(64, 64, 120) };
    let chord = |ray: usize| {
        let s = geometry.bin_position_mm((ray % n_bins) as f64);
        (0.04 * (radius * radius - s * s).max(0.0).sqrt()) as f32
    };
    let mut sinogram: Vec<f32> = (0..120 * n_bins).map(chord).collect();
    relative_gaussian(&mut sinogram, 0.02, 1).unwrap();
    Scan { geometry, sinogram, attenuation_per_unit_per_mm: Some(0.04), ..right() }
}

/// Mean and largest deviation from 0.02, over 0.02, of the middle half of the picture.
fn middle(dir: &Path, scan: &Scan, flags: &[&str]) -> (f64, f64, String) {
    scan.write(dir.join("disc.npz")).unwrap();
    let output = gradus(dir, &[&["reconstruct", "disc.npz", "-o", "disc", "--json"], flags].concat());
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", message(&output));
    let bytes = fs::read(dir.join("disc/image.npy")).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let pixels: Vec<f64> =
        bytes[start..].as_chunks().0.iter().map(|chunk| f64::from(f32::from_le_bytes(*chunk)) / 0.02).collect();
    assert_eq!(pixels.len(), 64 * 64, "cut to the image that was asked for");
    fs::remove_dir_all(dir.join("disc")).unwrap();
    let inner = |k: usize| (16..48).contains(&(k / 64)) && (16..48).contains(&(k % 64));
    let values: Vec<f64> = pixels.into_iter().enumerate().filter(|(k, _)| inner(*k)).map(|(_, value)| value).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let worst = values.iter().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    (mean, worst, message(&output))
}

#[test]
fn an_object_wider_than_detector_or_grid_keeps_its_value() {
    let dir = tempfile::tempdir().unwrap();
    for flags in [&["--method", "fbp"][..], &["--method", "tv"], &[]] {
        let (mean, worst, said) = middle(dir.path(), &disc(25.0, 91), flags);
        assert!((mean - 1.0).abs() < 0.02 && said.is_empty(), "{flags:?}: {mean} {worst} {said}");
        let (mean, worst, said) = middle(dir.path(), &disc(45.0, 128), flags);
        println!("beyond the grid, {flags:?}: {mean} {worst}");
        assert!((mean - 1.0).abs() < 0.03 && said.contains("beyond the image"), "{flags:?}: {mean} {worst} {said}");
        let (mean, worst, said) = middle(dir.path(), &disc(45.0, 64), flags);
        println!("beyond the detector, {flags:?}: {mean} {worst}");
        assert!((mean - 1.0).abs() < 0.15 && said.contains("beyond the detector"), "{flags:?}: {mean} {worst} {said}");
    }
    let path = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/inputs/units").join(name);
    for (file, words) in
        [("19a_wider_than_detector.npz", "beyond the detector"), ("19b_wider_than_grid.npz", "beyond the image")]
    {
        let input = path(file);
        let output = gradus(dir.path(), &["reconstruct", input.to_str().unwrap(), "--method", "fbp"]);
        assert!(message(&output).contains(words), "{file}: {}", message(&output));
    }
}

#[test]
fn dead_bins_weigh_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, n_bins) = (right(), right().geometry.n_bins);
    let mut broken = scan.clone();
    broken.sinogram.chunks_exact_mut(n_bins).for_each(|view| (view[40], view[41], view[52]) = (0.0, 0.0, 9.0));
    for flags in [&["--method", "fbp"][..], &["--method", "tv", "--tv-iterations", "100"], &[]] {
        let (code, summary, said) = run(dir.path(), &broken, flags);
        assert_eq!(summary["field"]["dead_bins"], serde_json::json!([40, 41, 52]), "{summary}");
        assert!(said.contains("bins 40, 41 and 52 of the detector are dead"), "{said}");
        assert!(code == Some(0) && summary["fit"]["chi_squared"].as_f64().unwrap() < 1.5, "{summary}");
    }
}

#[test]
fn figures_of_merit_state_their_range() {
    let dir = tempfile::tempdir().unwrap();
    let merits = |image: &gradus::image::Image, name: &str| {
        let scan = simulate(image, 1.0, &Simulation::default()).unwrap();
        gradus::data::image_files::write_npy(dir.path().join(name), scan.truth.as_ref().unwrap()).unwrap();
        json(&gradus(dir.path(), &["reconstruct", name, "--method", "fbp", "--json"]))
    };
    let image = ellipses(103, 64);
    let plain = merits(&image, "plain.npy");
    let pixels = image.pixels.iter().map(|x| 0.1 * x).collect();
    let dim = merits(&gradus::image::Image { pixels, ..image }, "dim.npy");
    assert_eq!(plain["data_range"], 1.0);
    assert!((dim["data_range"].as_f64().unwrap() - 0.1).abs() < 1e-6, "{dim}");
    for merit in ["psnr", "ssim"] {
        let (a, b) = (plain[merit].as_f64().unwrap(), dim[merit].as_f64().unwrap());
        assert!((a / b - 1.0).abs() < 1e-3, "{merit}: {a} {b}");
    }
    let output = gradus(dir.path(), &["reconstruct", "spine", "--method", "fbp"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("(range 4072 HU)"), "{output:?}");
}

#[test]
fn a_run_is_repeated_from_its_own_folder() {
    let dir = tempfile::tempdir().unwrap();
    right().write(dir.path().join("scan.npz")).unwrap();
    json(&gradus(dir.path(), &["reconstruct", "scan.npz", "--method", "fbp", "-o", "runs/one", "--json"]));
    let one = dir.path().join("runs/one");
    json(&gradus(&one, &["reconstruct", "--config", "run.toml", "-o", "two", "--json"]));
    json(&gradus(dir.path(), &["reconstruct", "--config", "runs/one/run.toml", "-o", "three", "--json"]));
    let image = |folder: &Path| fs::read(folder.join("image.npy")).unwrap();
    assert!(image(&one) == image(&one.join("two")) && image(&one) == image(&dir.path().join("three")));
}

#[test]
fn flags_of_simulated_scans_are_refused_for_measured_ones() {
    let dir = tempfile::tempdir().unwrap();
    right().write(dir.path().join("scan.npz")).unwrap();
    for flag in [["--angles", "30"], ["--noise", "0.1"], ["--photons", "1e4"], ["--noise-seed", "3"]] {
        let output = gradus(dir.path(), &[&["reconstruct", "scan.npz", "--method", "fbp"], &flag[..]].concat());
        assert!(output.status.code() == Some(2) && message(&output).contains("--every-view"), "{}", message(&output));
    }
}

/// Each fault of a scan has its warning first or second, with a command that mends it.
#[test]
fn faults_are_named_with_their_remedies() {
    let dir = tempfile::tempdir().unwrap();
    let usual = Simulation { noise: 0.05, ..Simulation::default() };
    let fan = Simulation { angles: 90, source_to_axis_mm: Some(200.0), ..usual.clone() };
    let scan = |simulation: &Simulation| {
        let scan = simulate(&ellipses(3, 64), 1.0, simulation).unwrap();
        Scan { truth: None, prior: Some("ellipses".to_owned()), ..scan }
    };
    let noise = |scan: &mut Scan, times: f64| scan.noise_std = scan.noise_std.map(|std| times * std);
    let axis = |scan: &mut Scan, bins: f64| scan.geometry.detector_offset_mm += bins * scan.geometry.bin_width_mm;
    for (what, simulation, spoil, word, remedy) in [
        (
            "noise / 3",
            &usual,
            &(|scan: &mut Scan| noise(scan, 1.0 / 3.0)) as &dyn Fn(&mut Scan),
            "noise",
            "--noise-times",
        ),
        ("noise x 3", &usual, &|scan: &mut Scan| noise(scan, 3.0), "noise", "--noise-times"),
        ("axis + 1", &usual, &|scan: &mut Scan| axis(scan, 1.0), "axis is off by about", "--detector-offset-mm"),
        ("axis - 3", &usual, &|scan: &mut Scan| axis(scan, -3.0), "axis is off by about", "--detector-offset-mm"),
        ("turned", &usual, &|scan: &mut Scan| scan.geometry.angles_rad[20] += 0.3, "view 20 to", "--without-views 20"),
        ("reversed", &fan, &|scan: &mut Scan| scan.geometry.angles_rad.reverse(), "the other way", "--reverse-angles"),
    ] {
        let (clean, mut wrong) = (scan(simulation), scan(simulation));
        spoil(&mut wrong);
        for flags in [&["--method", "fbp"][..], &["--method", "tv", "--tv-iterations", "200"]] {
            let (code, _, said) = run(dir.path(), &clean, flags);
            assert!(code == Some(0) && said.is_empty(), "{what}, {flags:?}: {said}");
            let (_, _, said) = run(dir.path(), &wrong, flags);
            let warnings: Vec<&str> = said.split("warning: ").skip(1).take(2).collect();
            let is_named = warnings.iter().any(|warning| warning.contains(word) && warning.contains(remedy));
            assert!(is_named, "{what}, {flags:?}: {said}");
        }
    }
    // The commands do what they say.
    let mut wrong = scan(&fan);
    wrong.geometry.angles_rad.reverse();
    let (code, _, said) = run(dir.path(), &wrong, &["--method", "fbp", "--reverse-angles"]);
    assert!(code == Some(0) && said.is_empty(), "{said}");
    let mut wrong = scan(&usual);
    wrong.geometry.angles_rad[20] += 0.3;
    let (code, _, said) = run(dir.path(), &wrong, &["--method", "fbp", "--without-views", "20"]);
    assert!(code == Some(0) && said.is_empty(), "{said}");
    let (code, _, said) = run(dir.path(), &wrong, &["--method", "fbp", "--without-views", "60"]);
    assert!(code == Some(2) && said.contains("has views 0 to 59"), "{said}");
}

#[test]
fn held_out_views_are_foretold_by_every_method() {
    let dir = tempfile::tempdir().unwrap();
    for flags in [&[][..], &["--method", "tv", "--tv-iterations", "100"], &["--method", "fbp"]] {
        let (code, summary, said) = run(dir.path(), &right(), &[&["--hold-out", "5"], flags].concat());
        let (sigma, own) = (&summary["held_out"]["sigma"], &summary["held_out"]["sigma_of_others"]);
        let (sigma, own) = (sigma.as_f64().unwrap(), own.as_f64().unwrap());
        assert!(code == Some(0) && summary["held_out"]["views"] == 12, "{summary} {said}");
        assert!(sigma > own && sigma < 1.8, "{flags:?}: {sigma} {own}");
    }
    let (code, _, said) = run(dir.path(), &right(), &["--hold-out", "61"]);
    assert!(code == Some(2) && said.contains("number from 2 to that of the views"), "{said}");
}

#[test]
fn the_fit_is_reduced_by_what_the_method_leaves_of_noise() {
    let dir = tempfile::tempdir().unwrap();
    let views: Vec<String> = (0..60).filter(|view| view % 6 != 0).map(|view| view.to_string()).collect();
    let few = ["--reduced-fit", "--without-views", &views.join(",")];
    for flags in [&[][..], &["--method", "tv", "--tv-iterations", "100"], &["--method", "fbp"]] {
        let (code, summary, said) = run(dir.path(), &right(), &[&few[..], flags].concat());
        let of = |name: &str| summary["fit"]["reduced"][name].as_f64().unwrap();
        let (chi, reduced, left) = (&summary["fit"]["chi_squared"], of("chi_squared"), of("noise_left"));
        println!("{flags:?}: {chi} {reduced} {left}");
        assert!(code.is_some() && reduced.is_finite() && left > 0.0, "{summary} {said}");
        assert!(!flags.is_empty() || ((0.8..1.4).contains(&reduced) && chi.as_f64().unwrap() < 0.9), "{chi} {reduced}");
    }
    let (_, summary, _) = run(dir.path(), &right(), &["--method", "fbp"]);
    assert!(summary["fit"]["reduced"].is_null(), "{summary}");
    let flags = ["reconstruct", "ellipses:1", "--slices", "all", "--reduced-fit"];
    let output = gradus(dir.path(), &flags);
    assert!(output.status.code() == Some(2) && message(&output).contains("for one slice"), "{}", message(&output));
}

#[test]
fn the_prior_that_foretells_held_out_views_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let scan = Scan { prior: None, ..right() };
    let (code, summary, said) = run(dir.path(), &scan, &["--prior", "auto", "--steps", "4"]);
    let tried = summary["priors_tried"].as_array().unwrap();
    let sigma = |name: &str| tried.iter().find(|row| row["prior"] == name).unwrap()["sigma"].as_f64().unwrap();
    assert!(code == Some(0) && tried.len() == 3 && sigma("ellipses") < sigma("ct"), "{summary} {said}");
    // What was taken stands in the file of the run, by which it is repeated without another trial.
    let scan = dir.path().join("scan.npz");
    right().write(&scan).unwrap();
    let flags = ["reconstruct", "scan.npz", "--prior", "ct, ellipses", "--steps", "4", "--json", "-o", "chosen"];
    json(&gradus(dir.path(), &flags));
    let toml = fs::read_to_string(dir.path().join("chosen/run.toml")).unwrap();
    assert!(toml.contains("prior = \"ellipses\""), "{toml}");
}

#[test]
fn what_the_data_determine_and_the_rest_add_up_to_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    right().write(dir.path().join("scan.npz")).unwrap();
    let summary = json(&gradus(
        dir.path(),
        &["reconstruct", "scan.npz", "--every-view", "6", "--parts-tolerance", "1e-5", "--json", "-o", "out"],
    ));
    let image = |name: &str| {
        let bytes = fs::read(dir.path().join("out").join(name)).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let of_chunk = |chunk: &[u8; 4]| f64::from(f32::from_le_bytes(*chunk));
        bytes[start..].as_chunks().0.iter().map(of_chunk).collect::<Vec<f64>>()
    };
    let [whole, determined, rest] = ["image.npy", "determined.npy", "undetermined.npy"].map(image);
    let largest = whole.iter().copied().fold(0.0, f64::max);
    assert!(whole.iter().zip(&determined).zip(&rest).all(|((x, a), b)| (a + b - x).abs() < 1e-5 * largest));
    let (parts, energy) = (&summary["parts"], |image: &[f64]| image.iter().map(|x| x * x).sum::<f64>());
    let share = energy(&rest) / (energy(&rest) + energy(&determined));
    assert!((parts["share_of_prior"].as_f64().unwrap() / share - 1.0).abs() < 1e-3 && share > 0.01, "{share} {parts}");
    assert!(parts["line_integrals_of_rest"].as_f64().unwrap() <= 1e-5, "{parts}");
    let report = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(report.contains("Determined by the data, A\u{207a}A x"));
}
