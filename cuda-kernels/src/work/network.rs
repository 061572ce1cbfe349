//! Of the network's passes: convolutions, norms, attention.

use super::{Launch, Work, costs, n, one_if};
use crate::conv::{self, Convolution, LARGE, MEDIUM, OUTPUTS, SMALL, Tile, epilogue};
use crate::{attention, conv_tf32, group_norm};

/// Outputs of a block: channels of pixels.
fn outputs(tile: Tile) -> f64 {
    (tile.sides.0 * tile.sides.1 * tile.eights * OUTPUTS) as f64
}

/// The same on tensor cores.
const OUTPUTS_TF32: f64 = (conv_tf32::TILE.0 * conv_tf32::TILE.1 * conv_tf32::OUTPUTS) as f64;

/// A convolution with `taps` taps an output, in weights of `phases` phases; `outputs` are those of a block.
fn convolution(at: &Convolution, launch: Launch, (taps, phases): (f64, f64), outputs: f64) -> Work {
    let input = n(at.n_in) * n(at.in_height) * n(at.in_width);
    let output = n(at.n_out) * n(at.out_height) * n(at.out_width);
    let reads = input * (1.0 + one_if(!at.normalised.is_null()));
    let side = one_if(!at.side.is_null()) + one_if(!at.d_z.is_null()) + one_if(at.epilogue & epilogue::ACCUMULATE != 0);
    let more = n(at.n_more) * n(at.out_height) * n(at.out_width);
    let weights = (phases * taps * n(at.n_in) + n(at.n_more)) * n(at.n_padded);
    let values = launch.lanes() * (reads + more + output * (1.0 + side)) + weights;
    Work::of(launch.n_blocks() * outputs * (n(at.n_in) * taps + n(at.n_more)), values)
}

/// `products` of n x n and the channels, with `parts` of q, k, v, d_mixed and the result moved.
fn attention(at: &attention::Attention, launch: Launch, products: f64, parts: f64) -> Work {
    let (heads, channels, pixels) = (launch.grid[1] as f64 * launch.lanes(), n(at.n_channels), n(at.n_pixels));
    Work::of(heads * products * pixels * pixels * channels, heads * parts * channels * pixels)
}

/// Values of the channels along y.
fn of_channels(n_pixels: i32, launch: Launch) -> f64 {
    n(n_pixels) * launch.grid[1] as f64 * launch.lanes()
}

/// Shares of a channel.
fn shares(n_pixels: i32) -> f64 {
    (n(n_pixels) / group_norm::PIXELS as f64).ceil()
}

costs! {
    conv::Same: |k, l| convolution(&k.at, l, (9.0, 1.0), outputs(MEDIUM));
    conv::SameSmall: |k, l| convolution(&k.at, l, (9.0, 1.0), outputs(SMALL));
    conv::SameLarge: |k, l| convolution(&k.at, l, (9.0, 1.0), outputs(LARGE));
    conv::Point: |k, l| convolution(&k.at, l, (1.0, 1.0), outputs(MEDIUM));
    conv::PointSmall: |k, l| convolution(&k.at, l, (1.0, 1.0), outputs(SMALL));
    conv::PointLarge: |k, l| convolution(&k.at, l, (1.0, 1.0), outputs(LARGE));
    conv::Down: |k, l| convolution(&k.at, l, (9.0, 1.0), outputs(MEDIUM));
    conv::Phases: |k, l| convolution(&k.at, l, (4.0, 4.0), outputs(MEDIUM));
    conv::PhasesSmall: |k, l| convolution(&k.at, l, (4.0, 4.0), outputs(SMALL));
    conv::UpVjp: |k, l| convolution(&k.at, l, (16.0, 1.0), outputs(MEDIUM));
    conv_tf32::Same: |k, l| convolution(&k.at, l, (9.0, 1.0), OUTPUTS_TF32);
    conv_tf32::Point: |k, l| convolution(&k.at, l, (1.0, 1.0), OUTPUTS_TF32);

    // Scores; scores and a result; and in the vjp with the products d_mixed . v between.
    attention::LogSums: |k, l| attention(&k.at, l, 1.0, 2.0);
    attention::Forward: |k, l| attention(&k.at, l, 2.0, 4.0);
    attention::Products: |k, l| attention(&k.at, l, 1.0 / n(k.at.n_pixels), 2.0);
    attention::VjpQuery: |k, l| attention(&k.at, l, 3.0, 5.0);
    attention::VjpKey: |k, l| attention(&k.at, l, 3.0, 5.0);
    attention::VjpValue: |k, l| attention(&k.at, l, 2.0, 4.0);

    group_norm::Moments: |k, l| Work::of(2.0 * of_channels(k.n_pixels, l), of_channels(k.n_pixels, l));
    group_norm::Forward: |k, l| Work::moving(n(k.n_channels) * l.lanes() * (2.0 * shares(k.n_pixels) + 4.0));
    group_norm::InputGradient: |k, l| {
        let values = 3.0 + one_if(!k.base.is_null()) + n(k.accumulate);
        Work::of(2.0 * of_channels(k.n_pixels, l), values * of_channels(k.n_pixels, l))
    };
}
