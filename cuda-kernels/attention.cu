// Self-attention over the n pixels of an image, head by head: with q, k, v of C channels each,
//
//     S[i][j] = q_i . k_j / sqrt(C),   P = softmax over j,   mixed_i = sum_j P[i][j] v_j,
//
// and with s_i = mixed_i . d_mixed_i and dS = P (d_mixed_i . v_j - s_i) / sqrt(C) its vjp:
//
//     d_v_j = sum_i P[i][j] d_mixed_i,   d_k_j = sum_i dS[i][j] q_i,   d_q_i = sum_j dS[i][j] k_j.
//
// All four sums are one, out_a = sum_b M[a][b] X_b, with M from P or dS or their transposes; they differ in what M and
// X are. S is never stored: P = exp(S - log sum exp S) is computed again tile by tile wherever it is needed: for mixed,
// for d_q, and for d_k and d_v together, both of which are sums over queries.
//
// Shapes: qkv and its gradient [lane][head][q | k | v][C][n], mixed and its gradient [lane][head][C][n], log_sums and
// products [lane][head][n]. Everything is overwritten.
// Index map: blockIdx.x -> 32 pixels a, blockIdx.y -> head, blockIdx.z -> lane. A block walks over all b, 64 at a time;
// while it works on these the next are on their way, in registers. Of the tile of M a thread computes two rows a and
// four columns b, channel by channel; then of the result three channels at two a, 48 channels in a block. More channels
// are other blocks, blockIdx.x -> (pixels, channels), which compute M again. Rows in shared memory are four longer than
// their values, so that what a warp reads at a time lies in different banks. Where a block needs P and dS, they go by
// the same shared memory, one after the other: two blocks have to fit a multiprocessor.
// Sums are f32, in the order of b.
#include "common.cuh"

constexpr int A = 32, B = 64, CHANNELS = 48;
constexpr int A_OF_M = 2, B_OF_M = 4, ACROSS = B / B_OF_M;                   // of a thread; threads along b
constexpr int A_OF_SUM = 2, CHANNELS_OF_SUM = 3, A_APART = A / A_OF_SUM;     // of a thread; between its a
static_assert(A / A_OF_M * ACROSS == BLOCK && A_APART * CHANNELS / CHANNELS_OF_SUM == BLOCK,
              "all threads, and each once");

// The first row and column of M that a thread computes.
__device__ __forceinline__ int own_a() { return threadIdx.x / ACROSS * A_OF_M; }
__device__ __forceinline__ int own_b() { return threadIdx.x % ACROSS * B_OF_M; }

template <int WIDTH>
struct alignas(16) Rows {
    float value[CHANNELS][WIDTH + 4];
};

// `Attention` in src/attention.rs.
struct Attention {
    const int* lanes;
    const float *qkv, *d_mixed;
    float *log_sums, *products;
    float* out;
    float scale;
    int n_channels, n_pixels;
};
static_assert(sizeof(Attention) == 6 * 8 + 16, "src/attention.rs has the same record");

enum Part { QUERY, KEY, VALUE };

// The channels of one part of this block's head.
__device__ __forceinline__ long long part_at(const Attention& at, Part part) {
    const long long head = static_cast<long long>(this_lane(at.lanes)) * gridDim.y + blockIdx.y;
    return (head * 3 + part) * at.n_channels * at.n_pixels;
}
__device__ __forceinline__ long long head_at(const Attention& at) {
    return (static_cast<long long>(this_lane(at.lanes)) * gridDim.y + blockIdx.y) * at.n_channels * at.n_pixels;
}
__device__ __forceinline__ long long pixels_at(const Attention& at) {
    return (static_cast<long long>(this_lane(at.lanes)) * gridDim.y + blockIdx.y) * at.n_pixels;
}

// A tile on its way: values[channel + c][pixel + i], zero beyond the channels and pixels that there are. Places in the
// channels of a head are 32 bits, which leaves registers for a second result.
template <int WIDTH>
struct Fetched {
    static constexpr int N = CHANNELS * WIDTH / BLOCK, STEP = BLOCK / WIDTH;
    float value[N];

