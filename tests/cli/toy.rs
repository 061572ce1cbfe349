//! `gradus toy`.

use super::{gradus, json, listing, text};
use gradus::paper::toy::{Algorithm, REFERENCES};
use std::fs;

fn rates(summary: &serde_json::Value) -> Vec<(u64, f64)> {
    let rows = summary["rates"].as_array().unwrap().iter();
    rows.map(|row| (row["t_max_index"].as_u64().unwrap(), row["rate_global_minimum"].as_f64().unwrap())).collect()
}

#[test]
fn a_part_prints_the_rates_of_the_paper_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let summary = json(&gradus(dir.path(), &["toy", "--method", "flow", "--t-max-index", "30,99", "--json"]));
    let found = rates(&summary);
    assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), [30, 99]);
    for (index, rate) in found {
        let of_paper = |(algorithm, at, _): &&(_, usize, _)| (*algorithm, *at as u64) == (Algorithm::Flow, index);
        let (_, _, reference) = REFERENCES.iter().find(of_paper).unwrap();
        assert!((rate - reference).abs() <= 0.005, "{summary}");
    }
    let row = &summary["rates"][0];
    assert!((row["t_max"].as_f64().unwrap() - 1.23285).abs() < 1e-5, "{row}");
    assert!(row["rate_stationary"].as_f64().unwrap() > 0.99, "{row}");
    assert!(listing(dir.path()).is_empty());
}

#[test]
fn the_same_bits_whatever_the_threads() {
    let dir = tempfile::tempdir().unwrap();
    for threads in ["1", "2"] {
        json(&gradus(dir.path(), &["toy", "--t-max-index", "30", "-o", threads, "--threads", threads, "--json"]));
    }
    let read = |folder: &str, file: &str| fs::read(dir.path().join(folder).join(file)).unwrap();
    for file in ["rates.csv", "rates-by-iteration.csv"] {
        assert!(read("1", file) == read("2", file), "{file} differs");
    }
    // Both algorithms, iterations 0, 10, ..., 1300.
    assert_eq!(text(&read("1", "rates-by-iteration.csv")).lines().count(), 1 + 2 * 131);
}

#[test]
fn indices_and_methods_that_do_not_exist_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [("--t-max-index", "100", "0.01"), ("--t-max-index", "x", "x"), ("--method", "tv", "gradient-like")];
    for (flag, value, word) in cases {
        let output = gradus(dir.path(), &["toy", flag, value]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
    fs::write(dir.path().join("taken"), "").unwrap();
    assert_eq!(gradus(dir.path(), &["toy", "-o", "taken"]).status.code(), Some(2));
    assert_eq!(listing(dir.path()), ["taken"]);
}
