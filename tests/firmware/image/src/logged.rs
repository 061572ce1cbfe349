//! The trace through defmt: a record is a few bytes, and the text stays on the host.

use defmt_semihosting as _;
use firmware_problem::named_runs::{self, Buffers};
use firmware_problem::run::Observer;
use gradus_core::Record;

/// Does what `name` says; whether that went well.
pub fn run(name: &str, buffers: &mut Buffers) -> bool {
    let end = named_runs::run(name, buffers, &mut Logged);
    defmt::info!("end {}", end);
    end.is_ok()
}

/// Logs the records that come out of the ring.
struct Logged;

impl Observer for Logged {
    fn accepted(&mut self, _: &[u8], _: &[f32]) {}

    fn record(&mut self, record: &Record) {
        defmt::info!("{}", record);
    }
}
