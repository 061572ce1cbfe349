//! The `gradus` command.

mod claim;
mod compare;
mod completions;
mod config;
mod convert;
mod doctor;
mod ending;
mod evaluate;
mod flags;
#[cfg(test)]
mod guide_tests;
mod inspect;
mod mended;
mod problem;
mod reconstruct;
mod run_folder;
mod scan_flags;
mod simulate;
mod terminal;
mod toy;
mod train;

use clap::{CommandFactory, Parser, Subcommand};
use ending::{End, Failure};
use gradus::ranks::Ranks;
use miette::IntoDiagnostic;
use std::process::ExitCode;
use std::rc::Rc;
use terminal::Terminal;

/// The version, with the commit that it was built from and its features, both from `build.rs`.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("GRADUS_COMMIT"), ", features ", env!("GRADUS_FEATURES"), ")");

/// Reconstruct CT images from few, noisy measurements by graduated optimisation with a learned prior.
#[derive(Debug, Parser)]
#[command(name = "gradus", version = VERSION, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Threads to compute with [default: all cores]; results do not depend on it
    #[arg(long, global = true, value_name = "N", help_heading = "Every command")]
    threads: Option<usize>,
    /// Refuse work that takes more memory than this many MiB [default: what the system has]
    #[arg(long, global = true, value_name = "MIB", help_heading = "Every command")]
    max_memory: Option<u64>,
    /// No progress bar and no summary
    #[arg(long, short, global = true, help_heading = "Every command")]
    quiet: bool,
    /// Print one JSON object instead of the summary
    #[arg(long, global = true, help_heading = "Every command")]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconstruct a scan, or a sample or image through a simulated scan; the main job
    #[command(allow_negative_numbers = true)]
    Reconstruct(Box<reconstruct::Arguments>),
    /// Simulate a measured sinogram of an image
    #[command(allow_negative_numbers = true)]
    Simulate(simulate::Arguments),
    /// Make a scan of what a scanner or another program wrote, and correct it
    #[command(allow_negative_numbers = true)]
    Convert(convert::Arguments),
    /// Train a prior, or go on with a training run
    Train(train::Arguments),
    /// The paper's experiment in the plane: both algorithms from 10^4 starts, Fig. 1
    Toy(toy::Arguments),
    /// The paper's tables and figures on images, ours beside the paper's; resumable
    Evaluate(evaluate::Arguments),
    /// Put finished runs side by side in one page, with the differences of their pictures
    Compare(compare::Arguments),
    /// Say what a scan, an image or a weights file contains and whether it is usable
    Inspect(inspect::Arguments),
    /// Name the devices found and check each backend on this machine
    Doctor,
    /// Print the completions of a shell, or write the manual pages
    Completions(completions::Arguments),
}

/// Bytes of stack that commands get, whatever the limit for the first thread is.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    let command = || {
        let cli = Cli::parse();
        match run(&cli) {
            Ok(End::Done) => 0,
            Ok(End::Unfinished) => 1,
            Err(failure) => {
                terminal::complain(&format!("{failure:?}"));
                2
            }
        }
    };
    match std::thread::Builder::new().stack_size(STACK).spawn(command).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => ExitCode::from(code),
        // What panicked has said so.
        Ok(Err(_)) => ExitCode::from(PANICKED),
        Err(error) => {
            terminal::complain(&format!("cannot start a thread: {error}"));
            ExitCode::from(2)
        }
    }
}

/// The code that Rust's programs end with when they panic.
const PANICKED: u8 = 101;

fn run(cli: &Cli) -> Result<End, Failure> {
    terminal::plain_errors()?;
    let ranks = Rc::new(Ranks::join().into_diagnostic()?);
    let own_share = (ranks.count() > 1).then(|| ranks.threads());
    if let Some(threads) = cli.global.threads.or(own_share) {
        if threads == 0 {
            miette::bail!("--threads is 0; give at least 1");
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|error| miette::miette!("cannot start {threads} threads: {error}"))?;
    }
    if let Some(mebibytes) = cli.global.max_memory {
        gradus::limits::set_memory(mebibytes.saturating_mul(1 << 20));
    }
    let speaks = ranks.is_first();
    let terminal = if speaks { Terminal::new(cli.global.quiet, cli.global.json) } else { Terminal::mute() };
    let ended = command(cli, &terminal, &ranks);
    if let (Err(failure), true) = (&ended, ranks.count() > 1) {
        terminal::complain(&format!("{failure:?}"));
        // The others would wait for this one.
        ranks.end_all();
    }
    ended
}

fn command(cli: &Cli, terminal: &Terminal, ranks: &Rc<Ranks>) -> Result<End, Failure> {
    match &cli.command {
        Command::Reconstruct(arguments) => reconstruct::run(arguments, terminal, ranks),
        Command::Train(arguments) => train::run(arguments, terminal, ranks),
        Command::Evaluate(arguments) => evaluate::run(arguments, terminal, ranks),
        _ if ranks.count() > 1 => {
            miette::bail!("this command runs alone; start it without mpirun")
        }
        Command::Simulate(arguments) => simulate::run(arguments, terminal),
        Command::Convert(arguments) => convert::run(arguments, terminal),
        Command::Toy(arguments) => toy::run(arguments, terminal),
        Command::Compare(arguments) => compare::run(arguments, terminal),
        Command::Inspect(arguments) => inspect::run(arguments, terminal),
        Command::Doctor => doctor::run(terminal),
        Command::Completions(arguments) => completions::run(arguments, Cli::command()),
    }
}
