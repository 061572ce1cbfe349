// Joseph's projector and its exact transpose for fans (fan.cuh). Shapes and index maps are those of projector.cu: both
// maps gather and overwrite, sums are f32, over lines, or views and bins, in order.
#include "fan.cuh"

extern "C" __global__ void __launch_bounds__(BLOCK)
    fan_forward(const int* __restrict__ lanes, const Fan beam, const float* __restrict__ image,
                const float* __restrict__ transposed, float* __restrict__ sinogram) {
    project(lanes, beam, image, transposed, sinogram);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    fan_adjoint(const int* __restrict__ lanes, const Fan beam, const float* __restrict__ sinogram,
                float* __restrict__ image) {
    smear(lanes, beam, sinogram, image);
}
