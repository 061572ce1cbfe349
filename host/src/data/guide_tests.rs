//! GUIDE.md held to the code: every field and name that is read stands there, and no other.
use super::scan_npz::{ALIASES, AXIS_BIN, FIELDS};
use super::scan_toml::Description;
use super::units::{NAMES, StatedUnit};
use std::collections::BTreeSet;

fn guide() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../GUIDE.md")).unwrap()
}

/// The part under a heading, up to the next.
fn under(heading: &str) -> String {
    let guide = guide();
    let (_, part) = guide.split_once(&format!("### {heading}\n")).unwrap();
    part.split("\n### ").next().unwrap().to_owned()
}

/// The words in the first column of a table, where another column says what is asked for.
fn first_column(part: &str, asked: impl Fn(&[&str]) -> bool) -> BTreeSet<String> {
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells.filter(|cells| asked(cells)).map(|cells| cells[0].trim_matches('`').to_owned()).collect()
}

#[test]
fn fields_of_an_npz_are_those_of_the_guide() {
    let aliases = ALIASES.iter().map(|(_, theirs)| *theirs);
    let read: BTreeSet<String> = FIELDS.into_iter().chain(aliases).chain([AXIS_BIN]).map(str::to_owned).collect();
    assert_eq!(first_column(&under("Fields of a scan"), |cells| cells[1] == "yes"), read);
}

#[test]
fn fields_of_a_scan_toml_are_those_of_the_guide() {
    // The names that the parser knows stand in its complaint about one that it does not.
    let error = toml::from_str::<Description>("no_such_field = 1").unwrap_err().to_string();
    let (_, expected) = error.split_once("expected one of").unwrap();
    let read: BTreeSet<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(read.len() > 10, "{error}");
    assert_eq!(first_column(&under("Fields of a scan"), |cells| cells[2] == "yes"), read);
}

#[test]
fn units_and_names_of_arrays_are_those_of_the_guide() {
    let part = under("Units of images");
    let units: BTreeSet<String> = StatedUnit::ALL.iter().map(StatedUnit::to_string).collect();
    assert_eq!(first_column(&part, |_| true), units);
    let (_, names) = part.split_once("needs no `unit`:").unwrap();
    let (names, _) = names.split_once('.').unwrap();
    let names: BTreeSet<&str> = names.split('`').skip(1).step_by(2).collect();
    assert_eq!(names, NAMES.iter().map(|(name, _)| *name).collect());
}
