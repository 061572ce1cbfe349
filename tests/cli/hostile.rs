//! Inputs that ask for what nobody can give: absurd sizes and numbers, damaged headers, names that act.

use super::{gradus, json, listing, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A small training run, with `more` at the end of its first part.
pub fn training(more: &str) -> String {
    let network = "in_channels = 1\nout_channels = 1\npixel_unshuffle = 2\nmodel_channels = 8\nchannel_mult = [1, 2]\n\
                   num_res_blocks = 1\nattention_resolutions = [1, 2]\nmiddle_attention = true\nnum_heads = 2\n\
                   norm_groups = 4\nnorm_eps = 1e-5\nmax_period = 0.005\n";
    let phase = "[[phase]]\nloss = \"denoising\"\nsteps = 300\nbatch = 3\ncrop = 16\nlearning_rate = 1e-3\n\
                 [[phase]]\nloss = \"score-matching\"\nsteps = 5\nbatch = 2\ncrop = 16\nlearning_rate = 1e-3\n";
    format!(
        "seed = 5\ncheckpoint_every_s = 0.02\n{more}[data]\nkind = \"ellipses\"\nsize = 16\n[network]\n{network}\
         [validation]\nevery_steps = 100\nimages = 2\nreconstructions = 1\niterations = 5\n{phase}"
    )
}

/// A file of `tests/cli/inputs`.
fn input(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/inputs").join(name)
}

/// Runs the command where no more than `mebibytes` of memory can be had, for at most a minute.
fn limited(folder: &Path, mebibytes: u64, arguments: &[&str]) -> Output {
    let script = format!("ulimit -v {}; exec timeout 60 \"$0\" \"$@\"", mebibytes << 10);
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", &script, env!("CARGO_BIN_EXE_gradus")]).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

/// The message, without the breaks of its lines.
fn message(output: &Output) -> String {
    text(&output.stderr).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Exit code 2, all of `words` in the message, and nothing left behind; with little memory.
fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let before = listing(folder);
    let output = limited(folder, 1024, arguments);
    let said = message(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
    assert_eq!(listing(folder), before, "{arguments:?} left something behind");
}

#[test]
fn numbers_that_no_scanner_has_give_no_picture() {
    let dir = tempfile::tempdir().unwrap();
    let scan = |name: &str| input(name).to_str().unwrap().to_owned();
    refused(dir.path(), &["reconstruct", &scan("scan-pixel-1e-300.npz")], &["pixel_mm", "1e-300", "1e-6 to 1e4"]);
    refused(dir.path(), &["reconstruct", &scan("scan-attenuation-1e300.npz")], &["attenuation_per_unit_per_mm", "1e4"]);
    refused(dir.path(), &["reconstruct", &scan("scan-side-65536.npz")], &["65536 x 65536", "268435456"]);
    let values: Vec<f32> = (0..120).map(|k| if k == 17 { 3e38 } else { 1.0 }).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::create_dir(dir.path().join("bright")).unwrap();
    super::bad_input::npy(&dir.path().join("bright/sinogram.npy"), "<f4", "(6, 20)", &bytes);
    let toml = "sinogram = \"sinogram.npy\"\nangles_rad = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]\nheight = 16\nwidth = 16\n\
                pixel_mm = 1.0\nbin_width_mm = 1.0\n";
    fs::write(dir.path().join("bright/scan.toml"), toml).unwrap();
    for method in ["fbp", "tv", "preconditioned"] {
        let flags = ["reconstruct", "bright", "--method", method];
        refused(dir.path(), &flags, &["3e38 at view 0, bin 17", "-ln(counts / photons)"]);
    }
}

/// What `simulate` writes can be read.
#[test]
fn one_limit_holds_for_writing_and_reading() {
    let dir = tempfile::tempdir().unwrap();
    for (name, width) in [("longest", 65_536_u32), ("longer", 70_000)] {
        let bytes: Vec<u8> = (0..width).flat_map(|_| 0.5_f32.to_le_bytes()).collect();
        super::bad_input::npy(&dir.path().join(format!("{name}.npy")), "<f4", &format!("(1, {width})"), &bytes);
    }
    json(&gradus(dir.path(), &["simulate", "longest.npy", "--angles", "2", "-o", "scan.npz", "--json"]));
    assert!(json(&gradus(dir.path(), &["inspect", "scan.npz", "--json"]))["image"].to_string().contains("1 x 65536"));
    let longer = ["simulate", "longer.npy", "--angles", "2", "-o", "longer.npz"];
    refused(dir.path(), &longer, &["`width` is 70000", "at most 65536"]);
}

/// The picture that comes out can be read, whatever the attributes of the one that went in.
#[test]
fn dicom_that_goes_out_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["dicom-bad-sop-class-uid", "dicom-sequence-with-wrong-vr"] {
        let source = input(&format!("{name}.dcm"));
        json(&gradus(dir.path(), &["reconstruct", source.to_str().unwrap(), "--method", "fbp", "-o", name, "--json"]));
        let description = json(&gradus(dir.path(), &["inspect", &format!("{name}/image.dcm"), "--json"]));
        assert_eq!(description["unit"], "HU", "{description}");
    }
}

#[test]
fn training_sizes_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let run = training("");
    let cases = [
        ("size = 16", "size = 1000000000", "`data.size` is 1000000000; it must be a multiple of 4, at most 4096"),
        ("images = 2", "images = 9223372036854775807", "`validation.images` is"),
        ("reconstructions = 1", "reconstructions = 9223372036854775807", "`validation.reconstructions` is"),
        ("steps = 300", "steps = 9223372036854775807", "the steps of all phases"),
        ("steps = 5", "steps = 9223372036854775807", "the steps of all phases"),
        ("batch = 3", "batch = 9223372036854775807", "`phase[0].batch` is"),
        ("iterations = 5", "iterations = 4000000000", "`validation.iterations` is"),
        ("model_channels = 8", "model_channels = 4096", "the parameters of `network`"),
    ];
    for (from, to, words) in cases {
        fs::write(dir.path().join("run.toml"), run.replace(from, to)).unwrap();
        refused(dir.path(), &["train", "run.toml", "-o", "out"], &[words]);
    }
    // Steps that wrap around to four.
    let phases = run.replace("steps = 300", "steps = 18446744073709551615");
    fs::write(dir.path().join("run.toml"), phases).unwrap();
    refused(dir.path(), &["train", "run.toml", "-o", "out"], &["steps"]);
    for name in ["training-PANIC-10994", "training-size.toml", "training-validation-images.toml"] {
        refused(dir.path(), &["train", input(name).to_str().unwrap(), "-o", "out"], &["must be"]);
    }
}
