//! The image: one run, named on QEMU's command line, over static buffers.
#![no_std]
#![no_main]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clock;
mod command_line;
#[cfg(feature = "defmt")]
mod logged;
mod measure;
mod output;
mod stack;

use clock::Clock;
use cortex_m_rt::entry;
use firmware_problem::fault::Fault;
use firmware_problem::lines::Lines;
use firmware_problem::named_runs::{self, Buffers};
use gradus_core::Status;

/// The runs of the problem, and two that only an image has.
#[cfg(not(feature = "defmt"))]
fn run(name: &str, buffers: &mut Buffers) -> bool {
    use firmware_problem::lines::Written;
    let mut output = output::Output::new();
    let end = match name {
        "measure" => measured(buffers, &mut output),
        // For the test of the time limit.
        "hang" => loop {
            cortex_m::asm::nop();
        },
        _ => named_runs::run(name, buffers, &mut Written(&mut output)),
    };
    match end {
        Ok(status) => output.line(named_runs::status_name(status), &[]),
        Err(fault) => output.line(fault.name(), &[]),
    }
    end.is_ok()
}

#[cfg(feature = "defmt")]
fn run(name: &str, buffers: &mut Buffers) -> bool {
    let end = named_runs::run(name, buffers, &mut logged::Logged);
    defmt::info!("end {}", end);
    end.is_ok()
}

fn measured(buffers: &mut Buffers, lines: &mut impl Lines) -> Result<Status, Fault> {
    let clock = Clock::start().ok_or(Fault::NoSuchRun)?;
    measure::all(clock, buffers, lines)
}

#[entry]
fn main() -> ! {
    // `entry` makes these exclusive references to statics.
    static mut BUFFERS: Buffers = Buffers::new();
    let success = run(command_line::read(&mut [0; 64]), BUFFERS);
    firmware_image::exit(success)
}
