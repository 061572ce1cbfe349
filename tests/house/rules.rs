//! What the house promises, each rule with the sentences that name what breaks it.

use crate::modules::Arrow;
use crate::source::{Code, Source};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Longest line.
pub const COLUMNS: usize = 120;
/// Most lines of a file, tests apart.
const LINES: usize = 399;
/// Lines of a function that is not long, and the most functions that are.
const FUNCTION_LINES: usize = 40;
const LONG_FUNCTIONS: usize = 7;
/// Crates that people use.
const PRODUCT: [&str; 3] = ["core/src/", "cuda-kernels/src/", "host/src/"];
/// The host's folders and files, from the ground up; an arrow may stay on its floor or run down.
pub const FLOORS: [&[&str]; 7] = [
    &["limits", "image", "ranks", "read", "test_support", "vector"],
    &["ct", "prior", "unet", "metrics"],
    &["memory"],
    &["backend", "data", "doctor", "raw", "report", "simulate", "trust"],
    &["reconstruct", "series"],
    &["paper", "train"],
    &["cli"],
];
/// The folder whose files stand on [`FLOORS`].
const HOST: &str = "host/src/";
/// Folders that do not name each other though they share a floor.
const APART: [(&str, &str); 1] = [("host/src/backend/cpu/", "host/src/backend/cuda/")];

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The shortest circle through each group of files that lead to each other.
#[must_use]
pub fn circles(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let mut graph = Graph::new();
    for arrow in arrows.iter().filter(|arrow| !arrow.hands_on) {
        graph.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for &file in graph.keys() {
        if let Some(circle) = circle_through(&graph, file)
            && !circle.iter().any(|file| seen.contains(file))
        {
            found.push(format!("a circle: {}", circle.join(" > ")));
            seen.extend(circle);
        }
    }
    found
}

/// The shortest way from a file back to itself.
fn circle_through<'a>(graph: &Graph<'a>, file: &'a str) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = VecDeque::from([file]);
    while let Some(at) = open.pop_front() {
        for &next in graph.get(at).into_iter().flatten() {
            if next == file {
                let mut way = vec![file, at];
                while way.last() != Some(&file) {
                    way.push(before[way[way.len() - 1]]);
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(next) {
                before.insert(next, at);
                open.push_back(next);
            }
        }
    }
    None
}

/// The arrows between the host's folders.
#[must_use]
pub fn between_folders(arrows: &BTreeSet<Arrow>) -> BTreeSet<Arrow> {
    let between = |arrow: &Arrow| {
        let (from, to) = (folder(&arrow.from)?.to_owned(), folder(&arrow.to)?.to_owned());
        (from != to).then_some(Arrow { from, to, hands_on: false })
    };
    arrows.iter().filter_map(between).collect()
}

/// The folder of a file of the host, or the file itself where it lies in none.
fn folder(file: &str) -> Option<&str> {
    Some(file.strip_prefix(HOST)?.split('/').next()?.trim_end_matches(".rs"))
}

/// The floor of a file of the host; the root of its library stands nowhere.
fn floor(file: &str) -> Option<usize> {
    let top = folder(file)?;
    FLOORS.iter().position(|floor| floor.contains(&top))
}

/// Arrows that run up, or between folders that are to be apart.
#[must_use]
pub fn wrong_arrows(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let up = arrows.iter().filter(|arrow| floor(&arrow.from).zip(floor(&arrow.to)).is_some_and(|(from, to)| from < to));
    let apart = |arrow: &&Arrow| APART.iter().any(|(a, b)| arrow.from.starts_with(a) && arrow.to.starts_with(b));
    let up = up.map(|arrow| format!("an arrow up the floors: {} > {}", arrow.from, arrow.to));
    let across = arrows.iter().filter(apart).map(|arrow| format!("folders apart: {} > {}", arrow.from, arrow.to));
    up.chain(across).collect()
}

/// Files of the host that [`FLOORS`] do not place.
#[must_use]
pub fn nowhere(sources: &[Source]) -> Vec<String> {
    let host = sources.iter().map(|source| source.path.as_str()).filter(|path| path.starts_with(HOST));
    let lost = host.filter(|path| floor(path).is_none() && *path != "host/src/lib.rs");
    lost.map(|path| format!("{path}: on no floor")).collect()
}

/// What is wrong with the text of a file.
#[must_use]
pub fn text(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut found = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS {
            found.push(format!("{path}:{}: {columns} columns", at + 1));
        }
    }
    if !path.ends_with(".rs") {
        return found;
    }
    let code = source.code();
    let lines = source.text.lines().count().saturating_sub(code.test_lines);
    if lines > LINES {
        found.push(format!("{path}: {lines} lines without its tests"));
    }
    if code.text.contains(concat!("#[", "path")) {
        found.push(format!("{path}: a module by path; put the file where its module is"));
    }
    if path.starts_with(HOST) && !path.starts_with("host/src/cli/") && source.text.contains("clap") {
        found.push(format!("{path}: clap outside of the command line"));
    }
    found
}

/// The long functions of what people use, if there are too many.
#[must_use]
pub fn long_functions(sources: &[Source]) -> Vec<String> {
    let codes: Vec<(&str, Code)> = sources.iter().map(|source| (source.path.as_str(), source.code())).collect();
    let of_tests: BTreeSet<String> = codes.iter().flat_map(|(path, code)| test_files(path, code)).collect();
    let is_product = |path: &str| PRODUCT.iter().any(|folder| path.starts_with(folder)) && !of_tests.contains(path);
    let mut found = Vec::new();
    for (path, code) in codes.iter().filter(|(path, _)| path.ends_with(".rs") && is_product(path)) {
        let long = code.functions().into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES);
        found.extend(long.map(|(name, lines)| format!("{path}: {name} has {lines} lines")));
    }
    if found.len() > LONG_FUNCTIONS { found } else { Vec::new() }
}

