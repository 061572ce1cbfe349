//! `gradus completions`.

use super::{gradus, listing, message, text};
use std::fs;

#[test]
fn every_shell_and_the_manual_know_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let commands = ["reconstruct", "simulate", "train", "toy", "evaluate", "inspect", "doctor"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = gradus(dir.path(), &["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{}", message(&output));
        let script = text(&output.stdout);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
        assert!(script.contains("every-view"), "{shell} lacks a flag");
    }
    assert!(listing(dir.path()).is_empty());
    assert_eq!(gradus(dir.path(), &["completions", "--man", "man"]).status.code(), Some(0));
    let pages = listing(&dir.path().join("man"));
    for command in commands {
        assert!(pages.contains(&format!("gradus-{command}.1")), "{pages:?}");
    }
    assert!(fs::read_to_string(dir.path().join("man/gradus-reconstruct.1")).unwrap().contains("method"));
}

#[test]
fn unknown_shells_and_nothing_at_all_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["completions", "tcsh"][..], &["completions"]] {
        assert_eq!(gradus(dir.path(), arguments).status.code(), Some(2));
    }
    fs::write(dir.path().join("taken"), "").unwrap();
    let output = gradus(dir.path(), &["completions", "--man", "taken"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(message(&output).contains("taken"), "{}", message(&output));
}
