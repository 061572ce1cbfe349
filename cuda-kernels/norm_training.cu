// Group normalisation in training, with SiLU behind it or without: what follows from the statistics that group_norm.cu
// takes. In a group of N values, with x^ = (x - mean) r, z = g x^ + b and y = s(z):
//
//     dot_x^ = r (dot_x - M - x^ A),   M = mean(dot_x),  A = mean(x^ dot_x),      dot_y = s' g dot_x^,
//     d_dot_z = s' d_dot_y,            d_dot_x = r (d - D - x^ B),                d = g d_dot_z,
//     d_z = s' d_y + s'' g dot_x^ d_dot_y,                                        D = mean(d),  B = mean(x^ d),
//     d_g = sum(d_z x^ + d_dot_z dot_x^),   d_b = sum(d_z),
//     d_x = p d_z + q x + c + s d_dot_z + t dot_x,
//
// with p, s per channel and q, c, t per group. Three passes have the same shape: sums of each share of a channel, means
// of the groups, and what follows from them for each value.
//
// Shapes: tensors [lane][c][pixel], sums [lane][c][share], coefficients [lane][c], means [lane][group] = (M, A, D, B).
// Sums are f32 within a share of PIXELS pixels and f64 across shares, in order. Everything is overwritten, but for
// `accumulate`.
// Index map: blockIdx.x -> share or pixels, blockIdx.y -> channel, blockIdx.z -> lane; one block per group for means.
#include "common.cuh"
#include "silu.cuh"

constexpr int PIXELS = 1024;

// `Norm` in src/norm_training.rs. Tensors named `first` and `second` stand side by side.
struct Norm {
    const int* lanes;
    const float *x_first, *x_second, *dot_first, *dot_second;
    const float *gain;
    const float4* affine;  // (scale, shift, r, -mean r)
    float4* dot_hat;       // dot_x^ = x dot_x + y x + z
    float4* on_value;      // (p, q, c, 0)
    float2* on_tangent;    // (s, t)
    float4* sums;
    double* means;
    const float *d_dot_y;
    float *d_dot_z;  // of the norm's channels
    float *d_z;      // d_y before, d_z after
    int n_first, n_channels, n_pixels, groups;
    int with_silu, with_tangents, n_lanes, rest;
};
static_assert(sizeof(Norm) == 15 * 8 + 8 * 4, "src/norm_training.rs has the same record");

enum Pass { TANGENT, D_TANGENT, D_VALUE };

__device__ __forceinline__ int n_shares(int n_pixels) { return (n_pixels + PIXELS - 1) / PIXELS; }

// Where channel `channel` of one or two tensors begins.
__device__ __forceinline__ const float* channel_of(const Norm& at, const float* first, const float* second, int lane,
                                                   int channel) {
    const bool in_first = channel < at.n_first;
    const long long plane = in_first ? static_cast<long long>(lane) * at.n_first + channel
                                     : static_cast<long long>(lane) * (at.n_channels - at.n_first)
                                           + channel - at.n_first;
    return (in_first ? first : second) + plane * at.n_pixels;
}

__device__ __forceinline__ double block_sum_for_all(double value) {
    __shared__ double total;
    const double sum = block_sum(value);
    if (threadIdx.x == 0) total = sum;
    __syncthreads();
    return total;
}

// y = s(z), or its tangent. blockIdx.y -> channel.
template <bool DOT>
__device__ __forceinline__ void apply(const Norm& at, float* out) {
    const int lane = this_lane(at.lanes), channel = blockIdx.y;
    const long long plane = static_cast<long long>(lane) * at.n_channels + channel;
    const float* x = channel_of(at, at.x_first, at.x_second, lane, channel);
    const float* dot_x = DOT ? channel_of(at, at.dot_first, at.dot_second, lane, channel) : nullptr;
    const float4 affine = at.affine[plane], hat = DOT ? at.dot_hat[plane] : make_float4(0, 0, 0, 0);
    const float gain = at.gain[channel];
    for_each_element(at.n_pixels, [&](int pixel) {
        const float z = affine.x * x[pixel] + affine.y;
        float value = at.with_silu ? silu(z) : z;
        if (DOT) {
            value = gain * (hat.x * dot_x[pixel] + (hat.y * x[pixel] + hat.z));
            if (at.with_silu) value *= silu_slope(z);
        }
        out[plane * at.n_pixels + pixel] = value;
    });
}

