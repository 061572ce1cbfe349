// The convolutions 3x3 and 1x1, and their vjps, on tensor cores: the sums of conv.cu by products of TF32 numbers.
//
// COMPENSATED: a factor is split into a + a', both TF32, to 2^-22 of itself, and of a product
//
//     (a + a') (b + b') = a b + (a b' + a' b) + a' b'
//
// the last term, 2^-22 of it, is left out. A layer's result differs by less than 2e-6 of its norm.
// Otherwise a factor is rounded to TF32: a product has a relative error of 2^-10 at most, a result of about 5e-4.
//
// Shapes, prologues and epilogues: conv.cuh. Index map: blockIdx.x -> tile of 8 x COLS pixels; blockIdx.y -> 16
// outputs; blockIdx.z -> lane. A warp has 8 columns of the tile and all outputs, in products of 16 x 8 with 8 x 8
// numbers (mma.cuh): 16 outputs, 8 pixels of a row, and what is summed over, eight channels, of which a thread has a
// pair. Warps with the same columns share the sums: a split takes one column of taps of every so many eights.
// Inputs stand in shared memory, split already, [pair of channels][row][col], so that one load gives a thread all of a
// pixel; 8 pixels times 4 pairs lie in different banks. Ten rows stay in registers for all taps of a column: of a 3x3
// layer 72 products by compensation go with 10 loads. As many channels come together as there is room for, so that most
// layers wait for their inputs once or twice, and nothing is left to fetch ahead.
// Weights are split when they are packed (conv_pack.cu), and stand as the threads of a warp read them: straight from
// device memory, since at most one other warp of the block wants the same, and as soon as those of the eight before are
// used.
// Sums: tensor cores cut off what does not fit an f32. So no more than the products of one column of taps follow each
// other on them; these sums are added by f32 additions, over the eights of a split in order, then over the splits in
// order. No atomics, and the same order whatever the lanes.
#include "conv_norm.cuh"
#include "mma.cuh"
#include <type_traits>

constexpr int TILE_ROWS = 8, OUTPUTS = 16;
constexpr int ROWS = 4;  // whose sums a warp makes together
constexpr int WARPS = 6, THREADS = WARPS * WARP;

template <bool COMPENSATED_, int SIDE_, int COLS_, int CHUNK_>
struct Layout {
    static constexpr bool COMPENSATED = COMPENSATED_;
    static constexpr int SIDE = SIDE_, COLS = COLS_, CHUNK = CHUNK_, PIXELS = TILE_ROWS * COLS;
    static constexpr int SPLITS = WARPS / (COLS / 8), STRIDE = SPLITS / SIDE;  // of eights
    static constexpr int IN_ROWS = TILE_ROWS + SIDE - 1, IN_COLS = COLS + SIDE - 1, N = IN_ROWS * IN_COLS;
    static constexpr int PLACES = (N + WARP - 1) / WARP;                // of a thread, each of some pairs together
    static constexpr int PAIRS = SIDE == 1 && COLS == 8 ? 4 : 2;
    static constexpr int ODD = COMPENSATED ? 2 : 4, PITCH = (N + 2 * ODD - 1) / (2 * ODD) * 2 * ODD + ODD;
    static_assert(CHUNK % (8 * STRIDE) == 0 && CHUNK % (2 * WARPS) == 0, "equal splits, and as many pairs a warp");

    // Two channels: their TF32 numbers, and what these leave.
    using Pair = std::conditional_t<COMPENSATED, float4, float2>;
    union Shared {
        Pair tile[CHUNK / 2][PITCH];
        float sums[SPLITS][OUTPUTS][PIXELS + 8];
    };
};

__device__ __forceinline__ void split(float first, float second, float2& pair) {
    pair = {to_tf32(first), to_tf32(second)};
}
__device__ __forceinline__ void split(float first, float second, float4& pair) {
    pair.x = to_tf32(first), pair.y = to_tf32(second);
    pair.z = to_tf32(first - pair.x), pair.w = to_tf32(second - pair.y);
}

// The parts of a pair, to be handed on.
struct Numbers {
    template <class Pair>
    __device__ __forceinline__ float2 operator()(const Pair& pair) const { return {pair.x, pair.y}; }
};
struct Rests {
    __device__ __forceinline__ float2 operator()(const float4& pair) const { return {pair.z, pair.w}; }
};

// Where a warp's products are: its columns of the tile begin at `col`.
struct Place {
    int split, col;
};

