//! `--device` and `doctor`, with the stand-in driver in the place of a GPU's, and without any.

use super::stand_in::{Watch, library};
use super::{json, text};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the command with the stand-in as its driver.
fn with_driver(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let driver = library(Watch::UndefinedBehaviour).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(arguments).env("LD_LIBRARY_PATH", driver).envs(settings.iter().copied());
    command.output().unwrap()
}

/// The message, without the breaks of its lines.
fn message(output: &Output) -> String {
    text(&output.stderr).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_says_what_it_was_computed_on_and_what_crossed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.npy"), small_image()).unwrap();
    let job = "reconstruct small.npy --angles 6 --steps 2 --prior ellipses --device cuda:0 --json -o out";
    let job: Vec<&str> = job.split(' ').collect();
    let run = json(&with_driver(folder.path(), &[], &job));
    assert_eq!(run["device"], "cuda:0");
    assert!(run["traffic"]["launches"].as_u64().unwrap() > 100, "{run}");
    let file = std::fs::read_to_string(folder.path().join("out/run.toml")).unwrap();
    assert!(file.contains("device = \"cuda:0\""), "{file}");
}

/// 8 x 8 pixels, in the npy format.
fn small_image() -> Vec<u8> {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 8), }";
    let mut bytes = [b"\x93NUMPY\x01\x00", &[118, 0][..], format!("{header:<117}\n").as_bytes()].concat();
    bytes.extend((0..64).flat_map(|i| (i as f32 / 64.0).to_le_bytes()));
    bytes
}

/// Settings of the stand-in, and words that the message must have.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn a_device_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let job = ["reconstruct", "ellipses:1", "--prior", "ellipses", "--device", "cuda:0", "-o", "out"];
    let cases: [Case<'_>; 3] = [
        (&[("GRADUS_STAND_IN_VERSION", "12040")], &["supports CUDA 12.4", "need 13.0", "update the driver"]),
        (&[("GRADUS_STAND_IN_MEMORY", "1000000")], &["has", "bytes free", "needs"]),
        (&[("GRADUS_STAND_IN_DEVICES", "0")], &["there is no device cuda:0", "the driver has 0"]),
    ];
    for (settings, words) in cases {
        let output = with_driver(folder.path(), settings, &job);
        assert_eq!(output.status.code(), Some(2), "{}", message(&output));
        words.iter().for_each(|word| assert!(message(&output).contains(word), "{word}: {}", message(&output)));
    }
    let output = with_driver(folder.path(), &[], &["reconstruct", "--device", "gpu"]);
    assert!(message(&output).contains("auto, cpu, or cuda:N"), "{}", message(&output));
}

#[test]
fn doctor_names_the_devices() {
    let folder = tempfile::tempdir().unwrap();
    let found = json(&with_driver(folder.path(), &[], &["doctor", "--json"]));
    let names: Vec<&Value> = found["devices"].as_array().unwrap().iter().map(|device| &device["name"]).collect();
    assert_eq!(names, ["cpu", "cuda:0"]);
    assert_eq!(found["devices"][1]["usable"], true, "{found}");
    let old = json(&with_driver(folder.path(), &[("GRADUS_STAND_IN_VERSION", "12040")], &["doctor", "--json"]));
    assert_eq!(old["devices"][1]["usable"], false);
    assert!(old["devices"][1]["reason"].as_str().unwrap().contains("supports CUDA 12.4"), "{old}");
    // Without the stand-in: whatever this machine has, the command starts and says so.
    let here = json(&super::gradus(folder.path(), &["doctor", "--json"]));
    assert!(here["devices"][1]["usable"].is_boolean(), "{here}");
}
