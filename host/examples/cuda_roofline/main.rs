//! How long kernels should take on a GPU at least, and how long they take where there is one:
//!
//! ```text
//! cargo run --release --example cuda_roofline -- [SIDE...]    measures, by default 128 256 512; one JSON object
//! cargo run --release --example cuda_roofline -- --table      estimates: cuda-kernels/ROOFLINE.md
//! ```
//!
//! `gpu.rs` says how it estimates. Measured are, with the device's events, each launch alone and whole passes; beside
//! them the same passes on the CPU, whose layers are cut otherwise and have no times per kernel. Either needs a driver;
//! the tests' stand-in will do (`tests/cuda-stand-in`), whose times say nothing.
#![allow(missing_docs)]

mod gpu;
mod table;
mod work;

use gpu::{Gpu, totals};
use gradus::backend::cpu::{Network, TrainingBatch, TrainingNetwork};
use gradus::backend::cuda::{Device, DeviceError, Launched, Precision, devices};
use gradus::ct::{ParallelBeam, Projector};
use gradus::unet::{Weights, embedded};
use serde_json::{Map, Value, json};
use std::rc::Rc;
use std::time::Instant;
use work::{Outcome, PASSES, Passes, Training, VIEWS};

const TIME: f32 = 0.1;
/// Images of a step of training: its side is the smallest that is measured.
const IMAGES: usize = 4;

/// Milliseconds of the second of two runs: the first one warms up.
fn milliseconds<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    work()?;
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

/// A pass: its kernels one by one, the whole without waiting in between, and the CPU.
fn pass(device: &Device, gpu: &Gpu, mut work: impl FnMut() -> Result<(), DeviceError>, cpu_ms: f64) -> Outcome<Value> {
    work()?; // the first launches are slower
    device.synchronise()?;
    let together = device.seconds(&mut work)?;
    let launched = device.profiled(&mut work)?;
    Ok(json!({
        "ms": 1e3 * together,
        "roofline_ms": 1e3 * launched.iter().map(|one| gpu.seconds(one).1).sum::<f64>(),
        "cpu_ms": cpu_ms,
        "kernels": kernels(&launched, gpu),
    }))
}

fn kernels(launched: &[Launched], gpu: &Gpu) -> Map<String, Value> {
    let row = |(name, total): (&str, gpu::Total)| {
        let (ms, roofline_ms) = (total.seconds.map(|seconds| 1e3 * seconds), 1e3 * total.estimates[0]);
        let row = json!({
            "launches": total.launches, "ms": ms, "roofline_ms": roofline_ms,
            "of_roofline": ms.map(|ms| roofline_ms / ms), "limit": total.limit().word(),
            "mflop": 1e-6 * total.flop, "mb": 1e-6 * total.bytes,
        });
        (name.to_owned(), row)
    };
    totals(launched, std::slice::from_ref(gpu)).into_iter().map(row).collect()
}

/// The same passes on the CPU, in milliseconds.
fn on_cpu(prior: &Weights, side: usize) -> Outcome<[f64; 4]> {
    let (x, mut out) = (vec![0.3; side * side], vec![0.0; side * side]);
    let geometry = ParallelBeam::covering(side, side, VIEWS);
    let mut sinogram = vec![0.0; geometry.sinogram_len()];
    let (mut network, mut projector) = (Network::new(prior, side, side, 1)?, Projector::new(geometry)?);
    let forward = milliseconds(|| {
        network.forward(0..1, &x, &[TIME]);
        Ok::<(), DeviceError>(())
    })?;
    let h = network.h(0).to_vec();
    let vjp = milliseconds(|| {
        network.vjp(0..1, &h, &mut out);
        Ok::<(), DeviceError>(())
    })?;
    let projection = milliseconds(|| projector.forward_project(&x, &mut sinogram))?;
    Ok([forward, vjp, projection, milliseconds(|| projector.adjoint(&sinogram, &mut out))?])
}

fn side(device: &Rc<Device>, gpu: &Gpu, prior: &Weights, side: usize) -> Outcome<Value> {
    let (mut passes, cpu) = (Passes::new(device, prior, side)?, on_cpu(prior, side)?);
    let mut found = Map::new();
    for (name, cpu_ms) in PASSES.into_iter().zip(cpu) {
        found.insert(name.to_owned(), pass(device, gpu, || passes.run(name), cpu_ms)?);
    }
    found.insert("all".to_owned(), pass(device, gpu, || passes.all(), cpu.iter().sum())?);
    device.set_precision(Precision::Tf32);
    for (name, cpu_ms) in PASSES.into_iter().zip(cpu).take(2) {
        found.insert(format!("{name}, tf32"), pass(device, gpu, || passes.run(name), cpu_ms)?);
    }
    device.set_precision(Precision::Full);
    Ok(Value::Object(found))
}

fn training(device: &Rc<Device>, gpu: &Gpu, prior: &Weights, side: usize) -> Outcome<Value> {
    let (architecture, kernel) = (prior.architecture(), *prior.perturbation_kernel());
    let parametrisation = *prior.parametrisation();
    let mut here = TrainingNetwork::new(architecture, parametrisation, kernel, side, side, IMAGES)?;
    let (parameters, images) = (prior.parameters(), vec![0.3; IMAGES * side * side]);
    let mut gradient = vec![0.0; parameters.len()];
    let batch = TrainingBatch { x_t: &images, z: &images, t: &[TIME; IMAGES], weights: &[1.0; IMAGES] };
    let cpu_ms = milliseconds(|| {
        here.score_matching_loss(&parameters, batch, &mut gradient);
        Ok::<(), DeviceError>(())
    })?;
    let mut there = Training::new(device, prior, side, IMAGES)?;
    let full = pass(device, gpu, || there.step(), cpu_ms)?;
    device.set_precision(Precision::Tf32);
    let tf32 = pass(device, gpu, || there.step(), cpu_ms)?;
    device.set_precision(Precision::Full);
    Ok(json!({ "images": IMAGES, "side": side, "full": full, "tf32": tf32 }))
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let prior = Weights::from_bytes(embedded("ellipses").ok_or("no prior")?)?;
    let device = Device::open(0)?;
    if arguments.first().is_some_and(|first| first == "--table") {
        print!("{}", table::markdown(&device, &prior, &table::SIDES)?);
        return Ok(());
    }
    let sides = arguments.iter().map(|side| side.parse()).collect::<Result<Vec<usize>, _>>()?;
    let sides = if sides.is_empty() { table::SIDES.to_vec() } else { sides };
    let description = devices()?.into_iter().next().ok_or("no device")?;
    let gpu = Gpu::of(&description);
    let mut sizes = Map::new();
    for &one in &sides {
        sizes.insert(one.to_string(), side(&device, &gpu, &prior, one)?);
    }
    let smallest = sides.iter().copied().min().unwrap_or(128);
    let found = json!({
        "prior": "ellipses", "device": description, "sizes": sizes,
        "training": training(&device, &gpu, &prior, smallest)?,
    });
    println!("{}", serde_json::to_string_pretty(&found)?);
    Ok(())
}
