//! The certificate of a run in the words of the report, the summary and `--json`.
//!
//! The theorem says that every limit point is stationary, if directions are bounded (Definition 3.1 (a)), descend on
//! `f` (Definition 3.1 (b), eq. 13), and every step passes Armijo's test. A run shows these, step by step.

use gradus_core::Certificate;
use serde_json::{Value, json};

/// Findings that may not pass in silence.
pub fn warnings(c: &Certificate) -> Vec<String> {
    let mut warnings = Vec::new();
    if c.failed_searches > 0 {
        warnings.push(format!("{} line searches found no step; the trace names their levels", c.failed_searches));
    }
    if c.ascending_steps > 0 {
        let steps = c.ascending_steps;
        warnings.push(format!("{steps} steps went along directions that do not descend on the objective"));
    }
    if c.unsolved_systems > 0 {
        let systems = c.unsolved_systems;
        warnings.push(format!(
            "{systems} linear systems were not solved by the steps they had; the trace names their levels, and a \
             larger solve_most in the settings gives them more"
        ));
    }
    if !c.gradient_norm.is_finite() {
        warnings.push("the gradient of the objective at the result is not finite".to_owned());
    }
    warnings
}

/// The object for machines; numbers that are not finite become null.
pub fn json(c: &Certificate) -> Value {
    json!({
        "gradient_norm": c.gradient_norm,
        "largest_direction": c.largest_direction,
        "least_descent": c.least_descent,
        "least_cosine": c.least_cosine,
        "approach_steps": c.approach_steps,
        "steps": c.steps,
        "ascending_steps": c.ascending_steps,
        "skipped_levels": c.skipped_levels,
        "failed_searches": c.failed_searches,
        "unsolved_systems": c.unsolved_systems,
        "every_step_descended": c.every_step_descended(),
    })
}

/// Two lines for people.
pub fn text(c: &Certificate) -> String {
    let approach =
        if c.approach_steps > 0 { format!("{} steps of approach, ", c.approach_steps) } else { String::new() };
    format!(
        "{approach}{} steps, {} of them ascending; {} levels left without a step, {} failed line searches\n  \
         at the end |grad f| = {:.3e}; largest |d| {:.3e}; least -<grad f, d> {:.3e}, least cosine {:.4}",
        c.steps,
        c.ascending_steps,
        c.skipped_levels,
        c.failed_searches,
        c.gradient_norm,
        c.largest_direction,
        c.least_descent,
        c.least_cosine
    )
}

/// The rows of the page's table.
pub fn rows(c: &Certificate) -> Vec<(&'static str, String)> {
    vec![
        ("|grad f| at the end", format!("{:.4e}", c.gradient_norm)),
        ("Largest |d|, Definition 3.1 (a)", format!("{:.4e}", c.largest_direction)),
        ("Least -<grad f, d>, Definition 3.1 (b)", format!("{:.4e}", c.least_descent)),
        ("Least cosine between -grad f and d", format!("{:.4}", c.least_cosine)),
        ("Levels left without a step, adaptive schedule", c.skipped_levels.to_string()),
        ("Line searches without a passing trial", c.failed_searches.to_string()),
        ("Linear systems that were not solved", c.unsolved_systems.to_string()),
        ("Untested steps of the approach", c.approach_steps.to_string()),
        ("Steps", c.steps.to_string()),
        ("Steps along ascending directions", c.ascending_steps.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_in_silence() {
        let good = Certificate { gradient_norm: 1.0, ..Certificate::default() };
        assert!(warnings(&good).is_empty());
        assert_eq!(warnings(&Certificate { failed_searches: 2, ascending_steps: 1, ..good }).len(), 2);
        assert_eq!(warnings(&Certificate { unsolved_systems: 1, ..good }).len(), 1);
        assert_eq!(warnings(&Certificate { gradient_norm: f32::NAN, ..good }).len(), 1);
        assert!(json(&good)["least_descent"].is_null(), "before the first step it is infinite");
    }
}
