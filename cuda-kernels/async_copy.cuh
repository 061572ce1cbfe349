// Copies from device to shared memory that go on while their thread does something else. What they write may be read
// after wait_for_copies(), by other threads of the block after a barrier that follows it.
#pragma once
#include "common.cuh"

// Begins to copy 16 bytes; zeros where not `inside`, and then nothing is read.
__device__ __forceinline__ void begin_copy(float4* to, const float4* from, bool inside) {
#ifdef __CUDACC__
    const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(shared), "l"(__cvta_generic_to_global(from)), "r"(inside ? 16 : 0)
                 : "memory");
#else
    stand_in::begin_copy(to, inside ? from : nullptr);
#endif
}

// Waits until the copies that this thread began are done.
__device__ __forceinline__ void wait_for_copies() {
#ifdef __CUDACC__
    asm volatile("cp.async.wait_all;" : : : "memory");
#else
    stand_in::wait_for_copies();
#endif
}
