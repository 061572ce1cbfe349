// What a .cu file sees when the C++ compiler builds it for the stand-in: CUDA's words, in plain C++.
//
// Included on the command line (-include device.h), so that the kernels' sources know nothing of it.
#pragma once
#include "block.h"
#include "fiber.h"
#include "kernel.h"
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
// One block runs at a time, in one thread of the process. Thread-local data are one segment, which `poison_shared` fills.
#define __shared__ static thread_local

#define threadIdx (stand_in::current->thread)
#define blockIdx (stand_in::current->block)
#define blockDim (stand_in::current->threads)
#define gridDim (stand_in::current->blocks)

#define STAND_IN_SITE (stand_in::Site{__FILE__, __LINE__})
#define __syncthreads() stand_in::barrier(STAND_IN_SITE)
#define __syncwarp() static_cast<void>(stand_in::exchange(0xffffffffu, 0, 0, true, STAND_IN_SITE))
#define __shfl_sync(mask, value, source) stand_in::shuffle(mask, value, source, STAND_IN_SITE)
#define __shfl_down_sync(mask, value, by) stand_in::shuffle(mask, value, stand_in::below(by), STAND_IN_SITE)
#define __shfl_xor_sync(mask, value, by) stand_in::shuffle(mask, value, stand_in::warp_lane() ^ (by), STAND_IN_SITE)

struct alignas(8) float2 {
    float x, y;
};
struct float3 {
    float x, y, z;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// Blocks run one after the other, so an atomic operation is a plain one; in the race detector it orders them.
inline unsigned atomicInc(unsigned* counter, unsigned last) {
    stand_in::publish(counter);
    const unsigned before = *counter;
    *counter = before >= last ? 0 : before + 1;
    stand_in::subscribe(counter);
    return before;
}
inline void __threadfence() {}
inline double __ldcg(const double* from) { return *from; }
inline double2 __ldcg(const double2* from) { return *from; }

inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float x, float y) { return x / y; }

using std::isfinite;
using std::max;
using std::min;

namespace stand_in {

inline unsigned warp_lane() { return current->index % 32; }

// The lane `by` further on, or the lane itself at the end of the warp, as __shfl_down_sync has it.
inline unsigned below(unsigned by) { return warp_lane() + by < 32 ? warp_lane() + by : warp_lane(); }

template <class Value>
Value shuffle(unsigned mask, Value value, unsigned source, Site site) {
    static_assert(sizeof(Value) <= sizeof(std::uint64_t), "a shuffle moves at most eight bytes");
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = exchange(mask, bits, source, false, site);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Asynchronous copies happen as late as they may: when their thread waits for them.
inline void begin_copy(float4* to, const float4* from) {
    if (reinterpret_cast<std::uintptr_t>(to) % 16 || reinterpret_cast<std::uintptr_t>(from) % 16) __builtin_trap();
    current->copies.push_back({&to->x, from ? &from->x : nullptr});
}
inline void wait_for_copies() {
    for (const Copy& copy : current->copies)
        for (int i = 0; i < 4; ++i) copy.to[i] = copy.from ? copy.from[i] : 0.0f;
    current->copies.clear();
}

}  // namespace stand_in
