//! What a run has written is there after a power failure: files and folders are flushed before their names count.

use super::text;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was flushed or named, in order.
#[derive(Debug, PartialEq)]
enum Event {
    Flush(PathBuf),
    Name(PathBuf, PathBuf),
}

/// A library of `tests/cli`, made in `folder`, to be loaded before all others.
pub fn preloaded(folder: &Path, name: &str) -> PathBuf {
    let library = folder.join(format!("{name}.so"));
    let source = format!("{}/../tests/cli/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([&source, "-ldl"]).output();
    let cc = cc.unwrap();
    assert!(cc.status.success(), "{}", text(&cc.stderr));
    library
}

/// Runs the command and watches it.
fn watched(folder: &Path, arguments: &[&str]) -> Vec<Event> {
    let (library, log) = (preloaded(folder, "flushes"), folder.join("flushes.log"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(arguments).env("LD_PRELOAD", &library).env("GRADUS_FLUSHES", &log);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let events = fs::read_to_string(&log).unwrap();
    fs::remove_file(log).unwrap();
    let event = |line: &str| {
        let words: Vec<&str> = line.split('\t').collect();
        if words[0] == "flush" { Event::Flush(words[1].into()) } else { Event::Name(words[1].into(), words[2].into()) }
    };
    events.lines().map(event).collect()
}

/// Follows the final file back to its making: each time it or a folder around it got a name, what got the name had been
/// flushed before, and the folder around it was after.
fn assert_lasting(events: &[Event], file: &Path) {
    let (mut at, mut end) = (file.to_owned(), events.len());
    let mut names = 0;
    let named = |at: &Path, end: usize| {
        events[..end].iter().enumerate().rev().find_map(|(k, event)| match event {
            Event::Name(from, to) => Some((k, from.join(at.strip_prefix(to).ok()?), from.clone(), to.clone())),
            Event::Flush(_) => None,
        })
    };
    while let Some((k, before, from, to)) = named(&at, end) {
        let flushed = |events: &[Event], path: &Path| events.contains(&Event::Flush(path.to_owned()));
        // Under an earlier name is as good.
        let is_flushed = flushed(&events[..k], &from) || named(&before, k).is_some();
        assert!(is_flushed, "{} gets its name before it is flushed", to.display());
        let around = to.parent().unwrap();
        assert!(
            flushed(&events[k..], around),
            "{} is not flushed after {} got its name",
            around.display(),
            to.display()
        );
        (at, end, names) = (before, k, names + 1);
    }
    assert!(names > 0, "{} was never named: {events:?}", file.display());
}

#[test]
fn results_are_flushed_before_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let here = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir(here.join("there")).unwrap();
    for folder in ["new", "there", "far/away"] {
        let events = watched(&here, &["reconstruct", "--method", "fbp", "--angles", "8", "-o", folder]);
        for file in fs::read_dir(here.join(folder)).unwrap() {
            assert_lasting(&events, &file.unwrap().path());
        }
        // A new folder is an entry of the one around it.
        let around = here.join(folder).parent().unwrap().to_owned();
        assert!(folder == "there" || events.contains(&Event::Flush(around)), "{folder}: {events:?}");
    }
    let events = watched(&here, &["simulate", "ellipses:1", "-o", "scan.npz"]);
    assert_lasting(&events, &here.join("scan.npz"));
}
