//! GUIDE.md held to the code: every setting stands there, with the methods that read it.

use super::{FieldError, Method, Settings};
use crate::test_support::{guide, guide_names, names, rows};
use std::collections::BTreeSet;
use toml::{Table, Value};

const HEADING: &str = "Fields of `[reconstruction]`";

/// The methods that read a field.
fn readers(field: &str) -> BTreeSet<String> {
    // What is read is set, or is no such value; what is not read is refused by its name.
    let reads = |method: &Method| {
        let set = Settings::from(*method).with(field, Value::Array(Vec::new()));
        !matches!(set, Err(FieldError::NotRead { .. } | FieldError::Unknown(_)))
    };
    Method::ALL.iter().filter(|method| reads(method)).map(Method::to_string).collect()
}

#[test]
fn settings_are_those_of_the_guide() {
    let part = guide(HEADING);
    for cells in rows(&part) {
        let field = cells[0].trim_matches('`');
        let expected = match cells[1] {
            "all" => Method::ALL.iter().map(Method::to_string).collect(),
            "learned" => Method::ALL.iter().filter(|method| method.is_learned()).map(Method::to_string).collect(),
            given => names(given),
        };
        if field != "method" {
            assert_eq!(readers(field), expected, "{field}");
        }
    }
}

#[test]
fn every_setting_that_has_a_default_stands_in_the_guide() {
    let known = guide_names(HEADING);
    for method in Method::ALL {
        for (name, value) in Table::try_from(Settings::from(method)).unwrap() {
            let inner = value.as_table().map(|table| table.keys().map(|key| format!("{name}.{key}")).collect());
            for name in inner.unwrap_or_else(|| vec![name.clone()]) {
                assert!(known.contains(&name), "{method}: {name}");
            }
        }
    }
}
