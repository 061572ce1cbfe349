// The convolutions 3x3 and 1x1, and their vjps, on tensor cores: the sums of conv.cu with inputs and weights rounded to
// TF32 and f32 sums. Every product has a relative error of 2^-10 at most; a result differs by about 5e-4 of its norm.
//
// Shapes, prologues and epilogues: conv.cuh. Index map: blockIdx.x -> tile of 8 x 16 pixels; blockIdx.y -> 24 outputs;
// blockIdx.z -> lane. A warp computes the outputs of half a tile from a third of the channels, those c with
// c / 8 = split modulo SPLITS: for every tap and 8 channels, four products of 16 pixels of a row with 3 times 8 outputs
// (mma.cuh). A channel of the tile and of the weights takes 8 modulo 32 values, so that the 8 pixels or outputs times 4
// channels that a warp reads at a time lie in different banks. Rows of the input stay in registers for all taps of a
// column: of a 3x3 layer 42 loads from shared memory go with 36 products.
// Sums: of a split over its channels in eights, taps column by column; then over the splits in order.
#include "conv_norm.cuh"
#include "mma.cuh"

constexpr int TILE_ROWS = 8, TILE_COLS = 16, SPLITS = 3, THREADS = 2 * SPLITS * WARP;
constexpr int ROWS = 4, EIGHTS = 3, OUTPUTS = 8 * EIGHTS;  // of a warp
constexpr int PIXELS = TILE_ROWS * TILE_COLS;
constexpr int BATCH = 4;  // values that a thread reads before it writes any

template <int SIDE_, int CHUNK_>
struct Layout {
    static constexpr int SIDE = SIDE_, CHUNK = CHUNK_, TAPS = SIDE * SIDE;
    static constexpr int IN_ROWS = TILE_ROWS + SIDE - 1, IN_COLS = TILE_COLS + SIDE - 1;
    static constexpr int PITCH = SIDE == 3 ? 20 : 17, CHANNEL = IN_ROWS * PITCH;
    static constexpr int WEIGHTS = TAPS * OUTPUTS + (40 - TAPS * OUTPUTS % 32) % 32;  // of a channel
    static_assert(CHANNEL % 32 == 8 && WEIGHTS % 32 == 8, "four channels must not share banks");
    static_assert(IN_ROWS * IN_COLS <= THREADS && CHUNK % (8 * SPLITS) == 0, "a thread a place, equal splits");

    struct Stage {
        float tile[CHUNK][CHANNEL];
        float4 weights[CHUNK][WEIGHTS / 4];
    };
    union Shared {
        Stage stage;
        float sums[SPLITS][OUTPUTS][PIXELS + 4];
    };
};

// The input's tile of CHUNK channels from `chunk` on; each thread has one place of it. All loads of a batch begin
// before the first is used: one takes as long as hundreds of multiply-adds.
template <class L>
__device__ __forceinline__ void stage_input(const Convolution& at, int lane, int chunk, int top, int left,
                                            float (&tile)[L::CHUNK][L::CHANNEL]) {
    const int i = threadIdx.x, y = i / L::IN_COLS, x = i % L::IN_COLS, row = top + y, col = left + x;
    if (y >= L::IN_ROWS) return;
    const bool in_image = row >= 0 && row < at.in_height && col >= 0 && col < at.in_width;
    const int pixel = row * at.in_width + col, n_pixels = at.in_height * at.in_width;
    UNROLL(1)
    for (int first = 0; first < L::CHUNK; first += BATCH) {
        float value[BATCH] = {}, normalised[BATCH] = {};
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int channel = chunk + first + k;
            if (!in_image || channel >= at.n_in) continue;
            value[k] = side_by_side(at.input, at.second, at.n_first, at.n_in, lane, channel, n_pixels, pixel);
            if (at.prologue == NORM_VJP)
                normalised[k] = at.normalised[plane_at(lane, at.n_in, channel, n_pixels) + pixel];
        }
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int channel = chunk + first + k;
            if (at.prologue != IDENTITY && in_image && channel < at.n_in)
                value[k] = staged(at.prologue, at.affine[static_cast<long long>(lane) * at.n_in + channel], value[k],
                                  normalised[k]);
            tile[first + k][y * L::PITCH + x] = to_tf32(value[k]);
        }
    }
}

// The weights of the same channels for the outputs from `first_output` on, tap by tap.
template <class L>
__device__ __forceinline__ void stage_weights(const Convolution& at, int chunk, int first_output,
                                              float4 (&weights)[L::CHUNK][L::WEIGHTS / 4]) {
    constexpr int FOURS = OUTPUTS / 4, N = L::CHUNK * L::TAPS * FOURS;
    UNROLL(4)
    for (int i = threadIdx.x; i < N; i += THREADS) {
        const int plane = i / FOURS, c = plane / L::TAPS, o = first_output + i % FOURS * 4;
        const bool inside = chunk + c < at.n_in && o < at.n_padded;
        const float* from = at.weights + (static_cast<long long>(chunk) * L::TAPS + plane) * at.n_padded + o;
        const float4 w = inside ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
        weights[c][plane % L::TAPS * FOURS + i % FOURS] =
            make_float4(to_tf32(w.x), to_tf32(w.y), to_tf32(w.z), to_tf32(w.w));
    }
}