    __device__ __forceinline__ void load(const Attention& at, const float* __restrict__ values, int channel,
                                         int pixel) {
        const int i = pixel + threadIdx.x % WIDTH, first = channel + threadIdx.x / WIDTH;
        const int begin = first * at.n_pixels + i;
        UNROLL(32)
        for (int k = 0; k < N; ++k) {
            const bool inside = first + k * STEP < at.n_channels && i < at.n_pixels;
            value[k] = inside ? values[begin + k * STEP * at.n_pixels] : 0.0f;
        }
    }
    __device__ __forceinline__ void store(Rows<WIDTH>& rows) const {
        UNROLL(32)
        for (int k = 0; k < N; ++k) rows.value[threadIdx.x / WIDTH + k * STEP][threadIdx.x % WIDTH] = value[k];
    }
};

template <int WIDTH>
__device__ __forceinline__ void stage(const Attention& at, const float* __restrict__ values, int channel, int pixel,
                                      Rows<WIDTH>& rows) {
    Fetched<WIDTH> fetched;
    fetched.load(at, values, channel, pixel);
    fetched.store(rows);
}

// product[a][b] += sum over n channels of left[c][a] right[c][b], with the thread's a and b.
__device__ __forceinline__ void multiply(const Rows<A>& left, const Rows<B>& right, int n,
                                         float (&product)[A_OF_M][B_OF_M]) {
    const int a = own_a(), b = own_b();
    UNROLL(4)
    for (int c = 0; c < n; ++c) {
        const float2 l = reinterpret_cast<const float2&>(left.value[c][a]);
        const float4 r = reinterpret_cast<const float4&>(right.value[c][b]);
        const float ls[A_OF_M] = {l.x, l.y}, rs[B_OF_M] = {r.x, r.y, r.z, r.w};
        UNROLL(32)
        for (int i = 0; i < A_OF_M; ++i)
            UNROLL(32)
            for (int j = 0; j < B_OF_M; ++j) product[i][j] += ls[i] * rs[j];
    }
}

// log_sums_i = log sum_j exp S[i][j]. A thread keeps the largest score of its own j, and the sum of exponentials below
// it; the threads of a row come together at the end.
extern "C" __global__ void __launch_bounds__(BLOCK) attention_log_sums(const Attention at) {
    __shared__ Rows<A> queries;
    __shared__ Rows<B> keys;
    const float *query = at.qkv + part_at(at, QUERY), *key = at.qkv + part_at(at, KEY);
    const int first = blockIdx.x * A, n_chunks = (at.n_channels + CHANNELS - 1) / CHANNELS;
    float largest[A_OF_M], sum[A_OF_M];
    for (int i = 0; i < A_OF_M; ++i) largest[i] = -3e38f, sum[i] = 0;
    Fetched<B> next;
    next.load(at, key, 0, 0);
    for (int first_j = 0; first_j < at.n_pixels; first_j += B) {
        float product[A_OF_M][B_OF_M] = {};
        for (int chunk = 0; chunk < n_chunks; ++chunk) {
            __syncthreads();
            next.store(keys);
            if (n_chunks > 1 || first_j == 0) stage(at, query, chunk * CHANNELS, first, queries);
            __syncthreads();
            const bool is_last = chunk + 1 == n_chunks;
            next.load(at, key, is_last ? 0 : (chunk + 1) * CHANNELS, is_last ? first_j + B : first_j);
            multiply(queries, keys, min(CHANNELS, at.n_channels - chunk * CHANNELS), product);
        }
        const int j = first_j + static_cast<int>(threadIdx.x % ACROSS) * B_OF_M, n = min(B_OF_M, at.n_pixels - j);
        for (int i = 0; i < A_OF_M; ++i) {
            float larger = largest[i];
            UNROLL(32)
            for (int k = 0; k < B_OF_M; ++k)
                if (k < n) larger = fmaxf(larger, at.scale * product[i][k]);
            sum[i] *= expf(largest[i] - larger);
            UNROLL(32)
            for (int k = 0; k < B_OF_M; ++k)
                if (k < n) sum[i] += expf(at.scale * product[i][k] - larger);
            largest[i] = larger;
        }
    }
    for (int i = 0; i < A_OF_M; ++i) {
        for (int distance = ACROSS / 2; distance > 0; distance /= 2) {
            const float other = __shfl_xor_sync(WHOLE_WARP, largest[i], distance);
            const float of_other = __shfl_xor_sync(WHOLE_WARP, sum[i], distance);
            const float larger = fmaxf(largest[i], other);
            sum[i] = sum[i] * expf(largest[i] - larger) + of_other * expf(other - larger);
            largest[i] = larger;
        }
        const int query_i = first + static_cast<int>(threadIdx.x / ACROSS) * A_OF_M + i;
        if (threadIdx.x % ACROSS == 0 && query_i < at.n_pixels)
            at.log_sums[pixels_at(at) + query_i] = largest[i] + logf(sum[i]);
    }
}

