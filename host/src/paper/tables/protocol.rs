//! Everything that determines a number of an evaluation, as a file.

use crate::backend::{DeviceChoice, Precision};
use crate::reconstruct::Settings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The source of the weight of the prior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlphaSource {
    /// The default rule.
    Default,
    /// It was given.
    Given,
    /// A sweep on images outside the test set.
    Sweep,
}

/// `evaluation.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// `ellipses`, or a folder.
    pub dataset: String,
    /// Slices of that folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slices: Option<usize>,
    /// Name or file of the prior.
    pub prior: String,
    /// FNV-1a of its weights' file, in hexadecimal digits.
    pub prior_checksum: String,
    /// Views over half a turn.
    pub views: usize,
    /// Standard deviation of the noise over the mean of the line integrals.
    pub noise: f64,
    /// The device of the learned methods.
    pub device: DeviceChoice,
    /// The factors of convolutions there.
    pub precision: Precision,
    /// Iterations of the methods with a line search.
    pub steps: u32,
    /// Weight of the prior over the standard deviation of the noise of a line integral, for the methods that step along
    /// gradients.
    pub alpha_per_std: f64,
    /// The source of that number.
    pub alpha_source: AlphaSource,
    /// Version of the program.
    pub version: String,
    /// The settings of every contender, but for the weight of the prior and the seed of the start.
    pub methods: BTreeMap<String, Settings>,
}

impl Protocol {
    /// Differences from `other`, as `field is A there and B here`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        differences(self, other)
    }
}

/// Differences between the fields of `here` and `there`, as `field is A there and B here`.
pub(crate) fn differences<T: Serialize>(here: &T, there: &T) -> Vec<String> {
    let fields = |protocol: &T| toml::Table::try_from(protocol).unwrap_or_default();
    let mut found = Vec::new();
    compare("", &fields(here), &fields(there), &mut found);
    found
}

fn compare(prefix: &str, ours: &toml::Table, theirs: &toml::Table, found: &mut Vec<String>) {
    let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let show = |value: Option<&toml::Value>| value.map_or_else(|| "not given".to_owned(), toml::Value::to_string);
    for key in keys {
        match (ours.get(key), theirs.get(key)) {
            (Some(toml::Value::Table(ours)), Some(toml::Value::Table(theirs))) => {
                compare(&format!("{prefix}{key}."), ours, theirs, found);
            }
            (a, b) if a != b => found.push(format!("{prefix}{key} is {} there and {} here", show(b), show(a))),
            _ => {}
        }
    }
}

/// FNV-1a over bytes, as 16 hexadecimal digits: it tells files apart, and resists no attacker.
#[must_use]
pub fn checksum(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}
