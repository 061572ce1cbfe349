// SiLU: s(z) = z sigma(z) with sigma(z) = 1 / (1 + e^-z), and s'(z) = sigma(z) (1 + z (1 - sigma(z))),
// s''(z) = sigma(z) (1 - sigma(z)) (2 + z (1 - 2 sigma(z))).
#pragma once

// sigma(z), and 1 - sigma(z) without its cancellation; the exponential cannot overflow.
__device__ __forceinline__ void sigmoid(float z, float& sigma, float& rest) {
    const float decay = expf(-fabsf(z)), larger = 1.0f / (1.0f + decay), smaller = decay * larger;
    sigma = z >= 0 ? larger : smaller;
    rest = z >= 0 ? smaller : larger;
}

// s(z).
__device__ __forceinline__ float silu(float z) {
    float sigma, rest;
    sigmoid(z, sigma, rest);
    return z * sigma;
}

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
