//! Packages of other people in what is shipped: their licences, and the libraries in other languages that they link.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Licences of parts of a program that is MIT or Apache-2.0; of `A OR B` one is enough, of `A AND B` both count.
const LICENCES: [&str; 10] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Libraries that packages say to link, though none is: markers by which a package is there once. Decoders of files are
/// all Rust.
const LINKED: [&str; 2] = ["rayon-core", "wasm_bindgen"];

fn cargo(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO")).current_dir(root).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// "name version" and licence of all packages of others that the program is made of on this machine: those of other
/// machines were never fetched.
fn shipped() -> BTreeSet<(String, String)> {
    let what = ["tree", "--locked", "--offline", "--package", "gradus", "--edges", "normal,build"];
    let tree = cargo(&[&what[..], &["--prefix", "none", "--format", "{p}|{l}"]].concat());
    let package = |line: &str| {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('|')?;
        let mut words = package.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
        // Ours have a path behind their version.
        let is_ours = words.any(|word| word.starts_with("(/"));
        (!is_ours).then(|| (format!("{name} {version}"), licence.to_owned()))
    };
    tree.lines().filter_map(package).collect()
}

/// "name version" and library of all packages that say to link one.
fn linking() -> Vec<(String, String)> {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let here = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let what = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", here];
    let metadata = cargo(&what);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let link = |package: &Value| {
        let name = format!("{} {}", text(&package["name"])?, text(&package["version"])?);
        Some((name, text(&package["links"])?))
    };
    metadata["packages"].as_array().unwrap().iter().filter_map(link).collect()
}

/// True if an expression of SPDX, without parentheses within parentheses, leaves a licence that is allowed.
fn is_allowed(expression: &str) -> bool {
    let all = |part: &str| part.split(" AND ").all(|licence| LICENCES.contains(&licence.trim_matches(['(', ')', ' '])));
    let any = |part: &str| part.replace('/', " OR ").split(" OR ").any(all);
    // `(A OR B) AND C` is both of two parts, `A OR B AND C` one of them.
    match expression.split_once(") AND ") {
        Some((first, second)) => any(first) && any(second),
        None => match expression.split_once(" AND (") {
            Some((first, second)) => any(first) && any(second),
            None => any(expression),
        },
    }
}

#[test]
fn packages_may_be_handed_on_and_read_files_in_rust() {
    let shipped = shipped();
    assert!(shipped.len() > 50, "only {} packages: the tree is not understood", shipped.len());
    let licences = shipped.iter().filter(|(_, licence)| !is_allowed(licence));
    super::none(&licences.map(|(package, licence)| format!("{package}: licence {licence:?}")).collect::<Vec<_>>());
    let names: BTreeSet<&String> = shipped.iter().map(|(package, _)| package).collect();
    let linking = linking();
    assert!(linking.iter().any(|(_, library)| LINKED.contains(&library.as_str())), "{linking:?}");
    let linked = linking.iter().filter(|(package, _)| names.contains(package));
    let linked = linked.filter(|(_, library)| !LINKED.contains(&library.as_str()));
    super::none(&linked.map(|(package, library)| format!("{package} links {library}")).collect::<Vec<_>>());
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed = ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Unicode-3.0", "Apache-2.0 AND MIT"];
    allowed.iter().for_each(|expression| assert!(is_allowed(expression), "{expression}"));
    let refused = ["none", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND GPL-3.0", "MPL-2.0"];
    refused.iter().for_each(|expression| assert!(!is_allowed(expression), "{expression}"));
}
