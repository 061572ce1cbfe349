// Gradients of a convolution's weights and bias, for one or two pairs (d_out, in),
//
//     d_w[o][c][k] = factor sum over pairs, lanes and pixels p of d_out[o][p] in[c][STRIDE p + k - 1],
//     d_bias[o] = factor sum over lanes and pixels of the first pair's d_out[o][p],
//
// Both are made in the same way: sums over parts of the pixels go to memory, and `conv_weights_finish` adds them in
// order. One operand is `steady`, read at the pixel itself, the other `moving`, read at all taps around it:
//
//     layer                      steady   moving                      STRIDE
//     3x3                        d_out    in                             1
//     3x3 stride 2               d_out    in                             2
//     nearest doubling, 3x3      in       sums of d_out over 2 x 2       2    taps turned
//     1x1                        d_out    in                           no taps
//
// The third line: pixel (r, x) of `in` meets in tap (i, j) the four pixels of d_out that begin at (2r+1-i, 2x+1-j),
// which are added up while they are staged; so doubling costs 9 products per coarse pixel in place of 36.
//
// Shapes: tensors [lane][channel][row][col], one or two side by side; partial [split][tap][steady][moving]; d_w
// [o][c][tap] and d_bias [o], overwritten.
// Index map: blockIdx.x -> moving channels, blockIdx.y -> steady channels, blockIdx.z -> share of the units, a unit
// being one tile of pixels of one lane of one pair. A thread sums 8 steady channels times 9 taps of one moving channel
// (1x1: 8 x 8 channels) in registers; neighbours in a warp have neighbouring moving channels. Per pixel and thread 72
// multiply-adds and 5 loads from shared memory: 2 of 16 bytes, steady channels being next to each other in a tile, and
// 3 or 6 of a window that slides along the row; the pitch of a moving channel is odd, so 32 of them lie in different
// banks.
// Two blocks of 256 threads share a multiprocessor: 128 registers. f32 sums, all in a fixed order, without atomics.
#include "conv_weights.cuh"

// Channels of a thread; the latter of 1x1. A block has `groups` eights of steady channels and `columns` moving
// channels, of 1x1 eights of them.
constexpr int STEADY = 8, MOVING = 8;
constexpr int POINTS = 32;            // pixels of a tile of 1x1
constexpr int SHARES = BLOCK / WARP;  // threads that add up one value

// Values at one pixel of four channels, zero for those beyond the last; all zero where the pixel is outside.
__device__ __forceinline__ float4 four_channels(const Operand& of, int n_first, int n, int lane, int channel,
                                                int n_pixels,
                                                int pixel) {
    float value[4];
    UNROLL(4)
    for (int i = 0; i < 4; ++i)
        value[i] = pixel >= 0 && channel + i < n ? plane_of(of, n_first, n, lane, channel + i, n_pixels)[pixel] : 0.0f;
    return make_float4(value[0], value[1], value[2], value[3]);
}

