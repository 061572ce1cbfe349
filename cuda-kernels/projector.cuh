// Both maps of a parallel beam, one ray and one pixel at a time; the equation is in projector.cu. Shared by it and the
// linear solves.
#pragma once
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

// Narrows the lines [from, to) to those on which a ray that starts at `place` can meet 0 <= j < length; one more on
// either side does no harm.
__device__ __forceinline__ void lines_met(long long per_line, long long place, int length, int& from, int& to) {
    if (per_line == 0) return;
    const float slope = 1.0f / (static_cast<float>(per_line) * UNIT), start = static_cast<float>(place) * UNIT;
    const float enter = (-1.0f - start) * slope, leave = (length - start) * slope;
    // Places are known to some 1e-4 pixels in f32; a line more covers that for slopes up to 1e4, beyond it all lines
    // are.
    if (fabsf(slope) > 1e4f) return;
    from = max(from, static_cast<int>(fminf(fmaxf(fminf(enter, leave), -1.0f), 2e9f)) - 1);
    to = min(to, static_cast<int>(fminf(fmaxf(fmaxf(enter, leave), -2.0f), 2e9f)) + 2);
}


// Side of the square of an image that a block turns over.
constexpr int SQUARE = 32;

// An image and its columns as rows, so that neighbouring threads read neighbouring pixels of a line in every view.
struct Image {
    const float *rows, *columns;
};

// The sum along a ray that meets line l at first + l per_line, over lines [from, to) of `length` pixels.
__device__ __forceinline__ float sum_along(const float* lines, long long first, long long per_line, int length,
                                           int from, int to) {
    lines_met(per_line, first, length, from, to);
    long long place = first + from * per_line;
    float sum = 0;
    for (int line = from; line < to; ++line, place += per_line) {
        const int left = pixel_left_of(place);
        const float* pixels = lines + static_cast<long long>(line) * length;
        const long long distance = place - left * PIXEL;
        if (left >= 0 && left < length) sum += hat(distance) * pixels[left];
        if (left >= -1 && left < length - 1) sum += hat(distance - PIXEL) * pixels[left + 1];
    }
    return sum;
}

// `Parallel` in src/projector.rs.
struct Parallel {
    const View* views;
    int height, width, n_views, n_bins;

    // (A x)[view][bin].
    __device__ __forceinline__ float ray(const Image& image, int view, int bin) const {
        const View at = views[view];
        const int n_lines = at.along_rows ? height : width, length = at.along_rows ? width : height;
        const float* lines = at.along_rows ? image.rows : image.columns;
        return at.length * sum_along(lines, at.first + bin * at.step, at.per_line, length, 0, n_lines);
    }

    // (A^T y)[row][col]: every view adds the bins whose rays pass within one pixel along the line.
    __device__ __forceinline__ float pixel(const float* bins, int row, int col) const {
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
        return sum;
    }
};
static_assert(sizeof(Parallel) == 8 + 4 * 4, "src/projector.rs has the same record");

// The place of one lane's image or sinogram among `n` values a lane.
__device__ __forceinline__ long long of_lane(const int* lanes, int n) {
    return static_cast<long long>(this_lane(lanes)) * n;
}

// sinogram = A image. Thread -> bin, blockIdx.y -> view.
template <class Beam>
__device__ __forceinline__ void project(const int* lanes, const Beam& beam, const float* image, const float* transposed,
                                        float* sinogram) {
    const int bin = blockIdx.x * BLOCK + threadIdx.x, view = blockIdx.y;
    if (bin >= beam.n_bins) return;
    const long long first = of_lane(lanes, beam.height * beam.width);
    const float sum = beam.ray({image + first, transposed + first}, view, bin);
    sinogram[of_lane(lanes, beam.n_views * beam.n_bins) + view * beam.n_bins + bin] = sum;
}

// image = A^T sinogram. Thread -> pixel.
template <class Beam>
__device__ __forceinline__ void smear(const int* lanes, const Beam& beam, const float* sinogram, float* image) {
    const int pixel = blockIdx.x * BLOCK + threadIdx.x;
    if (pixel >= beam.height * beam.width) return;
    const float* bins = sinogram + of_lane(lanes, beam.n_views * beam.n_bins);
    image[of_lane(lanes, beam.height * beam.width) + pixel] = beam.pixel(bins, pixel / beam.width, pixel % beam.width);
}