// products_i = mixed_i . d_mixed_i, with `out` the mixed; thread -> pixel.
extern "C" __global__ void __launch_bounds__(BLOCK) attention_products(const Attention at) {
    const long long head = head_at(at), pixels = pixels_at(at);
    for_each_element(at.n_pixels, [&](int i) {
        float sum = 0;
        for (int c = 0; c < at.n_channels; ++c) {
            const long long value = head + static_cast<long long>(c) * at.n_pixels + i;
            sum += at.out[value] * at.d_mixed[value];
        }
        at.products[pixels + i] = sum;
    });
}

// P and dS of a thread's entries, from S and d_mixed . v and in their place; zero where there is no such pixel.
template <bool QUERIES, bool WITH_SLOPES>
__device__ __forceinline__ void weigh(const Attention& at, int first_a, int first_b, float (&score)[A_OF_M][B_OF_M],
                                      float (&slope)[A_OF_M][B_OF_M]) {
    const float *log_sums = at.log_sums + pixels_at(at), *products = at.products + pixels_at(at);
    UNROLL(32)
    for (int i = 0; i < A_OF_M; ++i)
        UNROLL(32)
        for (int j = 0; j < B_OF_M; ++j) {
            const int a = first_a + own_a() + i, b = first_b + own_b() + j, query = QUERIES ? a : b;
            const bool inside = a < at.n_pixels && b < at.n_pixels;
            score[i][j] = inside ? expf(at.scale * score[i][j] - log_sums[query]) : 0.0f;
            if (WITH_SLOPES)
                slope[i][j] = inside ? score[i][j] * (slope[i][j] - products[query]) * at.scale : 0.0f;
        }
}

// A tile of M, from the threads that have computed its entries to those that add them up.
struct Entries {
    float4 value[A][B / 4 + 1];

    __device__ __forceinline__ void store(const float (&entry)[A_OF_M][B_OF_M]) {
        UNROLL(32)
        for (int i = 0; i < A_OF_M; ++i)
            value[own_a() + i][own_b() / 4] = make_float4(entry[i][0], entry[i][1], entry[i][2], entry[i][3]);
    }
};

// Of a result what a thread adds up.
struct Result {
    float value[CHANNELS_OF_SUM][A_OF_SUM] = {};

    static __device__ __forceinline__ int channel(int k) { return threadIdx.x / A_APART * CHANNELS_OF_SUM + k; }
    static __device__ __forceinline__ int a(int i) { return threadIdx.x % A_APART + i * A_APART; }

    // Adds sum_b M[a][b] X_b over the b of a tile.
    __device__ __forceinline__ void add(const Entries& m, const Rows<B>& x) {
        UNROLL(2)
        for (int b = 0; b < B; b += 4) {
            UNROLL(32)
            for (int k = 0; k < CHANNELS_OF_SUM; ++k) {
                const float4 xs = reinterpret_cast<const float4&>(x.value[channel(k)][b]);
                UNROLL(32)
                for (int i = 0; i < A_OF_SUM; ++i) {
                    const float4 entry = m.value[a(i)][b / 4];
                    value[k][i] += xs.x * entry.x;
                    value[k][i] += xs.y * entry.y;
                    value[k][i] += xs.z * entry.z;
                    value[k][i] += xs.w * entry.w;
                }
            }
        }
    }

    __device__ __forceinline__ void write(const Attention& at, float* out, int first_channel, int first_a) const {
        UNROLL(32)
        for (int k = 0; k < CHANNELS_OF_SUM; ++k)
            for (int i = 0; i < A_OF_SUM; ++i) {
                const int of_channel = first_channel + channel(k), of_a = first_a + a(i);
                if (of_channel < at.n_channels && of_a < at.n_pixels)
                    out[static_cast<long long>(of_channel) * at.n_pixels + of_a] = value[k][i];
            }
    }
};