template <int STRIDE, int TILE_ROWS, bool BOX>
__device__ __forceinline__ void correlate(const WeightGradient& at) {
    constexpr int PIXELS = TILE_ROWS * TILE_COLS;
    constexpr int IN_ROWS = (TILE_ROWS - 1) * STRIDE + 3, IN_COLS = (TILE_COLS - 1) * STRIDE + 3;
    constexpr int PITCH = IN_ROWS * IN_COLS | 1;
    __shared__ float4 shared[2048];  // tiles of steady [pixel][channel] and moving [channel][row][col]

    const int steady_pitch = at.groups * STEADY + 4;  // an odd number of fours: no conflicts while staging
    float* const steady = reinterpret_cast<float*>(shared);
    float* const moving = steady + PIXELS * steady_pitch;
    const int first_steady = blockIdx.y * at.groups * STEADY, first_moving = blockIdx.x * at.columns;
    const int column = threadIdx.x % at.columns, group = threadIdx.x / at.columns;
    const int first_unit = blockIdx.z * at.units_per_split, end = min(first_unit + at.units_per_split, at.n_units);

    float sum[STEADY][9] = {};
    for (int unit = first_unit; unit < end; ++unit) {
        const auto [pair, lane, top, left] = unit_at(at, unit, TILE_ROWS);
        __syncthreads();
        for (int i = threadIdx.x; i < PIXELS * at.groups * 2; i += blockDim.x) {
            const int pixel = i % PIXELS, four = i / PIXELS;
            const int row = top + pixel / TILE_COLS, col = left + pixel % TILE_COLS;
            const int place = row < at.steady_height && col < at.steady_width ? row * at.steady_width + col : -1;
            reinterpret_cast<float4*>(steady + pixel * steady_pitch)[four] =
                four_channels(at.steady[pair], at.n_steady_first, at.n_steady, lane, first_steady + 4 * four,
                              at.steady_height * at.steady_width, place);
        }
        for (int i = threadIdx.x; i < at.columns * IN_ROWS * IN_COLS; i += blockDim.x) {
            const int c = i / (IN_ROWS * IN_COLS), y = i / IN_COLS % IN_ROWS, x = i % IN_COLS;
            float value = 0;
            if (first_moving + c < at.n_moving)
                value = moving_value<BOX>(plane_of(at.moving[pair], at.n_moving_first, at.n_moving, lane,
                                                   first_moving + c, at.moving_height * at.moving_width),
                                          at.moving_height, at.moving_width, top * STRIDE - 1 + y,
                                          left * STRIDE - 1 + x);
            moving[c * PITCH + y * IN_COLS + x] = value;
        }
        __syncthreads();
        if (group >= at.groups) continue;  // of the last warp; it comes to the barrier above all the same
        UNROLL(1)
        for (int row = 0; row < TILE_ROWS; ++row) {
            const float* const in = moving + column * PITCH + row * STRIDE * IN_COLS;
            const float* const d = steady + row * TILE_COLS * steady_pitch + group * STEADY;
            float window[3][3];  // column x of the tile stands in column x % 3
            UNROLL(32)
            for (int x = 0; x < 3 - STRIDE; ++x)
                UNROLL(32)
                for (int y = 0; y < 3; ++y) window[y][x] = in[y * IN_COLS + x];
            UNROLL(32)
            for (int col = 0; col < TILE_COLS; ++col) {
                UNROLL(32)
                for (int x = col * STRIDE + 3 - STRIDE; x < col * STRIDE + 3; ++x)
                    UNROLL(32)
                    for (int y = 0; y < 3; ++y) window[y][x % 3] = in[y * IN_COLS + x];
                const float4 low = *reinterpret_cast<const float4*>(d + col * steady_pitch);
                const float4 high = *reinterpret_cast<const float4*>(d + col * steady_pitch + 4);
                const float factor[STEADY] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
                UNROLL(32)
                for (int s = 0; s < STEADY; ++s)
                    UNROLL(32)
                    for (int tap = 0; tap < 9; ++tap)
                        sum[s][tap] += factor[s] * window[tap / 3][(col * STRIDE + tap % 3) % 3];
            }
        }
    }
    if (group >= at.groups || first_moving + column >= at.n_moving) return;
    UNROLL(32)
    for (int s = 0; s < STEADY; ++s) {
        const int channel = first_steady + group * STEADY + s;
        if (channel >= at.n_steady) continue;
        UNROLL(32)
        for (int tap = 0; tap < 9; ++tap) partial_row(at, 9, tap, channel)[first_moving + column] = sum[s][tap];
    }
}

extern "C" __global__ void __launch_bounds__(BLOCK, 2) conv_weights_same(const WeightGradient at) {
    correlate<1, 8, false>(at);
}
extern "C" __global__ void __launch_bounds__(BLOCK, 2) conv_weights_down(const WeightGradient at) {
    correlate<2, 4, false>(at);
}
extern "C" __global__ void __launch_bounds__(BLOCK, 2) conv_weights_up(const WeightGradient at) {
    correlate<2, 4, true>(at);
}

// 1x1: both operands stand [pixel][channel], and tiles are stretches of the pixels.
extern "C" __global__ void __launch_bounds__(BLOCK, 2) conv_weights_point(const WeightGradient at) {
    __shared__ float4 shared[2048];
    const int steady_pitch = at.groups * STEADY + 4, moving_pitch = at.columns * MOVING + 4;
    float* const steady = reinterpret_cast<float*>(shared);
    float* const moving = steady + POINTS * steady_pitch;
    const int first_steady = blockIdx.y * at.groups * STEADY, first_moving = blockIdx.x * at.columns * MOVING;
    const int column = threadIdx.x % at.columns, group = threadIdx.x / at.columns;
    const int n_pixels = at.steady_height * at.steady_width, n_tiles = (n_pixels + POINTS - 1) / POINTS;
    const int first_unit = blockIdx.z * at.units_per_split, end = min(first_unit + at.units_per_split, at.n_units);

    float sum[STEADY][MOVING] = {};
    for (int unit = first_unit; unit < end; ++unit) {
        const int tile = unit % n_tiles, lane = at.lanes[unit / n_tiles % at.n_lanes];
        const int pair = unit / n_tiles / at.n_lanes;
        __syncthreads();
        for (int i = threadIdx.x; i < POINTS * (at.groups + at.columns) * 2; i += blockDim.x) {
            const int pixel = i % POINTS, four = i / POINTS, place = tile * POINTS + pixel;
            const bool is_steady = four < at.groups * 2;
            const int channel = is_steady ? first_steady + 4 * four : first_moving + 4 * (four - at.groups * 2);
            const float4 values = four_channels(is_steady ? at.steady[pair] : at.moving[pair],
                                                is_steady ? at.n_steady_first : at.n_moving_first,
                                                is_steady ? at.n_steady : at.n_moving, lane, channel, n_pixels,
                                                place < n_pixels ? place : -1);
            float* const target = is_steady ? steady + pixel * steady_pitch : moving + pixel * moving_pitch;
            reinterpret_cast<float4*>(target)[is_steady ? four : four - at.groups * 2] = values;
        }
        __syncthreads();
        if (group >= at.groups) continue;
        UNROLL(2)
        for (int pixel = 0; pixel < POINTS; ++pixel) {
            const float4* const d = reinterpret_cast<const float4*>(steady + pixel * steady_pitch) + group * 2;
            // Fours of neighbouring threads are neighbours: a thread has two, `columns` fours apart.
            const float4* const in = reinterpret_cast<const float4*>(moving + pixel * moving_pitch) + column;
            const float4 low = d[0], high = d[1], near = in[0], far = in[at.columns];
            const float left[STEADY] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
            const float right[MOVING] = {near.x, near.y, near.z, near.w, far.x, far.y, far.z, far.w};
            UNROLL(32)
            for (int s = 0; s < STEADY; ++s)
                UNROLL(32)
                for (int m = 0; m < MOVING; ++m) sum[s][m] += left[s] * right[m];
        }
    }
    if (group >= at.groups) return;
    UNROLL(32)
    for (int s = 0; s < STEADY; ++s) {
        const int channel = first_steady + group * STEADY + s;
        if (channel >= at.n_steady) continue;
        float* const row = partial_row(at, 1, 0, channel);
        UNROLL(32)
        for (int m = 0; m < MOVING; ++m) {
            const int c = first_moving + (m / 4 * at.columns + column) * 4 + m % 4;
            if (c < at.n_moving) row[c] = sum[s][m];
        }
    }
}

