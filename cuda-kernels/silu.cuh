// SiLU: s(z) = z sigma(z) with sigma(z) = 1 / (1 + e^-z), and s'(z) = sigma(z) (1 + z (1 - sigma(z))),
// s''(z) = sigma(z) (1 - sigma(z)) (2 + z (1 - 2 sigma(z))).
#pragma once

// sigma(z), and 1 - sigma(z) without its cancellation; the exponential cannot overflow. The short instructions for
// exponential and quotient have relative errors of some 2^-22, more only where the exponential is next to nothing.
__device__ __forceinline__ void sigmoid(float z, float& sigma, float& rest) {
    const float decay = __expf(-fabsf(z)), larger = __fdividef(1.0f, 1.0f + decay), smaller = decay * larger;
    sigma = z >= 0 ? larger : smaller;
    rest = z >= 0 ? smaller : larger;
}

// s(z); an exponential that overflows gives 0.
__device__ __forceinline__ float silu(float z) { return __fdividef(z, 1.0f + __expf(-z)); }

// s'(z).
__device__ __forceinline__ float silu_slope(float z) {
    float sigma, rest;
    sigmoid(z, sigma, rest);
    return sigma * (1.0f + z * rest);
}

// s''(z).
__device__ __forceinline__ float silu_bend(float z) {
    float sigma, rest;
    sigmoid(z, sigma, rest);
    return sigma * rest * (2.0f + z * (rest - sigma));
}
