//! `gradus completions`: what shells and `man` know of the commands, from their one definition.

use crate::ending::{End, Failure};
use clap::Command;
use clap_complete::{Shell, generate};
use gradus::data::write_atomically;
use miette::{IntoDiagnostic, WrapErr};
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell whose completions are printed
    #[arg(required_unless_present = "man")]
    shell: Option<Shell>,
    /// Write the manual pages, gradus.1 and one for each command, into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "shell")]
    man: Option<PathBuf>,
}

/// Runs the command; `gradus` is the definition of all commands.
pub fn run(arguments: &Arguments, mut gradus: Command) -> Result<End, Failure> {
    if let Some(shell) = arguments.shell {
        let mut script = Vec::new();
        generate(shell, &mut gradus, "gradus", &mut script);
        print(&script)?;
    }
    if let Some(folder) = &arguments.man {
        gradus.build();
        write_pages(&gradus, folder)?;
    }
    Ok(End::Done)
}

/// Prints; that the reader stops reading is no error.
fn print(script: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).into_diagnostic(),
        _ => Ok(()),
    }
}

/// The page of a command and those of the commands below it.
fn write_pages(command: &Command, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).into_diagnostic().wrap_err_with(|| format!("cannot make {}", folder.display()))?;
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).into_diagnostic()?;
    write_atomically(&folder.join(format!("{name}.1")), &page).into_diagnostic()?;
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    below.into_iter().try_for_each(|below| write_pages(below, folder))
}
