//! Speed of a training step on this machine: `cargo run --release --example training_speed [size] [batch]`; and, first,
//! of what the host does in a step whatever the network runs on.
#![allow(missing_docs)]

mod common;

use common::{Outcome, Training, pool, time};
use gradus::train::{DataConfig, TrainError, Trainer, TrainingConfig, preset};

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |or: usize| arguments.next().map_or(Ok(or), |text| text.parse());
    let (size, batch) = (argument(128)?, argument(8)?);
    host_work(size, batch)?;
    println!("batch {batch}, {size} x {size}: milliseconds of a step (median), and of an image in it");
    println!("threads   score matching          denoising");
    for threads in [1, 2] {
        let pool = pool(threads)?;
        let mut training = pool.install(|| Training::new(size, batch))?;
        let (_, score) = pool.install(|| time(8, || training.score_matching()));
        let (_, denoiser) = pool.install(|| time(8, || training.denoising()));
        let [score, denoiser] = [score, denoiser].map(|seconds| seconds * 1e3);
        let n = batch as f64;
        println!("{threads:7} {score:10.1} {:8.2} {denoiser:10.1} {:8.2}", score / n, denoiser / n);
    }
    Ok(())
}

/// Samples, which are made while the network works, and the optimiser.
fn host_work(size: usize, batch: usize) -> Outcome<()> {
    let mut config: TrainingConfig = toml::from_str(preset("ellipses").ok_or("no preset `ellipses`")?)?;
    config.data = DataConfig::Ellipses { size };
    config.phase.iter_mut().for_each(|phase| (phase.batch, phase.crop) = (batch, size));
    println!("batch {batch}, {size} x {size}: milliseconds of the host's work (median)");
    println!("threads   samples  optimiser");
    for threads in [1, 2] {
        // A trainer stays on its thread.
        let mut times: Vec<[f64; 2]> = pool(threads)?.install(|| {
            let trainer = Trainer::new(config.clone())?;
            Ok::<_, TrainError>((0..31).map(|_| trainer.time_host_work()).collect())
        })?;
        let [samples, optimiser] = [0, 1].map(|part| {
            times.sort_by(|a, b| a[part].total_cmp(&b[part]));
            times[times.len() / 2][part] * 1e3
        });
        println!("{threads:7} {samples:9.2} {optimiser:10.2}");
    }
    Ok(())
}
