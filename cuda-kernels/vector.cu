// Vectors of the solver: directions, trials, updates, and the products that decide about them.
//
//     grad f = g + w0 p0,   d = -t (g + w p),   x <- x + l d,   r <- r + l A d,
//
// with the data term's gradient g, prior gradients p0 at t_min and p at t, and weights w0, w.
//
// Index map: thread -> element i of vectors [lane][n], strided by the grid; blockIdx.z -> entry of the list of lanes,
// blockIdx.x -> share of the elements. Steps and weights stand in `scalars`, one record per entry of the list.
// Vectors are overwritten, but for x and r. Sums: f32 data, f64 products and sums, as partial_sums.cuh says.
#include "partial_sums.cuh"

// What a lane's direction depends on; `DirectionScalars` in src/vector.rs.
struct DirectionScalars {
    float t, objective_weight, level_weight;
    unsigned smoothed;      // whether t is another level than t_min
    unsigned has_previous;  // whether there has been an update
};

// grad f, d, and with the direction d' of the last update
// |grad f|^2, <grad f, d>, |d|^2, <d', d' - d>, |d' - d|^2.
extern "C" __global__ void __launch_bounds__(BLOCK)
    vector_direction(const int* __restrict__ lanes, const DirectionScalars* __restrict__ scalars,
                     const float* __restrict__ data_gradient, const float* __restrict__ at_objective,
                     const float* __restrict__ at_level, const float* __restrict__ previous,
                     float* __restrict__ gradient,
                     float* __restrict__ direction, const Sums sums, int n) {
    const DirectionScalars at = scalars[blockIdx.z];
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    double sum[5] = {};
    for_each_element(n, [&](int i) {
        const float data = data_gradient[first + i];
        const float full = data + at.objective_weight * at_objective[first + i];
        const float smooth = at.smoothed ? data + at.level_weight * at_level[first + i] : full;
        const float step = -at.t * smooth;
        gradient[first + i] = full;
        direction[first + i] = step;
        const double g = full, d = step;
        sum[0] += g * g;
        sum[1] += g * d;
        sum[2] += d * d;
        if (at.has_previous) {
            const double p = previous[first + i];
            sum[3] += p * (p - d);
            sum[4] += (p - d) * (p - d);
        }
    });
    keep_sums(sum, sums);
}

// out = x + step d, with one step per entry of the list.
extern "C" __global__ void __launch_bounds__(BLOCK)
    vector_trial(const int* __restrict__ lanes, const float* __restrict__ steps, const float* __restrict__ x,
                 const float* __restrict__ d, float* __restrict__ out, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    const float step = steps[blockIdx.z];
    for_each_element(n, [&](int i) { out[first + i] = x[first + i] + step * d[first + i]; });
}

// x <- x + step d and d' <- d.
extern "C" __global__ void __launch_bounds__(BLOCK)
    vector_update(const int* __restrict__ lanes, const float* __restrict__ steps, const float* __restrict__ d,
                  float* __restrict__ x, float* __restrict__ previous, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    const float step = steps[blockIdx.z];
    for_each_element(n, [&](int i) {
        x[first + i] += step * d[first + i];
        previous[first + i] = d[first + i];
    });
}

// y <- y + a x, with one a per entry of the list.
extern "C" __global__ void __launch_bounds__(BLOCK)
    vector_add_scaled(const int* __restrict__ lanes, const float* __restrict__ factors, const float* __restrict__ x,
                      float* __restrict__ y, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    const float a = factors[blockIdx.z];
    for_each_element(n, [&](int i) { y[first + i] += a * x[first + i]; });
}

// out = factor x.
extern "C" __global__ void __launch_bounds__(BLOCK)
    vector_copy(const int* __restrict__ lanes, float factor, const float* __restrict__ x, float* __restrict__ out,
                int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    for_each_element(n, [&](int i) { out[first + i] = factor * x[first + i]; });
}

// <a, b>, <b, b>, <a, a>.
extern "C" __global__ void __launch_bounds__(BLOCK)
    vector_products(const int* __restrict__ lanes, const float* __restrict__ a, const float* __restrict__ b,
                    const Sums sums, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    double sum[3] = {};
    for_each_element(n, [&](int i) {
        const double left = a[first + i], right = b[first + i];
        sum[0] += left * right;
        sum[1] += right * right;
        sum[2] += left * left;
    });
    keep_sums(sum, sums);
}

// 1/2 |b|^2 - 1/2 |a|^2 as 1/2 <b - a, b + a>, which does not cancel: the change of the energy from h = a to h = b.
extern "C" __global__ void __launch_bounds__(BLOCK)
    vector_half_square_change(const int* __restrict__ lanes, const float* __restrict__ a, const float* __restrict__ b,
                              const Sums sums, int n) {
    const long long first = static_cast<long long>(this_lane(lanes)) * n;
    double change[1] = {};
    for_each_element(n, [&](int i) {
        const double from = a[first + i], to = b[first + i];
        change[0] += 0.5 * (to - from) * (to + from);
    });
    keep_sums(change, sums);
}
