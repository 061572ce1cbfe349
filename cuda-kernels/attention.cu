// Self-attention over the n pixels of an image, head by head: with q, k, v of C channels each,
//
//     S[i][j] = q_i . k_j / sqrt(C),   P = softmax over j,   mixed_i = sum_j P[i][j] v_j,
//
// and with s_i = mixed_i . d_mixed_i and dS = P (d_mixed_i . v_j - s_i) / sqrt(C) its vjp:
//
//     d_v_j = sum_i P[i][j] d_mixed_i,   d_k_j = sum_i dS[i][j] q_i,   d_q_i = sum_j dS[i][j] k_j.
//
// All four sums are one, out_a = sum_b M[a][b] X_b, with M from P or dS or their transposes; they differ in what M and X
// are. S is never stored: P = exp(S - log sum exp S) is computed again wherever it is needed, tile by tile.
//
// Shapes: qkv and its gradient [lane][head][q | k | v][C][n], mixed and its gradient [lane][head][C][n], log_sums and
// products [lane][head][n]. Everything is overwritten.
// Index map: blockIdx.x -> 32 pixels a, blockIdx.y -> head, blockIdx.z -> lane. A block walks over all b, 32 at a time; a
// thread holds four rows of one column of a 32 x 32 tile: column threadIdx.x % 32, rows threadIdx.x / 32 + 8 i. It keeps
// its values of the result for 128 channels in registers; more channels are other blocks, blockIdx.x -> (pixels, channels),
// which compute M again.
// Sums are f32, in the order of b.
#include "common.cuh"

constexpr int TILE = 32, ROWS = TILE * TILE / BLOCK, PARTS = 4;  // PARTS x 32 channels of the result in a block

