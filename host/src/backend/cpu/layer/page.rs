//! The numbers of `host/docs/convolution.md`, computed.

use super::super::blocked::{Activation, Blocked, Concat};
use super::conv_tile::{Pack, Prologue, TileShape};
use super::stencil::{MAX_TAPS, Stencil};
use super::tests::{Pair, convolve};
use crate::unet::operation::Sampling;
use pulp::Arch;

const PAGE: &str = include_str!("../../../../docs/convolution.md");

const IMAGE: [f32; 16] = [1.0, 2.0, 0.0, 1.0, 0.0, 1.0, 3.0, 2.0, 2.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 2.0];
const KERNEL: [f32; 9] = [0.0, 1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0];

fn square(side: usize) -> Blocked {
    Blocked { channels: 1, height: side, width: side, rows: 4 }
}

#[track_caller]
fn stands_there(line: &str) {
    assert!(PAGE.contains(line), "the page lacks `{line}`");
}

/// Numbers in columns of `width` characters.
fn columns(values: &[f32], width: usize, decimals: usize) -> String {
    values.iter().map(|value| format!("{:width$.decimals$}", value + 0.0)).collect()
}

#[test]
fn the_page_has_the_planes_weights_and_sums() {
    let shape = TileShape::new(Stencil::WINOGRAD, 1, 4, 1);
    let (mut tile, mut work) = (vec![f32::NAN; shape.channel_stride], vec![0.0; shape.work_len()]);
    let (input, prologue) = (Concat::one(Activation::new(&IMAGE, square(4))), Prologue::Identity);
    Arch::new().dispatch(Pack { shape, rows: 0..1, input, prologue, tile: &mut tile, work: &mut work });
    let mut kernels = [[0.0]; MAX_TAPS];
    kernels.iter_mut().zip(KERNEL).for_each(|(to, from)| *to = [from]);
    for phase in 0..Stencil::WINOGRAD.n_phases() {
        let (mut weights, mut sums) = (Vec::new(), [0.0_f32; 4]);
        for product in Stencil::WINOGRAD.products(phase) {
            let ([weight], at) = (product.weights(3, &kernels), shape.offset(product.plane, product.delta));
            sums.iter_mut().zip(&tile[at..at + 4]).for_each(|(sum, x)| *sum += weight * x);
            weights.push(weight);
        }
        let start = shape.offset(phase, (0, 0));
        let [plane, weights, sums] = [&tile[start..start + 4], &weights, &sums].map(|values| columns(values, 7, 2));
        stands_there(&format!("    {phase} |{plane} |{weights} |{sums}\n"));
    }
    assert_eq!((shape.offset(0, (0, -1)), shape.offset(1, (0, 0)), shape.channel_stride), (15, 48 + 16, 288));
}

#[test]
fn the_page_has_the_results() {
    let run = |sampling: Sampling, from: usize, to: usize| {
        let corner: Vec<f32> = IMAGE.chunks(4).take(from).flat_map(|row| row[..from].to_vec()).collect();
        let pair = Pair::new(sampling, square(to), 1, &KERNEL);
        let out = convolve(Arch::new(), &pair.forward, square(from), &corner, square(to));
        assert!(out.iter().all(|value| (value - value.round()).abs() < 1e-5), "{out:?}");
        out.chunks(to).map(|row| columns(row, 4, 0)).collect::<Vec<_>>()
    };
    for row in run(Sampling::Same, 4, 4) {
        stands_there(&format!("        {row}\n"));
    }
    let up = run(Sampling::Up, 2, 4);
    for (down, up) in run(Sampling::Down, 4, 2).iter().zip(&up) {
        stands_there(&format!("    {down}            {up}\n"));
    }
    up[2..].iter().for_each(|up| stands_there(&format!("                        {up}\n")));
}
