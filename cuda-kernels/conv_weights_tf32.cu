// The sums of conv_weights.cu, but for 1x1, on tensor cores: operands rounded to TF32, f32 sums. `conv_weights_finish`
// adds them up as it does those.
//
// Shapes, operands and units: conv_weights.cuh. Index map: blocks as there; a warp sums 16 steady channels times 8
// moving ones for all 9 taps, 8 pixels of a row at a time (mma.cuh, with pixels as the inner dimension). A block has
// `groups` such sixteens and `columns` such eights, a warp for each pair of them.
// Both tiles stand [channel][row][col]. A channel takes 4 modulo 8 values, so that the 8 channels times 4 pixels that a
// warp reads at a time lie in different banks; for that, with stride 2, even columns stand before odd ones. Three rows
// of the moving operand stay in registers and slide down the tile: 10 loads from shared memory go with 9 products.
#include "conv_weights.cuh"
#include "mma.cuh"

constexpr int STEADY = 16, MOVING = 8;  // channels of a warp

template <int STRIDE, int TILE_ROWS, bool BOX>
__device__ __forceinline__ void correlate(const WeightGradient& at) {
    constexpr int PIXELS = TILE_ROWS * TILE_COLS, STEADY_PITCH = PIXELS + 4;
    constexpr int IN_ROWS = (TILE_ROWS - 1) * STRIDE + 3, IN_COLS = (TILE_COLS - 1) * STRIDE + 3;
    constexpr int ROW = (IN_COLS + 1) / 2 * 2;  // as far as even and odd columns reach
    constexpr int PITCH = IN_ROWS * ROW + (12 - IN_ROWS * ROW % 8) % 8;
    static_assert(PITCH % 8 == 4 && STEADY_PITCH % 8 == 4, "eight channels must not share banks");
    __shared__ float shared[7168];

    float* const steady = shared;
    float* const moving = steady + at.groups * STEADY * STEADY_PITCH;
    const int first_steady = blockIdx.y * at.groups * STEADY, first_moving = blockIdx.x * at.columns * MOVING;
    const int warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    const int own_steady = warp / at.columns * STEADY, own_moving = warp % at.columns * MOVING;
    const int first_unit = blockIdx.z * at.units_per_split, end = min(first_unit + at.units_per_split, at.n_units);

    float sum[9][4] = {};
    for (int unit = first_unit; unit < end; ++unit) {
        const auto [pair, lane, top, left] = unit_at(at, unit, TILE_ROWS);
        __syncthreads();
        UNROLL(4)
        for (int i = threadIdx.x; i < at.groups * STEADY * PIXELS; i += blockDim.x) {
            const int c = i / PIXELS, row = top + i % PIXELS / TILE_COLS, col = left + i % TILE_COLS;
            const bool inside = row < at.steady_height && col < at.steady_width && first_steady + c < at.n_steady;
            const float* const plane = plane_of(at.steady[pair], at.n_steady_first, at.n_steady, lane, first_steady + c,
                                                at.steady_height * at.steady_width);
            steady[c * STEADY_PITCH + i % PIXELS] = to_tf32(inside ? plane[row * at.steady_width + col] : 0.0f);
        }
        UNROLL(4)
        for (int i = threadIdx.x; i < at.columns * MOVING * IN_ROWS * IN_COLS; i += blockDim.x) {
            const int c = i / (IN_ROWS * IN_COLS), y = i / IN_COLS % IN_ROWS, x = i % IN_COLS;
            float value = 0;
            if (first_moving + c < at.n_moving)
                value = moving_value<BOX>(plane_of(at.moving[pair], at.n_moving_first, at.n_moving, lane,
                                                   first_moving + c, at.moving_height * at.moving_width),
                                          at.moving_height, at.moving_width, top * STRIDE - 1 + y,
                                          left * STRIDE - 1 + x);
            moving[c * PITCH + y * ROW + (STRIDE == 1 ? x : x % 2 * (ROW / 2) + x / 2)] = to_tf32(value);
        }
        __syncthreads();
        const float* const d = steady + (own_steady + g) * STEADY_PITCH + t;
        const float* const in = moving + (own_moving + g) * PITCH + t;
        float2 window[3][3];  // row y of the tile stands in row y % 3; pixels t and t + 4
        UNROLL(32)
        for (int row = 0; row < TILE_ROWS; ++row) {
            UNROLL(32)
            for (int y = row * STRIDE + (row > 0 ? 3 - STRIDE : 0); y < row * STRIDE + 3; ++y)
                UNROLL(32)
                for (int x = 0; x < 3; ++x) {
                    const float* const from = in + y * ROW + (STRIDE == 1 ? x : x % 2 * (ROW / 2) + x / 2);
                    window[y % 3][x] = {from[0], from[4]};
                }
            const float* const pixels = d + row * TILE_COLS;
            const float4 a = {pixels[0], pixels[8 * STEADY_PITCH], pixels[4], pixels[8 * STEADY_PITCH + 4]};
            UNROLL(32)
            for (int tap = 0; tap < 9; ++tap) multiply_add(sum[tap], a, window[(row * STRIDE + tap / 3) % 3][tap % 3]);
        }
    }
    UNROLL(32)
    for (int tap = 0; tap < 9; ++tap)
        UNROLL(32)
        for (int i = 0; i < 4; ++i) {
            const int s = first_steady + own_steady + g + i / 2 * 8, m = first_moving + own_moving + 2 * t + i % 2;
            if (s < at.n_steady && m < at.n_moving) partial_row(at, 9, tap, s)[m] = sum[tap][i];
        }
}

extern "C" __global__ void __launch_bounds__(BLOCK, 2) conv_weights_same_tf32(const WeightGradient at) {
    correlate<1, 8, false>(at);
}
extern "C" __global__ void __launch_bounds__(BLOCK, 2) conv_weights_down_tf32(const WeightGradient at) {
    correlate<2, 4, false>(at);
}
extern "C" __global__ void __launch_bounds__(BLOCK, 2) conv_weights_up_tf32(const WeightGradient at) {
    correlate<2, 4, true>(at);
}
