//! The shape of the house: its floors, the size of its files, and no circle among them.
//!
//! Reads the sources beside this crate and names every file that breaks a rule of `rules.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod modules;
mod packages;
mod pages;
mod paths;
mod prose;
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files `.rs`, `.cu` and `.cuh` of the repository; not what tools have built.
fn sources() -> Vec<Source> {
    files(&["rs", "cu", "cuh"])
}

/// The pages, those at the top among them.
fn pages() -> Vec<Source> {
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    top.map(|path| source(&path)).chain(files(&["md"])).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn source(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    Source { path: path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"), text }
}

/// The files of these kinds under [`FOLDERS`].
fn files(kinds: &[&str]) -> Vec<Source> {
    let mut open: Vec<_> = FOLDERS.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known)) {
                sources.push(source(&path));
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
fn few_functions_are_long() {
    none(&rules::long_functions(&sources()));
}

#[test]
fn files_and_lines_are_short() {
    let found: Vec<String> = sources().iter().flat_map(rules::text).collect();
    none(&found);
}

#[test]
fn docs_open_with_a_noun_or_an_imperative() {
    let product = |source: &Source| !source.path.starts_with("tests/");
    none(&sources().iter().filter(|source| product(source)).flat_map(prose::half_questions).collect::<Vec<_>>());
}

#[test]
fn pages_have_short_lines_and_live_links() {
    let pages = pages();
    assert!(pages.len() > 12, "only {} pages", pages.len());
    none(&pages.iter().flat_map(pages::long_lines).collect::<Vec<_>>());
    none(&pages.iter().flat_map(|page| pages::dead_links(page, &pages, root())).collect::<Vec<_>>());
}

#[test]
fn the_front_page_is_short_and_its_figures_are_results() {
    none(&pages::front(&page("README.md"), &page("RESULTS.md")));
}

#[test]
fn the_architecture_is_that_of_the_sources() {
    let architecture = page("ARCHITECTURE.md");
    none(&pages::floors(&architecture));
    none(&pages::unknown_papers(&sources(), &architecture));
}

#[test]
fn recipes_name_the_files_that_they_need() {
    none(&pages::recipes(&page("CONTRIBUTING.md"), &sources(), root()));
}

#[test]
fn public_modules_have_more_than_a_sentence() {
    let sources = sources();
    let roots = sources.iter().filter(|source| ["core/src/lib.rs", "host/src/lib.rs"].contains(&source.path.as_str()));
    none(&roots.flat_map(|root| prose::bare_modules(root, &sources)).collect::<Vec<_>>());
}
