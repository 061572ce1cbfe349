// Convolutions of every layer, forward and backward, as one sum:
//
//     out[o][PHASES g + phase] = sum_c sum_tap W[phase][c][tap][o] in[c][STRIDE g + first + tap],
//
// over input channels c and a square of SIDE x SIDE taps; g, phase, first and tap are (row, col) pairs, and in is 0
// outside.
//
//     layer                          STRIDE SIDE PHASES  first
//     3x3, and its vjp                  1     3     1     -1      the vjp with turned taps and transposed channels
//     1x1, and its vjp                  1     1     1      0
//     3x3 stride 2                      2     3     1     -1
//       its vjp                         1     2     2      0      an even row meets one tap of three, an odd row two
//     nearest doubling, then 3x3        1     2     2   phase-1   taps on one coarse pixel are added up before
//       its vjp                         2     4     1     -1
//
// The host lays the taps out (`layer/conv.rs`). What surrounds a convolution is fused with it: its input may be two
// tensors side by side and pass a normalisation, a SiLU or the vjp of a normalisation on its way in; its output gains
// bias, time shift, residual and the 1x1 convolution of a shortcut, or passes the vjp of a SiLU or a norm; and its
// norm's coefficients are made of it (conv_norm.cuh). So none of these costs a pass over memory of its own.
//
// Shapes: tensors [lane][c][row][col]; weights [phase][c][tap][o], o padded with zeros to multiples of 8.
// Index map: blockIdx.x -> tile of 8 x COLS places g; blockIdx.y -> (EIGHTS times 8 outputs, phase); blockIdx.z ->
// lane. A thread computes 8 outputs of one column and four rows: 32 sums in registers; weights are the same for all
// threads of a warp with one channel (broadcasts of 16 bytes), inputs are neighbours in a row. Few outputs and small
// tiles make many blocks, which the channels of the input then have to themselves: a split is the threads that take
// channels c = split modulo SPLITS, a warp, or half of one where the tile is 8 wide. Per channel and thread of a 3x3
// layer: 288 multiply-adds, 18 + 18 loads from shared memory.
// Channels come in chunks. While one is computed the next is on its way: weights as asynchronous copies, inputs in
// registers.
// Sums are f32: of a split over its channels in order, taps column by column; then over the splits in order. No
// atomics, and the same order whatever the lanes. `layer/conv.rs` chooses among the kernels by the size of the layer
// alone.
#include "async_copy.cuh"
#include "conv_norm.cuh"

constexpr int OUTPUTS = 8, ROWS = 4;  // of a thread
constexpr int TILE_ROWS = 2 * ROWS, MAX_WARPS = 8;

constexpr int largest_power_of_2(int n) { return n < 2 ? 1 : 2 * largest_power_of_2(n / 2); }

// How a block shares its work, and what it keeps in shared memory.
template <int STRIDE_, int SIDE_, int PHASES_, int COLS_, int EIGHTS_, int CHUNK_>
struct Layout {
    static constexpr int STRIDE = STRIDE_, SIDE = SIDE_, PHASES = PHASES_, COLS = COLS_;
    static constexpr int EIGHTS = EIGHTS_, CHUNK = CHUNK_;
    static constexpr int TAPS = SIDE * SIDE;
    static constexpr int WARPS = MAX_WARPS / EIGHTS * EIGHTS, THREADS = WARPS * WARP;
    static constexpr int PLACES = COLS * TILE_ROWS / ROWS;  // threads of a split
    static constexpr int SPLITS = WARPS / EIGHTS * (WARP / PLACES);
    static constexpr int IN_ROWS = (TILE_ROWS - 1) * STRIDE + SIDE, IN_COLS = (COLS - 1) * STRIDE + SIDE;
    // At stride 1 the threads of a warp read different banks: four rows are 16 banks apart or, where two splits share
    // the warp, 8, and two channels 16.
    static constexpr int PITCH = STRIDE > 1 ? IN_COLS : COLS == 16 ? 20 : 10;
    static constexpr int CHANNEL = COLS == 16 ? IN_ROWS * PITCH : (IN_ROWS * PITCH + 15) / 32 * 32 + 16;
    // Each thread stages the same places of the tile for every channel, or for every GROUPS-th.
    static constexpr int N = IN_ROWS * IN_COLS, GROUPS = largest_power_of_2(THREADS / N);
    static constexpr int ROUNDS = (N + THREADS - 1) / THREADS, STEPS = CHUNK / GROUPS;
    static_assert(CHUNK % GROUPS == 0 && (PLACES == WARP || 2 * PLACES == WARP),
                  "whole steps, a split or two to a warp");
    static_assert(CHANNEL >= IN_ROWS * PITCH, "room for a channel");

