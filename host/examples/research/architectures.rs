//! Networks by quality per millisecond: `cargo run --release --example architectures -- SECONDS FOLDER
//! [NAME...]`.
//!
//! Trains each architecture on ellipses for about SECONDS of this machine's time, so that a slower network makes fewer
//! steps: a quarter of the time as a denoiser, the rest by score matching, on crops of 64 pixels. The number of steps
//! follows from the time of the first; FOLDER/NAME.safetensors, where it exists, is taken in place of a training. Then
//! one table: what a network costs, how it denoises, and what it reconstructs of `ellipses:101` to `ellipses:108` (60
//! views, 10 % noise) by the default method and by 100 iterations of Algorithm 2: what is best for one may not do for
//! the other.
#![allow(missing_docs)]

use gradus::backend::cpu::Network;
use gradus::backend::{DeviceChoice, Precision};
use gradus::data::ellipses::ellipses;
use gradus::metrics::{psnr, ssim_uniform};
use gradus::prior::Prior;
use gradus::reconstruct::{GradientLikeSettings, GraduatedSettings, Measurement, PlacedPrior, Settings, reconstruct};
use gradus::simulate::{Simulation, simulate};
use gradus::train::{DataConfig, Images, Loss, Phase, Smoothing, Trainer, TrainingConfig, denoising_db, preset};
use gradus::unet::Architecture;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Pixels of a side of the images that are reconstructed.
const SIZE: usize = 128;

/// The architecture of the preset, and what differs from it in one way; without folding of pixels, in two.
fn candidates(shipped: &Architecture) -> Vec<(&'static str, Architecture)> {
    let base = || shipped.clone();
    let pixels = Architecture { pixel_unshuffle: 1, model_channels: 12, norm_groups: 4, ..base() };
    vec![
        ("shipped", base()),
        ("attention-off", Architecture { middle_attention: false, ..base() }),
        ("narrow16", Architecture { model_channels: 16, ..base() }),
        ("wide32", Architecture { model_channels: 32, ..base() }),
        ("deep4", Architecture { channel_mult: vec![1, 2, 2, 2], ..base() }),
        ("blocks2", Architecture { num_res_blocks: 2, ..base() }),
        ("pixels", pixels.clone()),
        ("pixels-attention-off", Architecture { middle_attention: false, ..pixels }),
    ]
}

fn config(network: &Architecture, steps: [u64; 2]) -> Outcome<TrainingConfig> {
    let mut config: TrainingConfig = toml::from_str(preset("ellipses").ok_or("no preset")?)?;
    let phase = |loss, steps: u64, batch, learning_rate, final_learning_rate| Phase {
        loss,
        steps,
        batch,
        images_at_a_time: None,
        crop: 64,
        learning_rate,
        final_learning_rate,
        warm_up: steps.min(200),
        smoothing: Smoothing::default(),
    };
    let smoothing = Smoothing { log_uniform_share: 0.7, weight_exponent: 0.1, ..Smoothing::default() };
    config.phase = vec![
        phase(Loss::Denoising, steps[0], 16, 1.5e-3, 3e-4),
        Phase { smoothing, ..phase(Loss::ScoreMatching, steps[1], 8, 8e-4, 1e-5) },
    ];
    config.network = network.clone();
    Ok(config)
}

/// Seconds of a step of each phase.
fn seconds_per_step(network: &Architecture) -> Outcome<[f64; 2]> {
    const STEPS: u64 = 40;
    let mut trainer = Trainer::new(config(network, [STEPS, STEPS])?)?;
    let mut time = || -> Outcome<f64> {
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..STEPS {
            let begin = Instant::now();
            trainer.step()?;
            times.push(begin.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    };
    Ok([time()?, time()?])
}

fn trained(network: &Architecture, seconds: f64, path: &Path) -> Outcome<Prior> {
    if path.exists() {
        return Ok(Prior::of_file(&path.to_string_lossy(), &std::fs::read(path)?)?);
    }
    let [denoising, matching] = seconds_per_step(network)?;
    let steps = [0.25 * seconds / denoising, 0.75 * seconds / matching].map(|steps| steps as u64);
    let mut trainer = Trainer::new(config(network, steps)?)?;
    while !trainer.is_done() {
        trainer.step()?;
    }
    let weights = trainer.weights()?;
    std::fs::write(path, weights.to_bytes()?)?;
    Ok(weights.into())
}

/// Milliseconds of an energy with its score, one image: the median.
fn pass_ms(prior: &Prior) -> Outcome<f64> {
    let mut network = Network::new(prior, SIZE, SIZE, 1)?;
    let x: Vec<f32> = (0..SIZE * SIZE).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    let (mut gradient, mut times) = (x.clone(), Vec::new());
    for _ in 0..31 {
        let begin = Instant::now();
        network.forward(0..1, &x, &[0.3]);
        let h = network.h(0).to_vec();
        network.vjp(0..1, &h, &mut gradient);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Mean PSNR in dB and SSIM of the reconstructions, and seconds of one.
fn reconstruction(prior: &Prior, settings: &Settings) -> Outcome<[f64; 3]> {
    let (mut means, seeds) = ([0.0; 3], 101..=108_u64);
    let n = seeds.clone().count() as f64;
    let prior = PlacedPrior::open(prior, DeviceChoice::Auto, Precision::Full)?;
    for seed in seeds {
        let truth = ellipses(seed, SIZE);
        let measurement = Measurement::new(&simulate(&truth, 1.0, &Simulation::default())?)?;
        let begin = Instant::now();
        let result = reconstruct(&measurement, settings, Some(&prior), &mut |_| ControlFlow::Continue(()))?;
        let seconds = begin.elapsed().as_secs_f64();
        let found = [psnr(&truth, &result.image, 1.0)?, ssim_uniform(&truth, &result.image, 1.0)?, seconds];
        means.iter_mut().zip(found).for_each(|(mean, value)| *mean += value / n);
    }
    Ok(means)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, folder, names @ ..] = &arguments[..] else {
        return Err("usage: architectures SECONDS FOLDER [NAME...]".into());
    };
    let (seconds, folder): (f64, &Path) = (seconds.parse()?, folder.as_ref());
    std::fs::create_dir_all(folder)?;
    let shipped = toml::from_str::<TrainingConfig>(preset("ellipses").ok_or("no preset")?)?.network;
    let images = Images::open(&DataConfig::Ellipses { size: SIZE })?.validation(32);
    let graduated = GraduatedSettings { steps: 100, ..GraduatedSettings::default() };
    let algorithm_2 = Settings::GradientLike(GradientLikeSettings { graduated, ..GradientLikeSettings::default() });
    println!("{:81}default method        Algorithm 2", "");
    let levels = "denoising PSNR (dB) at five levels";
    println!("network                parameters  pass ms   {levels:36}  dB   SSIM     s      dB   SSIM     s");
    for (name, network) in candidates(&shipped) {
        if !names.is_empty() && names.iter().all(|wanted| wanted != name) {
            continue;
        }
        let prior = trained(&network, seconds, &folder.join(format!("{name}.safetensors")))?;
        let (parameters, ms) = (prior.weights().parameters().len(), pass_ms(&prior)?);
        let levels: Vec<String> = denoising_db(&prior, &images)?.iter().map(|db| format!("{db:5.2}")).collect();
        print!("{name:20} {parameters:12} {ms:8.2}   {:36}", levels.join("  "));
        for settings in [&Settings::default(), &algorithm_2] {
            let [db, ssim, s] = reconstruction(&prior, settings)?;
            print!("   {db:.2}  {ssim:.3}  {s:.2}");
        }
        println!();
    }
    Ok(())
}
