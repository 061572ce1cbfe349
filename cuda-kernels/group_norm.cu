// Group normalisation: z = gain (x - mean) / sqrt(var + eps) + bias, with mean and variance over the pixels of a group
// of channels. As z = scale x + shift per channel it is applied by whoever reads x; here are its statistics and its
// vjp.
//
// With x^ = (x - mean) rstd, N values in the group and d = d_z gain:
//
//     d_x = rstd (d - sum(d)/N - x^ sum(d x^)/N)  =  p d_z + q x + r,
//
// with p per channel and q, r per group.
//
// Shapes: tensors [lane][c][pixel]. Statistics are taken share by share of PIXELS pixels of a channel, as pairs
// [lane][c][share]: f32 within a share, f64 across shares, in order. Per-channel results are float4 [lane][c]:
// (scale, shift, rstd, -mean rstd), and (p, q, r, 0). Everything is overwritten, but for `accumulate`.
#include "common.cuh"

constexpr int PIXELS = 1024;

__device__ __forceinline__ int n_shares(int n_pixels) { return (n_pixels + PIXELS - 1) / PIXELS; }

// The sum over the block, known to all of it.
template <class Number>
__device__ __forceinline__ Number block_sum_for_all(Number value) {
    __shared__ Number total;
    const Number sum = block_sum(value);
    if (threadIdx.x == 0) total = sum;
    __syncthreads();
    return total;
}

// Calls visit(pixel) for this thread's part of the share blockIdx.x.
template <class Visit>
__device__ __forceinline__ void for_each_pixel(int n_pixels, Visit visit) {
    const int first = blockIdx.x * PIXELS, last = min(first + PIXELS, n_pixels);
    for (int pixel = first + threadIdx.x; pixel < last; pixel += BLOCK) visit(pixel);
}

// moments[lane][c][share] = (mean, sum of squared deviations from it). blockIdx.y -> channel.
extern "C" __global__ void __launch_bounds__(BLOCK)
    group_norm_moments(const int* __restrict__ lanes, const float* __restrict__ x, float2* __restrict__ moments,
                       int n_pixels) {
    const long long plane = static_cast<long long>(this_lane(lanes)) * gridDim.y + blockIdx.y;
    const float* values = x + plane * n_pixels;
    const int n = min(PIXELS, n_pixels - static_cast<int>(blockIdx.x) * PIXELS);
    float sum = 0;
    for_each_pixel(n_pixels, [&](int pixel) { sum += values[pixel]; });
    const float mean = block_sum_for_all(sum) / n;
    float squares = 0;
    for_each_pixel(n_pixels, [&](int pixel) { squares += (values[pixel] - mean) * (values[pixel] - mean); });
    const float deviations = block_sum(squares);
    if (threadIdx.x == 0) moments[plane * gridDim.x + blockIdx.x] = {mean, deviations};
}

// affine[lane][c] = (scale, shift, rstd, -mean rstd), for channels that stand in one or two tensors. blockIdx.x ->
// group.
extern "C" __global__ void __launch_bounds__(BLOCK)
    group_norm_forward(const int* __restrict__ lanes, const float2* __restrict__ first,
                       const float2* __restrict__ second,
                       const float* __restrict__ gain, const float* __restrict__ bias, float4* __restrict__ affine,
                       double eps, int n_first, int n_channels, int n_pixels) {
    const int lane = this_lane(lanes), shares = n_shares(n_pixels), per_group = n_channels / gridDim.x;
    const int first_channel = blockIdx.x * per_group;
    // Moments and size of the i-th share of the group.
    const auto share = [&](int i, double& n) {
        const int channel = first_channel + i / shares;
        n = min(PIXELS, n_pixels - i % shares * PIXELS);
        const bool in_first = channel < n_first;
        const long long plane = in_first ? static_cast<long long>(lane) * n_first + channel
                                         : static_cast<long long>(lane) * (n_channels - n_first) + channel - n_first;
        // Two steps: g++ 12 with UBSan takes share 0 always when this is one expression.
        const float2* moments = in_first ? first : second;
        return moments[plane * shares + i % shares];
    };
    const double total = static_cast<double>(n_pixels) * per_group;
    double sum = 0, n;
    for (int i = threadIdx.x; i < per_group * shares; i += BLOCK) {
        const float2 moments = share(i, n);
        sum += n * moments.x;
    }
    const double mean = block_sum_for_all(sum) / total;
    double deviations = 0;
    for (int i = threadIdx.x; i < per_group * shares; i += BLOCK) {
        const float2 moments = share(i, n);
        deviations += moments.y + n * (moments.x - mean) * (moments.x - mean);
    }
    const double rstd = 1.0 / sqrt(block_sum_for_all(deviations) / total + eps);
    for (int channel = first_channel + threadIdx.x; channel < first_channel + per_group; channel += BLOCK) {
        const double scale = gain[channel] * rstd;
        affine[static_cast<long long>(lane) * n_channels + channel] =
            make_float4(static_cast<float>(scale), static_cast<float>(bias[channel] - mean * scale),
                        static_cast<float>(rstd), static_cast<float>(-mean * rstd));
    }
}

// d_x = base + p d_z + q x + r, added to what is there with `accumulate`; for the channels [first, first + n_x) of the
// norm. `base` may be null; it and d_z have n_channels channels. blockIdx.y -> channel of x.
extern "C" __global__ void __launch_bounds__(BLOCK)
    group_norm_input_gradient(const int* __restrict__ lanes, const float4* __restrict__ gradient,
                              const float* __restrict__ d_z, const float* __restrict__ x,
                              const float* __restrict__ base,
                              float* __restrict__ d_x, int first, int n_channels, int n_pixels, int accumulate) {
    const int lane = this_lane(lanes);
    const long long in_norm = static_cast<long long>(lane) * n_channels + first + blockIdx.y;
    const long long in_x = static_cast<long long>(lane) * gridDim.y + blockIdx.y;
    const float4 at = gradient[in_norm];
    for_each_element(n_pixels, [&](int pixel) {
        float d = at.x * d_z[in_norm * n_pixels + pixel] + (at.y * x[in_x * n_pixels + pixel] + at.z);
        if (base) d += base[in_norm * n_pixels + pixel];
        float* out = d_x + in_x * n_pixels + pixel;
        *out = accumulate ? *out + d : d;
    });
}
