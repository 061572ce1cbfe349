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
#include "common.cuh"

// One angle; `View` in src/projector.rs.
struct View {
    long long first, per_line, step;
    float length;       // L_a: length of ray from line to line
    float inverse_step; // 1 / step, in bins per pixel
    int n_bins_near;    // bins that one pixel may touch
    int along_rows;     // whether the lines are rows
};

constexpr long long PIXEL = 1LL << 32;
constexpr float UNIT = 1.0f / PIXEL;

// hat(p - j) from p - j in units of 2^-32.
__device__ __forceinline__ float hat(long long distance) {
    return fmaxf(0.0f, 1.0f - fabsf(static_cast<float>(distance) * UNIT));
}

// The pixel at or to the left of a place.
__device__ __forceinline__ int pixel_left_of(long long place) { return static_cast<int>(place >> 32); }

// Lines [from, to) on which a ray that starts at `place` can meet 0 <= j < length; one more on either side does no
// harm.
__device__ __forceinline__ void lines_met(const View& view, long long place, int n_lines, int length, int& from,
                                          int& to) {
    from = 0;
    to = n_lines;
    if (view.per_line == 0) return;
    const float slope = 1.0f / (static_cast<float>(view.per_line) * UNIT), start = static_cast<float>(place) * UNIT;
    const float enter = (-1.0f - start) * slope, leave = (length - start) * slope;
    // Places are known to some 1e-4 pixels in f32; a line more covers that for slopes up to 1e4, beyond it all lines
    // are.
    if (fabsf(slope) > 1e4f) return;
    from = max(0, static_cast<int>(fminf(fmaxf(fminf(enter, leave), -1.0f), 2e9f)) - 1);
    to = min(n_lines, static_cast<int>(fminf(fmaxf(fmaxf(enter, leave), -2.0f), 2e9f)) + 2);
}

// sinogram = A image. Thread -> bin, blockIdx.y -> view. `transposed` holds the columns of `image` as rows, so that
// neighbouring threads read neighbouring pixels of a line in every view.
extern "C" __global__ void __launch_bounds__(BLOCK)
    projector_forward(const int* __restrict__ lanes, const View* __restrict__ views, const float* __restrict__ image,
                      const float* __restrict__ transposed, float* __restrict__ sinogram, int height, int width,
                      int n_bins) {
    const int bin = blockIdx.x * BLOCK + threadIdx.x, lane = this_lane(lanes);
    if (bin >= n_bins) return;
    const View view = views[blockIdx.y];
    const int n_lines = view.along_rows ? height : width, length = view.along_rows ? width : height;
    const float* lines = (view.along_rows ? image : transposed) + static_cast<long long>(lane) * height * width;
    long long place = view.first + bin * view.step;
    int from, to;
    lines_met(view, place, n_lines, length, from, to);
    place += from * view.per_line;
    float sum = 0;
    for (int line = from; line < to; ++line, place += view.per_line) {
        const int left = pixel_left_of(place);
        const float* pixels = lines + static_cast<long long>(line) * length;
        const long long distance = place - left * PIXEL;
        if (left >= 0 && left < length) sum += hat(distance) * pixels[left];
        if (left >= -1 && left < length - 1) sum += hat(distance - PIXEL) * pixels[left + 1];
    }
    sinogram[(static_cast<long long>(lane) * gridDim.y + blockIdx.y) * n_bins + bin] = sum * view.length;
}

// image = A^T sinogram. Thread -> pixel; every view adds the bins whose rays pass within one pixel along the line.
extern "C" __global__ void __launch_bounds__(BLOCK)
    projector_adjoint(const int* __restrict__ lanes, const View* __restrict__ views, const float* __restrict__ sinogram,
                      float* __restrict__ image, int height, int width, int n_views, int n_bins) {
    const int pixel = blockIdx.x * BLOCK + threadIdx.x, lane = this_lane(lanes);
    if (pixel >= height * width) return;
    const int row = pixel / width, col = pixel % width;
    const float* bins = sinogram + static_cast<long long>(lane) * n_views * n_bins;
    float sum = 0;
    for (int angle = 0; angle < n_views; ++angle, bins += n_bins) {
        const View view = views[angle];
        const int line = view.along_rows ? row : col, j = view.along_rows ? col : row;
        // p(line, k) - j as a function of k, and the first bin that may be near.
        const long long at_bin_0 = view.first + line * view.per_line - j * PIXEL;
        const float centre = -static_cast<float>(at_bin_0) * UNIT * view.inverse_step;
        const float near = fminf(fmaxf(centre - fabsf(view.inverse_step) - 0.01f, -1e9f), 1e9f);
        const int first = static_cast<int>(floorf(near));
        const int from = max(first, 0), to = min(first + view.n_bins_near, n_bins);
        float of_view = 0;
        for (int k = from; k < to; ++k) of_view += hat(at_bin_0 + k * view.step) * bins[k];
        sum += view.length * of_view;
    }
    image[static_cast<long long>(lane) * height * width + pixel] = sum;
}

// Side of the square that a block turns over.
constexpr int SQUARE = 32;

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
