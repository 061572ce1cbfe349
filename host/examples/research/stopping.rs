//! Stopping by the discrepancy principle: `cargo run --release --example stopping -- [FIRST LAST]`, images
//! `ellipses:FIRST` to `LAST`, by default 101 to 108; 60 views, 10 % noise, the prior `ellipses`, the default method.
//!
//! A run may end at the first level whose iterate no longer explains the data, |A x - y|^2 >= m sigma_y^2: from there
//! on the prior only takes away. For each weight of the prior, in variances of the noise: the level that the rule ends
//! at and its PSNR, beside those of the last level.
#![allow(missing_docs)]

use gradus::backend::{DeviceChoice, Precision};
use gradus::data::ellipses::ellipses;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, PlacedPrior, Settings, discrepancy, reconstruct};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Of each level: the discrepancy of its iterate, and its PSNR in dB.
fn levels(
    truth: &Image,
    measurement: &Measurement,
    settings: &Settings,
    prior: &PlacedPrior<'_>,
) -> Outcome<Vec<[f64; 2]>> {
    let mut iterates = Vec::new();
    reconstruct(measurement, settings, Some(prior), &mut |progress| {
        let mut image = Image::zeros(truth.height, truth.width);
        (progress.copy_iterate)(&mut image.pixels);
        iterates.push(image);
        ControlFlow::Continue(())
    })?;
    iterates.iter().map(|image| Ok([discrepancy(measurement, None, image)?, psnr(truth, image, 1.0)?])).collect()
}

fn main() -> Outcome<()> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let (first, last) = if let [first, last] = arguments[..] { (first, last) } else { (101, 108) };
    let prior = Prior::named("ellipses")?;
    let prior = PlacedPrior::open(&prior, DeviceChoice::Auto, Precision::Full)?;
    let n = (last - first + 1) as f64;
    println!("weight   discrepancy at each level ... |   level  PSNR dB by the rule |   level  PSNR dB at the end");
    for factor in [0.25, 1.0, 4.0, 16.0] {
        let (mut found, mut ended, mut by_level) = ([0.0; 2], [0.0; 2], Vec::new());
        for seed in first..=last {
            let truth = ellipses(seed, 128);
            let measurement = Measurement::new(&simulate(&truth, 1.0, &Simulation::default())?)?;
            let alpha = toml::Value::Float(factor * measurement.noise_std.powi(2));
            let levels = levels(&truth, &measurement, &Settings::default().with("alpha", alpha)?, &prior)?;
            by_level.resize(levels.len(), 0.0);
            by_level.iter_mut().zip(&levels).for_each(|(sum, [discrepancy, _])| *sum += discrepancy / n);
            let end = levels.len() - 1;
            let stop = levels.iter().position(|[discrepancy, _]| *discrepancy >= 1.0).unwrap_or(end);
            for (sums, level) in [(&mut found, stop), (&mut ended, end)] {
                *sums = [sums[0] + (level + 1) as f64 / n, sums[1] + levels[level][1] / n];
            }
        }
        let by_level: Vec<String> = by_level.iter().map(|value| format!("{value:.2}")).collect();
        let [(a, b), (c, d)] = [found, ended].map(|[level, db]| (level, db));
        println!("{factor:6}   {} | {a:7.1} {b:8.2}             | {c:7.1} {d:8.2}", by_level.join(" "));
    }
    Ok(())
}
