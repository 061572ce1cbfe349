//! Training runs: killed, continued, with bad data, on a full disk.

use super::{gradus, json, listing, text};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const NETWORK: &str = "
[network]
in_channels = 1
out_channels = 1
pixel_unshuffle = 2
model_channels = 8
channel_mult = [1, 2]
num_res_blocks = 1
attention_resolutions = []
middle_attention = true
num_heads = 1
norm_groups = 4
norm_eps = 1e-5
max_period = 0.005

[[phase]]
loss = \"denoising\"
steps = 40
batch = 5
images_at_a_time = 2
crop = 16
learning_rate = 1e-3
warm_up = 5

[[phase]]
loss = \"score-matching\"
steps = 120
batch = 3
crop = 32
learning_rate = 1e-3
";

/// A run of a few seconds with checkpoints all the time.
fn write_run(folder: &Path) {
    let head = "seed = 5\ncheckpoint_every_s = 0.02\n[data]\nkind = \"ellipses\"\nsize = 32\n\
                [validation]\nevery_steps = 60\nimages = 2\nreconstructions = 1\niterations = 5\n";
    fs::write(folder.join("run.toml"), format!("{head}{NETWORK}")).unwrap();
}

fn weights(folder: &Path, run: &str) -> Vec<u8> {
    fs::read(folder.join(run).join("weights.safetensors")).unwrap()
}

/// Killed at any moment, again and again, on other numbers of threads: the same bits as the run that was left alone.
#[test]
fn a_killed_run_continues_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path());
    let summary = json(&gradus(dir.path(), &["train", "run.toml", "-o", "whole", "--threads", "2", "--json"]));
    assert_eq!((&summary["steps"], &summary["done"]), (&160.into(), &true.into()));
    let files = ["best.safetensors", "checkpoint.safetensors", "config.toml", "losses.csv", "report.html"];
    assert_eq!(listing(&dir.path().join("whole"))[..5], files);

    let mut arguments = vec!["train", "run.toml", "-o", "killed"];
    for (milliseconds, threads) in [(150, "1"), (350, "2"), (200, "1")] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gradus"))
            .current_dir(dir.path())
            .args(&arguments)
            .args(["--threads", threads])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        // SIGKILL. A run that is done already is no test of it, but no failure either.
        let _ = child.kill();
        child.wait().unwrap();
        if dir.path().join("killed/checkpoint.safetensors").exists() {
            arguments = vec!["train", "--resume", "killed"];
        } else {
            // Killed before its first checkpoint.
            let _ = fs::remove_dir_all(dir.path().join("killed"));
        }
    }
    json(&gradus(dir.path(), &[&arguments[..], &["--json"]].concat()));
    assert!(weights(dir.path(), "killed") == weights(dir.path(), "whole"));
    let steps = |run: &str| {
        let csv = fs::read_to_string(dir.path().join(run).join("losses.csv")).unwrap();
        // The last column is time.
        csv.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(steps("killed"), steps("whole"));

    // Two phases more, one after the other, are the same as both at once.
    let run = fs::read_to_string(dir.path().join("run.toml")).unwrap();
    let phase = "[[phase]]\nloss = \"score-matching\"\nsteps = 10\nbatch = 2\ncrop = 16\nlearning_rate = 1e-4\n";
    fs::write(dir.path().join("longer.toml"), format!("{run}{phase}")).unwrap();
    fs::write(dir.path().join("longest.toml"), format!("{run}{phase}{phase}")).unwrap();
    for (config, run) in [("longer.toml", "killed"), ("longest.toml", "killed"), ("longest.toml", "whole")] {
        assert_eq!(json(&gradus(dir.path(), &["train", config, "--resume", run, "--json"]))["done"], true);
    }
    assert!(weights(dir.path(), "killed") == weights(dir.path(), "whole"));
    fs::write(dir.path().join("other.toml"), run.replace("seed = 5", "seed = 6")).unwrap();
    assert_eq!(gradus(dir.path(), &["train", "other.toml", "--resume", "whole"]).status.code(), Some(2));
    let description = json(&gradus(dir.path(), &["inspect", "whole/weights.safetensors", "--json"]));
    assert!(description["provenance"].as_str().unwrap().contains("seed 5"), "{description}");
}

