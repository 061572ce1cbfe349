// The losses of training, and the gradients with which they begin:
//
//     residual = z - std a,   v = factor residual,   loss = weight |residual|^2.
//
// Score matching: a = J_h^T h, factor = 2 std weight; v is then the tangent of h. Denoising: a = h, std = 1 and
// factor = -2 weight; v is the gradient of h.
//
// Shapes: a, z, v [lane][n]; v is overwritten. Index map: thread -> element, strided by the grid; blockIdx.z -> entry
// of the list of lanes, blockIdx.x -> share of the elements. Sums: f32 residuals, f64 squares and sums, as
// partial_sums.cuh says.
#include "partial_sums.cuh"

// `LossScalars` in src/training_loss.rs.
struct LossScalars {
    double weight;
    float std, factor;
};

extern "C" __global__ void __launch_bounds__(BLOCK)
    training_loss(const int* __restrict__ lanes, const LossScalars* __restrict__ scalars, const float* __restrict__ a,
                  const float* __restrict__ z, float* __restrict__ v, const Sums sums, int n) {
    const int lane = this_lane(lanes);
    const LossScalars at = scalars[lane];
    const long long first = static_cast<long long>(lane) * n;
    double sum[1] = {};
    for_each_element(n, [&](int i) {
        const float residual = z[first + i] - at.std * a[first + i];
        v[first + i] = at.factor * residual;
        sum[0] += at.weight * (static_cast<double>(residual) * residual);
    });
    keep_sums(sum, sums);
}
