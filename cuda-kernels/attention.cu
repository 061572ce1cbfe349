// Self-attention over the n pixels of an image, head by head: with q, k, v of C channels each,
//
//     S[i][j] = q_i . k_j / sqrt(C),   P = softmax over j,   mixed_i = sum_j P[i][j] v_j,
//
// and with s_i = mixed_i . d_mixed_i and dS = P (d_mixed_i . v_j - s_i) / sqrt(C) its vjp:
//
//     d_v_j = sum_i P[i][j] d_mixed_i,   d_k_j = sum_i dS[i][j] q_i,   d_q_i = sum_j dS[i][j] k_j.
//
// All four sums are one, out_a = sum_b M[a][b] X_b, with M from P or dS or their transposes; they differ in what M and
// X are. S is never stored but computed again, tile by tile, wherever it is needed: for mixed, for d_q, and for d_k and
// d_v together, both of which are sums over queries. In the vjp P = exp(S - log_sums), with log_sums = log sum_j exp S
// from the forward pass. That pass itself knows of a row only the tiles that it has seen: their largest score m, and
//
//     total = sum_j exp(S[i][j] - m),   sum = sum_j exp(S[i][j] - m) v_j.
//
// Where a tile has a larger one, both are first multiplied by exp(m - larger) [MG18; DFERR22]; in the end
// mixed = sum / total and log_sums = m + log total.
//
// Shapes: qkv and its gradient [lane][head][q | k | v][C][n], mixed and its gradient [lane][head][C][n], log_sums and
// products [lane][head][n]. Everything is overwritten.
// Index map: blockIdx.x -> 32 pixels a, blockIdx.y -> head, blockIdx.z -> lane. A block walks over all b, 64 at a time;
// while it works on these the next are on their way, in registers. Of the tile of M a thread computes two rows a and
// four columns b, channel by channel; then of the result three channels at two a, 48 channels in a block. More channels
// are other blocks, blockIdx.x -> (pixels, channels), which compute M again. Rows in shared memory are four longer than
// their values, so that what a warp reads at a time lies in different banks. Where a block needs P and dS, they go by
// the same shared memory, one after the other: a block has 48 KiB without asking.
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

// The softmax of rows that are seen tile by tile. All threads of a row know its largest score so far; each has the
// total of its own exponentials.
struct RunningSoftmax {
    float largest[A_OF_M], total[A_OF_M];

    __device__ __forceinline__ RunningSoftmax() {
        for (int i = 0; i < A_OF_M; ++i) largest[i] = -INFINITY, total[i] = 0;
    }

    // A tile's scores become exponentials below the largest, in place, zero from the n-th on. `factor`: by what the sum
    // of each row so far has to be multiplied.
    __device__ __forceinline__ void advance(float scale, int n, float (&score)[A_OF_M][B_OF_M], float (&factor)[A]) {
        float larger[A_OF_M];
        UNROLL(32)
        for (int i = 0; i < A_OF_M; ++i) {
            larger[i] = largest[i];
            UNROLL(32)
            for (int j = 0; j < B_OF_M; ++j)
                if (j < n) larger[i] = fmaxf(larger[i], scale * score[i][j]);
        }
        UNROLL(32)
        for (int distance = ACROSS / 2; distance > 0; distance /= 2)
            UNROLL(32)
            for (int i = 0; i < A_OF_M; ++i)
                larger[i] = fmaxf(larger[i], __shfl_xor_sync(WHOLE_WARP, larger[i], distance));
        UNROLL(32)
        for (int i = 0; i < A_OF_M; ++i) {
            const float before = expf(largest[i] - larger[i]);
            if (threadIdx.x % ACROSS == 0) factor[own_a() + i] = before;
            largest[i] = larger[i];
            total[i] *= before;
            UNROLL(32)
            for (int j = 0; j < B_OF_M; ++j) {
                score[i][j] = j < n ? expf(scale * score[i][j] - larger[i]) : 0.0f;
                total[i] += score[i][j];
            }
        }
    }