    struct Stage {
        float4 taps[CHUNK][TAPS][EIGHTS * OUTPUTS / 4];
        float tile[CHUNK][CHANNEL];
    };
    union Shared {
        Stage stages[2];
        float sums[WARPS][OUTPUTS * ROWS][WARP];
    };
};

// Brings a thread's share of the input's tile, chunk by chunk.
template <class L>
struct Inputs {
    const Convolution& at;
    long long first, second;                  // where channel 0 would begin in the one tensor and in the other
    int n_pixels, group;
    int pixel[L::ROUNDS], place[L::ROUNDS];   // -1: outside of the image; of the tile
    float value[L::ROUNDS][L::STEPS], normalised[L::STRIDE == 1 ? L::ROUNDS : 1][L::STRIDE == 1 ? L::STEPS : 1];

    __device__ __forceinline__ Inputs(const Convolution& at, int lane, int top, int left) : at(at) {
        n_pixels = at.in_height * at.in_width;
        first = plane_at(lane, at.n_first, 0, n_pixels);
        second = plane_at(lane, at.n_in - at.n_first, -at.n_first, n_pixels);
        group = L::ROUNDS > 1 ? 0 : threadIdx.x / L::N;
        UNROLL(32)
        for (int round = 0; round < L::ROUNDS; ++round) {
            const int i = L::ROUNDS > 1 ? threadIdx.x + round * L::THREADS : threadIdx.x % L::N;
            const int y = i / L::IN_COLS, x = i % L::IN_COLS, row = top + y, col = left + x;
            const bool in_image = row >= 0 && row < at.in_height && col >= 0 && col < at.in_width;
            pixel[round] = in_image ? row * at.in_width + col : -1;
            place[round] = i < L::N && group < L::GROUPS ? y * L::PITCH + x : -1;
        }
    }

    // Calls visit(round, step, channel within the chunk) for every value of this thread.
    template <class Visit>
    __device__ __forceinline__ void for_each(Visit visit) const {
        UNROLL(32)
        for (int round = 0; round < L::ROUNDS; ++round)
            UNROLL(32)
            for (int step = 0; step < L::STEPS; ++step)
                if (place[round] >= 0) visit(round, step, step * L::GROUPS + group);
    }

    __device__ __forceinline__ bool is_inside(int round, int channel) const {
        return pixel[round] >= 0 && channel < at.n_in;
    }

    // Begins to load; nothing waits for it before `store`.
    __device__ __forceinline__ void load(int chunk) {
        for_each([&](int round, int step, int c) {
            const int channel = chunk * L::CHUNK + c;
            const long long plane = static_cast<long long>(channel) * n_pixels + pixel[round];
            const bool inside = is_inside(round, channel), in_first = channel < at.n_first;
            value[round][step] = inside ? (in_first ? at.input : at.second)[plane + (in_first ? first : second)] : 0.0f;
            if constexpr (L::STRIDE == 1)
                if (at.prologue == NORM_VJP) normalised[round][step] = inside ? at.normalised[plane + first] : 0.0f;
        });
    }

    // Writes what was loaded, after its prologue.
    __device__ __forceinline__ void store(int chunk, const float4 (&affine)[L::CHUNK],
                                          float (&tile)[L::CHUNK][L::CHANNEL]) const {
        for_each([&](int round, int step, int c) {
            float out = value[round][step];
            if (at.prologue != IDENTITY && is_inside(round, chunk * L::CHUNK + c)) {
                if constexpr (L::STRIDE == 1)
                    out = staged(at.prologue, affine[c], out, at.prologue == NORM_VJP ? normalised[round][step] : 0.0f);
                else
                    out = staged(at.prologue, affine[c], out, 0.0f);
            }
            tile[c][place[round]] = out;
        });
    }
};

