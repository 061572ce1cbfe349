// The convolutions 3x3 and 1x1, and their vjps, on tensor cores: the sums of conv.cu with inputs and weights rounded to TF32
// and f32 sums. Every product has a relative error of 2^-10 at most; a result differs by about 5e-4 of its norm.
//
// Shapes, prologues and epilogues: conv.cuh. Index map: blockIdx.x -> tile of 8 x 16 pixels; blockIdx.y -> outputs;
// blockIdx.z -> lane. A warp computes 24 outputs of half a tile: for every tap and 8 input channels, four products of 16
// pixels of a row with 3 times 8 outputs (mma.cuh). A block has as many pairs of warps as share the tile, at most 4.
// A channel of the tile and of the weights takes 8 modulo 32 values, so that the 8 pixels or outputs times 4 channels that a
// warp reads at a time lie in different banks. Rows of the input stay in registers for all taps of a column: of a 3x3 layer
// 42 loads from shared memory go with 36 products. Sums: over channels in eights, taps column by column.
#include "conv.cuh"
#include "mma.cuh"

constexpr int TILE_ROWS = 8, TILE_COLS = 16, MAX_WARPS = 8;
constexpr int ROWS = 4, EIGHTS = 3;                // of a warp
constexpr int OUTPUTS = 8 * EIGHTS;
constexpr int MAX_OUTPUTS = MAX_WARPS / 2 * OUTPUTS;  // of a block
constexpr int STRIP = TILE_COLS + 1;               // of a row of one output, while it is on its way out
constexpr int BATCH = 4;                           // values that a thread reads before it writes any
static_assert(OUTPUTS * TILE_COLS % (BATCH * WARP) == 0, "whole batches");

// Calls store(c, y, x, value) for this thread's share of CHUNK channels from `chunk` on, HEIGHT x WIDTH pixels from (top, left)
// on; the value is 0 outside. All loads of a batch begin before the first is used: one takes as long as hundreds of
// multiply-adds.
template <int CHUNK, int HEIGHT, int WIDTH, class Store>
__device__ __forceinline__ void stage_input(const Convolution& at, int lane, int chunk, int top, int left, Store store) {
    constexpr int N = CHUNK * HEIGHT * WIDTH;
    const int n_threads = blockDim.x, n_pixels = at.in_height * at.in_width;
    UNROLL(1)
    for (int begin = threadIdx.x; begin < N; begin += BATCH * n_threads) {
        float value[BATCH], normalised[BATCH];
        bool inside[BATCH];
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * n_threads, channel = chunk + i / (HEIGHT * WIDTH);
            const int row = top + i / WIDTH % HEIGHT, col = left + i % WIDTH;
            const bool in_image = row >= 0 && row < at.in_height && col >= 0 && col < at.in_width;
            inside[k] = i < N && in_image && channel < at.n_in;
            value[k] = normalised[k] = 0.0f;
            if (!inside[k]) continue;
            const int pixel = row * at.in_width + col;
            value[k] = side_by_side(at.input, at.second, at.n_first, at.n_in, lane, channel, n_pixels, pixel);
            if (at.prologue == NORM_VJP) normalised[k] = at.normalised[plane_at(lane, at.n_in, channel, n_pixels) + pixel];
        }
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * n_threads, c = i / (HEIGHT * WIDTH);
            if (i >= N) continue;
            if (at.prologue != IDENTITY && inside[k]) {
                const float4 affine = at.affine[static_cast<long long>(lane) * at.n_in + chunk + c];
                value[k] = staged(at.prologue, affine, value[k], normalised[k]);
            }
            store(c, i / WIDTH % HEIGHT, i % WIDTH, value[k]);
        }
    }
}

// Calls store(c, tap, o, four) for this thread's share of the weights of CHUNK channels from `chunk` on, four outputs at a time:
// o from 0 on, outputs from `first_output` on.
template <int CHUNK, int TAPS, class Store>
__device__ __forceinline__ void stage_weights(const Convolution& at, int chunk, int first_output, int n_outputs, Store store) {
    const int n_threads = blockDim.x, n_fours = n_outputs / 4, n = CHUNK * TAPS * n_fours;
    UNROLL(1)
    for (int begin = threadIdx.x; begin < n; begin += BATCH * n_threads) {
        float4 four[BATCH];
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * n_threads, plane = i / n_fours, o = first_output + i % n_fours * 4;
            const bool inside = i < n && chunk + plane / TAPS < at.n_in && o < at.n_padded;
            const float* from = at.weights + (static_cast<long long>(chunk) * TAPS + plane) * at.n_padded + o;
            four[k] = inside ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
        }
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * n_threads, plane = i / n_fours;
            if (i < n) store(plane / TAPS, plane % TAPS, i % n_fours * 4, four[k]);
        }
    }
}

