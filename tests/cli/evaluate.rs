//! `gradus evaluate`, in short.

use super::{gradus, json, listing, message, text};
use std::fs;
use std::path::Path;

const SHORT: [&str; 9] = ["evaluate", "--steps", "3", "--tv-iterations", "3", "--output", "out", "--json", "--starts"];

fn evaluate(folder: &Path, starts: &str, flags: &[&str]) -> std::process::Output {
    gradus(folder, &[&SHORT[..], &[starts], flags].concat())
}

#[test]
fn rows_are_made_once_and_do_not_depend_on_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let results = || fs::read_to_string(dir.path().join("out/results.csv")).unwrap();
    let first = json(&evaluate(dir.path(), "2", &["--table", "1", "--images", "1"]));
    let table = &first["tables"][0];
    assert_eq!((&table["images"], &table["starts"], &first["status"]), (&1.into(), &2.into(), &"done".into()));
    for line in table["lines"].as_array().unwrap() {
        assert!(line["psnr_db"]["mean"].as_f64().unwrap().is_finite(), "{line}");
    }
    assert!(table["lines"][0]["psnr_db"]["std"].as_f64().unwrap() > 0.0);
    let rows = results();
    assert_eq!(rows.lines().count(), 1 + 4 * 2 + 2);
    // A row that is there is not made again: this one would come out otherwise.
    let marked = rows.replace("schedule-done", "kept");
    fs::write(dir.path().join("out/results.csv"), &marked).unwrap();
    json(&evaluate(dir.path(), "2", &["--table", "1", "--images", "1"]));
    assert_eq!(results(), marked);
    // The same again in another folder, at once; then with another table and one image more.
    fs::remove_dir_all(dir.path().join("out")).unwrap();
    json(&evaluate(dir.path(), "2", &["--table", "1", "--images", "1", "--jobs", "2"]));
    assert!(results() == rows, "rows differ with two jobs");
    let second = json(&evaluate(dir.path(), "1", &["--table", "2", "--images", "2"]));
    assert_eq!(second["tables"][0]["images"], 2);
    assert!(rows.lines().all(|row| results().contains(row)), "{rows} {}", results());
    let files = ["evaluation.toml", "report.html", "results.csv", "table-1.csv", "table-2.csv"];
    assert_eq!(listing(&dir.path().join("out")), files);
    let refusal = gradus(dir.path(), &["evaluate", "--table", "1", "--steps", "4", "-o", "out"]);
    let message = text(&refusal.stderr);
    assert_eq!(refusal.status.code(), Some(2), "{message}");
    assert!(message.contains("; steps is 3 there and 4 here") && message.contains("another folder"), "{message}");
}

#[test]
fn a_grid_of_scans_goes_on_and_grows() {
    let dir = tempfile::tempdir().unwrap();
    let grid = |photons: &str| {
        let flags = ["--views", "8", "--photons", photons, "--methods", "fbp", "-o", "out", "--json"];
        gradus(dir.path(), &[&["evaluate", "--range", "--device", "cpu"], &flags[..]].concat())
    };
    let first = json(&grid("1e3"));
    assert_eq!((&first["status"], first["rows"].as_array().unwrap().len()), (&"done".into(), 1));
    let second = json(&grid("1e3,none"));
    let rows = second["rows"].as_array().unwrap();
    assert!(rows.len() == 2 && rows[0] == first["rows"][0], "{second}");
    assert!(rows[1]["psnr_db"].as_f64().unwrap() > rows[0]["psnr_db"].as_f64().unwrap(), "{second}");
    assert_eq!(listing(&dir.path().join("out")), ["heat-maps.png", "range.csv", "range.toml", "report.html"]);
    let message = super::message(&grid("0"));
    assert!(message.contains("give a number such as 1e5, or none"), "{message}");
}

