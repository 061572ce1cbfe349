//! Quality of Algorithm 2 over the weight of the prior, the last level and the number of steps, on ellipses:
//! `cargo run --release --example sweep -- PRIOR FIRST_SEED N_IMAGES ALPHAS_PER_STD T_MINS STEPS`, lists with commas, such as
//! `sweep ellipses 101 6 8.5,17,34 0.001,0.003 100,300`. Prints mean PSNR and SSIM of each
//! combination, of the result and of the mean of what it could be a diffused version of at t_min.
#![allow(missing_docs)]

use gradus::data::ellipses::ellipses;
use gradus::metrics::{psnr, ssim_uniform};
use gradus::reconstruct::{Measurement, Settings, denoise, reconstruct};
use gradus::simulate::{Simulation, simulate};
use gradus::unet::{Weights, embedded};
use std::ops::ControlFlow;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prior, first, n, alphas, t_mins, steps] = arguments.as_slice() else {
        return Err("usage: sweep PRIOR FIRST_SEED N_IMAGES ALPHAS_PER_STD T_MINS STEPS".into());
    };
    let weights = match embedded(prior) {
        Some(bytes) => Weights::from_bytes(bytes)?,
        None => Weights::from_bytes(&std::fs::read(prior)?)?,
    };
    let (first, n): (u64, u64) = (first.parse()?, n.parse()?);
    println!("{prior}, ellipses:{first} to {}", first + n - 1);
    println!("alpha/std   t_min   steps   PSNR dB   SSIM   denoised once: PSNR dB   SSIM   s an image");
    for &alpha in &numbers(alphas)? {
        for &t_min in &numbers(t_mins)? {
            for &steps in &numbers(steps)? {
                let start = Instant::now();
                let mut quality = [0.0; 4];
                for seed in first..first + n {
                    let truth = ellipses(seed, 128);
                    let measurement = Measurement::new(&simulate(&truth, 1.0, &Simulation::default())?)?;
                    let alpha = Some(alpha * measurement.noise_std);
                    let settings = Settings { alpha, t_min, steps: steps as u32, ..Settings::default() };
                    let run = reconstruct(&measurement, &settings, Some(&weights), &mut |_| ControlFlow::Continue(()))?;
                    let denoised = denoise(&weights, &run.image, t_min)?;
                    for (sums, image) in quality.chunks_exact_mut(2).zip([&run.image, &denoised]) {
                        sums[0] += psnr(&truth, image, 1.0)? / n as f64;
                        sums[1] += ssim_uniform(&truth, image, 1.0)? / n as f64;
                    }
                }
                let seconds = start.elapsed().as_secs_f64() / n as f64;
                let [plain, plain_ssim, once, once_ssim] = quality;
                println!(
                    "{alpha:9} {t_min:7} {steps:7} {plain:9.2} {plain_ssim:6.3} {once:23.2} {once_ssim:6.3} {seconds:12.1}"
                );
            }
        }
    }
    Ok(())
}

fn numbers(list: &str) -> Outcome<Vec<f64>> {
    Ok(list.split(',').map(str::parse).collect::<Result<_, _>>()?)
}
