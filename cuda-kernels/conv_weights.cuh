// The sums of weight gradients: arguments and operands. Shared by conv_weights.cu, which says what is summed, and
// conv_weights_tf32.cu.
#pragma once
#include "common.cuh"

constexpr int TILE_COLS = 8;

// One or two tensors side by side: channels [0, n_first) and the others.
struct Operand {
    const float *first, *second;
};

// `WeightGradient` in src/conv_weights.rs.
struct WeightGradient {
    const int* lanes;
    Operand steady[2], moving[2];  // by pair
    float* partial;
    int n_steady, n_steady_first, steady_height, steady_width;
    int n_moving, n_moving_first, moving_height, moving_width;
    int n_lanes, n_units, units_per_split;
    int groups, columns;  // of a block: as the kernel says
    int unused;
};
static_assert(sizeof(WeightGradient) == 10 * 8 + 14 * 4, "src/conv_weights.rs has the same record");

// Where the pixels of channel `channel` of lane `lane` begin.
__device__ __forceinline__ const float* plane_of(const Operand& of, int n_first, int n, int lane, int channel,
                                                 int n_pixels) {
    const bool in_first = channel < n_first;
    const long long plane = in_first ? static_cast<long long>(lane) * n_first + channel
                                     : static_cast<long long>(lane) * (n - n_first) + channel - n_first;
    return (in_first ? of.first : of.second) + plane * n_pixels;
}

// The moving operand at a pixel that may be outside; with BOX its sum over that and the next row and column.
template <bool BOX>
__device__ __forceinline__ float moving_value(const float* plane, int height, int width, int row, int col) {
    float sum = 0;
    UNROLL(2)
    for (int i = 0; i <= BOX; ++i)
        UNROLL(2)
        for (int j = 0; j <= BOX; ++j) {
            const bool inside = row + i >= 0 && row + i < height && col + j >= 0 && col + j < width;
            sum += inside ? plane[(row + i) * width + col + j] : 0.0f;
        }
    return sum;
}

// Writes [first value of a row][moving] for the steady channels from `steady` on.
__device__ __forceinline__ float* partial_row(const WeightGradient& at, int n_taps, int tap, int steady) {
    return at.partial + ((static_cast<long long>(blockIdx.z) * n_taps + tap) * at.n_steady + steady) * at.n_moving;
}

// A tile of pixels of one lane of one pair.
struct Unit {
    int pair, lane, top, left;
};

// `tile_rows` times TILE_COLS places of the steady operand to a tile.
__device__ __forceinline__ Unit unit_at(const WeightGradient& at, int unit, int tile_rows) {
    const int across = (at.steady_width + TILE_COLS - 1) / TILE_COLS;
    const int n_tiles = across * ((at.steady_height + tile_rows - 1) / tile_rows), tile = unit % n_tiles;
    return {unit / n_tiles / at.n_lanes, at.lanes[unit / n_tiles % at.n_lanes], tile / across * tile_rows,
            tile % across * TILE_COLS};
}
