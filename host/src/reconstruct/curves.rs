//! The course of a descent as curves: Fig. 2 of \[FKD24\].

use super::{Reconstruction, TraceRow};
use crate::report::Curve;
use gradus_core::Outcome;

impl Reconstruction {
    /// PSNR after each iteration, where `psnrs` has them, objective, descent condition and step length; none without a
    /// trace.
    #[must_use]
    pub fn course(&self, psnrs: &[f64]) -> Vec<Curve> {
        let curve = |name: &str, y_label: &str, log_axis, values: &mut dyn Iterator<Item = f64>| Curve {
            name: name.to_owned(),
            x_label: "iteration".to_owned(),
            y_label: y_label.to_owned(),
            log_axis,
            points: (1..).map(f64::from).zip(values).collect(),
        };
        let cosine = |row: &TraceRow| match row.record.outcome {
            Outcome::Approach => f64::NAN,
            _ => row.record.descent_cosine().into(),
        };
        let of_f = "f(x), without the prior's constant";
        let mut objectives = self.trace.iter().map(|row| row.objective.unwrap_or(f64::NAN));
        let mut steps = self.trace.iter().map(|row| f64::from(row.record.step));
        let curves = [
            curve("PSNR", "dB", false, &mut psnrs.iter().copied()),
            curve("Objective", of_f, true, &mut objectives),
            curve("Descent condition", "cosine between -grad f and d", false, &mut self.trace.iter().map(cosine)),
            curve("Step size", "length along d", true, &mut steps),
        ];
        let has_trace = !self.trace.is_empty();
        curves.into_iter().filter(|curve| has_trace && !curve.points.is_empty()).collect()
    }
}
