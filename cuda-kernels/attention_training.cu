// Self-attention in training, with whole matrices. With q, k, v of C channels per head and image, [query][key]:
//
//     S = scale q^T k,   P = softmax of each row of S,       mixed = v P^T,
//     T = dot_S - rows(P dot_S),   dot_P = P T,              dot_mixed = dot_v P^T + v dot_P^T,
//     D = d_dot_mixed^T v,   D' = D - rows(P D),             d_dot_S = P D',
//     E = d_mixed^T v + d_dot_mixed^T dot_v + T D',   E' = E - rows(P E),   d_S = P E'
//
// (products of matrices of one shape are elementwise, `rows` sums along them). What E lacks of the derivative is the
// same along each row, and E' is without it.
//
// Two kernels do it: products with matrices as factors, C = alpha sum over up to two pairs of A B, where B may be
// weighted by another matrix; and rows. Shapes: channels [lane][part][pixel], matrices [lane][head][n][n]. Overwrite,
// deterministic: sums are f32, over the inner index in order.
#include "common.cuh"

constexpr int SIDE = 64, DEPTH = 16, PER_THREAD = 4;  // 16 x 16 threads with 4 x 4 results each

// One product of a pass: element (row, inner) of A is at row a_row + inner a_inner, and so on.
struct Pair {
    const float *a, *b, *weight;  // the weight, of B, may be null
    long long a_lane, a_head, b_lane, b_head;
    int a_row, a_inner, b_inner, b_col;
};

// `Product` in src/attention_training.rs.
struct Product {
    const int* lanes;
    Pair pairs[2];
    float* out;
    long long out_lane, out_head;
    float alpha;
    int n_pairs, heads, rows, inner, cols;
};
static_assert(sizeof(Product) == 8 + 2 * 72 + 3 * 8 + 6 * 4, "src/attention_training.rs has the same record");

// blockIdx.x -> 64 columns, blockIdx.y -> 64 rows, blockIdx.z -> lane and head.
extern "C" __global__ void __launch_bounds__(BLOCK) attention_training_product(const Product at) {
    // Rows of A and columns of B lie along the second index; one more than a multiple of 4 for stores down the first.
    __shared__ float left[DEPTH][SIDE + 1], right[DEPTH][SIDE + 1];
    const int lane = at.lanes[blockIdx.z / at.heads], head = blockIdx.z % at.heads;
    const int first_row = blockIdx.y * SIDE, first_col = blockIdx.x * SIDE;
    const int row = threadIdx.x / 16, col = threadIdx.x % 16;
    float sum[PER_THREAD][PER_THREAD] = {};
    for (int pair = 0; pair < at.n_pairs; ++pair) {
        const Pair of = pair == 0 ? at.pairs[0] : at.pairs[1];
        const float* a = of.a + lane * of.a_lane + head * of.a_head;
        const long long b_begin = lane * of.b_lane + head * of.b_head;
        for (int first = 0; first < at.inner; first += DEPTH) {
            __syncthreads();
            for (int i = threadIdx.x; i < DEPTH * SIDE; i += BLOCK) {
                // Neighbouring threads read neighbours, whichever index they lie along.
                const int a_k = of.a_inner == 1 ? i % DEPTH : i / SIDE, a_i = of.a_inner == 1 ? i / DEPTH : i % SIDE;
                const int b_k = of.b_inner == 1 ? i % DEPTH : i / SIDE, b_j = of.b_inner == 1 ? i / DEPTH : i % SIDE;
                const bool a_inside = first_row + a_i < at.rows && first + a_k < at.inner;
                const bool b_inside = first_col + b_j < at.cols && first + b_k < at.inner;
                left[a_k][a_i] = a_inside ? a[static_cast<long long>(first_row + a_i) * of.a_row +
                                              static_cast<long long>(first + a_k) * of.a_inner]
                                          : 0.0f;
                float value = 0;
                if (b_inside) {
                    const long long b = b_begin + static_cast<long long>(first + b_k) * of.b_inner +
                                        static_cast<long long>(first_col + b_j) * of.b_col;
                    value = of.b[b];
                    if (of.weight) value *= of.weight[b];
                }
                right[b_k][b_j] = value;
            }
            __syncthreads();
            UNROLL(4)
            for (int k = 0; k < DEPTH; ++k) {
                float a_row[PER_THREAD], b_col[PER_THREAD];
                UNROLL(4)
                for (int i = 0; i < PER_THREAD; ++i) {
                    a_row[i] = left[k][row + 16 * i];
                    b_col[i] = right[k][col + 16 * i];
                }
                UNROLL(4)
                for (int i = 0; i < PER_THREAD; ++i)
                    UNROLL(4)
                    for (int j = 0; j < PER_THREAD; ++j) sum[i][j] += a_row[i] * b_col[j];
            }
        }
    }
    float* out = at.out + lane * at.out_lane + head * at.out_head;
    UNROLL(4)
    for (int i = 0; i < PER_THREAD; ++i)
        UNROLL(4)
        for (int j = 0; j < PER_THREAD; ++j) {
            const int r = first_row + row + 16 * i, c = first_col + col + 16 * j;
            if (r < at.rows && c < at.cols) out[static_cast<long long>(r) * at.cols + c] = at.alpha * sum[i][j];
        }
}

// The first value of this warp's row, and whether there is one. blockIdx.x -> 8 rows, blockIdx.z -> lane and head.
__device__ __forceinline__ bool row_of_warp(const int* lanes, int heads, int n, long long& begin) {
    const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
    const long long matrix = static_cast<long long>(lanes[blockIdx.z / heads]) * heads + blockIdx.z % heads;
    begin = (matrix * n + row) * n;
    return row < n;
}

__device__ __forceinline__ float warp_sum(float value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(WHOLE_WARP, value, distance);
    return value;
}

// P from S, in place.
extern "C" __global__ void __launch_bounds__(BLOCK)
    attention_training_softmax(const int* __restrict__ lanes, float* matrix, int heads, int n) {
    long long begin;
    if (!row_of_warp(lanes, heads, n, begin)) return;
    float largest = -INFINITY, sum = 0;
    for (int j = threadIdx.x % WARP; j < n; j += WARP) largest = fmaxf(largest, matrix[begin + j]);
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(WHOLE_WARP, largest, distance));
    for (int j = threadIdx.x % WARP; j < n; j += WARP) {
        const float exponential = expf(matrix[begin + j] - largest);
        matrix[begin + j] = exponential;
        sum += exponential;
    }
    const float scale = 1.0f / warp_sum(sum);
    for (int j = threadIdx.x % WARP; j < n; j += WARP) matrix[begin + j] *= scale;
}

// M' = M + T D', and from it M' - rows(P M'), in place of M. T and D' may both be null.
extern "C" __global__ void __launch_bounds__(BLOCK)
    attention_training_centre(const int* __restrict__ lanes, const float* __restrict__ p, const float* __restrict__ t,
                              const float* __restrict__ d, float* matrix, int heads, int n) {
    long long begin;
    if (!row_of_warp(lanes, heads, n, begin)) return;
    float sum = 0;
    for (int j = threadIdx.x % WARP; j < n; j += WARP) {
        const float value = matrix[begin + j] + (t ? t[begin + j] * d[begin + j] : 0.0f);
        matrix[begin + j] = value;
        sum += p[begin + j] * value;
    }
    sum = warp_sum(sum);
    for (int j = threadIdx.x % WARP; j < n; j += WARP) matrix[begin + j] -= sum;
}
