// Where the blocks of a launch leave their shares of the lanes' sums: partial[entry of the list][quantity][block].
#pragma once
#include "common.cuh"

// Writes the block's sums of one quantity.
__device__ __forceinline__ void keep_partial(double* partial, int n_quantities, int quantity, double value) {
    const double total = block_sum(value);
    if (threadIdx.x == 0)
        partial[(static_cast<long long>(blockIdx.z) * n_quantities + quantity) * gridDim.x + blockIdx.x] = total;
}