// Sums of a share, and on the way d_dot_z or d_z:
//     TANGENT (dot_x, dot_x x^),   D_TANGENT (d_dot_z, d_dot_z x^),   D_VALUE (d_z, d_z x^, d_dot_z dot_x^).
template <Pass PASS>
__device__ __forceinline__ void share_sums(const Norm& at) {
    const int lane = this_lane(at.lanes), channel = blockIdx.y;
    const long long plane = static_cast<long long>(lane) * at.n_channels + channel, begin = plane * at.n_pixels;
    const bool second = PASS == D_VALUE && at.with_tangents;
    const float* x = channel_of(at, at.x_first, at.x_second, lane, channel);
    const bool has_tangent = PASS == TANGENT || second;
    const float* dot_x = has_tangent ? channel_of(at, at.dot_first, at.dot_second, lane, channel) : nullptr;
    const float4 affine = at.affine[plane], hat = second ? at.dot_hat[plane] : make_float4(0, 0, 0, 0);
    const float gain = at.gain[channel];
    float plain = 0, on_hat = 0, on_dot = 0;
    const int first = blockIdx.x * PIXELS, last = min(first + PIXELS, at.n_pixels);
    for (int pixel = first + threadIdx.x; pixel < last; pixel += BLOCK) {
        const float z = affine.x * x[pixel] + affine.y;
        float term;
        if (PASS == TANGENT) {
            term = dot_x[pixel];
        } else {
            term = (PASS == D_TANGENT ? at.d_dot_y : at.d_z)[begin + pixel];
            if (at.with_silu) term *= silu_slope(z);
            if (second) {
                const float dot_hat = hat.x * dot_x[pixel] + (hat.y * x[pixel] + hat.z);
                if (at.with_silu) term += silu_bend(z) * at.d_dot_y[begin + pixel] * (gain * dot_hat);
                on_dot += at.d_dot_z[begin + pixel] * dot_hat;
            }
            (PASS == D_TANGENT ? at.d_dot_z : at.d_z)[begin + pixel] = term;
        }
        plain += term;
        on_hat += term * (affine.z * x[pixel] + affine.w);
    }
    plain = block_sum(plain);
    on_hat = block_sum(on_hat);
    on_dot = block_sum(on_dot);
    if (threadIdx.x == 0) at.sums[plane * gridDim.x + blockIdx.x] = make_float4(plain, on_hat, on_dot, 0.0f);
}

// From the sums of a group to its means and coefficients. blockIdx.x -> group.
template <Pass PASS>
__device__ __forceinline__ void group_means(const Norm& at) {
    const int lane = this_lane(at.lanes), shares = n_shares(at.n_pixels), per_group = at.n_channels / at.groups;
    const int first_channel = blockIdx.x * per_group;
    const long long first_plane = static_cast<long long>(lane) * at.n_channels + first_channel;
    double plain = 0, hat = 0, dot = 0;
    for (int i = threadIdx.x; i < per_group * shares; i += BLOCK) {
        const float4 sum = at.sums[first_plane * shares + i];
        const double weight = PASS == TANGENT ? 1.0 : at.gain[first_channel + i / shares];
        plain += weight * sum.x;
        hat += weight * sum.y;
        dot += weight * sum.z;
    }
    const double n = static_cast<double>(at.n_pixels) * per_group;
    plain = block_sum_for_all(plain) / n;
    hat = block_sum_for_all(hat) / n;
    dot = block_sum_for_all(dot) / n;
    double* means = at.means + 4 * (static_cast<long long>(lane) * at.groups + blockIdx.x);
    if (PASS != D_VALUE && threadIdx.x == 0) {
        means[PASS == TANGENT ? 0 : 2] = plain;
        means[PASS == TANGENT ? 1 : 3] = hat;
    }
    const bool second = PASS == D_VALUE && at.with_tangents;
    const double m = second ? means[0] : 0, a = second ? means[1] : 0;
    const double d = second ? means[2] : 0, b = second ? means[3] : 0;
    for (int i = threadIdx.x; i < per_group; i += BLOCK) {
        const double r = at.affine[first_plane + i].z, offset = at.affine[first_plane + i].w;
        const double gain = at.gain[first_channel + i];
        // On x^, and what is constant besides it.
        const double on_hat = PASS == D_VALUE ? r * (hat - 2 * r * a * b + dot) : r * hat;
        const double constant = -r * (plain - r * (a * d + b * m)) - on_hat * offset;
        const float4 all = make_float4(static_cast<float>(PASS == TANGENT ? r : r * gain),
                                       static_cast<float>(-r * on_hat),
                                       static_cast<float>(constant), 0.0f);
        (PASS == TANGENT ? at.dot_hat : at.on_value)[first_plane + i] = all;
        if (PASS == D_VALUE)
            at.on_tangent[first_plane + i] = {static_cast<float>(-r * r * a * gain), static_cast<float>(-r * r * b)};
    }
}

extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_forward(const Norm at, float* y) {
    apply<false>(at, y);
}
extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_tangent(const Norm at, float* y) {
    apply<true>(at, y);
}
extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_dot_sums(const Norm at) { share_sums<TANGENT>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_d_dot_sums(const Norm at) {
    share_sums<D_TANGENT>(at);
}
extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_d_sums(const Norm at) { share_sums<D_VALUE>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_dot_means(const Norm at) { group_means<TANGENT>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_d_dot_means(const Norm at) {
    group_means<D_TANGENT>(at);
}
extern "C" __global__ void __launch_bounds__(BLOCK) norm_training_d_means(const Norm at) { group_means<D_VALUE>(at); }

// d_x = or += p d + q x + c, and with tangents s d_dot_z + t dot_x, for the channels [first, first + gridDim.y) of the
// norm, which are those of x, dot_x and d_x. d is d_dot_z or d_z.
extern "C" __global__ void __launch_bounds__(BLOCK)
    norm_training_inputs(const Norm at, const float* d, const float* x, const float* dot_x, float* d_x, int first,
                         int accumulate) {
    const int lane = this_lane(at.lanes);
    const long long in_norm = static_cast<long long>(lane) * at.n_channels + first + blockIdx.y;
    const long long in_x = static_cast<long long>(lane) * gridDim.y + blockIdx.y;
    const float4 on_value = at.on_value[in_norm];
    const float2 on_tangent = at.with_tangents ? at.on_tangent[in_norm] : float2{0, 0};
    for_each_element(at.n_pixels, [&](int pixel) {
        const long long here = in_norm * at.n_pixels + pixel, there = in_x * at.n_pixels + pixel;
        float sum = on_value.x * d[here] + (on_value.y * x[there] + on_value.z);
        if (at.with_tangents) sum += on_tangent.x * at.d_dot_z[here] + on_tangent.y * dot_x[there];
        d_x[there] = accumulate ? d_x[there] + sum : sum;
    });
}

// d_gain and d_bias: factor times the sums over lanes in the list's order. Thread -> channel.
extern "C" __global__ void __launch_bounds__(BLOCK)
    norm_training_weights(const Norm at, float* d_gain, float* d_bias, float factor) {
    const int shares = n_shares(at.n_pixels);
    for_each_element(at.n_channels, [&](int channel) {
        double gain = 0, bias = 0;
        for (int i = 0; i < at.n_lanes * shares; ++i) {
            const long long plane = static_cast<long long>(at.lanes[i / shares]) * at.n_channels + channel;
            const float4 sum = at.sums[plane * shares + i % shares];
            gain += static_cast<double>(sum.y) + sum.z;
            bias += sum.x;
        }
        d_gain[channel] = static_cast<float>(factor * gain);
        d_bias[channel] = static_cast<float>(factor * bias);
    });
}