// What a walk over b is for.
enum Sum { MIXED, D_QUERY, D_KEY_VALUE };

// Sums of P with the second of b, and of dS with the first. S comes from the firsts of a and b, d_mixed . v from the
// seconds.
template <Sum SUM>
__device__ __forceinline__ void mix(const Attention& at) {
    constexpr bool QUERIES = SUM != D_KEY_VALUE;  // whether a are queries and b keys, or the reverse
    constexpr bool WITH_P = SUM != D_QUERY, WITH_SLOPES = SUM != MIXED;
    __shared__ Rows<A> of_a, second_of_a;
    __shared__ Rows<B> of_b, second_of_b;
    __shared__ Entries entries;
    const float *query = at.qkv + part_at(at, QUERY), *key = at.qkv + part_at(at, KEY);
    const float *value = at.qkv + part_at(at, VALUE), *d_mixed = at.d_mixed + head_at(at);
    const float *left = QUERIES ? query : key, *second_left = QUERIES ? d_mixed : value;
    const float *right = QUERIES ? key : query, *second_right = QUERIES ? value : d_mixed;
    const int n_tiles = (at.n_pixels + A - 1) / A, first = blockIdx.x % n_tiles * A;
    const int first_channel = blockIdx.x / n_tiles * CHANNELS, n_chunks = (at.n_channels + CHANNELS - 1) / CHANNELS;
    // With one chunk the second of b is there when it is X; otherwise X comes by itself.
    const bool has_second = WITH_SLOPES || n_chunks == 1;

    Result of_p, of_slopes;
    Fetched<B> next, second_next;
    next.load(at, right, 0, 0);
    if (has_second) second_next.load(at, second_right, 0, 0);
    UNROLL(1)
    for (int first_b = 0; first_b < at.n_pixels; first_b += B) {
        float score[A_OF_M][B_OF_M] = {}, slope[A_OF_M][B_OF_M] = {};
        UNROLL(1)
        for (int chunk = 0; chunk < n_chunks; ++chunk) {
            __syncthreads();
            next.store(of_b);
            if (has_second) second_next.store(second_of_b);
            if (n_chunks > 1 || first_b == 0) {
                stage(at, left, chunk * CHANNELS, first, of_a);
                if (WITH_SLOPES) stage(at, second_left, chunk * CHANNELS, first, second_of_a);
            }
            __syncthreads();
            const bool is_last = chunk + 1 == n_chunks;
            const int next_channel = is_last ? 0 : (chunk + 1) * CHANNELS, next_b = is_last ? first_b + B : first_b;
            next.load(at, right, next_channel, next_b);
            if (has_second) second_next.load(at, second_right, next_channel, next_b);
            const int n = min(CHANNELS, at.n_channels - chunk * CHANNELS);
            multiply(of_a, of_b, n, score);
            if (WITH_SLOPES) multiply(second_of_a, second_of_b, n, slope);
        }
        weigh<QUERIES, WITH_SLOPES>(at, first, first_b, score, slope);
        if (n_chunks > 1) {
            __syncthreads();
            if (WITH_P) stage(at, second_right, first_channel, first_b, second_of_b);
            if (WITH_SLOPES) stage(at, right, first_channel, first_b, of_b);
        }
        if (WITH_P) {
            entries.store(score);
            __syncthreads();
            of_p.add(entries, second_of_b);
        }
        if (WITH_P && WITH_SLOPES) __syncthreads();
        if (WITH_SLOPES) {
            entries.store(slope);
            __syncthreads();
            of_slopes.add(entries, of_b);
        }
    }
    if (WITH_P) of_p.write(at, at.out + (SUM == MIXED ? head_at(at) : part_at(at, VALUE)), first_channel, first);
    if (WITH_SLOPES) of_slopes.write(at, at.out + part_at(at, QUERIES ? QUERY : KEY), first_channel, first);
}

extern "C" __global__ void __launch_bounds__(BLOCK, 2) attention_forward(const Attention at) { mix<MIXED>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK, 2) attention_vjp_query(const Attention at) { mix<D_QUERY>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK, 2) attention_vjp_key_value(const Attention at) {
    mix<D_KEY_VALUE>(at);
}
