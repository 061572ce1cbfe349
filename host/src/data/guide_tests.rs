//! GUIDE.md held to the code: every field and name that is read stands there, and no other.
use super::scan_npz::{ALIASES, AXIS_BIN, FIELDS};
use super::scan_toml::Description;
use super::units::{NAMES, StatedUnit};
use crate::limits;
use crate::raw::RawOptions;
use crate::simulate::Simulation;
use crate::test_support::{fields, guide, guide_names, names, rows};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// The fields of a scan that have a `yes` in a column.
fn fields_of_scan(column: usize) -> BTreeSet<String> {
    let part = guide("Fields of a scan");
    rows(&part).iter().filter(|cells| cells[column] == "yes").flat_map(|cells| names(cells[0])).collect()
}

#[test]
fn fields_of_an_npz_are_those_of_the_guide() {
    let aliases = ALIASES.iter().map(|(_, theirs)| *theirs);
    let read: BTreeSet<String> = FIELDS.into_iter().chain(aliases).chain([AXIS_BIN]).map(str::to_owned).collect();
    assert_eq!(fields_of_scan(1), read);
}

#[test]
fn fields_of_a_scan_toml_are_those_of_the_guide() {
    let read = fields::<Description>("");
    assert!(read.len() > 10, "{read:?}");
    assert_eq!(fields_of_scan(2), read);
}

#[test]
fn fields_of_simulations_and_raw_files_are_those_of_the_guide() {
    assert_eq!(guide_names("Fields of `[simulation]`"), fields::<Simulation>(""));
    assert_eq!(guide_names("Fields of `[raw]`"), fields::<RawOptions>(""));
}

/// Every limit of `limits.rs`, by its value.
#[test]
fn limits_are_those_of_the_guide() {
    let integers = [
        ("SIDE", limits::SIDE as u64),
        ("COUNT", limits::COUNT as u64),
        ("PIXELS", limits::PIXELS as u64),
        ("LINE_INTEGRAL", limits::LINE_INTEGRAL as u64),
        ("ITERATIONS", limits::ITERATIONS.into()),
        ("STARTS", limits::STARTS as u64),
        ("TRAINING_STEPS", limits::TRAINING_STEPS),
        ("BATCH", limits::BATCH as u64),
        ("TRAINING_SIDE", limits::TRAINING_SIDE as u64),
        ("PARAMETERS", limits::PARAMETERS as u64),
        ("UNPACKED", limits::UNPACKED as u64),
        ("UNPACKED_TIMES", limits::UNPACKED_TIMES as u64),
        ("DESCRIPTION_BYTES", limits::DESCRIPTION_BYTES),
    ];
    let range = |range: RangeInclusive<f64>| format!("{:e} to {:e}", range.start(), range.end());
    let others = [
        ("LENGTH_MM", range(limits::LENGTH_MM)),
        ("ATTENUATION_PER_MM", range(limits::ATTENUATION_PER_MM)),
        ("PHOTONS", format!("{:e}", limits::PHOTONS)),
    ];
    let values: BTreeMap<&str, String> =
        integers.into_iter().map(|(name, value)| (name, value.to_string())).chain(others).collect();
    let declared = include_str!("../limits.rs").lines().filter_map(|line| line.strip_prefix("pub const "));
    let declared = declared.filter(|line| !line.starts_with("fn ")).map(|line| line.split(':').next().unwrap());
    assert_eq!(values.keys().copied().collect::<BTreeSet<_>>(), declared.collect());
    let part = guide("Limits");
    assert_eq!(guide_names("Limits"), values.keys().map(|name| (*name).to_owned()).collect());
    for (name, value) in values {
        assert!(part.contains(&format!("| `{name}` | {value} |")), "{name} is {value}");
    }
}

#[test]
fn units_and_names_of_arrays_are_those_of_the_guide() {
    let units: BTreeSet<String> = StatedUnit::ALL.iter().map(StatedUnit::to_string).collect();
    assert_eq!(guide_names("Units of images"), units);
    let part = guide("Units of images");
    let (_, arrays) = part.split_once("needs no `unit`:").unwrap();
    let known: BTreeSet<String> = NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(arrays.split_once('.').unwrap().0), known);
}
