// Joseph's projector A and its exact transpose, for parallel beams (Joseph 1982, IEEE TMI 1, 192):
//
//     (A x)[a][k] = L_a sum_l sum_j hat(p_a(l, k) - j) x[l][j],     p_a(l, k) = first + l per_line + k step,
//
// with hat(d) = max(0, 1 - |d|), where the rays of view a cross image lines l (rows or columns) at places p.
//
// Places are integers in units of 2^-32 pixels. They are therefore exact sums: both maps meet the same p, so their
// weights are the same numbers and A^T is the transpose to the rounding of its sums, and walking from line to line
// costs one 64-bit addition. The host refuses geometries whose places leave 2^30 pixels.
//
// Both maps gather and overwrite; sums are f32, over lines (or views) in order. Images [lane][row][col] and their
// transposes [lane][col][row], sinograms [lane][angle][bin]. blockIdx.z -> entry of the list of lanes.
#include "projector.cuh"

extern "C" __global__ void __launch_bounds__(BLOCK)
    projector_forward(const int* __restrict__ lanes, const Parallel beam, const float* __restrict__ image,
                      const float* __restrict__ transposed, float* __restrict__ sinogram) {
    project(lanes, beam, image, transposed, sinogram);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    projector_adjoint(const int* __restrict__ lanes, const Parallel beam, const float* __restrict__ sinogram,
                      float* __restrict__ image) {
    smear(lanes, beam, sinogram, image);
}

// transposed[col][row] = image[row][col]. A square goes through shared memory, whose rows are one longer so that its
// columns lie in different banks; reads and writes of device memory are both along lines.
extern "C" __global__ void __launch_bounds__(BLOCK)
    projector_transpose(const int* __restrict__ lanes, const float* __restrict__ image, float* __restrict__ transposed,
                        int height, int width) {
    __shared__ float square[SQUARE][SQUARE + 1];
    const long long first = static_cast<long long>(this_lane(lanes)) * height * width;
    const int x = threadIdx.x % SQUARE, y0 = threadIdx.x / SQUARE;
    const int left = blockIdx.x * SQUARE, top = blockIdx.y * SQUARE;
    for (int y = y0; y < SQUARE; y += BLOCK / SQUARE)
        if (top + y < height && left + x < width)
            square[y][x] = image[first + static_cast<long long>(top + y) * width + left + x];
    __syncthreads();
    for (int y = y0; y < SQUARE; y += BLOCK / SQUARE)
        if (left + y < width && top + x < height)
            transposed[first + static_cast<long long>(left + y) * height + top + x] = square[x][y];
}
