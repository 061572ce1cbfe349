//! The pages that people read: lines, links, figures, and what they say of the sources.

use crate::rules::{COLUMNS, FLOORS};
use crate::source::Source;
use std::collections::BTreeSet;
use std::path::Path;

/// Most lines and words of README.md.
const README: (usize, usize) = (120, 1100);

/// Lines that are too long, outside of tables.
#[must_use]
pub fn long_lines(page: &Source) -> Vec<String> {
    let lines = page.text.lines().enumerate().filter(|(_, line)| !line.starts_with('|'));
    let long = lines.filter(|(_, line)| line.chars().count() > COLUMNS);
    long.map(|(at, line)| format!("{}:{}: {} columns", page.path, at + 1, line.chars().count())).collect()
}

/// Links to files or headings that are not there.
#[must_use]
pub fn dead_links(page: &Source, pages: &[Source], root: &Path) -> Vec<String> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let targets = page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let is_dead = |target: &&str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() { page.path.clone() } else { joined(folder, file) };
        let has_heading = |page: &Source| page.text.lines().any(|line| anchor(line).as_deref() == Some(heading));
        !root.join(&path).exists()
            || !heading.is_empty() && !pages.iter().any(|page| page.path == path && has_heading(page))
    };
    let local = targets.filter(|target| !target.contains("://"));
    local.filter(is_dead).map(|target| format!("{}: a dead link: {target}", page.path)).collect()
}

/// A path from a folder, without `..`.
fn joined(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/").trim_end_matches('/').to_owned()
}

/// The name of a heading in links.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

/// Excess of lines and words in README.md, and figures of its tables and captions that RESULTS.md does not have.
#[must_use]
pub fn front(readme: &str, results: &str) -> Vec<String> {
    let (lines, words) = (readme.lines().count(), readme.split_whitespace().count());
    let mut found = Vec::new();
    if lines >= README.0 || words >= README.1 {
        found.push(format!("README.md: {lines} lines, {words} words"));
    }
    let known: BTreeSet<&str> = figures(results).collect();
    let shown = readme.lines().filter(|line| line.starts_with('|') || line.contains(" dB"));
    let lost = shown.flat_map(figures).filter(|figure| !known.contains(figure));
    found.extend(lost.map(|figure| format!("README.md: {figure} is not in RESULTS.md")));
    found
}

/// Numbers with a point.
fn figures(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|word| word.trim_matches('.'));
    words.filter(|word| word.contains('.'))
}

/// Floors that the drawing in ARCHITECTURE.md shows and the rules do not have, or the other way round.
#[must_use]
pub fn floors(architecture: &str) -> Vec<String> {
    let drawn = architecture.lines().filter_map(|line| {
        let mut words = line.strip_prefix("    ")?.split_whitespace();
        let number: usize = words.next()?.parse().ok()?;
        Some((number, words.collect::<BTreeSet<_>>()))
    });
    let drawn: Vec<_> = drawn.collect();
    let rules = FLOORS.iter().enumerate().map(|(at, floor)| (at + 1, floor.iter().copied().collect()));
    let rules: Vec<_> = rules.rev().collect();
    if drawn == rules { Vec::new() } else { vec![format!("ARCHITECTURE.md draws {drawn:?}; the rules are {rules:?}")] }
}

/// Papers that sources cite and ARCHITECTURE.md does not list.
#[must_use]
pub fn unknown_papers(sources: &[Source], architecture: &str) -> Vec<String> {
    let is_key = |key: &&str| {
        let letters = key.trim_end_matches(|c: char| c.is_ascii_digit());
        letters.len() + 2 == key.len() && (2..6).contains(&letters.len()) && letters.chars().all(char::is_alphabetic)
    };
    let cited = sources.iter().flat_map(|source| source.text.split("\\[").skip(1));
    let keys = cited.filter_map(|rest| rest.split([',', ';', '\\', ']', ' ']).next()).filter(is_key);
    let lost: BTreeSet<&str> = keys.filter(|key| !architecture.contains(&format!("- [{key}]"))).collect();
    lost.into_iter().map(|key| format!("ARCHITECTURE.md: no paper {key}")).collect()
}

