//! Speed of a training step on this machine: `cargo run --release --example training_speed [size] [batch]`.

use gradus::backend::cpu::TrainingNetwork;
use gradus::unet::{Weights, layers};
use std::time::Instant;

const WEIGHTS: &[u8] = include_bytes!("../weights/ellipses.safetensors");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |or: usize| arguments.next().map_or(Ok(or), |text| text.parse());
    let (size, batch) = (argument(128)?, argument(8)?);
    let weights = Weights::from_bytes(WEIGHTS)?;
    let names = layers::tensors(weights.architecture());
    let parameters: Vec<f32> = names.iter().flat_map(|(name, _)| weights.values(name).to_vec()).collect();
    let n = batch * size * size;
    let x: Vec<f32> = (0..n).map(|i| ((i * 37 % 101) as f32) / 101.0).collect();
    let z: Vec<f32> = (0..n).map(|i| ((i * 53 % 103) as f32) / 51.0 - 1.0).collect();
    let (t, mut gradient) = (vec![0.3; batch], vec![0.0; parameters.len()]);
    println!("batch {batch}, {size} x {size}");
    println!("threads   score matching ms a step (min, median), an image   denoising ms a step, an image");
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let (parametrisation, kernel) = (*weights.parametrisation(), *weights.perturbation_kernel());
        let new = || TrainingNetwork::new(weights.architecture(), parametrisation, kernel, size, size, batch);
        let mut network = pool.install(new)?;
        pool.install(|| {
            let losses = [TrainingNetwork::score_matching_loss, TrainingNetwork::denoising_loss];
            let [score, denoiser] = losses.map(|loss| {
                let mut times: Vec<f64> = (0..8)
                    .map(|_| {
                        let start = Instant::now();
                        std::hint::black_box(loss(&mut network, &parameters, &x, &t, &z, &mut gradient));
                        start.elapsed().as_secs_f64() * 1e3
                    })
                    .collect();
                times.sort_by(f64::total_cmp);
                [times[0], times[times.len() / 2]]
            });
            let an_image = [score[0], denoiser[0]].map(|ms| ms / batch as f64);
            println!(
                "{threads:7} {:17.1} {:7.1} {:10.2} {:40.1} {:7.1} {:8.2}",
                score[0], score[1], an_image[0], denoiser[0], denoiser[1], an_image[1]
            );
        });
    }
    Ok(())
}
