//! The runs as lines of hexadecimal words, and two that only an image has.

mod clock;
mod measure;
mod output;
mod stack;

use clock::Clock;
use firmware_problem::fault::Fault;
use firmware_problem::lines::{Lines, Written};
use firmware_problem::named_runs::{self, Buffers};
use gradus_core::Status;

/// Does what `name` says; whether that went well.
pub fn run(name: &str, buffers: &mut Buffers) -> bool {
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

fn measured(buffers: &mut Buffers, lines: &mut impl Lines) -> Result<Status, Fault> {
    let clock = Clock::start().ok_or(Fault::NoSuchRun)?;
    measure::all(clock, buffers, lines)
}