// sums[lane][o] = sum of d[lane][o][p] over the pixels; blockIdx.x -> o, blockIdx.z -> lane. Distance of lanes:
// `stride`.
extern "C" __global__ void __launch_bounds__(BLOCK)
    conv_weights_sums(const int* __restrict__ lanes, const float* __restrict__ d, float* __restrict__ sums, int n_out,
                      int n_pixels, int stride) {
    const int lane = this_lane(lanes);
    const float* const plane = d + (static_cast<long long>(lane) * n_out + blockIdx.x) * n_pixels;
    float sum = 0;
    for (int i = threadIdx.x; i < n_pixels; i += BLOCK) sum += plane[i];
    const float total = block_sum(sum);
    if (threadIdx.x == 0) sums[static_cast<long long>(lane) * stride + blockIdx.x] = total;
}

// `WeightFinish` in src/conv_weights.rs.
struct WeightFinish {
    const int* lanes;
    const float *partial, *sums;
    float *d_weight, *d_bias;
    int n_steady, n_moving, n_taps, n_splits;
    int n_lanes, stride, swapped;  // swapped: steady is the input, and taps are turned
    float factor;
};
static_assert(sizeof(WeightFinish) == 5 * 8 + 8 * 4, "src/conv_weights.rs has the same record");

// d_w and d_bias: WARP values to a block, each added up by SHARES threads, and these in order. Blocks beyond the
// weights' are the biases'.
extern "C" __global__ void __launch_bounds__(BLOCK) conv_weights_finish(const WeightFinish at) {
    __shared__ float of_share[SHARES][WARP];
    const int n = at.n_taps * at.n_steady * at.n_moving, n_blocks = (n + WARP - 1) / WARP;
    const int share = threadIdx.x / WARP, place = threadIdx.x % WARP;
    const bool is_weight = static_cast<int>(blockIdx.x) < n_blocks;
    const int n_out = at.swapped ? at.n_moving : at.n_steady, n_in = at.swapped ? at.n_steady : at.n_moving;
    const int i = (is_weight ? blockIdx.x : blockIdx.x - n_blocks) * WARP + place;
    const bool inside = i < (is_weight ? n : n_out);
    float sum = 0;
    if (inside && is_weight) {
        UNROLL(4)
        for (int split = share; split < at.n_splits; split += SHARES)
            sum += at.partial[static_cast<long long>(split) * n + i];
    } else if (inside) {
        for (int lane = share; lane < at.n_lanes; lane += SHARES)
            sum += at.sums[static_cast<long long>(at.lanes[lane]) * at.stride + i];
    }
    of_share[share][place] = sum;
    __syncthreads();
    if (share > 0 || !inside) return;
    float total = 0;
    for (int s = 0; s < SHARES; ++s) total += of_share[s][place];
    total *= at.factor;
    if (!is_weight) {
        at.d_bias[i] = total;
        return;
    }
    const int moving = i % at.n_moving, steady = i / at.n_moving % at.n_steady, tap = i / at.n_moving / at.n_steady;
    const int o = at.swapped ? moving : steady, c = at.swapped ? steady : moving;
    at.d_weight[(static_cast<long long>(o) * n_in + c) * at.n_taps + (at.swapped ? at.n_taps - 1 - tap : tap)] = total;
}
