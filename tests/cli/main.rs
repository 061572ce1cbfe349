//! The `gradus` command as a user meets it: whole runs, and what it says to bad input.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bad_input;
mod belief;
mod compare;
mod completions;
mod devices;
mod durable;
mod evaluate;
mod fans;
mod faults;
mod folders;
mod honest;
mod hostile;
mod memory;
mod numerics;
mod raw;
mod runs;
mod series;
mod slices;
mod toy;
mod training;
mod trust;

use std::path::Path;
use std::process::{Command, Output};

/// Runs the command in `folder`.
fn gradus(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gradus")).current_dir(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What went to standard error. It wraps at the width of a terminal, so line breaks and indents are one space here, and
/// none after a hyphen or within 1/mm.
fn message(output: &Output) -> String {
    let words = text(&output.stderr).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    words.replace("- ", "-").replace("1/ ", "1/")
}

/// The object that `--json` printed, after exit code 0.
fn json(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names of everything in `folder`, hidden files included.
fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