    // The log of the sum of exponentials of the first `n` rows, where `log_sums` is not null. `factor`: by what the sum
    // of each row has to be multiplied.
    __device__ __forceinline__ void finish(float* log_sums, int n, float (&factor)[A]) {
        __syncthreads();  // the factors of the last tile may still be read
        UNROLL(32)
        for (int i = 0; i < A_OF_M; ++i) {
            for (int distance = ACROSS / 2; distance > 0; distance /= 2)
                total[i] += __shfl_xor_sync(WHOLE_WARP, total[i], distance);
            if (threadIdx.x % ACROSS != 0) continue;
            factor[own_a() + i] = 1.0f / total[i];
            if (log_sums && own_a() + i < n) log_sums[own_a() + i] = largest[i] + logf(total[i]);
        }
        __syncthreads();
    }
};

// P and dS of a thread's entries, from S and d_mixed . v and in their place; zero where there is no such pixel.
template <bool QUERIES>
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

    __device__ __forceinline__ void rescale(const float (&factor)[A]) {
        UNROLL(32)
        for (int k = 0; k < CHANNELS_OF_SUM; ++k)
            UNROLL(32)
            for (int i = 0; i < A_OF_SUM; ++i) value[k][i] *= factor[a(i)];
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
    __shared__ float factor[A];
    const float *query = at.qkv + part_at(at, QUERY), *key = at.qkv + part_at(at, KEY);
    const float *value = at.qkv + part_at(at, VALUE), *d_mixed = at.d_mixed + head_at(at);
    const float *left = QUERIES ? query : key, *second_left = QUERIES ? d_mixed : value;
    const float *right = QUERIES ? key : query, *second_right = QUERIES ? value : d_mixed;
    const int n_tiles = (at.n_pixels + A - 1) / A, first = blockIdx.x % n_tiles * A;
    const int first_channel = blockIdx.x / n_tiles * CHANNELS, n_chunks = (at.n_channels + CHANNELS - 1) / CHANNELS;
    // With one chunk the second of b is there when it is X; otherwise X comes by itself.
    const bool has_second = WITH_SLOPES || n_chunks == 1;

    RunningSoftmax softmax;
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
        if (SUM == MIXED)
            softmax.advance(at.scale, at.n_pixels - first_b - own_b(), score, factor);
        else
            weigh<QUERIES>(at, first, first_b, score, slope);
        if (n_chunks > 1) {
            __syncthreads();
            if (WITH_P) stage(at, second_right, first_channel, first_b, second_of_b);
            if (WITH_SLOPES) stage(at, right, first_channel, first_b, of_b);
        }
        if (WITH_P) {
            entries.store(score);
            __syncthreads();
            if (SUM == MIXED) of_p.rescale(factor);
            of_p.add(entries, second_of_b);
        }
        if (WITH_P && WITH_SLOPES) __syncthreads();
        if (WITH_SLOPES) {
            entries.store(slope);
            __syncthreads();
            of_slopes.add(entries, of_b);
        }
    }
    if (SUM == MIXED) {
        // The first channels' blocks write for all.
        softmax.finish(first_channel == 0 ? at.log_sums + pixels_at(at) + first : nullptr, at.n_pixels - first, factor);
        of_p.rescale(factor);
    }
    if (WITH_P) of_p.write(at, at.out + (SUM == MIXED ? head_at(at) : part_at(at, VALUE)), first_channel, first);
    if (WITH_SLOPES) of_slopes.write(at, at.out + part_at(at, QUERIES ? QUERY : KEY), first_channel, first);
}

extern "C" __global__ void __launch_bounds__(BLOCK, 2) attention_forward(const Attention at) { mix<MIXED>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK, 2) attention_vjp_query(const Attention at) { mix<D_QUERY>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK, 2) attention_vjp_key_value(const Attention at) {
    mix<D_KEY_VALUE>(at);
}
