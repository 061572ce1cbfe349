//! Flash of Algorithm 2 with every record logged through defmt; without that feature, of nothing.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_image::exit;

#[cfg(feature = "defmt")]
fn run() -> Option<()> {
    use defmt_semihosting as _;
    use gradus_core::{GradientLike, Request, Solver};
    let (homotopy, candidate, backtracking) = firmware_image::settings(300).ok()?;
    let mut solver = GradientLike::new(homotopy, candidate, backtracking, 0.0).ok()?;
    let mut answers = firmware_image::NoProblem::new(3);
    while !matches!(solver.request(), Request::Done(_)) {
        if let Some(record) = solver.answer(answers.answer(solver.request())).ok()? {
            defmt::info!("{}", record);
        }
    }
    Some(())
}

#[cfg(not(feature = "defmt"))]
const fn run() -> Option<()> {
    Some(())
}

#[entry]
fn main() -> ! {
    exit(run().is_some())
}
