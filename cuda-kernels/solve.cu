// The linear solves of the default method: conjugate gradients on (A^T W A + mu I) d = -g [HS52],
//
//     p <- r + beta p,   d <- d + a p,   r <- r - a (A^T W A p + mu p),
//
// the weights W of the data term, which is 1/2 |W^(1/2) (A x - y)|^2, and the mirrors M of the approach.
//
// Index map: thread -> element i of vectors [lane][n], strided by the grid; blockIdx.z -> entry of the list of lanes,
// blockIdx.x -> share of the elements. Scalars stand one record per entry of the list. p, d and r are updated,
// everything else is overwritten. Sums as in vector.cu: f64, one partial sum per block, added by `vector_finish`.
#include "partial_sums.cuh"

// p <- r + beta p and |p|^2. With beta = 0 what p held is not looked at.
extern "C" __global__ void __launch_bounds__(BLOCK)
    solve_conjugate(const int* __restrict__ lanes, const float* __restrict__ momenta, const float* __restrict__ r,
                    float* __restrict__ p, double* __restrict__ partial, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    const float momentum = momenta[blockIdx.z];
    double square = 0;
    for_each_element(n, [&](int i) {
        const float next = momentum == 0.0f ? r[first + i] : r[first + i] + momentum * p[first + i];
        p[first + i] = next;
        const double value = next;
        square += value * value;
    });
    keep_partial(partial, 1, 0, square);
}

// d <- d + a p, r <- r - a A^T W A p - a mu p, and |r|^2; a and mu from `scalars`, `normal` holds A^T W A p.
extern "C" __global__ void __launch_bounds__(BLOCK)
    solve_advance(const int* __restrict__ lanes, const float2* __restrict__ scalars, const float* __restrict__ p,
                  const float* __restrict__ normal, float* __restrict__ d, float* __restrict__ r,
                  double* __restrict__ partial, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    const float length = scalars[blockIdx.z].x, damping = scalars[blockIdx.z].y;
    double square = 0;
    for_each_element(n, [&](int i) {
        const float along = p[first + i];
        d[first + i] += length * along;
        const float rest = r[first + i] - length * normal[first + i] - length * damping * along;
        r[first + i] = rest;
        const double value = rest;
        square += value * value;
    });
    keep_partial(partial, 1, 0, square);
}

// out = 0.
extern "C" __global__ void __launch_bounds__(BLOCK)
    solve_clear(const int* __restrict__ lanes, float* __restrict__ out, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    for_each_element(n, [&](int i) { out[first + i] = 0.0f; });
}

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
