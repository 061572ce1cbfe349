// Sums over a whole launch without another one: every block leaves its shares, and the last one to come adds them up,
// in the order of the blocks. No float is added atomically: what is counted atomically are blocks.
#pragma once
#include "common.cuh"

// Where the sums of a launch go; `Sums` in src/vector.rs.
struct Sums {
    double* partial;     // [entry of the list][quantity][block]
    double* total;       // [entry of the list][quantity]
    unsigned* counters;  // [entry of the list], 0 between launches
};

// Blocks of one entry of the list, and which of them this is.
__device__ __forceinline__ int n_blocks() { return gridDim.x * gridDim.y; }
__device__ __forceinline__ int this_block() { return blockIdx.y * gridDim.x + blockIdx.x; }

// Whether this block is the last of its entry to come here. It sees what the others wrote before, but only past the
// caches of its multiprocessor (__ldcg).
__device__ __forceinline__ bool comes_last(unsigned* counters) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    const unsigned others = n_blocks() - 1;
    if (threadIdx.x == 0) last = atomicInc(&counters[blockIdx.z], others) == others;
    __syncthreads();
    if (last) __threadfence();
    return last;
}

// Adds up what all threads of an entry's blocks bring. True for one thread of the last block, which then has the
// totals.
template <int N>
__device__ __forceinline__ bool add_up(const double (&of_thread)[N], const Sums& at, double (&total)[N]) {
    double* const partial = at.partial + static_cast<long long>(blockIdx.z) * N * n_blocks();
    for (int quantity = 0; quantity < N; ++quantity) {
        const double of_block = block_sum(of_thread[quantity]);
        if (threadIdx.x == 0) partial[quantity * n_blocks() + this_block()] = of_block;
    }
    if (!comes_last(at.counters)) return false;
    for (int quantity = 0; quantity < N; ++quantity) {
        double sum = 0;
        for (int block = threadIdx.x; block < n_blocks(); block += BLOCK)
            sum += __ldcg(&partial[quantity * n_blocks() + block]);
        total[quantity] = block_sum(sum);
    }
    return threadIdx.x == 0;
}

// The same, and the totals go to their places.
template <int N>
__device__ __forceinline__ void keep_sums(const double (&of_thread)[N], const Sums& at) {
    double total[N];
    if (add_up(of_thread, at, total))
        for (int quantity = 0; quantity < N; ++quantity) at.total[N * blockIdx.z + quantity] = total[quantity];
}
