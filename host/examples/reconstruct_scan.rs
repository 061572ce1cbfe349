//! A scan in, an image and its certificate out:
//! `cargo run --release --example reconstruct_scan -- [SCAN.npz [IMAGE.npy]]`; without a scan one is simulated.
#![allow(missing_docs)]

use gradus::data::image_files::write_npy;
use gradus::data::samples::Sample;
use gradus::data::scan::Scan;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, PlacedPrior, Settings, reconstruct};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files = std::env::args().skip(1);
    let scan = match files.next() {
        Some(file) => Scan::read(file)?,
        None => simulate(&Sample::Ellipses { seed: 1 }.load()?.image, 1.0, &Simulation::default())?,
    };
    scan.warnings.iter().for_each(|warning| println!("assumed: {warning}"));
    let prior = Prior::named(scan.prior.as_deref().unwrap_or("ellipses"))?;
    let measurement = Measurement::new(&scan)?;
    let result =
        reconstruct(&measurement, &Settings::default(), Some(&PlacedPrior::on_cpu(&prior)), &mut |progress| {
            println!("level {} of {}", progress.done, progress.total);
            ControlFlow::Continue(())
        })?;
    if let Some(certificate) = &result.certificate {
        println!("{} steps of approach, {} tested steps", certificate.approach_steps, certificate.steps);
    }
    if let Some(residual) = &result.residual {
        println!("chi squared a ray: {:.3}", residual.chi_squared());
    }
    if let Some(file) = files.next() {
        write_npy(file, &result.image)?;
    }
    Ok(())
}
