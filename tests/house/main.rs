//! The shape of the house: its floors, the size of its files, and no circle among them.
//!
//! Reads the sources beside this crate and names every file that breaks a rule of `rules.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod modules;
mod paths;
mod rules;
mod source;

use modules::{Modules, Root};
use source::Source;
use std::fs;
use std::path::Path;

/// The crates whose files must make no circle.
const ROOTS: [Root<'_>; 5] = [
    ("gradus_core", "core/src/lib.rs"),
    ("gradus_cuda_kernels", "cuda-kernels/src/lib.rs"),
    ("gradus", "host/src/lib.rs"),
    ("the_command", "host/src/cli/main.rs"),
    ("gradus_tests", "tests/src/lib.rs"),
];
/// Where sources lie.
const FOLDERS: [&str; 4] = ["core", "cuda-kernels", "host", "tests"];

/// The files `.rs`, `.cu` and `.cuh` of the repository; not what tools have built.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut open: Vec<_> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|kind| ["rs", "cu", "cuh"].iter().any(|known| kind == *known)) {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.push(Source { path, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_circle_of_files() {
    let arrows = Modules::new(&sources(), &ROOTS).arrows();
    assert!(arrows.len() > 500, "only {} arrows: the sources are not understood", arrows.len());
    none(&rules::circles(&arrows));
    none(&rules::circles(&rules::between_folders(&arrows)));
}

#[test]
fn arrows_run_down_the_floors() {
    let sources = sources();
    none(&rules::nowhere(&sources));
    none(&rules::wrong_arrows(&Modules::new(&sources, &ROOTS).arrows()));
}

#[test]
fn files_and_lines_are_short() {
    let found: Vec<String> = sources().iter().flat_map(rules::text).collect();
    none(&found);
}
