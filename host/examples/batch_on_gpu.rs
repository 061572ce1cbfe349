//! Many slices in lockstep, on `cuda:0` where it passes its checks, else on the CPU:
//! `cargo run --release --example batch_on_gpu -- [SLICES]`, 4 of them by default.
//!
//! One pass of the network serves all slices of a batch, each with its own steps; each has the bits that it would have
//! alone.
#![allow(missing_docs)]

use gradus::backend::{DeviceChoice, Precision};
use gradus::data::ellipses::ellipses;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::{Job, Measurement, PlacedPrior, Settings, reconstruct_all};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slices: u64 = std::env::args().nth(1).map_or(Ok(4), |number| number.parse())?;
    let truths: Vec<_> = (1..=slices).map(|seed| ellipses(seed, 128)).collect();
    let mut measurements = Vec::new();
    for truth in &truths {
        measurements.push(Measurement::new(&simulate(truth, 1.0, &Simulation::default())?)?);
    }
    let prior = Prior::named("ellipses")?;
    let prior = PlacedPrior::open(&prior, DeviceChoice::Auto, Precision::Full)?;
    let settings = Settings::default();
    let jobs: Vec<_> = measurements.iter().map(|measurement| Job { measurement, settings: &settings }).collect();
    let start = Instant::now();
    let results = reconstruct_all(&jobs, Some(&prior), &mut |_| ControlFlow::Continue(()))?;
    println!("{slices} slices in {:.2} s", start.elapsed().as_secs_f64());
    for ((truth, result), seed) in truths.iter().zip(results).zip(1..) {
        let result = result?;
        println!("ellipses:{seed} on {}: {:.2} dB", result.device, psnr(truth, &result.image, 1.0)?);
    }
    Ok(())
}
