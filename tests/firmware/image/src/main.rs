//! The image: one run, named on QEMU's command line, over static buffers.
#![no_std]
#![no_main]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command_line;
#[cfg(feature = "defmt")]
mod logged;
#[cfg(not(feature = "defmt"))]
mod printed;

use cortex_m_rt::entry;
use firmware_problem::named_runs::Buffers;
#[cfg(feature = "defmt")]
use logged::run;
#[cfg(not(feature = "defmt"))]
use printed::run;

#[entry]
fn main() -> ! {
    // `entry` makes this an exclusive reference to a static.
    static mut BUFFERS: Buffers = Buffers::new();
    let success = run(command_line::read(&mut [0; 64]), BUFFERS);
    firmware_image::exit(success)
}
