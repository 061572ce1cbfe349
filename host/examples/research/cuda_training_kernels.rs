//! Speed of the convolutions of training on a GPU: `cargo run --release --example cuda_training_kernels`. JSON
//! lines, one per layer and precision: microseconds and Tflop/s of the forward pass and of the weights' gradient with
//! two pairs (all three of its launches), 16 lanes; with the distance of the results from those at full precision.

use gradus::backend::cuda::layer::Concat;
use gradus::backend::cuda::layer::conv::{Epilogue, PackedConv, Pass, Prologue, Stencil};
use gradus::backend::cuda::layer::conv_weights::{WeightPass, WeightScratch, WeightShape};
use gradus::backend::cuda::vector::Lanes;
use gradus::backend::cuda::{Buffer, Device, DeviceError, Precision};
use gradus::vector::distance;
use serde_json::json;
use std::rc::Rc;

const LANES: usize = 16;
const REPETITIONS: usize = 50;

/// (layer, outputs, inputs, rows and columns of the output).
const LAYERS: [(Stencil, usize, usize, usize); 10] = [
    (Stencil::Same, 24, 24, 64),
    (Stencil::Same, 48, 48, 32),
    (Stencil::Same, 96, 96, 16),
    (Stencil::Same, 96, 96, 8),
    (Stencil::Same, 48, 96, 32),
    (Stencil::Point, 48, 96, 32),
    (Stencil::Point, 288, 96, 16),
    (Stencil::Down, 48, 48, 16),
    (Stencil::Up, 48, 48, 32),
    (Stencil::Same, 4, 24, 64),
];

fn noise(n: usize) -> Vec<f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Microseconds that one of many takes.
fn microseconds(device: &Device, work: impl Fn() -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
    work()?;
    let all = || (0..REPETITIONS).try_for_each(|_| work());
    Ok(device.seconds(all)? / REPETITIONS as f64 * 1e6)
}

fn layer(
    device: &Rc<Device>,
    lanes: &Lanes,
    (stencil, n_out, n_in, side): (Stencil, usize, usize, usize),
) -> Result<(), DeviceError> {
    let (kernel, input_side) = match stencil {
        Stencil::Point => (1, side),
        Stencil::Down => (9, 2 * side),
        Stencil::Up => (9, side / 2),
        _ => (9, side),
    };
    let sizes = [(input_side, input_side), (side, side)];
    let input = Buffer::of(device, &noise(LANES * n_in * input_side * input_side))?;
    let d_out = Buffer::of(device, &noise(LANES * n_out * side * side))?;
    let (out, gradient) = (Buffer::new(device, d_out.len())?, Buffer::new(device, n_out * (n_in * kernel + 1))?);
    let shape = WeightShape { stencil, n_out, n_in, sizes };
    let scratch = WeightScratch::new(device, &[shape], LANES)?;
    let concat = Concat::one(input.address(), n_in);
    let weight_pass = WeightPass {
        shape,
        pairs: &[(d_out.address(), concat); 2],
        factor: 1.0,
        lane_sums: (gradus_cuda_kernels::Address::NULL, 0),
        d_weight: gradient.address(),
        d_bias: gradient.address().offset(n_out * n_in * kernel),
    };
    let flop = 2.0 * (LANES * n_out * n_in * kernel * side * side) as f64;
    let mut full = None;
    for precision in [Precision::Full, Precision::Tf32] {
        device.set_precision(precision);
        // Weights are packed for the products of a precision.
        let weights = PackedConv::forward(device, stencil, (n_out, n_in), &noise(n_out * n_in * kernel))?;
        let pass = Pass {
            weights: &weights,
            input: concat,
            sizes,
            prologue: Prologue::Identity,
            epilogue: Epilogue::STORE,
            shortcut: None,
            out: out.address(),
        };
        let forward = microseconds(device, || pass.run(device, lanes))?;
        let backward = microseconds(device, || weight_pass.run(device, lanes, &scratch))?;
        let profile = device.profiled(|| weight_pass.run(device, lanes, &scratch))?;
        let found = (out.to_vec()?, gradient.to_vec()?);
        let (out, gradient) = full.get_or_insert_with(|| found.clone());
        let line = json!({
            "layer": format!("{stencil:?} {n_in} to {n_out}, {side} x {side}"),
            "precision": precision,
            "forward_us": forward,
            "forward_tflop_per_s": flop / forward / 1e6,
            "weights_us": backward,
            "weights_tflop_per_s": 2.0 * flop / backward / 1e6,
            "weights_launches_us":
                profile.iter().map(|one| (one.kernel, one.seconds.map(|s| s * 1e6))).collect::<Vec<_>>(),
            "distances": [distance(&found.0, out), distance(&found.1, gradient)],
        });
        println!("{line}");
    }
    device.set_precision(Precision::Full);
    Ok(())
}

fn main() -> Result<(), DeviceError> {
    let device = Device::open(0)?;
    let mut lanes = Lanes::new(&device, LANES)?;
    lanes.set(&(0..LANES).collect::<Vec<_>>())?;
    LAYERS.into_iter().try_for_each(|of| layer(&device, &lanes, of))
}
