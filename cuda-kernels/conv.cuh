// A convolution's arguments, and what surrounds its sums: the prologue on the way in, the epilogue on the way out.
// Shared by conv.cu and conv_tf32.cu.
#pragma once
#include "common.cuh"
#include "silu.cuh"

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
    const long long plane = in_first ? plane_at(lane, n_first, channel, n_pixels)
                                     : plane_at(lane, n - n_first, channel - n_first, n_pixels);
    return (in_first ? first : second)[plane + pixel];
}

// A value of the input after its prologue, with the affine of its channel; `normalised` is that of NORM_VJP's tensor.
__device__ __forceinline__ float staged(int prologue, const float4& affine, float value, float normalised) {
    if (prologue == IDENTITY) return value;
    if (prologue == NORM_VJP) return affine.x * value + (affine.y * normalised + affine.z);
    const float z = affine.x * value + affine.y;
    return prologue == NORM ? z : silu(z);
}

// What becomes of the sum of output `o` at one pixel.
__device__ __forceinline__ float finished(const Convolution& at, int lane, int o, int pixel, float sum) {
    const int n_pixels = at.out_height * at.out_width;
    if (at.epilogue & SILU_VJP) {
        const float4 affine = at.side_affine[static_cast<long long>(lane) * at.n_out + o];
        const float x = side_by_side(at.side, at.side_second, at.n_side_first, at.n_out, lane, o, n_pixels, pixel);
        sum *= silu_slope(affine.x * x + affine.y);
    } else if (at.side) {
        sum += side_by_side(at.side, at.side_second, at.n_side_first, at.n_out, lane, o, n_pixels, pixel);
    }
    if (at.bias) sum += at.bias[o];
    if (at.lane_shift) sum += at.lane_shift[static_cast<long long>(lane) * at.lane_shift_stride + o];
    return at.epilogue & ACCUMULATE ? at.out[plane_at(lane, at.n_out, o, n_pixels) + pixel] + sum : sum;
}
