//! The stand-in's own tests: it must object to every planted fault, and to nothing else.
#![allow(clippy::unwrap_used)]

use gradus_tests::stand_in::{Watch, planted_faults};
use std::process::Command;

#[test]
fn every_planted_fault_is_caught() {
    let program = planted_faults(Watch::UndefinedBehaviour).unwrap();
    let done = Command::new(program).output().unwrap();
    let report = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{report}{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(report.lines().filter(|line| line.starts_with("ok ")).count(), 38, "{report}");
}

/// Run by .ci/run, which makes sure that ThreadSanitizer is there.
#[test]
#[ignore = "needs the library of ThreadSanitizer"]
fn every_planted_race_is_caught() {
    let program = planted_faults(Watch::Races).unwrap();
    let kernels = [
        ("sound", 0),
        ("sound_twice", 0),
        ("missing_barrier", 1),
        ("missing_second_barrier", 1),
        ("unwritten_shared", 0),
        ("copy_waited_for", 0),
        ("scatter", 1),
    ];
    for (kernel, least) in kernels {
        let done = Command::new(&program).args(["races", kernel]).output().unwrap();
        let report = String::from_utf8_lossy(&done.stderr);
        let races = report.matches("WARNING: ThreadSanitizer: data race").count();
        assert!(if least == 0 { races == 0 && done.status.success() } else { races >= least }, "{kernel}: {report}");
    }
}