/// An interrupt keeps every step; a disk that is full is an error that leaves the checkpoint as it was.
#[cfg(unix)]
#[test]
fn interrupts_and_full_disks_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_gradus"))
        .current_dir(dir.path())
        .args(["train", "run.toml", "-o", "out", "--quiet"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let checkpoint = dir.path().join("out/checkpoint.safetensors");
    while !checkpoint.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
    let before = fs::read(&checkpoint).unwrap();

    // No file may grow beyond 10 blocks; the signal for that is ignored, so writing fails as on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f 10; exec {} train --resume out", env!("CARGO_BIN_EXE_gradus"));
    let output = Command::new("sh").current_dir(dir.path()).args(["-c", &script]).output().unwrap();
    let message = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("checkpoint.safetensors") && message.contains("disk"), "{message}");
    assert!(fs::read(&checkpoint).unwrap() == before);
    assert!(listing(&dir.path().join("out")).iter().all(|name| !name.ends_with(".part")));
    assert_eq!(json(&gradus(dir.path(), &["train", "--resume", "out", "--json"]))["done"], true);
}

/// A little-endian f4 stack of `n` slices of `size` x `size` pixels.
fn write_stack(path: &Path, n: usize, size: usize, spoil: Option<f32>) {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {size}, {size}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    let mut values: Vec<f32> = (0..n * size * size).map(|i| (i as f32 * 0.01).sin().abs()).collect();
    if let Some(value) = spoil {
        values[size + 3] = value;
    }
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn bad_slices_are_passed_over_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let head = "seed = 5\n[data]\nkind = \"folder\"\nsize = 32\n[validation]\nimages = 1\nreconstructions = 0\n";
    fs::write(dir.path().join("run.toml"), format!("{head}{}", NETWORK.replace("steps = 120", "steps = 2"))).unwrap();
    for folder in ["slices", "others"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let slices = dir.path().join("slices");
    write_stack(&slices.join("good.npy"), 3, 32, None);
    write_stack(&slices.join("spoilt.npy"), 2, 32, Some(f32::NAN));
    write_stack(&slices.join("large.npy"), 2, 48, None);
    fs::write(slices.join("cut.npy"), &fs::read(slices.join("good.npy")).unwrap()[..500]).unwrap();
    let train = ["train", "run.toml", "--data", "slices", "-o", "out", "--json"];
    let refused = |arguments: &[&str], word: &str| {
        let output = gradus(dir.path(), arguments);
        let message = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.status.code() == Some(2) && message.contains(word), "{word}: {message}");
        assert!(!dir.path().join("out").exists());
    };
    refused(&train, "--validation-data");
    let train = [&train[..], &["--validation-data", "others"]].concat();
    refused(&train, "no slice of 32 x 32 pixels");
    write_stack(&dir.path().join("others/good.npy"), 1, 32, None);
    let output = gradus(dir.path(), &train);
    let message = text(&output.stderr);
    for line in ["cut.npy", "large.npy: slice 0 has 48 x 48 pixels", "spoilt.npy: slice 0 has NaN at row 1, column 3"] {
        assert!(message.contains(line), "{line:?} is not in {message}");
    }
    let summary = json(&output);
    assert_eq!(summary["skipped"], 3);
    let provenance = json(&gradus(dir.path(), &["inspect", "out/weights.safetensors", "--json"]))["provenance"].clone();
    assert!(provenance.as_str().unwrap().contains("4 slices of 32 x 32 from 2 patients"), "{provenance}");
}

#[test]
fn a_run_that_diverges_ends_with_its_last_good_state() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path());
    let run = fs::read_to_string(dir.path().join("run.toml")).unwrap().replace("1e-3", "1e30");
    fs::write(dir.path().join("run.toml"), run).unwrap();
    let output = gradus(dir.path(), &["train", "run.toml", "-o", "out"]);
    let message = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("diverged in step") && message.contains("learning_rate"), "{message}");
    // The state is that of the last step that was sound: it loads, and fails in the same step again.
    let again = gradus(dir.path(), &["train", "--resume", "out"]);
    let again = text(&again.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(again, message);
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path());
    let run = fs::read_to_string(dir.path().join("run.toml")).unwrap();
    for (from, to, word) in [
        ("crop = 16", "crop = 18", "phase[0].crop"),
        ("crop = 32", "crop = 64", "data.size"),
        ("steps = 40", "steps = 0", "phase[0].steps"),
        ("norm_groups = 4", "norm_groups = 3", "norm_groups"),
        ("batch = 5", "bacth = 5", "bacth"),
    ] {
        fs::write(dir.path().join("bad.toml"), run.replace(from, to)).unwrap();
        let output = gradus(dir.path(), &["train", "bad.toml", "-o", "out"]);
        let message = text(&output.stderr);
        assert!(output.status.code() == Some(2) && message.contains(word), "{word}: {message}");
        assert!(!dir.path().join("out").exists());
    }
    for arguments in [&["train", "--preset", "none"][..], &["train"], &["train", "--resume", "nowhere"]] {
        assert_eq!(gradus(dir.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}
