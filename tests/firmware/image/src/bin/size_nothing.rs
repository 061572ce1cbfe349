//! The start-up code and the exit, to be subtracted from the sizes of the other images.
#![no_std]
#![no_main]

use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    firmware_image::exit(true)
}
