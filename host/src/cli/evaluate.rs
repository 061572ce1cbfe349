//! `gradus evaluate`: the paper's tables and figures on images, a grid of scans, a challenge on measured data, and a
//! benchmark.

use crate::ending::{End, Failure};
use crate::terminal::{Terminal, stop_flag};
pub use arguments::Arguments;
use arguments::SWEPT;
use gradus::paper::tables::{Dataset, RunEnd, jobs_of, table};
use gradus::ranks::Ranks;
use miette::IntoDiagnostic;
use session::Session;
use std::sync::Arc;

mod arguments;
mod dm4ct;
mod files;
mod grid;
mod htc;
mod paper;
mod range;
mod session;

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal, ranks: &Ranks) -> Result<End, Failure> {
    arguments.check()?;
    if ranks.count() > 1 && !arguments.is_shared() {
        miette::bail!(
            "ranks share out the rows of --table and the runs of --sweep-alpha; start the rest without mpirun"
        );
    }
    if let Some(data) = &arguments.htc {
        return htc::run(arguments, data, terminal);
    }
    if let Some(image) = &arguments.dm4ct {
        return dm4ct::run(arguments, image, terminal);
    }
    let dataset = Dataset::open(&arguments.dataset).into_diagnostic()?;
    dataset.check(arguments.images.unwrap_or(1), SWEPT).into_diagnostic()?;
    let stop = stop_flag()?;
    if arguments.range {
        return range::run(arguments, &dataset, terminal, &stop);
    }
    let session = match Session::open(arguments, dataset, terminal, Arc::clone(&stop), ranks)? {
        Some(session) => session,
        None => return stopped(terminal),
    };
    if arguments.paper { paper::run(arguments, session) } else { parts(arguments, session, ranks) }
}

fn stopped(terminal: &Terminal) -> Result<End, Failure> {
    terminal.say("stopped; the same command goes on where it was")?;
    Ok(End::Unfinished)
}

/// A table, the figures, or only the sweep.
fn parts(arguments: &Arguments, mut session: Session<'_>, ranks: &Ranks) -> Result<End, Failure> {
    let mut is_done = true;
    if let Some(kind) = arguments.table.and_then(table) {
        let (images, starts) = arguments.size(kind, session.evaluation.dataset());
        let mut jobs = jobs_of(kind, images, starts);
        // Each begins at another place and goes round; what others have done it passes over.
        let begin = jobs.len() * ranks.rank() / ranks.count();
        jobs.rotate_left(begin);
        is_done = session.run(&jobs, &format!("table {}", kind.number), &|| false)? == RunEnd::Done;
        ranks.wait();
        session.evaluation.refresh().into_diagnostic()?;
        session.keep_table(kind, images, starts);
    }
    // Pages and figures are the first one's work.
    if !ranks.is_first() {
        return Ok(End::Done);
    }
    if is_done && arguments.figures {
        is_done = session.keep_figures()?;
    }
    session.output.finish(&session.evaluation, is_done, session.terminal)?;
    Ok(if is_done { End::Done } else { End::Unfinished })
}