#[test]
fn alpha_is_swept_once_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--sweep-alpha", "--figures"];
    let first = json(&evaluate(dir.path(), "1", &flags));
    assert_eq!((&first["alpha_source"], &first["figures"]), (&"sweep".into(), &true.into()));
    let sweep = fs::read_to_string(dir.path().join("out/sweep.csv")).unwrap();
    let best = sweep.lines().skip(1).map(|line| line.split(',').map(|v| v.parse().unwrap()).collect::<Vec<f64>>());
    let best = best.max_by(|a, b| a[1].total_cmp(&b[1])).unwrap();
    assert_eq!((first["alpha_per_std"].as_f64().unwrap(), sweep.lines().count()), (best[0], 6));
    assert_eq!(json(&evaluate(dir.path(), "1", &flags))["alpha_per_std"], first["alpha_per_std"]);
    let refusal = evaluate(dir.path(), "1", &["--figures"]);
    assert!(refusal.status.code() == Some(2) && text(&refusal.stderr).contains("alpha_source"));
    let figure = fs::read_to_string(dir.path().join("out/figure-2.csv")).unwrap();
    assert_eq!(figure.lines().count(), 1 + 3);
    assert!(dir.path().join("out/figure-3.png").exists());
}

#[test]
fn the_paper_in_no_time_leaves_out_what_does_not_fit_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let flags =
        ["evaluate", "--paper", "--minutes", "0.001", "--steps", "2", "--tv-iterations", "2", "-o", "out", "--json"];
    let summary = json(&gradus(dir.path(), &flags));
    // The first runs, which the plan is measured by, are an image of table 2.
    let left_out = summary["left_out"].to_string();
    for words in ["toy", "table 1: not even", "table 2: all but 1 of 100 images", "AAPM"] {
        assert!(left_out.contains(words), "{words} is not in {left_out}");
    }
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(
        page.contains("all but 1 of 100 images")
            && page.contains("Course of the descent")
            && !page.contains("src=\"http")
    );
}

#[test]
fn a_folder_of_slices_is_a_data_set() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("slices")).unwrap();
    for k in 0_u16..4 {
        // A disc of water in air, its radius by the number of the slice.
        let inside = |i: u16, j: u16| (f32::from(i) - 127.5).hypot(f32::from(j) - 127.5) < 60.0 + 10.0 * f32::from(k);
        let pixels = (0_u16..256).flat_map(|i| (0_u16..256).map(move |j| if inside(i, j) { 0.2458_f32 } else { 0.0 }));
        let bytes: Vec<u8> = pixels.flat_map(f32::to_le_bytes).collect();
        super::bad_input::npy(&dir.path().join(format!("slices/{k}.npy")), "<f4", "(256, 256)", &bytes);
    }
    let flags = ["--table", "1", "--dataset", "slices", "--images"];
    let summary = json(&evaluate(dir.path(), "1", &[&flags[..], &["1"]].concat()));
    let fbp = &summary["tables"][0]["lines"][4];
    assert!(fbp["rmse_hu"].as_f64().unwrap() > 1.0 && fbp["window_psnr_db"].as_f64().is_some(), "{fbp}");
    // Two of the four are kept for sweeps.
    let refusal = evaluate(dir.path(), "1", &[&flags[..], &["3"]].concat());
    assert!(refusal.status.code() == Some(2) && text(&refusal.stderr).contains("2 can be had"));
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::write(dir.path().join("other/file"), "").unwrap();
    let before = listing(dir.path());
    let cases: [(&[&str], &str); 11] = [
        (&[], "--table"),
        (&["--table", "3"], "3"),
        (&["--table", "1", "--dataset", "none"], "none"),
        (&["--table", "1", "--dataset", "empty"], "no slice"),
        (&["--table", "1", "--images", "0"], "--images"),
        (&["--table", "1", "--images", "101"], "ask for fewer"),
        (&["--table", "1", "--jobs", "0"], "--jobs"),
        (&["--table", "1", "--alpha-per-std", "0"], "--alpha-per-std"),
        (&["--table", "1", "--steps", "1"], "--steps"),
        (&["--paper", "--minutes", "0"], "--minutes"),
        (&["--table", "1", "--output", "other"], "evaluation.toml"),
    ];
    for (flags, word) in cases {
        let output = gradus(dir.path(), &[&["evaluate"], flags].concat());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {message}");
        assert!(message.contains(word) && !message.contains("panicked"), "{flags:?}: {message}");
    }
    assert_eq!(listing(dir.path()), before);
}

