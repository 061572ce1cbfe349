//! Of the network's passes: convolutions, norms, attention.

use super::{Launch, Work, costs, n, one_if};
use crate::conv::{self, Convolution, LARGE, MEDIUM, OUTPUTS, SMALL, Tile, epilogue};
use crate::{attention, conv_tf32, group_norm};

/// A kernel of conv.cu: its taps, the phases of its weights, the tile of a block, and the channels of a chunk.
struct Kernel {
    taps: f64,
    phases: f64,
    tile: Tile,
    chunk: f64,
}

const fn kernel(taps: f64, tile: Tile, chunk: f64) -> Kernel {
    Kernel { taps, phases: 1.0, tile, chunk }
}

/// Pixels that a thread of conv.cu has of each output.
const ROWS: usize = 4;

/// A convolution whose next chunk is on its way while one is computed. Outputs are read and written in batches of four
/// values of each thread.
fn convolution(at: &Convolution, launch: Launch, kernel: &Kernel) -> Work {
    let tile = kernel.tile;
    let outputs = tile.sides.0 * tile.sides.1 * tile.eights * OUTPUTS;
    let work = of_convolution(at, launch, (kernel.taps, kernel.phases), outputs as f64);
    let threads_a_row = tile.sides.0 * tile.sides.1 / ROWS;
    let of_thread = (tile.eights * OUTPUTS * ROWS * threads_a_row) as f64 / f64::from(tile.threads);
    let prefetched = (n(at.n_in) / kernel.chunk).ceil() + (n(at.n_more) / kernel.chunk).ceil();
    Work { prefetched, ..work.waiting(1.0 + (of_thread / 4.0).ceil() + of_norm(at)) }
}

/// Outputs of a block on tensor cores.
const OUTPUTS_TF32: f64 = (conv_tf32::TILE.0 * conv_tf32::TILE.1 * conv_tf32::OUTPUTS) as f64;

/// A convolution on tensor cores: a chunk's inputs are staged four channels at a time, its weights four values of a
/// thread, and nothing is computed meanwhile.
fn convolution_tf32(at: &Convolution, launch: Launch, taps: f64, chunk: f64) -> Work {
    let threads = f64::from(conv_tf32::THREADS);
    let weights = (chunk * taps * (conv_tf32::OUTPUTS / 4) as f64 / (4.0 * threads)).ceil();
    let of_chunks = (n(at.n_in) / chunk).ceil() * (chunk / 4.0 + weights);
    let finish = OUTPUTS_TF32 / (4.0 * threads);
    of_convolution(at, launch, (taps, 1.0), OUTPUTS_TF32).waiting(of_chunks + finish + of_norm(at))
}

/// Waits of the last block, which makes the coefficients of a norm, a channel of a group after the other.
fn of_norm(at: &Convolution) -> f64 {
    let norm = &at.norm;
    if norm.coefficients.is_null() { 0.0 } else { 2.0 + n(norm.n_channels) / n(norm.n_groups) }
}

/// Arithmetic and traffic of a convolution; `outputs` are those of a block.
fn of_convolution(at: &Convolution, launch: Launch, (taps, phases): (f64, f64), outputs: f64) -> Work {
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

/// The same, tile by tile: the next is on its way while one is computed, but for `read` parts of it. Where there are
/// several chunks of channels, so are the block's own.
fn tiled(at: &attention::Attention, launch: Launch, (products, parts, read): (f64, f64, f64)) -> Work {
    let tiles = (n(at.n_pixels) / attention::OTHER_PIXELS as f64).ceil();
    let chunks = (n(at.n_channels) / attention::CHANNELS as f64).ceil();
    let own = if chunks > 1.0 { tiles * (chunks + read) } else { 1.0 };
    Work { prefetched: tiles * chunks, ..attention(at, launch, products, parts).waiting(own + tiles * read) }
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
    conv::Same: |k, l| convolution(&k.at, l, &kernel(9.0, MEDIUM, 8.0));
    conv::SameSmall: |k, l| convolution(&k.at, l, &kernel(9.0, SMALL, 16.0));
    conv::SameLarge: |k, l| convolution(&k.at, l, &kernel(9.0, LARGE, 8.0));
    conv::Point: |k, l| convolution(&k.at, l, &kernel(1.0, MEDIUM, 16.0));
    conv::PointSmall: |k, l| convolution(&k.at, l, &kernel(1.0, SMALL, 32.0));
    conv::PointLarge: |k, l| convolution(&k.at, l, &kernel(1.0, LARGE, 8.0));
    conv::Down: |k, l| convolution(&k.at, l, &kernel(9.0, MEDIUM, 8.0));
    conv::Phases: |k, l| convolution(&k.at, l, &Kernel { phases: 4.0, ..kernel(4.0, MEDIUM, 8.0) });
    conv::PhasesSmall: |k, l| convolution(&k.at, l, &Kernel { phases: 4.0, ..kernel(4.0, SMALL, 16.0) });
    conv::UpVjp: |k, l| convolution(&k.at, l, &kernel(16.0, MEDIUM, 8.0));
    conv_tf32::Same: |k, l| convolution_tf32(&k.at, l, 9.0, 24.0);
    conv_tf32::Point: |k, l| convolution_tf32(&k.at, l, 1.0, 48.0);

    // Scores; scores and a result; and in the vjp with the products d_mixed . v between.
    attention::LogSums: |k, l| tiled(&k.at, l, (1.0, 2.0, 0.0));
    attention::Forward: |k, l| tiled(&k.at, l, (2.0, 4.0, 1.0));
    // Sixteen channels at a time.
    attention::Products: |k, l| attention(&k.at, l, 1.0 / n(k.at.n_pixels), 2.0).waiting(n(k.at.n_channels) / 16.0);
    attention::VjpQuery: |k, l| tiled(&k.at, l, (3.0, 5.0, 1.0));
    attention::VjpKey: |k, l| tiled(&k.at, l, (3.0, 5.0, 1.0));
    attention::VjpValue: |k, l| tiled(&k.at, l, (2.0, 4.0, 1.0));

    // The mean before the deviations from it.
    group_norm::Moments: |k, l| Work::of(2.0 * of_channels(k.n_pixels, l), of_channels(k.n_pixels, l)).waiting(1.0);
    group_norm::Forward: |k, l| {
        Work::moving(n(k.n_channels) * l.lanes() * (2.0 * shares(k.n_pixels) + 4.0)).waiting(2.0)
    };
    group_norm::InputGradient: |k, l| {
        let values = 3.0 + one_if(!k.base.is_null()) + n(k.accumulate);
        Work::of(2.0 * of_channels(k.n_pixels, l), values * of_channels(k.n_pixels, l))
    };
}
