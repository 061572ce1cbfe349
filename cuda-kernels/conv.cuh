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

// The input of the convolution at one pixel, after its prologue.
__device__ __forceinline__ float staged(const Convolution& at, int lane, int channel, int pixel) {
    const int n_pixels = at.in_height * at.in_width;
    const float value = side_by_side(at.input, at.second, at.n_first, at.n_in, lane, channel, n_pixels, pixel);
    if (at.prologue == IDENTITY) return value;
    const long long plane = static_cast<long long>(lane) * at.n_in + channel;
    const float4 affine = at.affine[plane];
    if (at.prologue == NORM_VJP) return affine.x * value + (affine.y * at.normalised[plane * n_pixels + pixel] + affine.z);
    const float z = affine.x * value + affine.y;
    return at.prologue == NORM ? z : silu(z);
}

// What becomes of the sum of output `o` at one pixel.
__device__ __forceinline__ void finish(const Convolution& at, int lane, int o, int pixel, float sum) {
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
    float* out = at.out + plane * n_pixels + pixel;
    *out = at.epilogue & ACCUMULATE ? *out + sum : sum;
}
