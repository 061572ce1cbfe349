// What the kernels share: which image a block works on, its elements, and sums in a fixed order.
//
// Images that are computed together are called lanes, as in the CPU backend. Every buffer holds all lanes one after the
// other; a launch names the lanes that take part in a list, one per blockIdx.z, so that lanes may rest while others go
// on. No kernel adds floats atomically: the same launch gives the same bits.
#pragma once

// Threads of a block, unless a kernel says otherwise; `BLOCK` in src/entry.rs.
constexpr int BLOCK = 256;
constexpr int WARP = 32;

// Unrolls the loop that follows; the C++ compiler of the tests spells it otherwise.
#define IN_PRAGMA(text) _Pragma(#text)
#ifdef __CUDACC__
#define UNROLL(n) IN_PRAGMA(unroll n)
#else
#define UNROLL(n) IN_PRAGMA(GCC unroll n)
#endif

constexpr unsigned WHOLE_WARP = 0xffffffffu;

// The lane of this block.
__device__ __forceinline__ int this_lane(const int* __restrict__ lanes) { return lanes[blockIdx.z]; }

// Where plane `channel` of an image begins in [lane][channel][pixel]: in 64 bits, because a batch may have more than
// 2^31 values.
__device__ __forceinline__ long long plane_at(int lane, int n_channels, int channel, int n_pixels) {
    return (static_cast<long long>(lane) * n_channels + channel) * n_pixels;
}

// Calls visit(i) for this thread's share of 0 <= i < n. The one guard of all elementwise kernels.
template <class Visit>
__device__ __forceinline__ void for_each_element(int n, Visit visit) {
    for (int i = blockIdx.x * BLOCK + threadIdx.x; i < n; i += gridDim.x * BLOCK) visit(i);
}

// Sum over the block, known to thread 0: within warps over halving distances, then warp by warp.
template <class Number>
__device__ __forceinline__ Number block_sum(Number value) {
    __shared__ Number of_warp[BLOCK / WARP];
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_down_sync(WHOLE_WARP, value, distance);
    __syncthreads();  // of_warp may still be read from the sum before
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = value;
    __syncthreads();
    Number total = 0;
    if (threadIdx.x == 0)
        for (int warp = 0; warp < BLOCK / WARP; ++warp) total += of_warp[warp];
    return total;
}
