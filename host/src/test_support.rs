//! Numbers for unit tests. Those of other crates cannot serve here: they link this library once more.

use crate::image::Image;
pub(crate) use crate::vector::dot;
use std::collections::BTreeSet;

/// Numbers in [-1, 1) from a fixed sequence.
pub(crate) fn signed(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

/// FNV-1a over the pixels' bits.
pub(crate) fn checksum(image: &Image) -> u64 {
    let bytes = image.pixels.iter().flat_map(|p| p.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The part of GUIDE.md under a heading, up to the next.
pub(crate) fn guide(heading: &str) -> String {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../GUIDE.md")).unwrap();
    let (_, part) = guide.split_once(&format!("### {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    part.split("\n## ").next().unwrap().split("\n### ").next().unwrap().to_owned()
}

/// The rows of the tables in a part whose first cell is a name, cell by cell.
pub(crate) fn rows(part: &str) -> Vec<Vec<&str>> {
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The words between backticks.
pub(crate) fn names(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names in the first column of the table under a heading of GUIDE.md.
pub(crate) fn guide_names(heading: &str) -> BTreeSet<String> {
    rows(&guide(heading)).iter().flat_map(|cells| names(cells[0])).collect()
}

/// The fields that a description may have: its parser names them in its complaint about one that it does not know.
pub(crate) fn fields<T: serde::de::DeserializeOwned>(text: &str) -> BTreeSet<String> {
    let error = toml::from_str::<T>(&format!("{text}no_such_field = 1")).err().unwrap().to_string();
    names(error.split_once(", expected").unwrap().1)
}
