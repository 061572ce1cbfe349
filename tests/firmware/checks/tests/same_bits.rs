//! The image and this machine compute the same, bit for bit.
#![allow(missing_docs)]

use firmware_checks::{n_steps, run, run_here};

fn compare(name: &str, least_steps: usize) {
    let (code, there) = run(name);
    let here = run_here(name);
    assert_eq!(code, Some(0), "{name}: {:?}", there.last());
    assert_eq!(there.len(), here.len(), "{name}: lines");
    for (k, (there, here)) in there.iter().zip(&here).enumerate() {
        assert_eq!(there, here, "{name}: line {k}");
    }
    let words: usize = here.iter().map(|line| line.words.len()).sum();
    println!("{name}: {} accepted steps, {words} words, same bits in QEMU and here", n_steps(&here));
    assert!(n_steps(&here) >= least_steps);
}

#[test]
fn every_accepted_step_of_the_toy() {
    compare("toy", 900);
    compare("default-toy", 50);
}

#[test]
fn every_accepted_step_of_the_reconstruction() {
    compare("reconstruct", 60);
    compare("default", 20);
}

/// Stopped at every request, resumed from bytes: the same steps as in one go, and as here.
#[test]
fn a_run_that_is_stopped_at_every_request() {
    for (one_go, restarts, least_steps) in [("reconstruct", "restarts", 60), ("default", "default-restarts", 20)] {
        compare(restarts, least_steps);
        let ((_, whole), (_, resumed)) = (run(one_go), run(restarts));
        let steps = |lines: &[firmware_checks::Line], name: &str| {
            lines.iter().filter(|line| line.name == name).cloned().collect::<Vec<_>>()
        };
        for name in ["state", "iterate", "record"] {
            assert_eq!(steps(&whole, name), steps(&resumed, name), "{restarts}: {name}");
        }
    }
}