// Tensors side by side, with what is done to them on the way in: the convolution's own, or those of the 1x1 beside it.
struct Source {
    const float *first, *second, *normalised;
    const float4* affine;
    int n_first, n_channels, prologue;
};

// Stages the tile of some channels, of which each warp has the pairs warp, warp + WARPS, ...
template <class L>
struct Inputs {
    const Source from;
    const int lane, n_pixels;
    int pixel[L::PLACES];  // -1: outside of the image

    __device__ __forceinline__ Inputs(const Convolution& at, const Source& from, int lane, int top, int left)
        : from(from), lane(lane), n_pixels(at.in_height * at.in_width) {
        UNROLL(32)
        for (int k = 0; k < L::PLACES; ++k) {
            const int i = threadIdx.x % WARP + k * WARP, row = top + i / L::IN_COLS, col = left + i % L::IN_COLS;
            const bool in_image = row >= 0 && row < at.in_height && col >= 0 && col < at.in_width;
            pixel[k] = in_image && i < L::N ? row * at.in_width + col : -1;
        }
    }

    // The prologue of a channel, up to its SiLU: x value + (y normalised + z); zeros give zero beyond the last channel.
    __device__ __forceinline__ float3 prologue_of(int channel) const {
        if (channel >= from.n_channels || from.prologue == IDENTITY) return {1, 0, 0};
        const float4 affine = from.affine[plane_at(lane, from.n_channels, channel, 1)];
        return {affine.x, from.prologue == NORM_VJP ? affine.y : 0, from.prologue == NORM_VJP ? affine.z : affine.y};
    }

    // A channel at the thread's places.
    __device__ __forceinline__ void load(int channel, float (&value)[L::PLACES], float (&normalised)[L::PLACES]) const {
        const bool in_first = channel < from.n_first, exists = channel < from.n_channels;
        const float* const plane = in_first
            ? from.first + plane_at(lane, from.n_first, channel, n_pixels)
            : from.second + plane_at(lane, from.n_channels - from.n_first, channel - from.n_first, n_pixels);
        const float* const of_norm = from.normalised + plane_at(lane, from.n_channels, channel, n_pixels);
        UNROLL(32)
        for (int k = 0; k < L::PLACES; ++k) {
            value[k] = exists && pixel[k] >= 0 ? plane[pixel[k]] : 0.0f;
            normalised[k] = exists && pixel[k] >= 0 && from.prologue == NORM_VJP ? of_norm[pixel[k]] : 0.0f;
        }
    }

    // The channels from `first` on, of each warp some pairs together: their loads begin before the first is used.
    __device__ __forceinline__ void stage(int first, typename L::Pair (&tile)[L::CHUNK / 2][L::PITCH]) const {
        constexpr int N = 2 * L::PAIRS;
        const int n_pairs = (min(from.n_channels - first, L::CHUNK) + 7) / 8 * 4;
        __syncthreads();  // others may still read the tile
        UNROLL(1)
        for (int begin = threadIdx.x / WARP; begin < n_pairs; begin += L::PAIRS * WARPS) {
            float value[N][L::PLACES], normalised[N][L::PLACES];
            float3 prologue[N];
            UNROLL(32)
            for (int i = 0; i < N; ++i) {
                const int channel = first + 2 * (begin + i / 2 * WARPS) + i % 2;
                load(channel, value[i], normalised[i]);
                prologue[i] = prologue_of(channel);
            }
            UNROLL(32)
            for (int i = 0; i < N * L::PLACES; ++i) {
                const auto [x, y, z] = prologue[i / L::PLACES];
                float& own = value[i / L::PLACES][i % L::PLACES];
                own = x * own + (y * normalised[i / L::PLACES][i % L::PLACES] + z);
            }
            if (from.prologue == NORM_SILU)
                UNROLL(32)
                for (int i = 0; i < N * L::PLACES; ++i)
                    value[i / L::PLACES][i % L::PLACES] = silu(value[i / L::PLACES][i % L::PLACES]);
            UNROLL(32)
            for (int i = 0; i < L::PAIRS * L::PLACES; ++i) {
                const int k = i % L::PLACES, own = i / L::PLACES, place = threadIdx.x % WARP + k * WARP;
                const int pair = begin + own * WARPS;
                const bool inside = pixel[k] >= 0;
                if (place < L::N && pair < L::CHUNK / 2)
                    split(inside ? value[2 * own][k] : 0, inside ? value[2 * own + 1][k] : 0, tile[pair][place]);
            }
        }
        __syncthreads();
    }
};

