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
    mute: bool,
}

impl Terminal {
    /// Output as the flags ask for.
    pub fn new(quiet: bool, json: bool) -> Self {
        Self { quiet, json, mute: false }
    }

    /// No output at all but errors: another rank speaks.
    pub fn mute() -> Self {
        Self { quiet: true, json: false, mute: true }
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
        if self.quiet || self.json { Ok(()) } else { print_line(&shown(text)) }
    }

    /// Prints the object for machines, if asked for.
    pub fn report(&self, value: &serde_json::Value) -> Result<(), Failure> {
        let escaped = |c: char| format!("\\u{:04x}", u32::from(c));
        if self.json { print_line(&harmless(&value.to_string(), escaped)) } else { Ok(()) }
    }

    /// Warns; to standard error, whatever the flags.
    pub fn warn(&self, text: &str) {
        if !self.mute {
            complain(&format!("warning: {text}"));
        }
    }
}

/// Prints to standard error. Where nobody can read it, the exit code says what there is to say.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(text));
}

/// Text from files and names, for people.
fn shown(text: &str) -> String {
    harmless(text, |c| c.escape_unicode().to_string())
}

/// The text as a terminal may show it: characters that move its cursor, change its state or turn the direction of
/// writing are escaped.
fn harmless(text: &str, escaped: impl Fn(char) -> String) -> String {
    let acts = |c: char| {
        let turns =
            matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        turns || (c.is_control() && !matches!(c, '\n' | '\t'))
    };
    text.chars().map(|c| if acts(c) { escaped(c) } else { c.to_string() }).collect()
}

/// Prints to standard output. A reader who has gone away has seen enough: that is no failure.
fn print_line(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).into_diagnostic(),
        _ => Ok(()),
    }
}

/// Errors as plain text, without links and colours: an escape code in them comes from a file, and is shown as such.
pub fn plain_errors() -> Result<(), Failure> {
    let options = || miette::MietteHandlerOpts::new().terminal_links(false).color(false).width(100);
    miette::set_hook(Box::new(move |_| Box::new(options().build()))).into_diagnostic()
}

/// A flag that Ctrl-C raises; the run then stops at the next iterate. A second Ctrl-C ends the program at once.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(1);
        }
        complain("stopping at the next iterate; press Ctrl-C again to end at once");
    })
    .into_diagnostic()?;
    Ok(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        let hostile = "field \u{1b}]0;owned\u{7}\r\u{9b}1m a\u{202e}b\u{2066}c";
        assert_eq!(shown(hostile), "field \\u{1b}]0;owned\\u{7}\\u{d}\\u{9b}1m a\\u{202e}b\\u{2066}c");
        assert_eq!(shown("Größe 1 µm\n\t│ ╰─▶"), "Größe 1 µm\n\t│ ╰─▶");
    }
}
