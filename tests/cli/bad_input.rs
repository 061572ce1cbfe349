//! Bad input: exit code 2, one clear message, nothing written.

use super::{gradus, json, listing, message, text};
use std::fs;
use std::path::Path;

/// Runs the command, which must refuse with each of `words` in its message and leave the folder as it was.
fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let before = listing(folder);
    let output = gradus(folder, arguments);
    let message = message(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(!message.contains("panicked"), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert_eq!(listing(folder), before, "{arguments:?} left something behind");
}

/// A folder with a good scan and copies of it that are spoilt.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    json(&gradus(dir.path(), &["simulate", "ellipses:1", "-o", "scan.npz", "--json"]));
    dir
}

#[test]
fn files_that_are_missing_or_cut_short() {
    let dir = folder();
    let spine = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/spine.dcm")).unwrap();
    let weights = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/ellipses.safetensors")).unwrap();
    let scan = fs::read(dir.path().join("scan.npz")).unwrap();
    for (name, bytes) in [("cut.npz", &scan), ("cut.dcm", &spine), ("cut.safetensors", &weights)] {
        fs::write(dir.path().join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    refused(dir.path(), &["reconstruct", "none.npz"], &["none.npz", "cannot be read"]);
    refused(dir.path(), &["reconstruct", "cut.npz"], &["cut.npz", "npz"]);
    refused(dir.path(), &["reconstruct", "cut.dcm"], &["cut.dcm", "DICOM"]);
    refused(dir.path(), &["reconstruct", "--prior", "cut.safetensors"], &["cut.safetensors"]);
    refused(dir.path(), &["reconstruct", "--prior", "none"], &["none", "ellipses"]);
    refused(dir.path(), &["inspect", "cut.npz"], &["cut.npz"]);
    refused(dir.path(), &["simulate", "none.png", "-o", "s.npz"], &["none.png"]);
}

/// Writes a minimal npy file.
pub fn npy(path: &Path, descr: &str, shape: &str, bytes: &[u8]) {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Writes a scan folder: `views` x `bins` line integrals of which the first is `first`, and `angles` angles.
fn scan_folder(path: &Path, views: usize, bins: usize, angles: usize, first: f32, extra: &str) {
    fs::create_dir(path).unwrap();
    let mut values = vec![1.0; views * bins];
    if let Some(value) = values.first_mut() {
        *value = first;
    }
    npy(&path.join("sinogram.npy"), "<f4", &format!("({views}, {bins})"), &floats(&values));
    let angles: Vec<f64> = (0..angles).map(|k| k as f64 * 0.1).collect();
    let toml = format!(
        "sinogram = \"sinogram.npy\"\nangles_rad = {angles:?}\nheight = 16\nwidth = 16\npixel_mm = 1.0\n\
         bin_width_mm = 1.0\n{extra}"
    );
    fs::write(path.join("scan.toml"), toml).unwrap();
}

#[test]
fn scans_that_contradict_themselves() {
    let dir = tempfile::tempdir().unwrap();
    scan_folder(&dir.path().join("angles"), 6, 20, 5, 1.0, "");
    scan_folder(&dir.path().join("nan"), 6, 20, 6, f32::NAN, "");
    scan_folder(&dir.path().join("nothing"), 6, 0, 6, 1.0, "");
    scan_folder(&dir.path().join("noise"), 6, 20, 6, 1.0, "noise_std = -1.0");
    scan_folder(&dir.path().join("field"), 6, 20, 6, 1.0, "noise_sdt = 1.0");
    refused(dir.path(), &["reconstruct", "angles"], &["angles", "5 angles"]);
    refused(dir.path(), &["reconstruct", "nan"], &["NaN"]);
    refused(dir.path(), &["reconstruct", "nothing"], &["nothing"]);
    refused(dir.path(), &["reconstruct", "noise"], &["noise_std", "-1"]);
    refused(dir.path(), &["reconstruct", "field"], &["noise_sdt"]);
}

#[test]
fn images_and_numbers_that_make_no_sense() {
    let dir = tempfile::tempdir().unwrap();
    npy(&dir.path().join("nan.npy"), "<f4", "(2, 2)", &floats(&[0.0, f32::NAN, 0.0, 0.0]));
    refused(dir.path(), &["simulate", "nan.npy", "-o", "s.npz"], &["nan.npy", "NaN"]);
    refused(dir.path(), &["reconstruct", "--detector", "curved"], &["source_to_axis_mm"]);
    refused(dir.path(), &["reconstruct", "--source-to-axis-mm", "50"], &["source", "50"]);
    refused(dir.path(), &["reconstruct", "--arc-deg", "0"], &["arc_deg"]);
    refused(dir.path(), &["reconstruct", "--noise", "-0.1"], &["-0.1"]);
    refused(dir.path(), &["reconstruct", "--photons", "0"], &["photons"]);
    refused(dir.path(), &["reconstruct", "--angles", "0"], &["angles"]);
    refused(dir.path(), &["reconstruct", "--steps", "0"], &["levels"]);
    refused(dir.path(), &["reconstruct", "--average", "0"], &["average is 0", "single run"]);
    refused(dir.path(), &["reconstruct", "--solve-steps", "0"], &["conjugate gradients"]);
    refused(dir.path(), &["reconstruct", "--alpha", "-1"], &["weight"]);
    refused(dir.path(), &["reconstruct", "--t-min", "2"], &["t_min"]);
    refused(dir.path(), &["reconstruct", "--threads", "0"], &["--threads"]);
    refused(dir.path(), &["reconstruct", "--method", "magic"], &["magic", "gradient-like"]);
    refused(dir.path(), &["reconstruct", "ellipses:x"], &["ellipses:x"]);
}

#[test]
fn a_run_file_with_a_misspelt_field_is_shown_where() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("run.toml"), "input = \"spine\"\n[reconstruction]\nalhpa = 3\n").unwrap();
    refused(dir.path(), &["reconstruct", "--config", "run.toml"], &["run.toml", "alhpa"]);
    refused(dir.path(), &["reconstruct", "--config", "none.toml"], &["none.toml"]);
}

/// Each names what is refused, and who reads it.
#[test]
fn flags_and_fields_that_the_method_does_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let graduated = "gradient-like, flow and gradient-descent";
    for (method, flags, words) in [
        ("preconditioned", "--constant-step 0.1", ["--constant-step", "for flow"]),
        ("preconditioned", "--view diffused", ["--view", graduated]),
        ("gradient-like", "--average 3", ["--average", "for preconditioned"]),
        ("gradient-descent", "--t-max 1", ["--t-max", "for preconditioned, gradient-like, flow, dds and diffpir"]),
        ("flow", "--tolerance 0.1", ["--tolerance", "for preconditioned, gradient-like and gradient-descent"]),
        ("tv", "--seed 3", ["--seed", "for preconditioned, gradient-like, flow, gradient-descent, dds and diffpir"]),
        ("fbp", "--tv-weight 1", ["--tv-weight", "for tv"]),
        ("tv", "--window ramp", ["--window", "for fbp"]),
        ("tv", "--device cpu", ["(--device)", "flow, gradient-descent, dds, diffpir do"]),
        ("fbp", "--prior ct", ["(--prior)", "has no prior"]),
    ] {
        let job: Vec<&str> = ["reconstruct", "--method", method].into_iter().chain(flags.split(' ')).collect();
        refused(dir.path(), &job, &words);
    }
    for (fields, words) in [
        ("method = \"flow\"\nsolve_steps = 3", ["`solve_steps`", "for preconditioned"]),
        ("early_weight = 8.0", ["`early_weight`", graduated]),
        ("line_search.first = 0.1", ["`line_search.first`", graduated]),
    ] {
        fs::write(dir.path().join("run.toml"), format!("[reconstruction]\n{fields}\n")).unwrap();
        refused(dir.path(), &["reconstruct", "--config", "run.toml"], &words);
    }
}

