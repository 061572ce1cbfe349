// A convolution's arguments, and what surrounds its sums: the prologue on the way in, the epilogue on the way out.
// Shared by conv.cu and conv_tensor.cu.
#pragma once
#include "common.cuh"
#include "silu.cuh"

// What is done to the input while it is staged.
enum Prologue { IDENTITY, NORM, NORM_SILU, NORM_VJP };
// What is done to the sums: bits. NORM_INPUT adds the vjp p d_z + q x + r of a norm.
enum Epilogue { ACCUMULATE = 1, SILU_VJP = 2, NORM_SUMS = 4, NORM_INPUT = 8 };

// What the output is summed up for (conv_norm.cuh); `NormOfOutput` in src/conv.rs.
struct NormOfOutput {
    double2* sums;               // [lane][o][tile]; null for none
    const double2* second_sums;  // likewise of the channels behind n_out, [lane][c][n_second_tiles]
    const float *gain, *bias;    // a vjp has no bias
    float4* coefficients;        // [lane][n_channels]; null where no norm is to be finished
    unsigned* counters;          // [entry of the list]
    double eps;
    int n_channels, n_groups, n_second_tiles, unused;
};

// `Convolution` in src/conv.rs.
struct Convolution {
    const int* lanes;
    const float *input, *second;  // channels [0, n_first) and the others
    const float* normalised;      // NORM_VJP: the tensor that was normalised
    const float4* affine;         // [lane][n_in]: NORM: scale, shift; NORM_VJP: p, q, r
    const float* weights;
    const float *bias, *lane_shift;   // [o], and [lane][lane_shift_stride]; null for none
    const float *side, *side_second;  // of the output's shape: a residual to add; or x of the norm
    const float4* side_affine;        // [lane][n_out]: the norm's; NORM_INPUT: p, q, r, [lane][n_norm]
    const float* d_z;                 // NORM_INPUT: [lane][n_norm]
    float* out;
    // 3x3 only: a 1x1 convolution of other tensors whose sums are added; weights [c][o], null for none
    const float *more, *more_second, *more_weights;
    NormOfOutput norm;
    int n_first, n_in, in_height, in_width;
    int n_out, n_padded, out_height, out_width;
    int first_tap, first_tap_per_phase;
    int lane_shift_stride, n_side_first;
    int prologue, epilogue;
    int n_norm, first_of_norm;  // NORM_INPUT: channels of the norm, and the first of them that is an output
    int n_more_first, n_more;
};
static_assert(sizeof(NormOfOutput) == 7 * 8 + 4 * 4, "src/conv.rs has the same record");
static_assert(sizeof(Convolution) == 16 * 8 + 72 + 18 * 4, "src/conv.rs has the same record");

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

// What becomes of the sum of output `o` at one pixel; and by what it is multiplied in the norm's second sum.
__device__ __forceinline__ float finished(const Convolution& at, int lane, int o, int pixel, float sum, float& factor) {
    const int n_pixels = at.out_height * at.out_width;
    float side = 0;
    if (at.side) side = side_by_side(at.side, at.side_second, at.n_side_first, at.n_out, lane, o, n_pixels, pixel);
    if (at.epilogue & (SILU_VJP | NORM_SUMS)) {
        const float4 affine = at.side_affine[static_cast<long long>(lane) * at.n_out + o];
        if (at.epilogue & SILU_VJP) sum *= silu_slope(affine.x * side + affine.y);
        factor = affine.z * side + affine.w;
    } else if (at.epilogue & NORM_INPUT) {
        const long long plane = static_cast<long long>(lane) * at.n_norm + at.first_of_norm + o;
        const float4 vjp = at.side_affine[plane];
        sum += vjp.x * at.d_z[plane * n_pixels + pixel] + (vjp.y * side + vjp.z);
    } else {
        sum += side;
    }
    if (at.bias) sum += at.bias[o];
    if (at.lane_shift) sum += at.lane_shift[static_cast<long long>(lane) * at.lane_shift_stride + o];
    if (at.epilogue & ACCUMULATE) sum += at.out[plane_at(lane, at.n_out, o, n_pixels) + pixel];
    if (!(at.epilogue & (SILU_VJP | NORM_SUMS))) factor = sum;
    return sum;
}