struct Tile {
    float value[TILE][TILE + 1];  // a column's values lie in different banks
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

// tile[c][i] = values[channel + c][pixel + i], zero beyond the channels and pixels that there are.
__device__ __forceinline__ void stage(const Attention& at, const float* __restrict__ values, int channel, int pixel,
                                      Tile& tile) {
    const int i = threadIdx.x % TILE;
    for (int c = threadIdx.x / TILE; c < TILE; c += BLOCK / TILE) {
        const bool inside = channel + c < at.n_channels && pixel + i < at.n_pixels;
        tile.value[c][i] = inside ? values[static_cast<long long>(channel + c) * at.n_pixels + pixel + i] : 0.0f;
    }
}

// product[r] = sum_c a[c][row_r] b[c][column], with the thread's rows and column, over all channels.
__device__ __forceinline__ void multiply(const Attention& at, const float* __restrict__ a, int a_pixel,
                                         const float* __restrict__ b, int b_pixel, Tile& left, Tile& right,
                                         float (&product)[ROWS]) {
    for (int r = 0; r < ROWS; ++r) product[r] = 0;
    for (int channel = 0; channel < at.n_channels; channel += TILE) {
        __syncthreads();
        stage(at, a, channel, a_pixel, left);
        stage(at, b, channel, b_pixel, right);
        __syncthreads();
        UNROLL(4)
        for (int c = 0; c < TILE; ++c)
            for (int r = 0; r < ROWS; ++r)
                product[r] += left.value[c][threadIdx.x / TILE + BLOCK / TILE * r] * right.value[c][threadIdx.x % TILE];
    }
}

// log_sums_i = log sum_j exp S[i][j]; in the tile rows are i, columns j, so that a warp sees all j of its rows.
extern "C" __global__ void __launch_bounds__(BLOCK) attention_log_sums(const Attention at) {
    __shared__ Tile left, right;
    const float *query = at.qkv + part_at(at, QUERY), *key = at.qkv + part_at(at, KEY);
    const int first = blockIdx.x * TILE;
    float largest[ROWS], sum[ROWS];
    for (int r = 0; r < ROWS; ++r) largest[r] = -INFINITY, sum[r] = 0;
    for (int j = 0; j < at.n_pixels; j += TILE) {
        float product[ROWS];
        multiply(at, query, first, key, j, left, right, product);
        for (int r = 0; r < ROWS; ++r) {
            const float score = j + static_cast<int>(threadIdx.x % TILE) < at.n_pixels ? at.scale * product[r] : -INFINITY;
            float of_row = score;
            for (int distance = TILE / 2; distance > 0; distance /= 2)
                of_row = fmaxf(of_row, __shfl_xor_sync(WHOLE_WARP, of_row, distance));
            const float larger = fmaxf(largest[r], of_row);
            float exponentials = expf(score - larger);
            for (int distance = TILE / 2; distance > 0; distance /= 2)
                exponentials += __shfl_xor_sync(WHOLE_WARP, exponentials, distance);
            sum[r] = sum[r] * expf(largest[r] - larger) + exponentials;
            largest[r] = larger;
        }
    }
    for (int r = 0; r < ROWS; ++r) {
        const int i = first + threadIdx.x / TILE + BLOCK / TILE * r;
        if (threadIdx.x % TILE == 0 && i < at.n_pixels) at.log_sums[pixels_at(at) + i] = largest[r] + logf(sum[r]);
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

// What a sum over b is for.
enum Sum { MIXED, D_QUERY, D_KEY, D_VALUE };

// out_a = sum_b M[a][b] X_b. In the tile of M rows are b, columns a.
template <Sum SUM>
__device__ __forceinline__ void mix(const Attention& at) {
    constexpr bool QUERIES = SUM == MIXED || SUM == D_QUERY;   // whether a are queries and b keys, or the reverse
    constexpr bool SLOPES = SUM == D_QUERY || SUM == D_KEY;    // whether M is dS, or P
    __shared__ Tile left, right;
    const float *query = at.qkv + part_at(at, QUERY), *key = at.qkv + part_at(at, KEY), *value = at.qkv + part_at(at, VALUE);
    const float* d_mixed = at.d_mixed + head_at(at);
    const float* x = SUM == MIXED ? value : SUM == D_QUERY ? key : SUM == D_KEY ? query : d_mixed;
    float* out = at.out + (SUM == MIXED ? head_at(at) : part_at(at, SUM == D_QUERY ? QUERY : SUM == D_KEY ? KEY : VALUE));
    const int n_tiles = (at.n_pixels + TILE - 1) / TILE, first = blockIdx.x % n_tiles * TILE;
    const int first_channel = blockIdx.x / n_tiles * PARTS * TILE;
    const int column = threadIdx.x % TILE, row = threadIdx.x / TILE, a = first + column;

    float result[PARTS][ROWS] = {};
    for (int first_b = 0; first_b < at.n_pixels; first_b += TILE) {
        float score[ROWS], slope[ROWS];
        multiply(at, QUERIES ? key : query, first_b, QUERIES ? query : key, first, left, right, score);
        if (SLOPES) multiply(at, QUERIES ? value : d_mixed, first_b, QUERIES ? d_mixed : value, first, left, right, slope);
        __syncthreads();
        for (int r = 0; r < ROWS; ++r) {
            const int b = first_b + row + BLOCK / TILE * r, i = QUERIES ? a : b;  // the query of this entry
            float entry = 0;
            if (a < at.n_pixels && b < at.n_pixels) {
                entry = expf(at.scale * score[r] - at.log_sums[pixels_at(at) + i]);
                if (SLOPES) entry *= (slope[r] - at.products[pixels_at(at) + i]) * at.scale;
            }
            left.value[row + BLOCK / TILE * r][column] = entry;
        }
        UNROLL(32)
        for (int part = 0; part < PARTS; ++part) {
            if (first_channel + part * TILE >= at.n_channels) break;
            __syncthreads();
            stage(at, x, first_channel + part * TILE, first_b, right);
            __syncthreads();
            UNROLL(4)
            for (int b = 0; b < TILE; ++b)
                for (int r = 0; r < ROWS; ++r)
                    result[part][r] += right.value[row + BLOCK / TILE * r][b] * left.value[b][column];
        }
    }
    UNROLL(32)
    for (int part = 0; part < PARTS; ++part)
        for (int r = 0; r < ROWS; ++r) {
            const int channel = first_channel + part * TILE + row + BLOCK / TILE * r;
            if (channel < at.n_channels && a < at.n_pixels)
                out[static_cast<long long>(channel) * at.n_pixels + a] = result[part][r];
        }
}

extern "C" __global__ void __launch_bounds__(BLOCK) attention_forward(const Attention at) { mix<MIXED>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK) attention_vjp_query(const Attention at) { mix<D_QUERY>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK) attention_vjp_key(const Attention at) { mix<D_KEY>(at); }
extern "C" __global__ void __launch_bounds__(BLOCK) attention_vjp_value(const Attention at) { mix<D_VALUE>(at); }
