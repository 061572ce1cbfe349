//! Whole runs, short ones.

use super::{gradus, json, listing, text};
use std::fs;

const SHORT: [&str; 5] = ["reconstruct", "ellipses:3", "--steps", "6", "--json"];

#[test]
fn the_main_job_leaves_a_complete_folder() {
    let dir = tempfile::tempdir().unwrap();
    let summary = json(&gradus(dir.path(), &[&SHORT[..], &["-o", "out"]].concat()));
    for key in ["psnr", "ssim", "objective", "gradient_norm", "seconds"] {
        assert!(summary[key].as_f64().is_some_and(f64::is_finite), "{key} in {summary}");
    }
    for key in ["iterations", "network_forwards", "network_vjps", "projections"] {
        assert!(summary[key].as_u64().is_some_and(|n| n > 0), "{key} in {summary}");
    }
    assert_eq!((&summary["status"], &summary["method"]), (&"schedule-done".into(), &"preconditioned".into()));
    assert_eq!(listing(&dir.path().join("out")), super::folders::files_with_parts(&["trace.csv"]));
    let trace = fs::read_to_string(dir.path().join("out/trace.csv")).unwrap();
    assert_eq!(trace.lines().count(), 1 + 6);
    let report = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(report.contains("Certificate") && !report.contains("src=\"http"));
}

/// Flags win over a file: by another kind of noise, and by a method to which its prior means nothing.
#[test]
fn flags_win_over_the_file_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    json(&gradus(dir.path(), &[&SHORT[..], &["--photons", "1e4", "-o", "first"]].concat()));
    let config = ["reconstruct", "--config", "first/run.toml", "--method", "fbp", "--json", "-o"];
    json(&gradus(dir.path(), &[&config[..], &["photons"]].concat()));
    json(&gradus(dir.path(), &[&config[..], &["noise", "--noise", "0.3"]].concat()));
    let run = |name: &str| fs::read_to_string(dir.path().join(name).join("run.toml")).unwrap();
    assert!(run("photons").contains("photons = 10000.0") && !run("photons").contains("\nprior"), "{}", run("photons"));
    assert!(run("noise").contains("noise = 0.3") && !run("noise").contains("photons"), "{}", run("noise"));
    let [photons, noise] = ["photons", "noise"].map(|name| fs::read(dir.path().join(name).join("scan.npz")).unwrap());
    assert_ne!(photons, noise);
}

#[test]
fn the_certificate_is_that_of_the_trace_and_of_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let run = |steps: &str, output: &str| {
        // Fewer levels of the same kind: at t_min all along, so that a longer run goes on where a shorter one ends.
        let flags =
            ["reconstruct", "ellipses:3", "--method", "gradient-descent", "--steps", steps, "-o", output, "--json"];
        json(&gradus(dir.path(), &flags))
    };
    let (short, long) = (run("4", "short"), run("5", "long"));
    let trace = fs::read_to_string(dir.path().join("long/trace.csv")).unwrap();
    let column = |name: &str| -> Vec<f64> {
        let at = trace.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
        trace.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
    };
    let near = |found: &serde_json::Value, wanted: f64| {
        assert!((found.as_f64().unwrap() / wanted - 1.0).abs() < 1e-4, "{found} {wanted}");
    };
    // |grad f| at the end of the short run is that of the iterate before the last step of the long one.
    near(&short["certificate"]["gradient_norm"], column("gradient_norm")[4]);
    let certificate = &long["certificate"];
    near(&certificate["largest_direction"], column("direction_norm").into_iter().fold(0.0, f64::max));
    near(&certificate["least_descent"], column("slope").into_iter().map(|slope| -slope).fold(f64::MAX, f64::min));
    assert_eq!((&certificate["steps"], &certificate["skipped_levels"]), (&5.into(), &0.into()));
    assert_eq!((&certificate["failed_searches"], &certificate["every_step_descended"]), (&0.into(), &true.into()));
    let report = fs::read_to_string(dir.path().join("long/report.html")).unwrap();
    for words in
        ["|grad f| at the end", "Largest |d|", "Least -&lt;grad f, d&gt;", "adaptive schedule", "passing trial"]
    {
        assert!(report.contains(words), "{words}");
    }
    let output = gradus(dir.path(), &["reconstruct", "ellipses:3", "--steps", "3"]);
    assert!(text(&output.stdout).contains("at the end |grad f|"), "{}", text(&output.stdout));
    let fbp = json(&gradus(dir.path(), &["reconstruct", "--method", "fbp", "--json"]));
    assert!(fbp["certificate"].is_null());
}

#[test]
fn the_mean_of_several_runs_comes_with_their_deviation() {
    let dir = tempfile::tempdir().unwrap();
    let summary = json(&gradus(dir.path(), &["reconstruct", "ellipses:3", "--average", "3", "-o", "out", "--json"]));
    assert_eq!(summary["iterations"], 8 + 2 * 3);
    assert_eq!(
        (&summary["certificate"]["every_step_descended"], &summary["certificate"]["approach_steps"]),
        (&true.into(), &8.into())
    );
    assert!(listing(&dir.path().join("out")).contains(&"deviation.npy".to_owned()));
    let report = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(report.contains("Deviation between runs"));
}