#[test]
fn the_challenge_needs_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let told = |flags: &[&str], words: &str| {
        let output = gradus(dir.path(), &[&["evaluate", "--htc", "."], flags].concat());
        let message = message(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(words), "{words:?} is not in: {message}");
    };
    told(&["--prior", "ellipses"], "NAME_recon_fbp_seg.mat lies beside");
    told(&["--prior", "ellipses", "--steps", "9"], "--steps");
    fs::write(dir.path().join("a_recon_fbp_seg.mat"), "").unwrap();
    fs::write(dir.path().join("a_limited.mat"), "").unwrap();
    told(&["-o", "out"], "MATLAB");
}

/// A slice with the benchmark's values, 32 x 32 pixels, and one without air.
fn slice(folder: &Path) {
    let flags = ["reconstruct", "ellipses:4", "--method", "fbp", "--angles", "200", "--noise", "0", "-o", "made"];
    gradus(folder, &[&flags[..], &["--json"]].concat());
    let bytes = fs::read(folder.join("made/image.npy")).unwrap();
    let (header, pixels) = bytes.split_at(128);
    let values = pixels.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).clamp(0.0, 1.6));
    let shrunk: Vec<f32> = values.collect();
    // Every fourth pixel of every fourth row of 128.
    let small = |least: f32| {
        let value = |k: usize| (1.2 * shrunk[4 * (k / 32) * 128 + 4 * (k % 32)] + least).to_le_bytes();
        (0..32 * 32).flat_map(value).collect::<Vec<u8>>()
    };
    let (was, is) = (b"(128, 128, )", b"(32, 32, )  ");
    let at = header.windows(was.len()).position(|window| window == was).unwrap();
    let header = [&header[..at], is, &header[at + was.len()..]].concat();
    fs::write(folder.join("slice.npy"), [&header[..], &small(-1.0)].concat()).unwrap();
    fs::write(folder.join("no-air.npy"), [&header[..], &small(0.0)].concat()).unwrap();
}

#[test]
fn a_slice_of_the_benchmark_is_compared_once() {
    let dir = tempfile::tempdir().unwrap();
    slice(dir.path());
    let compare = |flags: &[&str]| gradus(dir.path(), &[&["evaluate", "--dm4ct", "slice.npy"], flags].concat());
    let first = json(&compare(&["--json", "--device", "cpu"]));
    let rows = first["rows"].as_array().unwrap();
    let keys: Vec<&str> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(keys, ["preconditioned", "dds", "diffpir", "tv", "sirt", "fbp"]);
    assert!(rows.iter().all(|row| row["psnr_db"].as_f64().unwrap() > 10.0), "{rows:?}");
    assert_eq!((&rows[1]["passes"], &rows[2]["passes"], &rows[4]["passes"]), (&101.into(), &201.into(), &0.into()));
    let results = dir.path().join("runs/dm4ct-slice/results.csv");
    // A row that is there is not made again; one that is not is.
    let kept = fs::read_to_string(&results).unwrap();
    let marked: Vec<&str> = kept.lines().filter(|line| !line.starts_with("fbp")).collect();
    fs::write(&results, marked.join("\n").replace("sirt,", "sirt,1")).unwrap();
    let again = json(&compare(&["--json", "--device", "cpu"]));
    assert!(again["rows"][4]["psnr_db"].as_f64().unwrap() > 100.0 && again["rows"][5]["psnr_db"] == rows[5]["psnr_db"]);
    let refusal = compare(&["--prior", "ellipses", "--device", "cpu"]);
    assert!(refusal.status.code() == Some(2) && text(&refusal.stderr).contains("other settings"));
    let refusal = gradus(dir.path(), &["evaluate", "--dm4ct", "no-air.npy"]);
    assert!(refusal.status.code() == Some(2) && message(&refusal).contains("[-1, 1]"), "{}", message(&refusal));
    assert_eq!(compare(&["--table", "1"]).status.code(), Some(2));
}