// The weights of a warp by each of its eights of channels. A tap's are loaded once those of the eight before are used.
template <class L>
struct Weights {
    static constexpr int PARTS = L::COMPENSATED ? 2 : 1, COLUMN = L::SIDE * PARTS * WARP;
    const float4* const all;
    int next, end;
    float4 of_tap[L::SIDE][PARTS];

    __device__ __forceinline__ Weights(const float* weights, int n_channels, int split)
        : all(reinterpret_cast<const float4*>(weights)) {
        const int of_block = (n_channels + 7) / 8 * L::SIDE * COLUMN;
        end = (blockIdx.y + 1) * of_block;
        next = blockIdx.y * of_block + split * COLUMN + threadIdx.x % WARP;
        UNROLL(32)
        for (int tap = 0; tap < L::SIDE; ++tap) begin(tap);
    }

    // Begins to load a tap's of the eight `next`.
    __device__ __forceinline__ void begin(int tap) {
        UNROLL(32)
        for (int part = 0; part < PARTS; ++part)
            if (next < end) of_tap[tap][part] = all[next + (tap * PARTS + part) * WARP];
    }
};

// Adds the products of a tap, `a` from the weights, with one part of the rows from `row` on.
template <class Pair, class Part>
__device__ __forceinline__ void multiply_rows(float (&sum)[ROWS][4], const float4& a, const Pair* row, Part part) {
    UNROLL(32)
    for (int r = 0; r < ROWS; ++r) multiply_add(sum[r], a, part(row[r]));
}

// Adds the products of the warp's columns of the tile and its split of the channels, `n_eights` of them.
template <class L>
__device__ __forceinline__ void multiply(const typename L::Pair (&tile)[L::CHUNK / 2][L::PITCH], Weights<L>& weights,
                                         const Place& place, int n_eights, float (&sum)[TILE_ROWS / ROWS][ROWS][4]) {
    constexpr Numbers numbers;
    constexpr Rests rests;
    const int first_pixel = threadIdx.x % WARP / 4 + place.col + place.split % L::SIDE, pair = threadIdx.x % 4;
    UNROLL(1)
    for (int eight = place.split / L::SIDE; eight < n_eights; eight += L::STRIDE) {
        weights.next += L::SPLITS * weights.COLUMN;
        typename L::Pair row[L::IN_ROWS];
        UNROLL(32)
        for (int y = 0; y < L::IN_ROWS; ++y) row[y] = tile[4 * eight + pair][y * L::IN_COLS + first_pixel];
        UNROLL(32)
        for (int half = 0; half < TILE_ROWS / ROWS; ++half) {
            float column[ROWS][4] = {};
            UNROLL(32)
            for (int tap = 0; tap < L::SIDE; ++tap) {
                const auto& w = weights.of_tap[tap];
                if constexpr (L::COMPENSATED) {
                    multiply_rows(column, w[1], row + half * ROWS + tap, numbers);
                    multiply_rows(column, w[0], row + half * ROWS + tap, rests);
                    multiply_rows(column, w[0], row + half * ROWS + tap, numbers);
                } else {
                    multiply_rows(sum[half], w[0], row + half * ROWS + tap, numbers);
                }
                if (half > 0) weights.begin(tap);
            }
            if constexpr (L::COMPENSATED)
                UNROLL(32)
                for (int i = 0; i < 4 * ROWS; ++i) sum[half][i / 4][i % 4] += column[i / 4][i % 4];
        }
    }
}

// Adds the products of all channels of tensors with weights.
template <class L>
__device__ __forceinline__ void accumulate(const Inputs<L>& inputs, const float* weights, const Place& place,
                                           typename L::Shared& shared, float (&sum)[TILE_ROWS / ROWS][ROWS][4]) {
    const int n_channels = inputs.from.n_channels;
    Weights<L> coming(weights, n_channels, place.split);
    UNROLL(1)
    for (int first = 0; first < n_channels; first += L::CHUNK) {
        inputs.stage(first, shared.tile);
        multiply<L>(shared.tile, coming, place, (min(n_channels - first, L::CHUNK) + 7) / 8, sum);
    }
}

