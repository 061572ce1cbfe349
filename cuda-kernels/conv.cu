// Convolutions of every layer, forward and backward, as one sum:
//
//     out[o][PHASES g + phase] = sum_c sum_tap W[phase][c][tap][o] in[c][STRIDE g + first + tap],
//
// over input channels c and a square of SIDE x SIDE taps; g, phase, first and tap are (row, col) pairs, and in is 0 outside.
//
//     layer                          STRIDE SIDE PHASES  first
//     3x3, and its vjp                  1     3     1     -1      the vjp with turned taps and transposed channels
//     1x1, and its vjp                  1     1     1      0
//     3x3 stride 2                      2     3     1     -1
//       its vjp                         1     2     2      0      an even row meets one tap of three, an odd row two
//     nearest doubling, then 3x3        1     2     2   phase-1   taps that fall on one coarse pixel are added up before
//       its vjp                         2     4     1     -1
//
// The host lays the taps out (`layer/conv.rs`). What surrounds a convolution is fused with it: its input may be two tensors
// side by side and pass a normalisation, a SiLU or the vjp of a normalisation on its way in; its output gains bias, time
// shift and residual, or passes the vjp of a SiLU. So none of these costs a pass over memory of its own.
//
// Shapes: tensors [lane][c][row][col]; weights [phase][c][tap][o], o padded with zeros to multiples of 8.
// Index map: blockIdx.x -> tile of 8 x 16 places g; blockIdx.y -> (outputs, phase); blockIdx.z -> lane. A warp computes 8
// outputs of the whole tile: thread -> one column, four rows; so its weights are the same for the warp (broadcasts of 16
// bytes), its inputs are neighbours in a row (no bank conflicts at stride 1), and 32 sums live in registers. A block has as
// many warps as share the tile, at most 8. Per input channel and thread of a 3x3 layer: 288 multiply-adds, 18 + 18 loads
// from shared memory.
// Sums are f32, over channels in order, taps column by column: no atomics, no splitting.
#include "conv.cuh"

constexpr int OUTPUTS = 8, ROWS = 4;  // of a thread

template <int STRIDE, int SIDE, int PHASES, int CHUNK>
__device__ __forceinline__ void convolve(const Convolution& at) {
    constexpr int TAPS = SIDE * SIDE;
    constexpr int IN_ROWS = (TILE_ROWS - 1) * STRIDE + SIDE, IN_COLS = (TILE_COLS - 1) * STRIDE + SIDE;
    // Four rows are 16 banks apart at stride 1: the halves of a warp read different banks.
    constexpr int PITCH = STRIDE == 1 ? 20 : 36;
    constexpr int WINDOW = (ROWS - 1) * STRIDE + SIDE;
    __shared__ float tile[CHUNK][IN_ROWS][PITCH];
    __shared__ float4 taps[CHUNK][TAPS][MAX_WARPS * OUTPUTS / 4];

    const int n_threads = blockDim.x, warp = threadIdx.x / WARP, n_block_outputs = n_threads / WARP * OUTPUTS;
    const int lane = this_lane(at.lanes);
    const int phase = blockIdx.y % (PHASES * PHASES), row_phase = phase / PHASES, col_phase = phase % PHASES;
    const int first_output = blockIdx.y / (PHASES * PHASES) * n_block_outputs;
    const int grid_height = at.out_height / PHASES, grid_width = at.out_width / PHASES;
    const int tiles_across = (grid_width + TILE_COLS - 1) / TILE_COLS;
    const int top = blockIdx.x / tiles_across * TILE_ROWS, left = blockIdx.x % tiles_across * TILE_COLS;
    const int in_top = top * STRIDE + at.first_tap + row_phase * at.first_tap_per_phase;
    const int in_left = left * STRIDE + at.first_tap + col_phase * at.first_tap_per_phase;
    const int row = threadIdx.x % WARP / TILE_COLS * ROWS, col = threadIdx.x % TILE_COLS;
    const long long first_plane = static_cast<long long>(phase) * at.n_in * TAPS;

    float sum[OUTPUTS][ROWS] = {};
    for (int chunk = 0; chunk < at.n_in; chunk += CHUNK) {
        __syncthreads();
        stage_input<CHUNK, IN_ROWS, IN_COLS>(at, lane, chunk, in_top, in_left,
                                             [&](int c, int y, int x, float value) { tile[c][y][x] = value; });
        stage_weights<CHUNK, TAPS>(at, first_plane, chunk, first_output, n_block_outputs,
                                   [&](int c, int tap, int o, float4 four) { taps[c][tap][o / 4] = four; });
        __syncthreads();
        UNROLL(1)
        for (int c = 0; c < CHUNK; ++c) {
            UNROLL(32)
            for (int tap_col = 0; tap_col < SIDE; ++tap_col) {
                float window[WINDOW];
                UNROLL(32)
                for (int i = 0; i < WINDOW; ++i) window[i] = tile[c][row * STRIDE + i][col * STRIDE + tap_col];
                UNROLL(32)
                for (int tap_row = 0; tap_row < SIDE; ++tap_row) {
                    const float4 low = taps[c][tap_row * SIDE + tap_col][warp * 2];
                    const float4 high = taps[c][tap_row * SIDE + tap_col][warp * 2 + 1];
                    const float w[OUTPUTS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
                    UNROLL(32)
                    for (int o = 0; o < OUTPUTS; ++o)
                        UNROLL(32)
                        for (int r = 0; r < ROWS; ++r) sum[o][r] += w[o] * window[r * STRIDE + tap_row];
                }
            }
        }
    }
    UNROLL(32)
    for (int r = 0; r < ROWS; ++r) {
        const int grid_row = top + row + r, grid_col = left + col;
        if (grid_row >= grid_height || grid_col >= grid_width) continue;
        const int pixel = (grid_row * PHASES + row_phase) * at.out_width + grid_col * PHASES + col_phase;
        float of_row[OUTPUTS];
        UNROLL(32)
        for (int o = 0; o < OUTPUTS; ++o) of_row[o] = sum[o][r];
        finish(at, lane, first_output + warp * OUTPUTS, pixel, of_row);
    }
}

// 3x3, and its vjp.
extern "C" __global__ void __launch_bounds__(MAX_WARPS* WARP) conv_same(const Convolution at) { convolve<1, 3, 1, 8>(at); }
// 1x1, and its vjp.
extern "C" __global__ void __launch_bounds__(MAX_WARPS* WARP) conv_point(const Convolution at) { convolve<1, 1, 1, 16>(at); }
// 3x3 with stride 2.
extern "C" __global__ void __launch_bounds__(MAX_WARPS* WARP) conv_down(const Convolution at) { convolve<2, 3, 1, 8>(at); }
// Doubling, then 3x3; and the vjp of 3x3 with stride 2.
extern "C" __global__ void __launch_bounds__(MAX_WARPS* WARP) conv_phases(const Convolution at) { convolve<1, 2, 2, 8>(at); }
// The vjp of doubling, then 3x3.
extern "C" __global__ void __launch_bounds__(MAX_WARPS* WARP) conv_up_vjp(const Convolution at) { convolve<2, 4, 1, 4>(at); }
