// Linear layers in training: y = W x + b with W [output][input] where the parameters have it, and the reverse.
//
// Layers on one input are one launch: `rows` has two numbers for each output, the places of its row of W and of its
// bias in the vector of parameters, and of their gradients in that of the gradients.
// Shapes: vectors [lane][n]. Sums f32 in a fixed order; everything is overwritten. blockIdx.z -> lane.
#include "common.cuh"
#include "silu.cuh"

constexpr int WARPS = BLOCK / WARP;

// z = W x + b, and s = silu(z) where `s` is not null. Warp -> output.
extern "C" __global__ void __launch_bounds__(BLOCK)
    linear_training_forward(const int* __restrict__ lanes, const float* __restrict__ parameters,
                            const int* __restrict__ rows, const float* __restrict__ x, float* __restrict__ z,
                            float* __restrict__ s, int n_in, int n_out) {
    const long long lane = this_lane(lanes);
    const int o = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (o >= n_out) return;
    const float* weights = parameters + rows[2 * o];
    float sum = 0;
    for (int i = threadIdx.x % WARP; i < n_in; i += WARP) sum += weights[i] * x[lane * n_in + i];
    for (int distance = WARP / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(WHOLE_WARP, sum, distance);
    if (threadIdx.x % WARP != 0) return;
    sum += parameters[rows[2 * o + 1]];
    z[lane * n_out + o] = sum;
    if (s) s[lane * n_out + o] = silu(sum);
}

// d_z = s'(z) W^T d_y, where x = s(z). Column of 8 threads -> input, each over every eighth output.
extern "C" __global__ void __launch_bounds__(BLOCK)
    linear_training_backward(const int* __restrict__ lanes, const float* __restrict__ parameters,
                             const int* __restrict__ rows, const float* __restrict__ d_y, const float* __restrict__ z,
                             float* __restrict__ d_z, int n_in, int n_out) {
    __shared__ float parts[WARPS][WARP];
    const long long lane = this_lane(lanes);
    const int i = blockIdx.x * WARP + threadIdx.x % WARP, warp = threadIdx.x / WARP;
    float sum = 0;
    if (i < n_in)
        for (int o = warp; o < n_out; o += WARPS) sum += parameters[rows[2 * o] + i] * d_y[lane * n_out + o];
    parts[warp][threadIdx.x % WARP] = sum;
    __syncthreads();
    if (warp != 0 || i >= n_in) return;
    for (int other = 1; other < WARPS; ++other) sum += parts[other][threadIdx.x % WARP];
    d_z[lane * n_in + i] = sum * silu_slope(z[lane * n_in + i]);
}

// d_W = factor sum over lanes of d_y x^T, d_b = factor sum of d_y. blockIdx.y -> output, thread -> input.
extern "C" __global__ void __launch_bounds__(BLOCK)
    linear_training_weights(const int* __restrict__ lanes, const int* __restrict__ rows, const float* __restrict__ d_y,
                            const float* __restrict__ x, float* __restrict__ gradient, float factor, int n_in,
                            int n_lanes) {
    const int o = blockIdx.y, n_out = gridDim.y;
    for_each_element(n_in, [&](int i) {
        float sum = 0;
        for (int n = 0; n < n_lanes; ++n) {
            const long long lane = lanes[n];
            sum += d_y[lane * n_out + o] * x[lane * n_in + i];
        }
        gradient[rows[2 * o] + i] = factor * sum;
    });
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        float sum = 0;
        for (int n = 0; n < n_lanes; ++n) sum += d_y[static_cast<long long>(lanes[n]) * n_out + o];
        gradient[rows[2 * o + 1]] = factor * sum;
    }
}