// Adds the products of the warp's half of the tile and its split of the channels.
template <class L>
__device__ __forceinline__ void multiply(const typename L::Stage& stage, int row, int split,
                                         float (&sum)[ROWS][EIGHTS][4]) {
    const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    UNROLL(1)
    for (int c = 8 * split + t; c < L::CHUNK; c += 8 * SPLITS) {
        UNROLL(1)
        for (int tap_col = 0; tap_col < L::SIDE; ++tap_col) {
            const float *const low = stage.tile[c] + row * L::PITCH + tap_col + g;
            const float *const high = stage.tile[c + 4] + row * L::PITCH + tap_col + g;
            const float *const low_weights = &stage.weights[c][0].x, *const high_weights = &stage.weights[c + 4][0].x;
            float a[ROWS + L::SIDE - 1][4];
            UNROLL(32)
            for (int r = 0; r < ROWS + L::SIDE - 1; ++r) {
                a[r][0] = low[r * L::PITCH];
                a[r][1] = low[r * L::PITCH + 8];
                a[r][2] = high[r * L::PITCH];
                a[r][3] = high[r * L::PITCH + 8];
            }
            UNROLL(32)
            for (int tap_row = 0; tap_row < L::SIDE; ++tap_row)
                UNROLL(32)
                for (int eight = 0; eight < EIGHTS; ++eight) {
                    const int place = (tap_row * L::SIDE + tap_col) * OUTPUTS + 8 * eight + g;
                    const float b[2] = {low_weights[place], high_weights[place]};
                    UNROLL(32)
                    for (int r = 0; r < ROWS; ++r) multiply_add(sum[r][eight], a[r + tap_row], b);
                }
        }
    }
}

// Adds up the splits and writes the block's outputs, a few at a time: all of these are read before any is written. What
// a norm needs of them takes the place of the splits that the same thread has read.
__device__ __forceinline__ void finish(const Convolution& at, int lane, int first_output, int top, int left,
                                       float (&sums)[SPLITS][OUTPUTS][PIXELS + 4]) {
    static_assert(OUTPUTS * PIXELS % (BATCH * THREADS) == 0, "whole batches");
    UNROLL(1)
    for (int begin = threadIdx.x; begin < OUTPUTS * PIXELS; begin += BATCH * THREADS) {
        float value[BATCH] = {}, factor[BATCH] = {};
        long long to[BATCH];
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * THREADS, own = i / PIXELS, place = i % PIXELS, o = first_output + own;
            const int row = top + place / TILE_COLS, col = left + place % TILE_COLS;
            to[k] = -1;
            if (o >= at.n_out || row >= at.out_height || col >= at.out_width) continue;
            float sum = 0;
            for (int split = 0; split < SPLITS; ++split) sum += sums[split][own][place];
            const int pixel = row * at.out_width + col;
            to[k] = plane_at(lane, at.n_out, o, at.out_height * at.out_width) + pixel;
            value[k] = finished(at, lane, o, pixel, sum, factor[k]);
        }
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            if (to[k] >= 0) at.out[to[k]] = value[k];
            if (!at.norm.sums) continue;
            const int i = begin + k * THREADS;
            sums[0][i / PIXELS][i % PIXELS] = value[k];
            sums[1][i / PIXELS][i % PIXELS] = factor[k];
        }
    }
    if (at.norm.sums)
        keep_norm(at, lane, first_output, OUTPUTS, PIXELS, blockIdx.x, gridDim.x, [&](int output, int place) {
            return float2{sums[0][output][place], sums[1][output][place]};
        });
}

template <class L>
__device__ __forceinline__ void convolve(const Convolution& at) {
    __shared__ typename L::Shared shared;
    const int warp = threadIdx.x / WARP, row = warp % 2 * ROWS, split = warp / 2;
    const int lane = this_lane(at.lanes), first_output = blockIdx.y * OUTPUTS;
    const int tiles_across = (at.out_width + TILE_COLS - 1) / TILE_COLS;
    const int top = blockIdx.x / tiles_across * TILE_ROWS, left = blockIdx.x % tiles_across * TILE_COLS;

    float sum[ROWS][EIGHTS][4] = {};
    UNROLL(1)
    for (int chunk = 0; chunk < at.n_in; chunk += L::CHUNK) {
        __syncthreads();
        stage_weights<L>(at, chunk, first_output, shared.stage.weights);
        stage_input<L>(at, lane, chunk, top + at.first_tap, left + at.first_tap, shared.stage.tile);
        __syncthreads();
        multiply<L>(shared.stage, row, split, sum);
    }
    __syncthreads();
    const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    UNROLL(32)
    for (int r = 0; r < ROWS; ++r)
        UNROLL(32)
        for (int i = 0; i < 4 * EIGHTS; ++i)
            shared.sums[split][i / 4 * 8 + 2 * t + i % 2][(row + r) * TILE_COLS + g + i % 4 / 2 * 8] =
                sum[r][i / 4][i % 4];
    __syncthreads();
    finish(at, lane, first_output, top, left, shared.sums);
}

// 3x3, and its vjp.
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv_same_tf32(const Convolution at) {
    convolve<Layout<3, 24>>(at);
}
// 1x1, and its vjp.
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv_point_tf32(const Convolution at) {
    convolve<Layout<1, 48>>(at);
}
