// Time embedding: cosines and sines of t times a geometric ladder of frequencies, two linear layers with a SiLU
// between, and from the SiLU of that one shift per channel for every residual block.
//
// Shapes: waves [lane][2 half], vectors [lane][n]. Angles in f64, because t times the highest frequency has many turns;
// sums f32, over inputs in order. Overwrites. Thread -> output; blockIdx.z -> lane.
#include "common.cuh"
#include "lane_scalars.cuh"
#include "silu.cuh"

// waves = (cos(t f_0), ..., cos(t f_half-1), sin(t f_0), ..., sin(t f_half-1)).
extern "C" __global__ void __launch_bounds__(BLOCK)
    time_embedding_waves(const int* __restrict__ lanes, const LaneScalars* __restrict__ scalars,
                         const double* __restrict__ frequencies, float* __restrict__ waves, int half) {
    const int lane = this_lane(lanes);
    for_each_element(half, [&](int k) {
        const double angle = scalars[lane].t * frequencies[k];
        waves[2LL * half * lane + k] = static_cast<float>(cos(angle));
        waves[2LL * half * lane + half + k] = static_cast<float>(sin(angle));
    });
}

// y = W x + b, through a SiLU where `with_silu`; W is [input][output], so that neighbouring threads read neighbours.
extern "C" __global__ void __launch_bounds__(BLOCK)
    linear_forward(const int* __restrict__ lanes, const float* __restrict__ weights, const float* __restrict__ bias,
                   const float* __restrict__ x, float* __restrict__ y, int n_in, int n_out, int with_silu) {
    const long long lane = this_lane(lanes);
    for_each_element(n_out, [&](int o) {
        float sum = bias[o];
        for (int i = 0; i < n_in; ++i) sum += weights[static_cast<long long>(i) * n_out + o] * x[lane * n_in + i];
        y[lane * n_out + o] = with_silu ? silu(sum) : sum;
    });
}
