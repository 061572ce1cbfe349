//! `gradus evaluate --dm4ct`: one slice of the benchmark, all methods.

use super::arguments::Arguments;
use super::files::in_columns;
use crate::ending::{End, Failure};
use crate::problem::prior_bytes;
use crate::terminal::{Terminal, stop_flag};
use gradus::data::image_files::read_image;
use gradus::paper::dm4ct::{Benchmark, Comparison, Protocol};
use gradus::prior::Prior;
use gradus::reconstruct::PlacedPrior;
use miette::{IntoDiagnostic, WrapErr};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The prior of CT slices.
const PRIOR: &str = "ct";

/// Compares the methods on the slice.
pub fn run(arguments: &Arguments, image: &str, terminal: &Terminal) -> Result<End, Failure> {
    let slice = read_image(image).into_diagnostic()?.image;
    let benchmark = Benchmark::new(slice).into_diagnostic().wrap_err_with(|| image.to_owned())?;
    let name = arguments.prior.as_deref().unwrap_or(PRIOR);
    let bytes = prior_bytes(name)?;
    let prior = Prior::of_file(name, &bytes).into_diagnostic()?;
    let placed = PlacedPrior::open(&prior, arguments.device, arguments.precision).into_diagnostic()?;
    placed.opened.warning().into_iter().for_each(|warning| terminal.warn(warning));
    let stem = Path::new(image).file_stem().unwrap_or_default().to_string_lossy();
    let folder = arguments.output.clone().unwrap_or_else(|| Path::new("runs").join(format!("dm4ct-{stem}")));
    let protocol = Protocol::new(&benchmark, &placed, &bytes);
    let mut comparison = Comparison::open(&folder, &protocol).into_diagnostic()?;
    let stop = stop_flag()?;
    let mut is_done = true;
    for contender in comparison.pending() {
        let bar = terminal.progress(1, contender.title);
        is_done = comparison
            .add(&contender, (&benchmark, &placed), &mut |progress| {
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .into_diagnostic()?;
        bar.finish_and_clear();
        if !is_done {
            break;
        }
    }
    terminal.report(&json!({
        "status": if is_done { "done" } else { "stopped" },
        "rows": comparison.rows(),
        "device": protocol.device,
        "output": folder.display().to_string(),
    }))?;
    let ending = if is_done { "" } else { "stopped; the same command goes on where it was\n" };
    terminal.say(&format!(
        "{}{ending}rows: {}",
        in_columns(&comparison.table()),
        folder.join("results.csv").display()
    ))?;
    Ok(if is_done { End::Done } else { End::Unfinished })
}
