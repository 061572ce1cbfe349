//! The user's side: progress, summaries, errors, Ctrl-C.

use crate::ending::Failure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::IntoDiagnostic;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The destination of output.
#[derive(Debug)]
pub struct Terminal {
    quiet: bool,
    json: bool,
}

impl Terminal {
    /// Output as the flags ask for.
    pub fn new(quiet: bool, json: bool) -> Self {
        Self { quiet, json }
    }

    /// A bar over `total` iterations with the time left; hidden when nobody would see it.
    pub fn progress(&self, total: u64, what: &str) -> ProgressBar {
        let hidden = self.quiet || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}, {eta} left  {msg}") {
            bar.set_style(style);
        }
        bar.with_prefix(what.to_owned())
    }

    /// Prints the summary for people, unless they or a machine asked for something else.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        if self.quiet || self.json { Ok(()) } else { print_line(text) }
    }

    /// Prints the object for machines, if asked for.
    pub fn report(&self, value: &serde_json::Value) -> Result<(), Failure> {
        if self.json { print_line(&value.to_string()) } else { Ok(()) }
    }

    /// Warns; to standard error, whatever the flags.
    pub fn warn(&self, text: &str) {
        eprintln!("warning: {text}");
    }
}

/// Prints to standard output. A reader who has gone away has seen enough: that is no failure.
fn print_line(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).into_diagnostic(),
        _ => Ok(()),
    }
}

/// Errors as plain text, without links, coloured only where a person reads them.
pub fn plain_errors() -> Result<(), Failure> {
    miette::set_hook(Box::new(|_| Box::new(miette::MietteHandlerOpts::new().terminal_links(false).width(100).build())))
        .into_diagnostic()
}

/// A flag that Ctrl-C raises; the run then stops at the next iterate. A second Ctrl-C ends the program at once.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(1);
        }
        eprintln!("stopping at the next iterate; press Ctrl-C again to end at once");
    })
    .into_diagnostic()?;
    Ok(flag)
}
