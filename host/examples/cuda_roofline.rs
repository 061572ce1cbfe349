//! How long an iteration on a GPU should take at least, and how long it takes where there is one:
//! `cargo run --release --example cuda_roofline -- [SIDE...]`, by default 128 256 512. One JSON object.
//!
//! The estimate: of each convolution the multiply-adds, tiles and channels rounded up to what the kernel computes, at the
//! device's peak times the share of multiply-adds in the kernel's inner loop (`cuda-kernels/SASS.md`), less where there are
//! too few warps to fill the device; of everything else the bytes; and 2 microseconds a launch. An iteration is two
//! forward passes, one of them with two lanes, a vjp with two lanes, two projections and an adjoint.

use gradus::backend::cpu::Network;
use gradus::backend::cuda::projector::CudaProjector;
use gradus::backend::cuda::vector::Lanes;
use gradus::backend::cuda::{Buffer, CudaNetwork, Device};
use gradus::ct::ParallelBeam;
use gradus::unet::layers::LayerKind;
use gradus::unet::plan::{ActivationShape, Plan, Step};
use gradus::unet::{Weights, embedded};
use serde_json::{Value, json};
use std::error::Error;
use std::rc::Rc;
use std::time::Instant;

const TIME: f32 = 0.1;
const SECONDS_PER_LAUNCH: f64 = 2e-6;
/// Warps that keep a multiprocessor's units busy.
const WARPS_PER_MULTIPROCESSOR: f64 = 8.0;

/// Makers' figures: f32 multiply-adds at 2 flop each, memory.
struct Gpu {
    name: &'static str,
    flop_per_s: f64,
    bytes_per_s: f64,
    multiprocessors: f64,
}

const GPUS: [Gpu; 3] = [
    Gpu { name: "A100 (sm_80)", flop_per_s: 19.5e12, bytes_per_s: 1.555e12, multiprocessors: 108.0 },
    Gpu { name: "H100 (sm_90)", flop_per_s: 66.9e12, bytes_per_s: 3.35e12, multiprocessors: 132.0 },
    Gpu { name: "B200 (sm_100)", flop_per_s: 74.5e12, bytes_per_s: 8e12, multiprocessors: 148.0 },
];

/// One convolution of a pass over one image.
struct Work {
    flop: f64,
    /// Of the inner loop's instructions.
    share: f64,
    warps: f64,
    bytes: f64,
    launches: f64,
}

/// `taps` per output and phase, `phases` per place of the grid.
fn convolution((taps, phases, share): (usize, usize, f64), n_in: usize, n_out: usize, grid: ActivationShape) -> Work {
    let (tiles, eights) = (grid.height.div_ceil(8) * grid.width.div_ceil(16), n_out.div_ceil(8));
    Work {
        flop: 2.0 * (taps * phases * n_in * 8 * eights * tiles * 128) as f64,
        share,
        warps: (tiles * eights * phases) as f64,
        // Input, output, and another of the output's size: a residual, or what a SiLU's vjp reads.
        bytes: 4.0 * (grid.height * grid.width * (n_in + 2 * n_out * phases)) as f64,
        launches: 1.0,
    }
}

const SAME: (usize, usize, f64) = (9, 1, 0.86);
const POINT: (usize, usize, f64) = (1, 1, 0.67);
const DOWN: (usize, usize, f64) = (9, 1, 0.84);
const PHASES: (usize, usize, f64) = (4, 4, 0.83);
const UP_VJP: (usize, usize, f64) = (16, 1, 0.89);

/// The launches of a step, forward or backward.
fn step_work(plan: &Plan, step: &Step, backward: bool) -> Vec<Work> {
    let (layer, output) = (&step.layer, plan.tensors[step.output]);
    let (n_in, n_out, input) = (layer.total_input(), layer.output, plan.tensors[step.input]);
    let turned = |kind, a, b| if backward { convolution(kind, b, a, output) } else { convolution(kind, a, b, output) };
    let mut work = match layer.kind {
        LayerKind::ConvIn | LayerKind::ConvOut => vec![turned(SAME, n_in, n_out)],
        LayerKind::Down if backward => vec![convolution(PHASES, n_out, n_in, output)],
        LayerKind::Down => vec![convolution(DOWN, n_in, n_out, output)],
        LayerKind::Up if backward => vec![convolution(UP_VJP, n_out, n_in, input)],
        LayerKind::Up => vec![convolution(PHASES, n_in, n_out, input)],
        LayerKind::Residual => vec![turned(SAME, n_in, n_out), turned(SAME, n_out, n_out)],
        LayerKind::Attention => vec![turned(POINT, n_in, 3 * n_out), turned(POINT, n_out, n_out)],
    };
    if layer.has_projection() {
        work.push(turned(POINT, n_in, n_out));
    }
    if layer.kind == LayerKind::Attention {
        let pixels = output.height * output.width;
        // Forward three products of n x n and the channels, with the sums of the softmax; backward eight.
        let flop = 2.0 * (if backward { 8.0 } else { 3.0 }) * (pixels * pixels * n_out) as f64;
        work.push(Work {
            flop,
            share: 0.25,
            warps: (pixels / 4) as f64,
            bytes: 0.0,
            launches: if backward { 4.0 } else { 2.0 },
        });
    }
    // Statistics read what was written; the vjp of a norm reads d_z and x twice and writes d_x.
    let passes = if backward { 5 * n_in } else { n_out };
    let bytes = 4.0 * (output.height * output.width * passes) as f64;
    work.push(Work { flop: 0.0, share: 1.0, warps: f64::INFINITY, bytes, launches: if backward { 3.0 } else { 2.0 } });
    work
}

