//! Promises of the features that no compiler checks.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            sources(&entry.path(), found);
        } else {
            found.push(std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// The firmware image compiles the derived code; this test finds a type that was forgotten.
#[test]
fn every_public_type_can_be_logged_with_defmt() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut types = 0;
    for file in files {
        let lines: Vec<_> = file.lines().collect();
        for pair in lines.windows(2) {
            if pair[1].starts_with("pub struct ") || pair[1].starts_with("pub enum ") {
                assert_eq!(pair[0], "#[cfg_attr(feature = \"defmt\", derive(defmt::Format))]", "{}", pair[1]);
                types += 1;
            }
        }
    }
    assert!(types > 25, "{types}");
}
