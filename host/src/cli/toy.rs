//! `gradus toy`: the two-dimensional experiment of the paper, Fig. 1.

use crate::ending::{End, Failure};
use crate::flags::by_name;
use crate::run_folder::RunFolder;
use crate::terminal::{Terminal, stop_flag};
use gradus::data::write_atomically;
use gradus::paper::toy::{
    Algorithm, ITERATIONS, N_T_MAX, REFERENCES, Rates, SIDE, Work, by_iteration_csv, panels, rates, rates_csv, starts,
    starts_csv, t_max,
};
use gradus::report::{Figure, Report, Section, Status, Table};
use miette::{IntoDiagnostic, miette};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The whole of Fig. 1, or rates of a part of it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run one algorithm only: flow or gradient-like
    #[arg(long, value_parser = by_name::<Algorithm>)]
    method: Option<Algorithm>,
    /// Run these values of t_max only: indices from 0 (t_max = 10) to 99 (0.01), with commas; prints their rates and
    /// writes files only with --output
    #[arg(long, value_name = "I,...", value_delimiter = ',')]
    t_max_index: Vec<usize>,
    /// Folder of the figure, new or empty [default: runs/toy]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    if let Some(index) = arguments.t_max_index.iter().find(|index| **index >= N_T_MAX) {
        return Err(miette!("--t-max-index has {index}; the indices go from 0 (t_max = 10) to 99 (t_max = 0.01)"));
    }
    let is_part = !arguments.t_max_index.is_empty();
    let named = arguments.output.as_deref();
    let folder = if is_part && named.is_none() { None } else { Some(RunFolder::claim(named, "toy")?) };
    let indices = if is_part { arguments.t_max_index.clone() } else { (0..N_T_MAX).collect() };
    let begin = Instant::now();
    let stop = stop_flag()?;
    let Some(all) = compute(arguments.method, &indices, terminal, &|| stop.load(Ordering::SeqCst))? else {
        terminal.say("stopped; nothing is written")?;
        return Ok(End::Unfinished);
    };
    let seconds = begin.elapsed().as_secs_f64();
    let folder = folder.map(|folder| write(&all, is_part, seconds, folder)).transpose()?;
    terminal.report(&summary_json(&all, folder.as_deref(), seconds))?;
    terminal.say(&summary_text(&all, folder.as_deref(), seconds))?;
    Ok(End::Done)
}

/// The rates of every algorithm asked for; `None` when it was stopped.
pub fn compute(
    method: Option<Algorithm>,
    indices: &[usize],
    terminal: &Terminal,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Vec<Rates>>, Failure> {
    let algorithms = method.map_or(Algorithm::ALL.to_vec(), |method| vec![method]);
    let starts = starts();
    let bar = terminal.progress((algorithms.len() * indices.len() * starts.len()) as u64, "trajectories");
    let mut all = Vec::new();
    for algorithm in algorithms {
        let work = Work { algorithm, t_max_indices: indices.to_vec(), starts: starts.clone(), iterations: ITERATIONS };
        let observe = |done: usize| {
            bar.inc(done as u64);
            !is_stopped()
        };
        match rates(&work, &observe).into_diagnostic()? {
            Some(rates) => all.push(rates),
            None => return Ok(None),
        }
    }
    bar.finish_and_clear();
    Ok(Some(all))
}

/// Writes csv and, for all values of `t_max`, the panels and the page; returns the folder.
fn write(all: &[Rates], is_part: bool, seconds: f64, folder: RunFolder) -> Result<PathBuf, Failure> {
    folder.write("rates.csv", &rates_csv(all))?;
    folder.write("rates-by-iteration.csv", &by_iteration_csv(all))?;
    if !is_part {
        folder.write("starts.csv", &starts_csv(all, &starts()))?;
        let figures = write_panels(all, &|name| folder.file(name))?;
        page(all, figures, seconds).write(folder.file("report.html")).into_diagnostic()?;
    }
    folder.finish()
}

/// Writes the panels as PNGs, where `place` says; `all` must hold all values of `t_max`.
pub fn write_panels(all: &[Rates], place: &dyn Fn(&str) -> PathBuf) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for rates in all {
        for (name, figure) in panels(rates).into_diagnostic()? {
            write_atomically(&place(&format!("{}-{name}.png", rates.algorithm)), &figure.png).into_diagnostic()?;
            figures.push(figure);
        }
    }
    Ok(figures)
}

