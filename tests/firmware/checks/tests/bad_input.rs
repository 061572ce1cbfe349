//! Bad input is a typed error and a failing exit; a hang is cut off.
#![allow(missing_docs)]

use firmware_checks::{TIMED_OUT, image, qemu, run, run_here};
use firmware_problem::named_runs::BAD;

#[test]
fn bad_input_fails_by_name() {
    for (name, fault) in BAD {
        let (code, lines) = run(name);
        assert_eq!(code, Some(1), "{name}");
        assert_eq!(lines.last().map(|line| line.name.as_str()), Some(fault), "{name}");
        assert_eq!(lines, run_here(name), "{name}");
        println!("{name}: exit 1, {fault}");
    }
}

#[test]
fn a_hang_is_cut_off() {
    assert_eq!(qemu(&image("firmware-image"), "hang", 2).status.code(), Some(TIMED_OUT));
    println!("hang: cut off after 2 s, exit {TIMED_OUT}");
}