// Begins to copy the weights of a chunk, TAPS of each channel; `first_plane` is the plane of channel 0 and its first
// tap.
template <class L, int TAPS>
__device__ __forceinline__ void copy_taps(const Convolution& at, int chunk, long long first_plane, int first_output,
                                          typename L::Stage& stage) {
    constexpr int FOURS = L::EIGHTS * OUTPUTS / 4, N = L::CHUNK * TAPS * FOURS;
    const long long plane = first_plane + static_cast<long long>(chunk) * L::CHUNK * TAPS;
    const float* const from = at.weights + plane * at.n_padded;
    for (int i = threadIdx.x; i < N; i += L::THREADS) {
        const int plane = i / FOURS, four = i % FOURS, c = plane / TAPS;
        const bool inside = chunk * L::CHUNK + c < at.n_in;
        const float* const place = inside ? from + plane * at.n_padded + first_output + 4 * four : at.weights;
        begin_copy(&stage.taps[c][plane % TAPS][four], reinterpret_cast<const float4*>(place), inside);
    }
}

// Begins to copy the affines of a chunk.
template <class L>
__device__ __forceinline__ void copy_affine(const Convolution& at, int lane, int chunk, float4 (&affine)[L::CHUNK]) {
    const int c = threadIdx.x, channel = chunk * L::CHUNK + c;
    if (at.prologue == IDENTITY || c >= L::CHUNK) return;
    const bool inside = channel < at.n_in;
    begin_copy(&affine[c], inside ? at.affine + static_cast<long long>(lane) * at.n_in + channel : at.affine, inside);
}

