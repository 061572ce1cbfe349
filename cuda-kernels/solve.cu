// What surrounds the linear solves of the default method: the weights W of the data term, which is
// 1/2 |W^(1/2) (A x - y)|^2, and the mirrors M of the approach.
//
// Index map: thread -> element i of vectors [lane][n], strided by the grid; blockIdx.z -> entry of the list of lanes,
// blockIdx.x -> share of the elements. Scalars stand one record per entry of the list.
#include "common.cuh"

// How one lane's image is mirrored; `MirrorScalars` in src/solve.rs.
struct MirrorScalars {
    float factor;
    unsigned adds;        // whether to what out holds
    unsigned rows, cols;  // whether the first row, column becomes the last
};

// out = factor M x, or out <- out + factor M x, of images [height][width].
extern "C" __global__ void __launch_bounds__(BLOCK)
    solve_mirror(const int* __restrict__ lanes, const MirrorScalars* __restrict__ scalars, const float* __restrict__ x,
                 float* __restrict__ out, int height, int width) {
    const MirrorScalars at = scalars[blockIdx.z];
    const long long first = static_cast<long long>(this_lane(lanes)) * height * width;
    for_each_element(height * width, [&](int i) {
        const int row = i / width, col = i % width;
        const int from = (at.rows ? height - 1 - row : row) * width + (at.cols ? width - 1 - col : col);
        const float value = at.factor * x[first + from];
        out[first + i] = at.adds ? out[first + i] + value : value;
    });
}

// out = w s, element by element; out may be s.
extern "C" __global__ void __launch_bounds__(BLOCK)
    solve_weigh(const int* __restrict__ lanes, const float* __restrict__ w, const float* s, float* out, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    for_each_element(n, [&](int i) { out[first + i] = w[first + i] * s[first + i]; });
}
