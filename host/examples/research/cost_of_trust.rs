//! The cost of what a run says about its picture, beyond the runs of the mean:
//! `cargo run --release --example cost_of_trust -- FILE.npz:[SLICE]`
//!
//! A slice in HU, 60 views, 5 % noise, the prior `ct`, a mean of 4 runs, of which those after the first go on from it.
//! Each part's time is the median of so many repetitions, and stands beside its share of the time of a single run; run
//! and parts take turns, so that other work on the machine disturbs both alike.
#![allow(missing_docs)]

use gradus::ct::{Window, hu_to_network};
use gradus::data::image_files::read_image;
use gradus::image::Image;
use gradus::prior::Prior;
use gradus::reconstruct::{
    Interval, Job, Measurement, Method, PlacedPrior, Settings, SolvedSettings, field_of, reconstruct, rival,
};
use gradus::simulate::{Simulation, simulate};
use gradus::trust::{Effort, Look};
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

const ROUNDS: usize = 7;
const RUNS: u32 = 4;
const PIXEL_MM: f64 = 1.5;
const RUN: &str = "a run";
const MEAN: &str = "the mean of 4";
const PARTS: [&str; 9] = [
    "field of view",
    RUN,
    MEAN,
    "filtered backprojection",
    "residual",
    "causes",
    "what the data determine",
    "interval",
    "look",
];

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a slice in HU, as FILE.npz:[SLICE]")?;
    let image = read_image(&path)?.image;
    let truth = Image { pixels: image.pixels.iter().map(|hu| hu_to_network(*hu)).collect(), ..image };
    let scan = simulate(&truth, PIXEL_MM, &Simulation { angles: 60, noise: 0.05, seed: 1, ..Simulation::default() })?;
    let prior = Prior::named("ct")?;
    let (measurement, placed) = (Measurement::suiting(&scan, &prior)?, PlacedPrior::on_cpu(&prior));
    let settings = Settings::Solved(SolvedSettings { average: RUNS, ..SolvedSettings::default() });
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut begin = Instant::now();
        let mut ended = PARTS.into_iter();
        let mut end = || {
            times.entry(ended.next().unwrap_or_default()).or_default().push(begin.elapsed().as_secs_f64());
            begin = Instant::now();
        };
        field_of(&scan)?;
        end();
        reconstruct(&measurement, &Settings::default(), Some(&placed), &mut |_| ControlFlow::Continue(()))?;
        end();
        let result = reconstruct(&measurement, &settings, Some(&placed), &mut |_| ControlFlow::Continue(()))?;
        end();
        let fbp = measurement.filtered_backprojection(Window::Hann)?;
        end();
        measurement.residual(&result.image)?;
        end();
        let better = rival(&measurement, Method::Solved, &result, &fbp)?;
        measurement.causes(Method::Solved, &result, better.as_ref())?;
        end();
        let _ = measurement.parts(&result.image, Effort::USUAL)?.shares();
        end();
        let job = Job { measurement: &measurement, settings: &settings };
        Interval::of(&result, &prior, &scan, job).ok_or("no interval")??;
        end();
        Look::at(&result.image, &prior)?;
        end();
    }
    let median = |name: &str| {
        let mut own = times.get(name).cloned().unwrap_or_default();
        own.sort_by(f64::total_cmp);
        own.get(own.len() / 2).copied().unwrap_or(f64::NAN)
    };
    println!("| part | ms | % of a run |\n|---|---|---|");
    let run = median(RUN);
    let row = |name: &str, seconds: f64| println!("| {name} | {:.1} | {:.1} |", 1e3 * seconds, 100.0 * seconds / run);
    PARTS.into_iter().for_each(|name| row(name, median(name)));
    row("all but the runs", PARTS.into_iter().filter(|name| ![RUN, MEAN].contains(name)).map(median).sum());
    Ok(())
}
