// The losses of training, and the gradients with which they begin:
//
//     residual = z - std a,   v = factor residual,   loss = weight |residual|^2.
//
// Score matching: a = J_h^T h, factor = 2 std weight; v is then the tangent of h. Denoising: a = h, std = 1 and
// factor = -2 weight; v is the gradient of h.
//
// Shapes: a, z, v [lane][n]; v is overwritten. Index map: thread -> element, strided by the grid; blockIdx.z -> entry
// of the list of lanes, blockIdx.x -> share of the elements. Sums: f32 residuals, f64 squares and sums; every block
// writes partial[entry][block], which `vector_finish` adds up in order.
#include "common.cuh"

// `LossScalars` in src/training_loss.rs.
struct LossScalars {
    double weight;
    float std, factor;
};

extern "C" __global__ void __launch_bounds__(BLOCK)
    training_loss(const int* __restrict__ lanes, const LossScalars* __restrict__ scalars, const float* __restrict__ a,
                  const float* __restrict__ z, float* __restrict__ v, double* __restrict__ partial, int n) {
    const int lane = this_lane(lanes);
    const LossScalars at = scalars[lane];
    const long long first = static_cast<long long>(lane) * n;
    double sum = 0;
    for_each_element(n, [&](int i) {
        const float residual = z[first + i] - at.std * a[first + i];
        v[first + i] = at.factor * residual;
        sum += static_cast<double>(residual) * residual;
    });
    const double total = block_sum(sum);
    if (threadIdx.x == 0) partial[static_cast<long long>(blockIdx.z) * gridDim.x + blockIdx.x] = at.weight * total;
}
