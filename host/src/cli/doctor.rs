//! `gradus doctor`: the devices found, and whether each backend computes what it should on this machine.

use crate::problem::prior;
use crate::terminal::Terminal;
use crate::{End, Failure};
use gradus::backend::cpu::simd_name;
use gradus::doctor::{adjointness, gradient, same_bits};
use miette::IntoDiagnostic;
use serde_json::json;

/// Runs the command; a failed check ends with exit code 1.
pub fn run(terminal: &Terminal) -> Result<End, Failure> {
    let prior = prior("ellipses")?;
    let checks =
        [adjointness().into_diagnostic()?, gradient(&prior).into_diagnostic()?, same_bits(&prior).into_diagnostic()?];
    let passed = checks.iter().all(|check| check.passed());
    let (threads, simd) = (rayon::current_num_threads(), simd_name());
    terminal.report(&json!({
        "devices": [{ "name": "cpu", "threads": threads, "simd": simd, "usable": passed }],
        "checks": checks,
        "passed": passed,
    }))?;
    let mut lines = vec![
        format!("cpu     {threads} threads, {simd}"),
        "cuda    not in this build: no kernel has landed yet".to_owned(),
    ];
    for check in &checks {
        let verdict = if check.passed() { "ok" } else { "FAILED" };
        lines.push(format!("{verdict:<8}{}: {:.1e} (at most {:.0e})", check.what, check.found, check.bound));
    }
    terminal.say(&lines.join("\n"))?;
    Ok(if passed { End::Done } else { End::Unfinished })
}
