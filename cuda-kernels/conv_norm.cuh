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

constexpr int TEAM = WARP / 2;  // threads that sum up a group of channels

// Sum over the N threads, a warp or half of one, that stand together, known to all of them.
template <int N>
__device__ __forceinline__ double sum_of(double value) {
    for (int distance = N / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(WHOLE_WARP, value, distance);
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
        plain = sum_of<WARP>(plain);
        product = sum_of<WARP>(product);
        const int o = first_output + output;
        if (threadIdx.x % WARP == 0 && o < at.n_out)
            at.norm.sums[(static_cast<long long>(lane) * at.n_out + o) * n_tiles + tile] = {plain, product};
    }
}

// The coefficients of the norm, from the sums of all blocks of the lane and those of the tensor beside the output: a
// team of threads makes those of a group.
__device__ __forceinline__ void finish_norm(const Convolution& at, int lane, int n_tiles) {
    const NormOfOutput& norm = at.norm;
    const int per_group = norm.n_channels / norm.n_groups, n_teams = blockDim.x / TEAM, team = threadIdx.x / TEAM;
    const double n = static_cast<double>(at.out_height) * at.out_width * per_group;
    for (int begin = 0; begin < norm.n_groups; begin += n_teams) {
        const int first = (begin + team) * per_group, end = begin + team < norm.n_groups ? first + per_group : first;
        double plain = 0, product = 0;
        UNROLL(1)
        for (int tensor = 0; tensor < 2; ++tensor) {  // the output, and the one beside it
            const int from = tensor ? max(first, at.n_out) : first, to = tensor ? end : min(end, at.n_out);
            const int of_tensor = tensor ? norm.n_second_tiles : n_tiles;
            const double2* const sums = tensor
                ? norm.second_sums + plane_at(lane, norm.n_channels - at.n_out, from - at.n_out, of_tensor)
                : norm.sums + plane_at(lane, at.n_out, from, of_tensor);
            UNROLL(8)
            for (int i = threadIdx.x % TEAM; i < (to - from) * of_tensor; i += TEAM) {
                const double weight = norm.bias ? 1.0 : norm.gain[from + i / of_tensor];
                const double2 sum = __ldcg(&sums[i]);
                plain += weight * sum.x;
                product += weight * sum.y;
            }
        }
        const double mean = sum_of<TEAM>(plain) / n, second = sum_of<TEAM>(product) / n;
        const double rstd = 1.0 / sqrt(fmax(second - mean * mean, 0.0) + norm.eps);
        for (int channel = first + threadIdx.x % TEAM; channel < end; channel += TEAM) {
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
