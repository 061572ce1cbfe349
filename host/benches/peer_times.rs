//! Times of the work that `benches/peers.py` also gives to other software, as JSON in seconds: medians, and for fans
//! the fastest runs.
//!
//! `peer_times [--rounds N] [--iterations N] [--problem FOLDER] [--fans only] [--projectors only]`: the folder
//! receives the problem that Algorithm 2 is run on, as raw little-endian `f32` files and `problem.json`, so that both
//! sides solve the same one.
#![allow(missing_docs)]

mod common;

use common::{Outcome, Passes, Projections, Training, algorithm_2, measurement, pool, prior, time};
use gradus::reconstruct::{GradientLikeSettings, GraduatedSettings, Measurement, Settings};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Instant;

const SIZE: usize = 128;
const THREADS: [usize; 2] = [1, 2];
const FAN_SIZE: usize = 256;
const FAN_VIEWS: [usize; 2] = [60, 720];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut runs, mut iterations, mut fans_only, mut projectors_only) = (15, 300, false, false);
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--rounds" => runs = value.parse()?,
            [name, value] if name == "--iterations" => iterations = value.parse()?,
            [name, folder] if name == "--problem" => write_problem(Path::new(folder), &measurement(SIZE)?)?,
            [name, value] if name == "--fans" && value == "only" => fans_only = true,
            [name, value] if name == "--projectors" && value == "only" => projectors_only = true,
            _ => return Err("peer_times takes what its first lines say".into()),
        }
    }
    let mut times = Map::new();
    if projectors_only {
        THREADS.into_iter().try_for_each(|threads| projector(&mut times, threads, runs))?;
        println!("{}", json!({ "seconds": times }));
        return Ok(());
    }
    for threads in THREADS {
        fans(&mut times, threads, runs)?;
    }
    if fans_only {
        println!("{}", json!({ "seconds": times }));
        return Ok(());
    }
    for threads in THREADS {
        network(&mut times, threads, runs)?;
        projector(&mut times, threads, runs)?;
        training(&mut times, threads, runs)?;
    }
    let run = pool(2)?.install(|| algorithm_2(&measurement(SIZE)?, iterations))?;
    let report = json!({
        "seconds": times,
        "algorithm_2": {
            "seconds_per_iteration": run.seconds_per_iteration,
            "iterations": run.iterations,
            "counters": run.counters,
            "objective": run.objective,
        },
    });
    println!("{report}");
    Ok(())
}

fn network(times: &mut Map<String, Value>, threads: usize, runs: usize) -> Outcome<()> {
    let pool = pool(threads)?;
    for batch in [1, 8] {
        let mut passes = pool.install(|| Passes::new(SIZE, batch))?;
        let (_, energy) = pool.install(|| time(runs, || passes.energy()));
        let (_, score) = pool.install(|| time(runs, || passes.score()[0]));
        times.insert(format!("energy, batch {batch}, {threads} threads"), energy.into());
        times.insert(format!("energy and score, batch {batch}, {threads} threads"), score.into());
    }
    Ok(())
}

fn projector(times: &mut Map<String, Value>, threads: usize, runs: usize) -> Outcome<()> {
    let pool = pool(threads)?;
    for size in [128, 256] {
        let mut projections = pool.install(|| Projections::new(size))?;
        let (fastest_forward, forward) = pool.install(|| time(3 * runs, || projections.forward_project().is_ok()));
        let (fastest_adjoint, adjoint) = pool.install(|| time(3 * runs, || projections.adjoint().is_ok()));
        times.insert(format!("projector, {size}, {threads} threads"), forward.into());
        times.insert(format!("adjoint, {size}, {threads} threads"), adjoint.into());
        times.insert(format!("fastest projector, {size}, {threads} threads"), fastest_forward.into());
        times.insert(format!("fastest adjoint, {size}, {threads} threads"), fastest_adjoint.into());
    }
    Ok(())
}

fn fans(times: &mut Map<String, Value>, threads: usize, runs: usize) -> Outcome<()> {
    let pool = pool(threads)?;
    for views in FAN_VIEWS {
        let mut projections = pool.install(|| Projections::fan(FAN_SIZE, views))?;
        let forward = pool.install(|| fastest(runs, || projections.forward_project().is_ok()));
        let adjoint = pool.install(|| fastest(runs, || projections.adjoint().is_ok()));
        times.insert(format!("fan projector, {FAN_SIZE}, {views} views, {threads} threads"), forward.into());
        times.insert(format!("fan adjoint, {FAN_SIZE}, {views} views, {threads} threads"), adjoint.into());
    }
    Ok(())
}

/// Seconds of the fastest run, which other work on the machine disturbs least.
fn fastest(runs: usize, mut work: impl FnMut() -> bool) -> f64 {
    let timed = |_| {
        let start = Instant::now();
        std::hint::black_box(work());
        start.elapsed().as_secs_f64()
    };
    (0..=runs).map(timed).fold(f64::INFINITY, f64::min)
}

fn training(times: &mut Map<String, Value>, threads: usize, runs: usize) -> Outcome<()> {
    let pool = pool(threads)?;
    let mut training = pool.install(|| Training::new(SIZE, 8))?;
    let (_, step) = pool.install(|| time(runs / 4 + 1, || training.score_matching()));
    times.insert(format!("training step, batch 8, {threads} threads"), step.into());
    Ok(())
}

/// Write the data and the start that the other side runs Algorithm 2 on, and an image with its projection.
fn write_problem(folder: &Path, measurement: &Measurement) -> Outcome<()> {
    let write = |name: &str, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(folder.join(name), bytes)
    };
    std::fs::create_dir_all(folder)?;
    let settings = GradientLikeSettings::default();
    let start: Vec<f32> = {
        let generator = ChaCha8Rng::seed_from_u64(settings.graduated.seed);
        StandardNormal.sample_iter(generator).take(SIZE * SIZE).collect()
    };
    let image = gradus::data::ellipses::ellipses(1, SIZE).pixels;
    let mut projector = gradus::ct::Projector::new(measurement.geometry.clone())?;
    let (mut projected, mut smeared) = (vec![0.0; measurement.sinogram.len()], vec![0.0; image.len()]);
    projector.forward_project(&image, &mut projected)?;
    projector.adjoint(&projected, &mut smeared)?;
    write("image.f32", &image)?;
    write("projected.f32", &projected)?;
    write("smeared.f32", &smeared)?;
    write("sinogram.f32", &measurement.sinogram)?;
    write("start.f32", &start)?;
    let description = json!({
        "size": SIZE,
        "angles_rad": measurement.geometry.angles_rad,
        "alpha": GraduatedSettings::ALPHA_PER_STD * measurement.noise_std,
        "settings": Settings::GradientLike(settings),
        "kernel": prior()?.perturbation_kernel(),
    });
    std::fs::write(folder.join("problem.json"), description.to_string())?;
    Ok(())
}
