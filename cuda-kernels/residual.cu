// The gradient that a convolution's output hands on to the residual that was added to it:
//
//     d_x[c][pixel] = or += d_out[first + c][pixel].
//
// Shapes: d_out [lane][stride], d_x [lane][n], n = channels of x times pixels; `first` counts values, not channels.
// Index map: thread -> value of d_x, strided by the grid; blockIdx.z -> lane.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(BLOCK)
    residual_backward(const int* __restrict__ lanes, const float* __restrict__ d_out, float* __restrict__ d_x,
                      int stride, int first, int n, int accumulate) {
    const int lane = this_lane(lanes);
    const float* from = d_out + static_cast<long long>(lane) * stride + first;
    float* to = d_x + static_cast<long long>(lane) * n;
    for_each_element(n, [&](int i) { to[i] = accumulate ? to[i] + from[i] : from[i]; });
}
