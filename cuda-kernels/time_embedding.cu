// Time embedding: cosines and sines of t times a geometric ladder of frequencies, two linear layers with a SiLU
// between, and from the SiLU of that one shift per channel for every residual block.
//
// Angles in f64, because t times the highest frequency has many turns; sums f32, over inputs in order. Overwrites.
#include "common.cuh"
#include "lane_scalars.cuh"
#include "silu.cuh"

// waves = (cos(t f_0), ..., cos(t f_half-1), sin(t f_0), ..., sin(t f_half-1)), for training.
//
// Shapes: waves [lane][2 half]. Index map: thread -> frequency; blockIdx.z -> lane.
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

// y = W x + b; W is [input][output], so that neighbouring threads read neighbours. `Linear` in src/time_embedding.rs.
struct Linear {
    const float *weights, *bias;
    int n_in, n_out;

    __device__ __forceinline__ float operator()(const float* x, int o) const {
        float sum = bias[o];
        UNROLL(8)
        for (int i = 0; i < n_in; ++i) sum += weights[static_cast<long long>(i) * n_out + o] * x[i];
        return sum;
    }
};

// Values of a layer at most; `MOST_VALUES` in src/time_embedding.rs.
constexpr int MOST_VALUES = 2048;

// `TimeEmbedding` in src/time_embedding.rs.
struct TimeEmbedding {
    const int* lanes;
    const LaneScalars* scalars;
    const double* frequencies;
    Linear hidden, embedding, to_shifts;
    float* shifts;  // [lane][n]
};
static_assert(sizeof(TimeEmbedding) == 4 * 8 + 3 * 24, "src/time_embedding.rs has the same record");

// All of it for inference. Every block makes the embedding of its lane, and 256 of the shifts: so little work that to
// do it many times is faster than to launch four kernels. Index map: thread -> shift; blockIdx.z -> lane.
extern "C" __global__ void __launch_bounds__(BLOCK) time_embedding(const TimeEmbedding at) {
    __shared__ float even[MOST_VALUES], odd[MOST_VALUES];
    const int lane = this_lane(at.lanes), half = at.hidden.n_in / 2;
    const float t = at.scalars[lane].t;
    for (int k = threadIdx.x; k < half; k += BLOCK) {
        double sine, cosine;
        sincos(t * at.frequencies[k], &sine, &cosine);
        even[k] = static_cast<float>(cosine);
        even[half + k] = static_cast<float>(sine);
    }
    __syncthreads();
    for (int o = threadIdx.x; o < at.hidden.n_out; o += BLOCK) odd[o] = silu(at.hidden(even, o));
    __syncthreads();
    for (int o = threadIdx.x; o < at.embedding.n_out; o += BLOCK) even[o] = silu(at.embedding(odd, o));
    __syncthreads();
    const int o = blockIdx.x * BLOCK + threadIdx.x;
    const int n = at.to_shifts.n_out;
    if (o < n) at.shifts[static_cast<long long>(lane) * n + o] = at.to_shifts(even, o);
}
