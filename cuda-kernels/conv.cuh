// A convolution's arguments, and what surrounds its sums: the prologue on the way in, the epilogue on the way out. Shared by
// conv.cu and conv_tf32.cu.
#pragma once
#include "common.cuh"
#include "silu.cuh"

constexpr int TILE_ROWS = 8, TILE_COLS = 16;
constexpr int MAX_WARPS = 8;

// What is done to the input while it is staged.
enum Prologue { IDENTITY, NORM, NORM_SILU, NORM_VJP };
// What is done to the sums: added to `out` (a bit), and one of
enum Epilogue { ACCUMULATE = 1, SILU_VJP = 2 };

// `Convolution` in src/conv.rs.
struct Convolution {
    const int* lanes;
    const float *input, *second;  // channels [0, n_first) and the others
    const float* normalised;      // NORM_VJP: the tensor that was normalised
    const float4* affine;         // [lane][n_in]: NORM: scale, shift; NORM_VJP: p, q, r
    const float* weights;
    const float *bias, *lane_shift;   // [o], and [lane][lane_shift_stride]; null for none
    const float *side, *side_second;  // of the output's shape: a residual to add; SILU_VJP: what the SiLU's norm read
    const float4* side_affine;        // [lane][n_out]: SILU_VJP: scale, shift
    float* out;
    int n_first, n_in, in_height, in_width;
    int n_out, n_padded, out_height, out_width;
    int first_tap, first_tap_per_phase;
    int lane_shift_stride, n_side_first;
    int prologue, epilogue;
};
static_assert(sizeof(Convolution) == 12 * 8 + 14 * 4, "src/conv.rs has the same record");

// Value of channel `channel` of two tensors side by side.
__device__ __forceinline__ float side_by_side(const float* first, const float* second, int n_first, int n, int lane,
                                              int channel, int n_pixels, int pixel) {
    const bool in_first = channel < n_first;
    const long long plane = in_first ? static_cast<long long>(lane) * n_first + channel
                                     : static_cast<long long>(lane) * (n - n_first) + channel - n_first;
    return (in_first ? first : second)[plane * n_pixels + pixel];
}

// A value of the input after its prologue; `normalised` is that of NORM_VJP's tensor.
__device__ __forceinline__ float staged(const Convolution& at, int lane, int channel, float value, float normalised) {
    if (at.prologue == IDENTITY) return value;
    const float4 affine = at.affine[static_cast<long long>(lane) * at.n_in + channel];
    if (at.prologue == NORM_VJP) return affine.x * value + (affine.y * normalised + affine.z);
    const float z = affine.x * value + affine.y;
    return at.prologue == NORM ? z : silu(z);
}

// Calls store(c, y, x, value) for this thread's share of CHUNK channels from `chunk` on, HEIGHT x WIDTH pixels from (top, left)
// on; the value is 0 outside. All loads of a batch begin before the first is used: one takes as long as hundreds of
// multiply-adds.
template <int CHUNK, int HEIGHT, int WIDTH, class Store>
__device__ __forceinline__ void stage_input(const Convolution& at, int lane, int chunk, int top, int left, Store store) {
    constexpr int N = CHUNK * HEIGHT * WIDTH, BATCH = 4;
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
            if (at.prologue == NORM_VJP)
                normalised[k] = at.normalised[(static_cast<long long>(lane) * at.n_in + channel) * n_pixels + pixel];
        }
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * n_threads, c = i / (HEIGHT * WIDTH);
            if (i >= N) continue;
            const float out = inside[k] ? staged(at, lane, chunk + c, value[k], normalised[k]) : 0.0f;
            store(c, i / WIDTH % HEIGHT, i % WIDTH, out);
        }
    }
}

// Calls store(c, tap, o, four) for this thread's share of the weights of CHUNK channels from `chunk` on, four outputs at a time:
// o from 0 on, outputs from `first_output` on; `first_plane` is the plane of channel 0 and its first tap.
template <int CHUNK, int TAPS, class Store>
__device__ __forceinline__ void stage_weights(const Convolution& at, long long first_plane, int chunk, int first_output,
                                              int n_outputs, Store store) {
    constexpr int BATCH = 4;
    const int n_threads = blockDim.x, n_fours = n_outputs / 4, n = CHUNK * TAPS * n_fours;
    UNROLL(1)
    for (int begin = threadIdx.x; begin < n; begin += BATCH * n_threads) {
        float4 four[BATCH];
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * n_threads, plane = i / n_fours, o = first_output + i % n_fours * 4;
            const bool inside = i < n && chunk + plane / TAPS < at.n_in && o < at.n_padded;
            const float* from = at.weights + (first_plane + static_cast<long long>(chunk) * TAPS + plane) * at.n_padded + o;
            four[k] = inside ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
        }
        UNROLL(32)
        for (int k = 0; k < BATCH; ++k) {
            const int i = begin + k * n_threads, plane = i / n_fours;
            if (i < n) store(plane / TAPS, plane % TAPS, i % n_fours * 4, four[k]);
        }
    }
}

// What becomes of the sum of output `o` at one pixel.
__device__ __forceinline__ float finished(const Convolution& at, int lane, int o, int pixel, float sum) {
    const int n_pixels = at.out_height * at.out_width;
    const long long plane = static_cast<long long>(lane) * at.n_out + o;
    if (at.epilogue & SILU_VJP) {
        const float4 affine = at.side_affine[plane];
        const float x = side_by_side(at.side, at.side_second, at.n_side_first, at.n_out, lane, o, n_pixels, pixel);
        sum *= silu_slope(affine.x * x + affine.y);
    } else if (at.side) {
        sum += side_by_side(at.side, at.side_second, at.n_side_first, at.n_out, lane, o, n_pixels, pixel);
    }
    if (at.bias) sum += at.bias[o];
    if (at.lane_shift) sum += at.lane_shift[static_cast<long long>(lane) * at.lane_shift_stride + o];
    return at.epilogue & ACCUMULATE ? at.out[plane * n_pixels + pixel] + sum : sum;
}

// Writes the sums of outputs o, o + 1, ... at one pixel. Everything is read before anything is written, for the reason above.
template <int OUTPUTS>
__device__ __forceinline__ void finish(const Convolution& at, int lane, int o, int pixel, const float (&sum)[OUTPUTS]) {
    float value[OUTPUTS];
    UNROLL(32)
    for (int i = 0; i < OUTPUTS; ++i) value[i] = o + i < at.n_out ? finished(at, lane, o + i, pixel, sum[i]) : 0.0f;
    float* out = at.out + (static_cast<long long>(lane) * at.n_out + o) * at.out_height * at.out_width + pixel;
    UNROLL(32)
    for (int i = 0; i < OUTPUTS; ++i)
        if (o + i < at.n_out) out[static_cast<long long>(i) * at.out_height * at.out_width] = value[i];
}
