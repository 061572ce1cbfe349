//! The trace through defmt: a record is a few bytes, and the text stays on the host.

use firmware_problem::run::Observer;
use gradus_core::Record;

use defmt_semihosting as _;

/// Logs the records that come out of the ring.
pub struct Logged;

impl Observer for Logged {
    fn accepted(&mut self, _: &[u8], _: &[f32]) {}

    fn record(&mut self, record: &Record) {
        defmt::info!("{}", record);
    }
}
