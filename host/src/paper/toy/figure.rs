//! The six panels of \[FKD24, Fig. 1\], and the rates as csv.

use super::{Algorithm, ITERATIONS, N_T_MAX, PATH_STARTS, REACH, Rates, SIDE, path, t_max};
use crate::report::{Figure, Panel, PanelAxis, PanelPath, ReportError, isolines};
use gradus_core::SettingsError;
use gradus_core::toy::Toy;
use std::fmt::Write;

/// Index of the `t_max` of the paths that are drawn: 1.23, where the flow does best.
const PATH_T_MAX: usize = 30;
/// Grid on which the isolines of `f` are sought.
const GRID: usize = 401;
/// Isolines: values of `f` above its minimum.
const LEVELS: [f64; 10] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.2];
/// Iterations between two rows of [`by_iteration_csv`] and two columns of the panels over iterations.
const EVERY: usize = 10;

/// Reasons for which there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// A panel cannot be drawn.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A path has no schedule.
    #[error("the toy's schedule makes no sense")]
    Settings(#[from] SettingsError),
}

/// The panels of one algorithm, with short names good for files: rate over the plane of starts, rate of the global
/// minimum and rate of stationary points over iteration and `t_max`.
///
/// `rates` must hold every start and every value of `t_max`.
///
/// # Errors
/// [`FigureError`], where a panel cannot be drawn or a path has no schedule.
pub fn panels(rates: &Rates) -> Result<[(&'static str, Figure); 3], FigureError> {
    let what = match rates.algorithm {
        Algorithm::Flow => "Flow",
        Algorithm::GradientLike => "Gradient-like",
    };
    let over_iterations = |quantity: &str, counts: &[Vec<u32>]| Panel {
        title: format!("{what}: {quantity}"),
        quantity: "share of the starts".into(),
        x: PanelAxis { label: "iteration".into(), from: 0.0, to: f64::from(ITERATIONS), log: false },
        y: PanelAxis { label: "t_max".into(), from: t_max(N_T_MAX - 1).into(), to: t_max(0).into(), log: true },
        n_columns: ITERATIONS as usize / EVERY + 1,
        // The smallest t_max is at the lower edge.
        values: counts.iter().rev().flat_map(|counts| thinned(counts, rates.n_starts)).collect(),
        isolines: Vec::new(),
        paths: Vec::new(),
    };
    let mut plane = plane(what, rates)?.figure()?;
    plane.caption +=
        "; red: paths from eight starts (rings) to their ends (dots) with t_max = 1.23; grey: isolines of f";
    Ok([
        ("starts", plane),
        ("global-minimum", over_iterations("at the global minimum", &rates.reached).figure()?),
        ("stationary", over_iterations("at stationary points", &rates.stationary).figure()?),
    ])
}

fn thinned(counts: &[u32], n_starts: usize) -> impl Iterator<Item = f64> {
    counts.iter().step_by(EVERY).map(move |count| f64::from(*count) / n_starts as f64)
}

fn plane(what: &str, rates: &Rates) -> Result<Panel, FigureError> {
    let axis = |label: &str| PanelAxis { label: label.into(), from: (-REACH).into(), to: REACH.into(), log: false };
    let paths = PATH_STARTS.map(|start| -> Result<PanelPath, FigureError> {
        let path = path(rates.algorithm, t_max(PATH_T_MAX), ITERATIONS, start)?;
        Ok(path.into_iter().map(|[x, y]| (x.into(), y.into())).collect())
    });
    Ok(Panel {
        title: format!("{what}: starts that reach (1, 1)"),
        quantity: "share of the 100 values of t_max".into(),
        x: axis("x_1"),
        y: axis("x_2"),
        n_columns: SIDE,
        values: rates.by_start(),
        isolines: isolines_of_f(),
        paths: paths.into_iter().collect::<Result<_, _>>()?,
    })
}

/// Isolines of `f`, whose minimum is at (1, 1).
fn isolines_of_f() -> Vec<PanelPath> {
    let toy = Toy::new();
    let reach = f64::from(REACH);
    let at = |k: f64| -reach + 2.0 * reach * k / (GRID - 1) as f64;
    let point = |k: usize| [at((k % GRID) as f64) as f32, at((k / GRID) as f64) as f32];
    let values: Vec<f64> = (0..GRID * GRID).map(|k| toy.objective(&point(k)).into()).collect();
    let least = f64::from(toy.objective(&gradus_core::toy::MINIMISER));
    LEVELS
        .iter()
        .flat_map(|level| isolines(&values, GRID, least + level, |row, column| (at(column), at(row))))
        .collect()
}

/// Rates after the last iteration: `method,t_max_index,t_max,rate_global_minimum,rate_stationary`.
#[must_use]
pub fn rates_csv(all: &[Rates]) -> String {
    let mut csv = String::from("method,t_max_index,t_max,rate_global_minimum,rate_stationary\n");
    for rates in all {
        for (k, index) in rates.t_max_indices.iter().enumerate() {
            let (global, stationary) = (rates.global_minimum(k), rates.stationary(k));
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(csv, "{},{index},{},{global},{stationary}", rates.algorithm, t_max(*index));
        }
    }
    csv
}

/// Rates after every tenth iteration and the last: `method,t_max_index,iteration,rate_global_minimum,rate_stationary`.
#[must_use]
pub fn by_iteration_csv(all: &[Rates]) -> String {
    let mut csv = String::from("method,t_max_index,iteration,rate_global_minimum,rate_stationary\n");
    for rates in all {
        let n = rates.n_starts as f64;
        for ((index, reached), stationary) in rates.t_max_indices.iter().zip(&rates.reached).zip(&rates.stationary) {
            let last = reached.len() - 1;
            for i in (0..last).step_by(EVERY).chain([last]) {
                let rate = |counts: &[u32]| f64::from(counts[i]) / n;
                let _ = writeln!(csv, "{},{index},{i},{},{}", rates.algorithm, rate(reached), rate(stationary));
            }
        }
    }
    csv
}

/// For every start, the share of the values of `t_max` from which it ends at (1, 1): `method,x_1,x_2,rate`.
#[must_use]
pub fn starts_csv(all: &[Rates], starts: &[[f32; 2]]) -> String {
    let mut csv = String::from("method,x_1,x_2,rate\n");
    for rates in all {
        for ([x, y], rate) in starts.iter().zip(rates.by_start()) {
            let _ = writeln!(csv, "{},{x},{y},{rate}", rates.algorithm);
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every start at the minimum for the second of two values of `t_max`, none for the first.
    fn rates() -> Rates {
        let n = SIDE * SIDE;
        let all = u32::try_from(n).unwrap();
        let rising = |last: u32| (0..=ITERATIONS).map(|i| if i == ITERATIONS { last } else { 0 }).collect::<Vec<_>>();
        Rates {
            algorithm: Algorithm::Flow,
            t_max_indices: vec![0, 99],
            n_starts: n,
            reached: vec![rising(0), rising(all)],
            stationary: vec![rising(all), rising(all / 2)],
            ends: vec![vec![[9.0, 9.0]; n], vec![[1.0, 1.05]; n]],
        }
    }

    #[test]
    fn the_csv_files_hold_the_last_iteration() {
        let all = [rates()];
        let lines: Vec<String> = rates_csv(&all).lines().map(str::to_owned).collect();
        assert_eq!(lines[1..], ["flow,0,10,0,1", "flow,99,0.01,1,0.5"]);
        let by_iteration = by_iteration_csv(&all);
        assert_eq!(by_iteration.lines().count(), 1 + 2 * (ITERATIONS as usize / EVERY + 1));
        assert_eq!(by_iteration.lines().last(), Some("flow,99,1300,1,0.5"));
        assert_eq!(starts_csv(&all, &super::super::starts()).lines().nth(1), Some("flow,-10,-10,0.5"));
    }

    #[test]
    fn panels_have_names_and_words() {
        let panels = panels(&rates()).unwrap();
        assert_eq!(panels.each_ref().map(|panel| panel.0), ["starts", "global-minimum", "stationary"]);
        assert!(panels.iter().all(|(_, figure)| figure.alt.contains("Flow") && figure.png.starts_with(b"\x89PNG")));
        assert!(panels[0].1.caption.contains("t_max = 1.23"));
    }
}