fn seconds(gpu: &Gpu, work: &[Work], lanes: f64) -> f64 {
    let of = |work: &Work| {
        let filled = (lanes * work.warps / (gpu.multiprocessors * WARPS_PER_MULTIPROCESSOR)).min(1.0);
        let computing = lanes * work.flop / (gpu.flop_per_s * work.share * filled);
        computing.max(lanes * work.bytes / gpu.bytes_per_s) + SECONDS_PER_LAUNCH * work.launches
    };
    work.iter().map(of).sum()
}

fn pass(plan: &Plan, backward: bool) -> Vec<Work> {
    plan.steps.iter().flat_map(|step| step_work(plan, step, backward)).collect()
}

/// Milliseconds per iteration on each GPU, for one slice and for sixteen in lockstep.
fn estimates(plan: &Plan) -> Value {
    let (forward, backward) = (pass(plan, false), pass(plan, true));
    let of = |gpu: &Gpu, slices: f64| {
        let networks = seconds(gpu, &forward, slices)
            + seconds(gpu, &forward, 2.0 * slices)
            + seconds(gpu, &backward, 2.0 * slices);
        1e3 * networks / slices
    };
    let flop: f64 = forward.iter().map(|work| work.flop).sum();
    let list =
        GPUS.iter().map(|gpu| json!({ "gpu": gpu.name, "one_slice_ms": of(gpu, 1.0), "of_sixteen_ms": of(gpu, 16.0) }));
    json!({ "forward_gflop": flop / 1e9, "iteration": list.collect::<Vec<_>>() })
}

/// The same passes on the device of this machine and on its CPU, in milliseconds, and each kernel's share.
fn measured(device: &Rc<Device>, weights: &Weights, side: usize) -> Result<Value, Box<dyn Error>> {
    let (x, geometry) = (vec![0.3; side * side], ParallelBeam::covering(side, side, 60));
    let (lanes, images) = (Lanes::new(device, 1)?, Buffer::of(device, &x)?);
    let (gradient, sinogram) = (Buffer::new(device, x.len())?, Buffer::new(device, geometry.sinogram_len())?);
    let mut network = CudaNetwork::new(device, weights, (side, side), 1)?;
    let projector = CudaProjector::new(device, geometry, 1)?;
    let all = |network: &mut CudaNetwork| {
        network.forward(&lanes, &[(0, TIME)], images.address())?;
        network.vjp(&lanes, network.h(), gradient.address())?;
        projector.forward_project(&lanes, images.address(), sinogram.address())?;
        projector.adjoint(&lanes, sinogram.address(), gradient.address())
    };
    all(&mut network)?; // the first launches are slower
    device.synchronise()?;
    let together = device.seconds(|| all(&mut network))?;
    let profile = device.profiled(|| all(&mut network))?;
    let kernels = profile.iter().map(|(name, (n, s))| ((*name).to_owned(), json!({ "launches": n, "ms": 1e3 * s })));

    let mut on_cpu = Network::new(weights, side, side, 1)?;
    let (mut out, begin) = (vec![0.0; x.len()], Instant::now());
    on_cpu.forward(0..1, &x, &[TIME]);
    on_cpu.vjp(0..1, &x, &mut out);
    let cpu = begin.elapsed().as_secs_f64();
    Ok(json!({
        "device": device.name(),
        "forward_vjp_and_projections_ms": 1e3 * together,
        "kernels": kernels.collect::<serde_json::Map<_, _>>(),
        "cpu_forward_and_vjp_ms": 1e3 * cpu,
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let sides: Vec<usize> = std::env::args().skip(1).map(|side| side.parse()).collect::<Result<_, _>>()?;
    let sides = if sides.is_empty() { vec![128, 256, 512] } else { sides };
    let weights = Weights::from_bytes(embedded("ellipses").ok_or("no prior")?)?;
    let device = Device::open(0);
    let mut sizes = serde_json::Map::new();
    for side in sides {
        let plan = Plan::new(weights.architecture(), side, side)?;
        let found = device.as_ref().ok().map(|device| measured(device, &weights, side)).transpose()?;
        sizes.insert(side.to_string(), json!({ "estimate": estimates(&plan), "measured": found }));
    }
    let why = device.err().map(|error| error.to_string());
    println!("{}", serde_json::to_string_pretty(&json!({ "prior": "ellipses", "sizes": sizes, "no_device": why }))?);
    Ok(())
}