/// The page of the whole figure.
fn page(all: &[Rates], figures: Vec<Figure>, seconds: f64) -> Report {
    let rows = [
        ("Starts", format!("{SIDE} x {SIDE}, evenly over [-10, 10]^2")),
        ("t_max", format!("{N_T_MAX} values from 10 to 0.01, logarithmically")),
        ("Levels of a trajectory", format!("{ITERATIONS}, from t_max to 0.001, linearly")),
        ("At the global minimum", "|x - (1, 1)| at most 0.1".to_owned()),
        ("At a stationary point", "|grad f(x)| at most 0.1".to_owned()),
    ];
    let rows = rows.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Report {
        title: "Toy experiment".into(),
        method: "both algorithms in the plane [FKD24, Fig. 1]".into(),
        status: Status { text: "done".into(), reached_goal: true },
        highlights: vec![("Seconds".into(), format!("{seconds:.1}"))],
        tables: vec![table(all)],
        figures,
        settings: vec![Section { title: "Experiment".into(), rows }],
        versions: vec![("gradus".into(), env!("CARGO_PKG_VERSION").into())],
        ..Report::default()
    }
}

/// The rates whose reference is known.
pub fn table(all: &[Rates]) -> Table {
    let mut rows = Vec::new();
    for (algorithm, index, reference) in REFERENCES {
        let of = all.iter().find(|rates| rates.algorithm == algorithm);
        if let Some((rates, k)) = of.and_then(|rates| Some((rates, position(rates, index)?))) {
            rows.push(vec![
                format!("{algorithm}, t_max = {}", t_max(index)),
                format!("{:.4}", rates.global_minimum(k)),
                format!("{reference:.4}"),
                format!("{:.4}", rates.stationary(k)),
            ]);
        }
    }
    Table {
        title: "Rates after the last iteration".into(),
        header: ["", "global minimum", "the authors' scripts", "stationary"].map(str::to_owned).to_vec(),
        rows,
        note: format!("of {} starts; rates.csv has all values of t_max", SIDE * SIDE),
    }
}

fn position(rates: &Rates, index: usize) -> Option<usize> {
    rates.t_max_indices.iter().position(|i| *i == index)
}

fn summary_json(all: &[Rates], folder: Option<&Path>, seconds: f64) -> serde_json::Value {
    let of = |rates: &Rates| -> Vec<serde_json::Value> {
        let row = |(k, index): (usize, &usize)| {
            json!({
                "method": rates.algorithm,
                "t_max_index": index,
                "t_max": t_max(*index),
                "rate_global_minimum": rates.global_minimum(k),
                "rate_stationary": rates.stationary(k),
            })
        };
        rates.t_max_indices.iter().enumerate().map(row).collect()
    };
    let rows: Vec<_> = all.iter().flat_map(of).collect();
    json!({ "rates": rows, "starts": SIDE * SIDE, "iterations": ITERATIONS, "seconds": seconds,
        "output": folder.map(|folder| folder.display().to_string()) })
}

fn summary_text(all: &[Rates], folder: Option<&Path>, seconds: f64) -> String {
    let mut lines =
        vec![format!("{:<14} {:>5} {:>9} {:>15} {:>11}", "method", "index", "t_max", "global minimum", "stationary")];
    for rates in all {
        for (k, index) in rates.t_max_indices.iter().enumerate() {
            let is_shown = folder.is_none() || REFERENCES.iter().any(|(a, i, _)| (a, i) == (&rates.algorithm, index));
            if is_shown {
                let (global, stationary) = (rates.global_minimum(k), rates.stationary(k));
                let (method, t_max) = (rates.algorithm.to_string(), t_max(*index));
                lines.push(format!("{method:<14} {index:>5} {t_max:>9.5} {global:>15.4} {stationary:>11.4}"));
            }
        }
    }
    lines.push(format!("{} starts, {ITERATIONS} iterations each; {seconds:.1} s", SIDE * SIDE));
    if let Some(folder) = folder {
        lines.push(format!("output: {}", folder.display()));
    }
    lines.join("\n")
}