#[test]
fn a_run_is_repeated_by_its_own_description_whatever_the_threads() {
    let dir = tempfile::tempdir().unwrap();
    json(&gradus(dir.path(), &[&SHORT[..], &["-o", "one", "--threads", "1"]].concat()));
    json(&gradus(dir.path(), &["reconstruct", "--config", "one/run.toml", "-o", "two", "--threads", "2", "--json"]));
    for file in ["image.npy", "trace.csv", "scan.npz", "image.png"] {
        let read = |run: &str| fs::read(dir.path().join(run).join(file)).unwrap();
        assert!(read("one") == read("two"), "{file} differs");
    }
}

#[test]
fn a_simulated_scan_reconstructs_like_the_sample_itself() {
    let dir = tempfile::tempdir().unwrap();
    json(&gradus(dir.path(), &["simulate", "ellipses:3", "--noise", "0.1", "-o", "scan.npz", "--json"]));
    json(&gradus(dir.path(), &["reconstruct", "scan.npz", "--steps", "3", "-o", "a", "--json"]));
    json(&gradus(dir.path(), &["reconstruct", "ellipses:3", "--steps", "3", "-o", "b", "--json"]));
    let row = |run: &str| fs::read_to_string(dir.path().join(run).join("trace.csv")).unwrap();
    assert_eq!(row("a"), row("b"));
}

#[test]
fn an_array_of_an_archive_is_an_image() {
    let dir = tempfile::tempdir().unwrap();
    json(&gradus(dir.path(), &["simulate", "spine", "-o", "scan.npz", "--json"]));
    let fbp = |input: &str| json(&gradus(dir.path(), &["reconstruct", input, "--method", "fbp", "--json"]));
    assert!(fbp("scan.npz:truth")["psnr"].as_f64().unwrap() > 15.0);
    // Scans say what prior suits them.
    json(&gradus(dir.path(), &["reconstruct", "scan.npz", "--steps", "2", "-o", "out", "--json"]));
    assert!(fs::read_to_string(dir.path().join("out/run.toml")).unwrap().contains("prior = \"ct\""));
}

#[test]
fn every_method_and_both_samples_run() {
    let dir = tempfile::tempdir().unwrap();
    let quality = |method: &str, input: &str| {
        let short: &[&str] = match method {
            "fbp" => &[],
            "tv" => &["--tv-iterations", "60"],
            _ => &["--steps", "4"],
        };
        let job = ["reconstruct", input, "--method", method, "--json"];
        json(&gradus(dir.path(), &[&job[..], short].concat()))["psnr"].as_f64().unwrap()
    };
    for method in ["preconditioned", "gradient-like", "flow", "gradient-descent"] {
        quality(method, "ellipses:2");
    }
    let (fbp, tv) = (quality("fbp", "ellipses:2"), quality("tv", "ellipses:2"));
    assert!(tv > fbp + 3.0, "TV {tv} dB, FBP {fbp} dB");
    assert!(quality("tv", "spine") > quality("fbp", "spine"));
    assert!(dir.path().join("runs/spine-tv/image.dcm").exists(), "a DICOM result for a DICOM input");
    assert!(dir.path().join("runs/ellipses-2-flow/report.html").exists());
    // Images in HU are also judged in HU.
    let output = gradus(dir.path(), &["reconstruct", "spine", "--method", "fbp"]);
    assert!(text(&output.stdout).contains(" HU, PSNR "), "{}", text(&output.stdout));
}

#[test]
fn the_weight_by_discrepancy_takes_more_runs() {
    let dir = tempfile::tempdir().unwrap();
    let run = |flags: &[&str]| json(&gradus(dir.path(), &[&SHORT[..], flags].concat()));
    let (plain, found) = (run(&[]), run(&["--weight", "discrepancy"]));
    let passes = |summary: &serde_json::Value| summary["network_forwards"].as_u64().unwrap();
    assert!(passes(&found) >= 2 * passes(&plain), "{found}");
    assert_ne!(found["psnr"], plain["psnr"]);
}

#[test]
fn the_number_of_steps_is_the_one_that_the_weights_name() {
    let dir = tempfile::tempdir().unwrap();
    for (input, prior, steps) in [("ellipses:3", "ellipses", 8), ("disc:3", "disc", 20)] {
        let summary = json(&gradus(dir.path(), &["reconstruct", input, "-o", prior, "--json"]));
        assert_eq!(summary["iterations"], steps, "{prior}");
        let settings = fs::read_to_string(dir.path().join(prior).join("run.toml")).unwrap();
        assert!(settings.contains(&format!("\nsteps = {steps}\n")), "{settings}");
    }
}

#[test]
fn an_existing_folder_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let fbp = ["reconstruct", "--method", "fbp", "--json"];
    let first = json(&gradus(dir.path(), &fbp));
    let second = json(&gradus(dir.path(), &fbp));
    assert_ne!(first["output"], second["output"]);
    let output = gradus(dir.path(), &[&fbp[..], &["-o", first["output"].as_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("exists already"));
}

#[test]
fn inspect_and_doctor_answer() {
    let dir = tempfile::tempdir().unwrap();
    json(&gradus(dir.path(), &["simulate", "spine", "-o", "scan.npz", "--photons", "1e5", "--json"]));
    for (what, word) in [("scan.npz", "parallel beam"), ("spine", "HU"), ("ellipses", "600220"), ("ellipses:1", "128")]
    {
        let description = json(&gradus(dir.path(), &["inspect", what, "--json"])).to_string();
        assert!(description.contains(word), "{description}");
    }
    let health = json(&gradus(dir.path(), &["doctor", "--json"]));
    assert_eq!(health["passed"], true, "{health}");
}