/// The files of the modules of a file that only tests see.
fn test_files(path: &str, code: &Code) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let folder = ["/mod", "/lib", "/main"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem);
    code.test_modules.iter().map(|name| format!("{folder}/{name}.rs")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str) -> Arrow {
        Arrow { from: from.into(), to: to.into(), hands_on: false }
    }

    fn of(path: &str, text: &str) -> Vec<String> {
        super::text(&Source { path: path.into(), text: text.into() })
    }

    #[test]
    fn circles_are_found_and_named_once() {
        let round = BTreeSet::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d")]);
        assert_eq!(circles(&round), ["a circle: a > b > c > a"]);
        let straight = BTreeSet::from([arrow("a", "b"), arrow("a", "c"), arrow("b", "c")]);
        assert_eq!(circles(&straight), Vec::<String>::new());
    }

    #[test]
    fn folders_make_no_circle_either() {
        let files = [("host/src/ct/a.rs", "host/src/unet/b.rs"), ("host/src/unet/c.rs", "host/src/ct/d.rs")];
        let arrows = files.into_iter().map(|(from, to)| arrow(from, to)).collect();
        assert_eq!(circles(&arrows), Vec::<String>::new());
        assert_eq!(circles(&between_folders(&arrows)), ["a circle: ct > unet > ct"]);
    }

    #[test]
    fn arrows_run_down() {
        let down = arrow("host/src/cli/a.rs", "host/src/ct/b.rs");
        let up = arrow("host/src/ct/b.rs", "host/src/backend/mod.rs");
        let hands_on = Arrow { hands_on: true, ..arrow("host/src/read.rs", "host/src/data/a.rs") };
        let across = arrow("host/src/backend/cpu/a.rs", "host/src/backend/cuda/b.rs");
        assert_eq!(wrong_arrows(&BTreeSet::from([down])), Vec::<String>::new());
        assert_eq!(wrong_arrows(&BTreeSet::from([up, hands_on, across])).len(), 3);
        assert_eq!(nowhere(&[Source { path: "host/src/new/a.rs".into(), text: String::new() }]).len(), 1);
    }

    #[test]
    fn long_functions_are_found_where_people_use_them() {
        let body = "a;\n".repeat(40);
        let text = (0..=LONG_FUNCTIONS).map(|k| format!("fn f{k}() {{\n{body}}}\n")).collect::<String>();
        let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let found = |sources: &[Source]| long_functions(sources).len();
        assert_eq!(found(&[file("core/src/a.rs", &text)]), LONG_FUNCTIONS + 1);
        assert_eq!(found(&[file("core/src/a.rs", &text.replacen(&body, "", 1))]), 0);
        assert_eq!(found(&[file("host/tests/a.rs", &text)]), 0);
        let sources = [file("core/src/a/b.rs", &text), file("core/src/a/mod.rs", "#[cfg(test)]\nmod b;\n")];
        assert_eq!(found(&sources), 0);
    }

    #[test]
    fn texts_are_measured() {
        assert_eq!(of("a.cu", &"é".repeat(120)), Vec::<String>::new());
        assert_eq!(of("a.cu", &format!("\n{}", "é".repeat(121))), ["a.cu:2: 121 columns"]);
        assert_eq!(of("a.rs", &"a;\n".repeat(400)), ["a.rs: 400 lines without its tests"]);
        assert_eq!(of("a.rs", &format!("{}#[cfg(test)]\nmod b {{\n}}", "a;\n".repeat(399))), Vec::<String>::new());
        assert_eq!(of("a.rs", concat!("#[", "path = \"b.rs\"]\nmod b;")).len(), 1);
        assert_eq!(of("host/src/ct/a.rs", "use clap::Args;").len(), 1);
        assert_eq!(of("host/src/cli/a.rs", "use clap::Args;"), Vec::<String>::new());
    }
}
