//! `gradus evaluate --range`: all methods over a grid of scans.

use super::arguments::{Arguments, SWEPT};
use super::files::in_columns;
use crate::ending::{End, Failure};
use crate::problem;
use crate::terminal::Terminal;
use gradus::data::write_atomically;
use gradus::paper::range::{Bench, Grid, Rows, Setup, heat_maps, table};
use gradus::paper::tables::Dataset;
use gradus::reconstruct::{PlacedPrior, Progress};
use gradus::report::{Report, Status, picture_strip};
use miette::IntoDiagnostic;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Screen pixels a scan in the maps.
const MAGNIFICATION: usize = 32;

/// Makes what is left of the grid.
pub fn run(arguments: &Arguments, dataset: &Dataset, terminal: &Terminal, stop: &AtomicBool) -> Result<End, Failure> {
    let grid = arguments.grid.grid(arguments.images)?;
    dataset.check(grid.images, SWEPT).into_diagnostic()?;
    let prior = problem::prior(arguments.prior.as_deref().unwrap_or(dataset.prior()))?;
    let placed = PlacedPrior::open(&prior, arguments.device, arguments.precision).into_diagnostic()?;
    let folder = folder(arguments);
    let setup = Setup::new(dataset, prior.name(), placed.opened.choice());
    let mut rows = Rows::open(&folder, &setup).into_diagnostic()?;
    let is_done = fill(&grid, &Bench { prior: &placed }, dataset, &mut rows, (terminal, stop))?;
    write(&grid, &rows, &folder, is_done)?;
    terminal.report(&json!({
        "status": status(is_done), "rows": rows.all(), "output": folder.display().to_string(),
    }))?;
    let table = in_columns(&table(&grid, rows.all()));
    let more = if is_done { "" } else { "stopped; the same command goes on where it was\n" };
    terminal.say(&format!("{table}{more}report: {}", folder.join("report.html").display()))?;
    Ok(if is_done { End::Done } else { End::Unfinished })
}

fn status(is_done: bool) -> &'static str {
    if is_done { "done" } else { "stopped" }
}

fn folder(arguments: &Arguments) -> PathBuf {
    let stem = Path::new(&arguments.dataset).file_name().unwrap_or_default().to_string_lossy().into_owned();
    arguments.output.clone().unwrap_or_else(|| Path::new("runs").join(format!("range-{stem}")))
}

/// Makes the cells that have no row yet; false where that was stopped.
fn fill(
    grid: &Grid,
    bench: &Bench<'_>,
    dataset: &Dataset,
    rows: &mut Rows,
    (terminal, stop): (&Terminal, &AtomicBool),
) -> Result<bool, Failure> {
    let cells: Vec<_> = grid.cells().into_iter().filter(|cell| !rows.has(cell)).collect();
    let bar = terminal.progress(cells.len() as u64, "grid");
    for cell in cells {
        let mut go_on = |_: Progress<'_>| {
            if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        bar.set_message(format!("{} views, {} photons, {}", cell.views, cell.photons, cell.method));
        match bench.row(&cell, &dataset.image(cell.image), &mut go_on).into_diagnostic()? {
            Some(row) if !stop.load(Ordering::SeqCst) => rows.add(row).into_diagnostic()?,
            _ => return Ok(false),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(true)
}

fn write(grid: &Grid, rows: &Rows, folder: &Path, is_done: bool) -> Result<(), Failure> {
    let maps = heat_maps(grid, rows.all());
    let strip = picture_strip(&maps, MAGNIFICATION).into_diagnostic()?;
    write_atomically(&folder.join("heat-maps.png"), &strip).into_diagnostic()?;
    let page = Report {
        title: "Methods over a grid of scans".into(),
        method: "views from left to right, photons from top to bottom".into(),
        status: Status { text: status(is_done).into(), reached_goal: is_done },
        tables: vec![table(grid, rows.all())],
        pictures: maps,
        versions: vec![("gradus".into(), env!("CARGO_PKG_VERSION").into())],
        ..Report::default()
    };
    page.write(folder.join("report.html")).into_diagnostic()
}
