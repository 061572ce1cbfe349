// The tensor cores' product of small matrices with TF32 factors, for a whole warp:
//
//     d[16][8] += a[16][8] b[8][8],
//
// each thread holding parts of all three. With g = thread / 4 and t = thread % 4:
//
//     a: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)    b: (t, g), (t + 4, g)
//     d: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
//
// TF32 is f32 with 10 bits after the point in place of 23. Products are exact, sums f32. Without nvcc, as in the tests,
// the warp exchanges its parts and multiplies them one by one.
#pragma once
#include "common.cuh"

// The nearest TF32 number, halves away from zero: a relative error of 2^-11 at most.
__device__ __forceinline__ float to_tf32(float value) {
#ifdef __CUDACC__
    unsigned bits;
    asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return __uint_as_float(bits);
#else
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x1000u) & ~0x1fffu;
    std::memcpy(&value, &bits, sizeof bits);
    return value;
#endif
}

// The factors must be TF32 numbers; all threads of the warp must come. Tensor cores cut off what does not fit the sum,
// and so does the code without nvcc.
__device__ __forceinline__ void multiply_add(float (&d)[4], const float4& a, const float2& b) {
#ifdef __CUDACC__
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(__float_as_uint(a.x)), "r"(__float_as_uint(a.y)),
          "r"(__float_as_uint(a.z)), "r"(__float_as_uint(a.w)),
          "r"(__float_as_uint(b.x)), "r"(__float_as_uint(b.y)));
#else
    __shared__ float parts[1024 / WARP][WARP][6];
    const unsigned thread = threadIdx.x % WARP, g = thread / 4, t = thread % 4;
    float(*const all)[6] = parts[threadIdx.x / WARP];
    const float own[6] = {a.x, a.y, a.z, a.w, b.x, b.y};
    std::copy(own, own + 6, all[thread]);
    __syncwarp();
    for (int i = 0; i < 4; ++i) {
        double sum = d[i];
        for (unsigned k = 0; k < 8; ++k)
            sum += static_cast<double>(all[4 * g + k % 4][k / 4 * 2 + i / 2]) *
                   all[4 * (2 * t + i % 2) + k % 4][4 + k / 4];
        d[i] = static_cast<float>(sum);
        if (std::fabs(d[i]) > std::fabs(sum)) d[i] = std::nextafterf(d[i], 0.0f);
    }
    __syncwarp();
#endif
}