template <int SIDE, int CHUNK>
__device__ __forceinline__ void convolve(const Convolution& at) {
    constexpr int TAPS = SIDE * SIDE, IN_ROWS = TILE_ROWS + SIDE - 1, IN_COLS = TILE_COLS + SIDE - 1;
    constexpr int PITCH = SIDE == 3 ? 20 : 17, CHANNEL = IN_ROWS * PITCH;
    constexpr int MAX_WEIGHTS = TAPS * MAX_OUTPUTS + 8;
    static_assert(CHANNEL % 32 == 8, "four channels must not share banks");
    static_assert(CHUNK * MAX_WEIGHTS >= MAX_WARPS * OUTPUTS * STRIP, "room for the strips");
    __shared__ float tile[CHUNK * CHANNEL];
    __shared__ float4 shared_weights[CHUNK * MAX_WEIGHTS / 4];

    float* const weights = reinterpret_cast<float*>(shared_weights);
    const int n_threads = blockDim.x, warp = threadIdx.x / WARP, n_outputs = n_threads / (2 * WARP) * OUTPUTS;
    const int n_weights = TAPS * n_outputs + (40 - TAPS * n_outputs % 32) % 32;  // of a channel
    const int lane = this_lane(at.lanes), first_output = blockIdx.y * n_outputs;
    const int tiles_across = (at.out_width + TILE_COLS - 1) / TILE_COLS;
    const int top = blockIdx.x / tiles_across * TILE_ROWS, left = blockIdx.x % tiles_across * TILE_COLS;
    const int row = warp % 2 * ROWS, own_output = warp / 2 * OUTPUTS;
    const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;

    float sum[ROWS][EIGHTS][4] = {};
    for (int chunk = 0; chunk < at.n_in; chunk += CHUNK) {
        __syncthreads();
        stage_input<CHUNK, IN_ROWS, IN_COLS>(
            at, lane, chunk, top + at.first_tap, left + at.first_tap,
            [&](int c, int y, int x, float value) { tile[c * CHANNEL + y * PITCH + x] = to_tf32(value); });
        stage_weights<CHUNK, TAPS>(at, chunk, first_output, n_outputs, [&](int c, int tap, int o, float4 w) {
            *reinterpret_cast<float4*>(weights + c * n_weights + tap * n_outputs + o) =
                make_float4(to_tf32(w.x), to_tf32(w.y), to_tf32(w.z), to_tf32(w.w));
        });
        __syncthreads();
        UNROLL(1)
        for (int c = t; c < CHUNK; c += 8) {
            UNROLL(1)
            for (int tap_col = 0; tap_col < SIDE; ++tap_col) {
                const float* const in = tile + c * CHANNEL + row * PITCH + tap_col + g;
                const float* const w = weights + c * n_weights + tap_col * n_outputs + own_output + g;
                float a[ROWS + SIDE - 1][4];
                UNROLL(32)
                for (int r = 0; r < ROWS + SIDE - 1; ++r) {
                    a[r][0] = in[r * PITCH];
                    a[r][1] = in[r * PITCH + 8];
                    a[r][2] = in[r * PITCH + 4 * CHANNEL];
                    a[r][3] = in[r * PITCH + 4 * CHANNEL + 8];
                }
                UNROLL(32)
                for (int tap_row = 0; tap_row < SIDE; ++tap_row)
                    UNROLL(32)
                    for (int eight = 0; eight < EIGHTS; ++eight) {
                        const int place = tap_row * SIDE * n_outputs + 8 * eight;
                        const float b[2] = {w[place], w[place + 4 * n_weights]};
                        UNROLL(32)
                        for (int r = 0; r < ROWS; ++r) multiply_add(sum[r][eight], a[r + tap_row], b);
                    }
            }
        }
    }
    // A row of the warp's outputs at a time goes through shared memory, so that neighbours in a warp write neighbours in a row.
    __syncthreads();
    float* const strip = weights + warp * OUTPUTS * STRIP;
    UNROLL(32)
    for (int r = 0; r < ROWS; ++r) {
        UNROLL(32)
        for (int eight = 0; eight < EIGHTS; ++eight)
            UNROLL(32)
            for (int i = 0; i < 4; ++i) strip[(8 * eight + 2 * t + i % 2) * STRIP + g + i / 2 * 8] = sum[r][eight][i];
        __syncwarp();
        UNROLL(1)
        for (int begin = threadIdx.x % WARP; begin < OUTPUTS * TILE_COLS; begin += BATCH * WARP) {
            float value[BATCH];
            const auto place = [&](int k, int& o, int& x) {
                const int i = begin + k * WARP;
                o = first_output + own_output + i / TILE_COLS, x = i % TILE_COLS;
                return o < at.n_out && top + row + r < at.out_height && left + x < at.out_width;
            };
            int o, x;
            UNROLL(32)
            for (int k = 0; k < BATCH; ++k) {
                const bool inside = place(k, o, x);
                const float total = strip[(begin + k * WARP) / TILE_COLS * STRIP + x];
                value[k] = inside ? finished(at, lane, o, (top + row + r) * at.out_width + left + x, total) : 0.0f;
            }
            UNROLL(32)
            for (int k = 0; k < BATCH; ++k) {
                if (!place(k, o, x)) continue;
                const long long plane = plane_at(lane, at.n_out, o, at.out_height * at.out_width);
                at.out[plane + (top + row + r) * at.out_width + left + x] = value[k];
            }
        }
        __syncwarp();
    }
}

// 3x3, and its vjp.
extern "C" __global__ void __launch_bounds__(MAX_WARPS* WARP, 2) conv_same_tf32(const Convolution at) { convolve<3, 8>(at); }
// 1x1, and its vjp.
extern "C" __global__ void __launch_bounds__(MAX_WARPS* WARP, 2) conv_point_tf32(const Convolution at) { convolve<1, 32>(at); }
