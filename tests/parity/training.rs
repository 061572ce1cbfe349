//! Losses of training and their gradients against the CPU's, and a short training run.

use crate::network::{random, small_architecture};
use gradus::backend::cpu::{TrainingBatch, TrainingNetwork};
use gradus::backend::cuda::{CudaTrainingNetwork, Device};
use gradus::backend::{DeviceChoice, Precision};
use gradus::train::{Trainer, TrainingConfig};
use gradus::unet::{Architecture, Parametrisation, layers};
use gradus_tests::fixtures::{RESIDUAL, dot, signed};
use std::rc::Rc;

/// The architecture of `golden/paper_unet.npz`, smaller: no unshuffle, three levels, one channel a group.
fn paper() -> Architecture {
    Architecture { pixel_unshuffle: 1, channel_mult: vec![1, 1, 2], norm_groups: 10, ..small_architecture() }
}

/// Both losses, for one image and for five in the room of six.
pub fn losses(device: &Rc<Device>) {
    compare(device, &small_architecture(), RESIDUAL, (12, 20), (1, 1));
    compare(device, &small_architecture(), RESIDUAL, (16, 8), (5, 6));
    compare(device, &paper(), Parametrisation::Norm, (12, 8), (1, 1));
}

fn compare(
    device: &Rc<Device>,
    architecture: &Architecture,
    parametrisation: Parametrisation,
    (height, width): (usize, usize),
    (n_images, lanes): (usize, usize),
) {
    let n = n_images * height * width;
    let prior = random(architecture, parametrisation);
    let (parameters, description) = (prior.weights().parameters(), prior.weights().description());
    let (x_t, z) = (signed(n, 1), signed(n, 2));
    let (t, weights) = (&[0.1, 0.6, 0.01, 0.3, 0.9][..n_images], &[1.0, 0.5, 2.0, 0.25, 1.5][..n_images]);
    let batch = TrainingBatch { x_t: &x_t, z: &z, t, weights };
    let mut here = TrainingNetwork::new(description, height, width, n_images).unwrap();
    let mut there = CudaTrainingNetwork::new(device, description, height, width, lanes).unwrap();
    let (mut found, mut wanted) = (vec![f32::NAN; parameters.len()], vec![0.0; parameters.len()]);
    for score_matching in [true, false] {
        let (loss, expected) = if score_matching {
            let loss = there.score_matching_loss(&parameters, batch, &mut found).unwrap();
            (loss, here.score_matching_loss(&parameters, batch, &mut wanted))
        } else {
            let loss = there.denoising_loss(&parameters, batch, &mut found).unwrap();
            (loss, here.denoising_loss(&parameters, batch, &mut wanted))
        };
        assert!((loss / expected - 1.0).abs() < 1e-5, "loss {loss}, on the CPU {expected}");
        same_gradient(architecture, &found, &wanted);
    }
}

/// Tensor by tensor to 1e-4. A constant before a norm with one channel a group has no effect: its gradient is rounding.
fn same_gradient(architecture: &Architecture, mut found: &[f32], mut wanted: &[f32]) {
    let whole = dot(wanted, wanted).sqrt();
    for (name, shape) in layers::tensors(architecture) {
        let (here, there);
        (there, found) = found.split_at(shape.iter().product());
        (here, wanted) = wanted.split_at(shape.iter().product());
        let difference: Vec<f32> = there.iter().zip(here).map(|(there, here)| there - here).collect();
        let (distance, norm) = (dot(&difference, &difference).sqrt(), dot(here, here).sqrt());
        let bound = if norm < 1e-6 * whole { 1e-6 * whole } else { 1e-4 * norm };
        assert!(distance <= bound, "{name}: {distance:.2e} from {norm:.2e} of {whole:.2e}");
    }
    assert!(found.is_empty());
}

const RUN: &str = "
seed = 3
[data]
kind = \"ellipses\"
size = 16
[network]
in_channels = 1
out_channels = 1
pixel_unshuffle = 2
model_channels = 8
channel_mult = [1, 2]
num_res_blocks = 1
attention_resolutions = []
middle_attention = true
num_heads = 2
norm_groups = 4
norm_eps = 1e-5
max_period = 0.005
[[phase]]
loss = \"denoising\"
steps = 1
batch = 3
images_at_a_time = 2
crop = 8
learning_rate = 1e-3
[[phase]]
loss = \"score-matching\"
steps = 2
batch = 2
crop = 16
learning_rate = 1e-3
";

/// Three steps of both losses on the device and on the CPU; the last one from a checkpoint of the other.
pub fn run(_: &Rc<Device>) {
    let config: TrainingConfig = toml::from_str(RUN).unwrap();
    let on = |device: DeviceChoice| Trainer::new(config.clone()).unwrap().on(device, Precision::Full).unwrap().0;
    let (mut here, mut there) = (on(DeviceChoice::Cpu), on(DeviceChoice::Cuda(0)));
    for step in 0..2 {
        let (loss, expected) = (there.step().unwrap(), here.step().unwrap());
        assert!((loss / expected - 1.0).abs() < 1e-4, "step {step}: loss {loss}, on the CPU {expected}");
    }
    let resumed = |trainer: &Trainer, device| {
        Trainer::resume(&trainer.checkpoint().unwrap(), None).unwrap().on(device, Precision::Full).unwrap().0
    };
    let (mut moved, mut again) = (resumed(&there, DeviceChoice::Cpu), resumed(&there, DeviceChoice::Cuda(0)));
    let [expected, loss, moved, again] = [&mut here, &mut there, &mut moved, &mut again].map(|run| run.step().unwrap());
    assert_eq!(loss.to_bits(), again.to_bits());
    assert!((loss / expected - 1.0).abs() < 1e-3 && (moved / loss - 1.0).abs() < 1e-4, "{expected} {loss} {moved}");
    assert!(here.is_done() && there.is_done());
}