// Adds the products of the thread's split: channels split, split + SPLITS, ... of the `n` of a chunk.
template <class L>
__device__ __forceinline__ void multiply(const typename L::Stage& stage, int split, int n, int eight, int row, int col,
                                         float (&sum)[OUTPUTS][ROWS]) {
    constexpr int WINDOW = (ROWS - 1) * L::STRIDE + L::SIDE;
    UNROLL(1)
    for (int c = split; c < n; c += L::SPLITS) {
        const auto add_column = [&](int tap_col) {
            float window[WINDOW];
            UNROLL(32)
            for (int i = 0; i < WINDOW; ++i)
                window[i] = stage.tile[c][(row * L::STRIDE + i) * L::PITCH + col * L::STRIDE + tap_col];
            UNROLL(32)
            for (int tap_row = 0; tap_row < L::SIDE; ++tap_row) {
                const float4 low = stage.taps[c][tap_row * L::SIDE + tap_col][eight * 2];
                const float4 high = stage.taps[c][tap_row * L::SIDE + tap_col][eight * 2 + 1];
                const float w[OUTPUTS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
                UNROLL(32)
                for (int o = 0; o < OUTPUTS; ++o)
                    UNROLL(32)
                    for (int r = 0; r < ROWS; ++r) sum[o][r] += w[o] * window[r * L::STRIDE + tap_row];
            }
        };
        if constexpr (L::SIDE > 3) {  // no registers for more at a time
            UNROLL(1)
            for (int tap_col = 0; tap_col < L::SIDE; ++tap_col) add_column(tap_col);
        } else {
            UNROLL(32)
            for (int tap_col = 0; tap_col < L::SIDE; ++tap_col) add_column(tap_col);
        }
    }
}

// Adds the products of a 1x1 convolution, with the only tap of each channel, which meets the middle of the 3x3's.
template <class L>
__device__ __forceinline__ void multiply_points(const typename L::Stage& stage, int split, int n, int eight, int row,
                                                int col, float (&sum)[OUTPUTS][ROWS]) {
    UNROLL(1)
    for (int c = split; c < n; c += L::SPLITS) {
        const float4 low = stage.taps[c][0][eight * 2], high = stage.taps[c][0][eight * 2 + 1];
        const float w[OUTPUTS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        UNROLL(32)
        for (int r = 0; r < ROWS; ++r) {
            const float value = stage.tile[c][(row + r + 1) * L::PITCH + col + 1];
            UNROLL(32)
            for (int o = 0; o < OUTPUTS; ++o) sum[o][r] += w[o] * value;
        }
    }
}

// Adds up the splits and writes the block's outputs, a few at a time: all of these are read before any is written. What
// a norm needs of them takes the place of the splits that the same thread has read.
template <class L, class Shared>
__device__ __forceinline__ void finish(const Convolution& at, int lane, int first_output, int top, int left, int phase,
                                       Shared& shared) {
    constexpr int STEP = L::THREADS / L::PLACES, N = L::EIGHTS * OUTPUTS * ROWS, BATCH = N / STEP < 4 ? N / STEP : 4;
    static_assert(N % (BATCH * STEP) == 0, "whole batches");
    const int in_split = threadIdx.x % L::PLACES, n_pixels = at.out_height * at.out_width;
    const int own_row = top + in_split / L::COLS * ROWS, grid_col = left + in_split % L::COLS;
    const int row_phase = phase / L::PHASES, out_col = grid_col * L::PHASES + phase % L::PHASES;
    UNROLL(1)
    for (int begin = threadIdx.x / L::PLACES; begin < N; begin += BATCH * STEP) {
        float value[BATCH] = {}, factor[BATCH] = {};
        long long to[BATCH];
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * STEP, eight = i / (OUTPUTS * ROWS), own = i % (OUTPUTS * ROWS);
            const int o = first_output + eight * OUTPUTS + own / ROWS;
            const int out_row = (own_row + own % ROWS) * L::PHASES + row_phase;
            to[k] = -1;
            if (o >= at.n_out || out_row >= at.out_height || out_col >= at.out_width) continue;
            float sum = 0;
            UNROLL(32)
            for (int split = 0; split < L::SPLITS; ++split) {
                const int in_warp = split % (WARP / L::PLACES), warp = split / (WARP / L::PLACES) * L::EIGHTS + eight;
                sum += shared.sums[warp][own][in_warp * L::PLACES + in_split];
            }
            const int pixel = out_row * at.out_width + out_col;
            to[k] = plane_at(lane, at.n_out, o, n_pixels) + pixel;
            value[k] = finished(at, lane, o, pixel, sum, factor[k]);
        }
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            if (to[k] >= 0) at.out[to[k]] = value[k];
            if (!at.norm.sums) continue;
            const int i = begin + k * STEP, eight = i / (OUTPUTS * ROWS), own = i % (OUTPUTS * ROWS);
            shared.sums[eight][own][in_split] = value[k];
            shared.sums[L::EIGHTS + eight][own][in_split] = factor[k];
        }
    }
    if (!at.norm.sums) return;
    constexpr int PHASES = L::PHASES * L::PHASES;
    keep_norm(at, lane, first_output, L::EIGHTS * OUTPUTS, ROWS * L::PLACES, blockIdx.x * PHASES + phase,
              gridDim.x * PHASES, [&](int output, int place) {
                  const int eight = output / OUTPUTS, own = output % OUTPUTS * ROWS + place / L::PLACES;
                  return float2{shared.sums[eight][own][place % L::PLACES],
                                shared.sums[L::EIGHTS + eight][own][place % L::PLACES]};
              });
}

// Where a thread's products are.
struct Place {
    int eight, split, row, col;
};

// Adds the products of all chunks of the input, or of the 1x1 convolution beside it, whose taps `first_plane` begins.
template <class L, bool POINTS>
__device__ __forceinline__ void accumulate(const Convolution& at, int lane, int top, int left, long long first_plane,
                                           int first_output, const Place& place, typename L::Shared& shared,
                                           float4 (&affine)[2][L::CHUNK], float (&sum)[OUTPUTS][ROWS]) {
    Inputs<L> inputs(at, lane, top, left);
    const int n_chunks = (at.n_in + L::CHUNK - 1) / L::CHUNK;
    UNROLL(1)
    for (int next = 0; next <= n_chunks; ++next) {
        typename L::Stage& stage = shared.stages[next % 2];
        if (next < n_chunks) {
            copy_taps<L, POINTS ? 1 : L::TAPS>(at, next, first_plane, first_output, stage);
            if (next == 0) copy_affine<L>(at, lane, 0, affine[0]);
            copy_affine<L>(at, lane, next + 1, affine[(next + 1) % 2]);
            inputs.load(next);
        }
        if (next > 0) {
            const int n = min(L::CHUNK, at.n_in - (next - 1) * L::CHUNK);
            const typename L::Stage& here = shared.stages[(next - 1) % 2];
            if constexpr (POINTS)
                multiply_points<L>(here, place.split, n, place.eight, place.row, place.col, sum);
            else
                multiply<L>(here, place.split, n, place.eight, place.row, place.col, sum);
        } else {  // the first affines
            wait_for_copies();
            __syncthreads();
        }
        if (next < n_chunks) inputs.store(next, affine[next % 2], stage.tile);
        wait_for_copies();
        __syncthreads();
    }
}