/// Files that CONTRIBUTING.md names and that are not there; and files whose code names an example, or that a table of
/// one lists, where the two differ. Folders behind the name of an example say where it is looked for.
#[must_use]
pub fn recipes(contributing: &str, sources: &[Source], root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let named = contributing.split('`').skip(1).step_by(2).filter(|name| name.contains('/') && !name.contains(' '));
    found.extend(named.filter(|name| !root.join(name).exists()).map(|name| format!("CONTRIBUTING.md: no file {name}")));
    for section in contributing.split("\n## ").skip(1) {
        let Some((table, rest)) = section.split_once("\nNames: `") else { continue };
        let example = rest.split('`').next().unwrap_or_default();
        let rows = table.lines().filter(|line| line.starts_with("| `")).filter_map(|row| row.split('|').nth(1));
        let listed: BTreeSet<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        let within: Vec<&str> = rest.lines().next().unwrap_or_default().split('`').skip(2).step_by(2).collect();
        let within = if within.is_empty() { vec!["core/src/", "host/src/", "cuda-kernels/"] } else { within };
        let product = |path: &str| within.iter().any(|folder| path.starts_with(folder));
        let is_test = |path: &str| path.contains("test");
        let naming = sources.iter().filter(|source| product(&source.path) && !is_test(&source.path));
        let naming = naming.filter(|source| source.path.ends_with(".rs") && source.code().text.contains(example));
        let naming: BTreeSet<&str> = naming.map(|source| source.path.as_str()).collect();
        let missed = naming.difference(&listed).map(|path| format!("CONTRIBUTING.md: {path} names {example}"));
        let of_name = format!("/{}.", example.to_lowercase());
        let idle = listed.difference(&naming).filter(|path| path.ends_with(".rs") && !path.contains(&of_name));
        found.extend(missed.chain(idle.map(|path| format!("CONTRIBUTING.md: {path} does not name {example}"))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Source {
        Source { path: "host/README.md".into(), text: text.into() }
    }

    #[test]
    fn lines_are_measured_outside_of_tables() {
        assert_eq!(long_lines(&page(&format!("| {} |", "a".repeat(200)))), Vec::<String>::new());
        assert_eq!(long_lines(&page(&format!("\n{}", "é".repeat(121)))), ["host/README.md:2: 121 columns"]);
    }

    #[test]
    fn links_are_followed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = "# The `first` part\n[a](#the-first-part) [b](../core/Cargo.toml) [c](https://nowhere.example)";
        let good = page(text);
        assert_eq!(dead_links(&good, std::slice::from_ref(&good), root), Vec::<String>::new());
        let bad = page("[a](#the-first) [b](../no/file) [c](B.md#x)");
        assert_eq!(dead_links(&bad, std::slice::from_ref(&bad), root).len(), 3);
    }

    #[test]
    fn figures_need_a_source() {
        assert_eq!(front("| a | 38.75 |\nor 29.36 dB", "29.36 38.75"), Vec::<String>::new());
        assert_eq!(front("| a | 38.75 |\n12.5", "38.7"), ["README.md: 38.75 is not in RESULTS.md"]);
        assert_eq!(front(&"a\n".repeat(120), "").len(), 1);
    }

    #[test]
    fn drawings_papers_and_recipes_are_compared() {
        assert_eq!(floors("    1  ct\n").len(), 1);
        let sources =
            [Source { path: "core/src/a.rs".into(), text: format!("//! \\{}XYZ99, 1\\]\nfn f(x: Thing) {{}}", '[') }];
        assert_eq!(unknown_papers(&sources, "- [ABC12] A"), ["ARCHITECTURE.md: no paper XYZ99"]);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = "\n## Add\n| `core/src/lib.rs` | x |\n\nNames: `Thing`.\n";
        assert_eq!(recipes(text, &sources, root).len(), 2);
        assert_eq!(recipes("`core/src/no.rs`", &sources, root), ["CONTRIBUTING.md: no file core/src/no.rs"]);
    }
}
