// What a convolution does for the group norm of its output z, or behind its gradient: the sums over the pixels of each
// channel that the norm needs, tile by tile, and from these, by the block of a lane that comes last, its coefficients.
//
// With N values in a group of channels:
//
//     norm     z = scale x + shift,   scale = gain rstd,  shift = bias - mean scale
//              from the sums of x and x^2                               coefficients (scale, shift, rstd, -mean rstd)
//     its vjp  d_x = rstd (d - sum(d)/N - x^ sum(d x^)/N) = p d_z + q x + r,   x^ = (x - mean) rstd,   d = gain d_z
//              from the sums of d_z and d_z x^                          coefficients (p, q, r, 0)
//
// Sums are f64, over the pixels of a tile, then over tiles, then channels, each in a fixed order; the second moment
// does not cancel in them unless the mean is 10^6 deviations.
#pragma once
#include "conv.cuh"
#include "partial_sums.cuh"

// Sum over the warp, known to all of it.
__device__ __forceinline__ double warp_sum(double value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(WHOLE_WARP, value, distance);
    return value;
}

// Leaves the sums of the block's tile, `n_outputs` channels of `n_places` places. `at_place` says what a place has of a
// channel: a value and its factor, zeros beyond the image. All of the block must have left them.
template <class AtPlace>
__device__ __forceinline__ void keep_sums_of_tile(const Convolution& at, int lane, int first_output, int n_outputs,
                                                  int n_places, int tile, int n_tiles, AtPlace at_place) {
    const int n_warps = blockDim.x / WARP;
    for (int output = threadIdx.x / WARP; output < n_outputs; output += n_warps) {
        double plain = 0, product = 0;
        for (int place = threadIdx.x % WARP; place < n_places; place += WARP) {
            const float2 of_place = at_place(output, place);
            plain += of_place.x;
            product += static_cast<double>(of_place.x) * of_place.y;
        }
        plain = warp_sum(plain);
        product = warp_sum(product);
        const int o = first_output + output;
        if (threadIdx.x % WARP == 0 && o < at.n_out)
            at.norm.sums[(static_cast<long long>(lane) * at.n_out + o) * n_tiles + tile] = {plain, product};
    }
}

// The coefficients of the norm, from the sums of all blocks of the lane and those of the tensor beside the output.
__device__ __forceinline__ void finish_norm(const Convolution& at, int lane, int n_tiles) {
    const NormOfOutput& norm = at.norm;
    const int n_warps = blockDim.x / WARP, thread = threadIdx.x % WARP, per_group = norm.n_channels / norm.n_groups;
    const double n = static_cast<double>(at.out_height) * at.out_width * per_group;
    for (int group = threadIdx.x / WARP; group < norm.n_groups; group += n_warps) {
        const int first = group * per_group;
        double plain = 0, product = 0;
        for (int channel = first; channel < first + per_group; ++channel) {
            const bool is_output = channel < at.n_out;
            const int of_tensor = is_output ? n_tiles : norm.n_second_tiles;
            const long long plane = is_output ? plane_at(lane, at.n_out, channel, 1)
                                              : plane_at(lane, norm.n_channels - at.n_out, channel - at.n_out, 1);
            const double2* const sums = (is_output ? norm.sums : norm.second_sums) + plane * of_tensor;
            const double weight = norm.bias ? 1.0 : norm.gain[channel];
            UNROLL(4)
            for (int tile = thread; tile < of_tensor; tile += WARP) {
                const double2 sum = __ldcg(&sums[tile]);
                plain += weight * sum.x;
                product += weight * sum.y;
            }
        }
        const double mean = warp_sum(plain) / n, second = warp_sum(product) / n;
        const double rstd = 1.0 / sqrt(fmax(second - mean * mean, 0.0) + norm.eps);
        for (int channel = first + thread; channel < first + per_group; channel += WARP) {
            const long long place = static_cast<long long>(lane) * norm.n_channels + channel;
            float4& to = norm.coefficients[place];
            if (norm.bias) {
                const double scale = norm.gain[channel] * rstd;
                to = make_float4(static_cast<float>(scale), static_cast<float>(norm.bias[channel] - mean * scale),
                                 static_cast<float>(rstd), static_cast<float>(-mean * rstd));
            } else {
                const double rstd = at.side_affine[place].z, offset = at.side_affine[place].w;
                to = make_float4(static_cast<float>(norm.gain[channel] * rstd),
                                 static_cast<float>(-rstd * rstd * second),
                                 static_cast<float>(-rstd * (mean + offset * second)), 0.0f);
            }
        }
    }
}

// All of it, once the block's places hold their values.
template <class AtPlace>
__device__ __forceinline__ void keep_norm(const Convolution& at, int lane, int first_output, int n_outputs,
                                          int n_places, int tile, int n_tiles, AtPlace at_place) {
    __syncthreads();
    keep_sums_of_tile(at, lane, first_output, n_outputs, n_places, tile, n_tiles, at_place);
    if (at.norm.coefficients && comes_last(at.norm.counters)) finish_norm(at, lane, n_tiles);
}
