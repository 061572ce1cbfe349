//! Speed of a training step on this machine: `cargo run --release --example training_speed [size] [batch]`.
#![allow(missing_docs)]

#[path = "../benches/common/mod.rs"]
mod common;

use common::{Outcome, Training, pool, time};

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |or: usize| arguments.next().map_or(Ok(or), |text| text.parse());
    let (size, batch) = (argument(128)?, argument(8)?);
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
