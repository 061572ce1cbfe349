//! Of the network's passes: convolutions, norms, attention.

use super::{Launch, Work, costs, n, one_if};
use crate::conv::{self, Convolution, LARGE, MEDIUM, SMALL, Tile, epilogue};
use crate::{attention, conv_tensor as tensor, group_norm};

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
    let outputs = tile.sides.0 * tile.sides.1 * tile.outputs;
    let work = of_convolution(at, launch, (kernel.taps, kernel.phases), outputs as f64);
    let threads_a_row = tile.sides.0 * tile.sides.1 / ROWS;
    let of_thread = (tile.outputs * ROWS * threads_a_row) as f64 / f64::from(tile.threads);
    let prefetched = (n(at.n_in) / kernel.chunk).ceil() + (n(at.n_more) / kernel.chunk).ceil();
    let work = Work { prefetched, ..work.waiting(1.0 + (of_thread / 4.0).ceil()) };
    with_norm(at, launch, kernel.phases, work)
}

/// A convolution on tensor cores, whose weights have `parts`: so many channels of the input at a time are waited for,
/// the first as any block waits, then computed on. The inputs of a product are whole eights.
fn on_tensor_cores(at: &Convolution, launch: Launch, (taps, parts): (f64, f64), (tile, together): (Tile, f64)) -> Work {
    let outputs = (tile.sides.0 * tile.sides.1 * tile.outputs) as f64;
    let eights = |channels: i32| 8.0 * (n(channels) / 8.0).ceil();
    let work = of_convolution(at, launch, (taps, 1.0), outputs);
    let multiply_adds = launch.n_blocks() * outputs * (eights(at.n_in) * taps + eights(at.n_more));
    let more_weights = 4.0 * (parts - 1.0) * (taps * n(at.n_in) + n(at.n_more)) * n(at.n_padded);
    let chunks = (n(at.n_in) / together).ceil() + (n(at.n_more) / 24.0).ceil();
    // The outputs are all finished together.
    let work = work.waiting(chunks - 1.0 + 1.0);
    let work = Work { flop: 2.0 * multiply_adds, bytes: work.bytes + more_weights, ..work };
    with_norm(at, launch, 1.0, work)
}

/// The same with the coefficients of a norm, where they are made: a block says that it is done; the last one reads the
/// sums of all, eight of a thread at a time, and what else the coefficients are made of.
fn with_norm(at: &Convolution, launch: Launch, phases: f64, work: Work) -> Work {
    let norm = &at.norm;
    if norm.coefficients.is_null() {
        return work;
    }
    let (channels, groups) = (n(norm.n_channels), n(norm.n_groups));
    let tiles = launch.grid[0] as f64 * phases;
    let own = n(at.n_out).min(channels);
    let sums = (own * tiles + (channels - own) * n(norm.n_second_tiles)) / groups;
    let rounds = (groups / (f64::from(launch.threads) / conv::TEAM)).ceil();
    let of_sums = (sums / (8.0 * conv::TEAM)).ceil() + one_if(norm.n_second_tiles > 0);
    Work { last: rounds * of_sums + 1.0, ..work.waiting(1.0) }
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

/// `products` of n x n and the channels; moved are `parts` of q, k, v, d_mixed and the results, and `sums` of each
/// pixel.
fn attention(at: &attention::Attention, launch: Launch, products: f64, (parts, sums): (f64, f64)) -> Work {
    let (heads, channels, pixels) = (launch.grid[1] as f64 * launch.lanes(), n(at.n_channels), n(at.n_pixels));
    Work::of(heads * products * pixels * pixels * channels, heads * (parts * channels + sums) * pixels)
}

/// The same, tile by tile: the next is on its way while one is computed, but for `read` parts of it; entries go from
/// thread to thread with these, and `exchanges` times more. With several chunks of channels the block's own and
/// those of the sum are read for each tile.
fn tiled(
    at: &attention::Attention,
    launch: Launch,
    products: f64,
    moved: (f64, f64),
    (read, exchanges): (f64, f64),
) -> Work {
    let tiles = (n(at.n_pixels) / attention::OTHER_PIXELS as f64).ceil();
    let chunks = (n(at.n_channels) / attention::CHANNELS as f64).ceil();
    let own = if chunks > 1.0 { tiles * (chunks + 1.0) } else { 1.0 };
    let work = attention(at, launch, products, moved).waiting(own + tiles * read);
    Work { prefetched: tiles * chunks, exchanges: tiles * exchanges, ..work }
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
    tensor::Same: |k, l| on_tensor_cores(&k.at, l, (9.0, 2.0), (tensor::SMALL, 24.0));
    tensor::SameLarge: |k, l| on_tensor_cores(&k.at, l, (9.0, 2.0), (tensor::LARGE, 24.0));
    tensor::Point: |k, l| on_tensor_cores(&k.at, l, (1.0, 2.0), (tensor::SMALL, 48.0));
    tensor::PointLarge: |k, l| on_tensor_cores(&k.at, l, (1.0, 2.0), (tensor::LARGE, 24.0));
    tensor::SameTf32: |k, l| on_tensor_cores(&k.at, l, (9.0, 1.0), (tensor::SMALL, 24.0));
    tensor::SameLargeTf32: |k, l| on_tensor_cores(&k.at, l, (9.0, 1.0), (tensor::LARGE, 24.0));
    tensor::PointTf32: |k, l| on_tensor_cores(&k.at, l, (1.0, 1.0), (tensor::SMALL, 48.0));
    tensor::PointLargeTf32: |k, l| on_tensor_cores(&k.at, l, (1.0, 1.0), (tensor::LARGE, 24.0));

    // Scores and a sum, whose threads agree on the largest scores of a tile, hand its entries on, and agree at the end.
    attention::Forward: |k, l| {
        let work = tiled(&k.at, l, 2.0, (4.0, 1.0), (0.0, 2.0));
        Work { exchanges: work.exchanges + 1.0, ..work }
    };
    // Sixteen channels at a time.
    attention::Products: |k, l| {
        attention(&k.at, l, 1.0 / n(k.at.n_pixels), (2.0, 1.0)).waiting(n(k.at.n_channels) / 16.0)
    };
    // In the vjp with the products d_mixed . v between; and two sums of one tile.
    attention::VjpQuery: |k, l| tiled(&k.at, l, 3.0, (5.0, 2.0), (1.0, 0.0));
    attention::VjpKeyValue: |k, l| tiled(&k.at, l, 4.0, (6.0, 2.0), (1.0, 1.0));

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