template <class L>
__device__ __forceinline__ void convolve(const Convolution& at) {
    __shared__ typename L::Shared shared;
    __shared__ float4 affine[2][L::CHUNK];
    const int warp = threadIdx.x / WARP, in_warp = threadIdx.x % WARP, lane = this_lane(at.lanes);
    const Place place = {warp % L::EIGHTS, warp / L::EIGHTS * (WARP / L::PLACES) + in_warp / L::PLACES,
                         in_warp % L::PLACES / L::COLS * ROWS, in_warp % L::COLS};
    const int phase = blockIdx.y % (L::PHASES * L::PHASES);
    const int first_output = blockIdx.y / (L::PHASES * L::PHASES) * L::EIGHTS * OUTPUTS;
    const int tiles_across = (at.out_width / L::PHASES + L::COLS - 1) / L::COLS;
    const int top = blockIdx.x / tiles_across * TILE_ROWS, left = blockIdx.x % tiles_across * L::COLS;
    const int in_top = top * L::STRIDE + at.first_tap + phase / L::PHASES * at.first_tap_per_phase;
    const int in_left = left * L::STRIDE + at.first_tap + phase % L::PHASES * at.first_tap_per_phase;
    float sum[OUTPUTS][ROWS] = {};
    accumulate<L, false>(at, lane, in_top, in_left, static_cast<long long>(phase) * at.n_in * L::TAPS, first_output,
                         place, shared, affine, sum);
    if constexpr (L::SIDE == 3 && L::STRIDE == 1)
        if (at.more_weights) {
            Convolution points = at;
            points.input = at.more, points.second = at.more_second, points.weights = at.more_weights;
            points.n_first = at.n_more_first, points.n_in = at.n_more, points.prologue = IDENTITY;
            accumulate<L, true>(points, lane, in_top, in_left, 0, first_output, place, shared, affine, sum);
        }
    UNROLL(32)
    for (int i = 0; i < OUTPUTS * ROWS; ++i) shared.sums[warp][i][in_warp] = sum[i / ROWS][i % ROWS];
    __syncthreads();
    finish<L>(at, lane, first_output, top, left, phase, shared);
}

// Of STRIDE, SIDE, PHASES, COLS, EIGHTS, CHUNK; so many registers that two blocks share a multiprocessor.
#define CONVOLUTION(name, ...)                                                                                    \
    extern "C" __global__ void __launch_bounds__(Layout<__VA_ARGS__>::THREADS, 2) \
        name(const Convolution at) {                                                                              \
        convolve<Layout<__VA_ARGS__>>(at);                                                                        \
    }

// 3x3, and its vjp: for levels that would not fill a device otherwise, for most, and for those with very many tiles.
CONVOLUTION(conv_same_small, 1, 3, 1, 8, 1, 16)
CONVOLUTION(conv_same, 1, 3, 1, 16, 1, 8)
CONVOLUTION(conv_same_large, 1, 3, 1, 16, 3, 8)
// 1x1, and its vjp; likewise.
CONVOLUTION(conv_point_small, 1, 1, 1, 8, 1, 32)
CONVOLUTION(conv_point, 1, 1, 1, 16, 1, 16)
CONVOLUTION(conv_point_large, 1, 1, 1, 16, 3, 8)
// 3x3 with stride 2.
CONVOLUTION(conv_down, 2, 3, 1, 16, 1, 8)
// Doubling, then 3x3; and the vjp of 3x3 with stride 2.
CONVOLUTION(conv_phases_small, 1, 2, 2, 8, 1, 16)
CONVOLUTION(conv_phases, 1, 2, 2, 16, 1, 8)
// The vjp of doubling, then 3x3.
CONVOLUTION(conv_up_vjp, 2, 4, 1, 16, 1, 8)