/// A run file of an earlier version, complete as it was written: the field, and what to write.
#[test]
fn older_run_files_are_refused_with_what_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let own = "[reconstruction.preconditioned]\nsteps = 8\nsolve_steps = 12\n";
    for (fields, words) in [
        ("method = \"preconditioned\"\ndevice = \"cpu\"\nprecision = \"full\"\n", ["`device`", "beside `input`"]),
        ("method = \"preconditioned\"\nsteps = 300\nearly_weight = 8.0\n", ["`preconditioned`", "beside `method`"]),
    ] {
        fs::write(dir.path().join("run.toml"), format!("[reconstruction]\n{fields}{own}")).unwrap();
        refused(dir.path(), &["reconstruct", "--config", "run.toml"], &[words[0], words[1], "run.toml"]);
    }
}

#[test]
fn weights_of_another_architecture() {
    let dir = tempfile::tempdir().unwrap();
    let weights = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/ellipses.safetensors")).unwrap();
    // The same length, so that the header stays valid: 24 channels become 32.
    let ours = b"\\\"model_channels\\\":24";
    let at = weights.windows(ours.len()).position(|window| window == ours).unwrap();
    let mut other = weights.clone();
    other[at..at + ours.len()].copy_from_slice(b"\\\"model_channels\\\":32");
    fs::write(dir.path().join("other.safetensors"), other).unwrap();
    refused(
        dir.path(),
        &["reconstruct", "--prior", "other.safetensors"],
        &["other.safetensors", "time_embed.0.weight", "[96, 24]", "[128, 32]"],
    );
}