// Adds up the splits and writes the block's outputs: all that these need is read before any is written. What a norm
// needs of them takes the place of the splits that the same thread has read.
template <class L>
__device__ __forceinline__ void finish(const Convolution& at, int lane, int first_output, int top, int left,
                                       float (&sums)[L::SPLITS][OUTPUTS][L::PIXELS + 8]) {
    constexpr int N = (OUTPUTS * L::PIXELS + THREADS - 1) / THREADS;  // of a thread
    float value[N] = {}, factor[N] = {};
    int pixel[N];
    UNROLL(32)
    for (int k = 0; k < N; ++k) {
        const int i = threadIdx.x + k * THREADS, own = i / L::PIXELS, place = i % L::PIXELS, o = first_output + own;
        const int row = top + place / L::COLS, col = left + place % L::COLS;
        const bool inside = own < OUTPUTS && o < at.n_out && row < at.out_height && col < at.out_width;
        pixel[k] = inside ? row * at.out_width + col : -1;
        if (!inside) continue;
        float sum = 0;
        UNROLL(32)
        for (int split = 0; split < L::SPLITS; ++split) sum += sums[split][own][place];
        value[k] = finished(at, lane, o, pixel[k], sum, factor[k]);
    }
    UNROLL(32)
    for (int k = 0; k < N; ++k) {
        const int i = threadIdx.x + k * THREADS, own = i / L::PIXELS, place = i % L::PIXELS;
        if (pixel[k] >= 0)
            at.out[plane_at(lane, at.n_out, first_output + own, at.out_height * at.out_width) + pixel[k]] = value[k];
        if (!at.norm.sums || own >= OUTPUTS) continue;
        sums[0][own][place] = value[k];
        sums[1][own][place] = factor[k];
    }
    if (at.norm.sums)
        keep_norm(at, lane, first_output, OUTPUTS, L::PIXELS, blockIdx.x, gridDim.x, [&](int output, int place) {
            return float2{sums[0][output][place], sums[1][output][place]};
        });
}

// L, and the layout of the 1x1 convolution beside it.
template <class L, class Points>
__device__ __forceinline__ void convolve(const Convolution& at) {
    __shared__ union {
        typename L::Shared own;
        typename Points::Shared points;
    } shared;
    const int warp = threadIdx.x / WARP, lane = this_lane(at.lanes);
    const Place place = {warp / (L::COLS / 8), warp % (L::COLS / 8) * 8};
    const int tiles_across = (at.out_width + L::COLS - 1) / L::COLS;
    const int top = blockIdx.x / tiles_across * TILE_ROWS, left = blockIdx.x % tiles_across * L::COLS;
    float sum[TILE_ROWS / ROWS][ROWS][4] = {};
    const Source input = {at.input, at.second, at.normalised, at.affine, at.n_first, at.n_in, at.prologue};
    accumulate<L>({at, input, lane, top + at.first_tap, left + at.first_tap}, at.weights, place, shared.own, sum);
    if (L::SIDE == 3 && at.more_weights) {
        const Source more = {at.more, at.more_second, nullptr, nullptr, at.n_more_first, at.n_more, IDENTITY};
        accumulate<Points>({at, more, lane, top, left}, at.more_weights, place, shared.points, sum);
    }
    __syncthreads();
    const int output = threadIdx.x % WARP / 4, col = place.col + threadIdx.x % 4 * 2;
    UNROLL(32)
    for (int row = 0; row < TILE_ROWS; ++row)
        UNROLL(32)
        for (int i = 0; i < 4; ++i)
            shared.own.sums[place.split][output + i / 2 * 8][row * L::COLS + col + i % 2] =
                sum[row / ROWS][row % ROWS][i];
    __syncthreads();
    finish<L>(at, lane, blockIdx.y * OUTPUTS, top, left, shared.own.sums);
}

// Of COMPENSATED, SIDE, COLS, CHUNK.
#define CONVOLUTION(name, compensated, side, cols, chunk)                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) name(const Convolution at) {                          \
        convolve<Layout<compensated, side, cols, chunk>, Layout<compensated, 1, cols, cols == 8 ? 48 : 24>>(at); \
    }

// 3x3, and its vjp; and for levels of many tiles.
CONVOLUTION(conv_same_compensated, true, 3, 8, 48)
CONVOLUTION(conv_same_compensated_large, true, 3, 16, 24)
CONVOLUTION(conv_same_tf32, false, 3, 8, 48)
CONVOLUTION(conv_same_tf32_large, false, 3, 16, 24)
// 1x1, and its vjp; likewise.
CONVOLUTION(conv_point_compensated, true, 1, 8, 48)
CONVOLUTION(conv_point_compensated_large, true, 1, 16, 24)
CONVOLUTION(conv_point_tf32, false, 1, 8, 48)
CONVOLUTION(conv_point_tf32_large, false, 1, 16, 24)
