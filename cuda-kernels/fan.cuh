// Both maps of a fan, one ray and one pixel at a time: Joseph's sums as in projector.cuh, with a place and a slope for
// each ray. Shared by fan.cu and the linear solves.
//
// A view's rays come in segments of neighbouring bins which cross the same kind of lines most steeply, in the same
// direction. A pixel finds the rays near it by looking from the source at the places one pixel before and behind it on
// its line; it does so in f32, a little too far to either side, and takes the weights from the same places of the rays
// as the projector, so the two maps are transposes of each other.
#pragma once
#include "projector.cuh"

// One ray; `FanRay` in src/fan.rs.
struct FanRay {
    long long first, per_line;  // of its place on line l, in units of 2^-32 pixels
    float length;               // from line to line
    int segment;
};

// `FanSegment` in src/fan.rs.
struct FanSegment {
    int first_bin, end_bin;
    int first_line, end_line;  // in front of the source
    int along_rows;
};

// From the source of a view: coordinates of pixel [row][col] across the ray through the axis, and along it; in pixels.
// `FanView` in src/fan.rs.
struct FanView {
    float across, across_per_row, across_per_col, along, along_per_row, along_per_col;
    int first_segment, end_segment;
};

// `Fan` in src/fan.rs.
struct Fan {
    const FanRay* rays;
    const FanSegment* segments;
    const FanView* views;
    int height, width, n_views, n_bins;
    float middle_bin, bins;  // the bin of the ray through the axis; bins per tangent, or radian, of the angle from it
    int is_curved, unused;

    // (A x)[view][bin].
    __device__ __forceinline__ float ray(const Image& image, int view, int bin) const {
        const FanRay at = rays[static_cast<long long>(view) * n_bins + bin];
        const FanSegment segment = segments[at.segment];
        const float* lines = segment.along_rows ? image.rows : image.columns;
        const int length = segment.along_rows ? width : height;
        return at.length * sum_along(lines, at.first, at.per_line, length, segment.first_line, segment.end_line);
    }

    // The bin that sees a pixel, or a place between pixels.
    __device__ __forceinline__ float seen(const FanView& from, float row, float col) const {
        const float across = from.across + row * from.across_per_row + col * from.across_per_col;
        const float along = from.along + row * from.along_per_row + col * from.along_per_col;
        const float tangent = __fdividef(across, along);  // exact enough for a search: the weights do not depend on it
        return middle_bin + bins * (is_curved ? atanf(tangent) : tangent);
    }

    // The bin at or before a place, or one beyond the detector's ends.
    __device__ __forceinline__ int on_detector(float place) const {
        return static_cast<int>(fminf(fmaxf(place, -1.0f), static_cast<float>(n_bins)));
    }

    // (A^T y)[row][col].
    __device__ __forceinline__ float pixel(const float* values, int row, int col) const {
        constexpr float MARGIN = 0.05f;  // bins; f32 knows them better
        float sum = 0;
        for (int view = 0; view < n_views; ++view) {
            const FanView from = views[view];
            const long long first_ray = static_cast<long long>(view) * n_bins;
            for (int number = from.first_segment; number < from.end_segment; ++number) {
                const FanSegment segment = segments[number];
                const int line = segment.along_rows ? row : col, j = segment.along_rows ? col : row;
                if (line < segment.first_line || line >= segment.end_line) continue;
                const float rows = segment.along_rows ? 0.0f : 1.0f, cols = 1.0f - rows;
                const float before = seen(from, row - rows, col - cols), behind = seen(from, row + rows, col + cols);
                const int begin = max(segment.first_bin, on_detector(fminf(before, behind) - MARGIN));
                const int end = min(segment.end_bin, on_detector(fmaxf(before, behind) + MARGIN) + 1);
                for (int bin = begin; bin < end; ++bin) {
                    const FanRay at = rays[first_ray + bin];
                    sum += at.length * hat(at.first + line * at.per_line - j * PIXEL) * values[first_ray + bin];
                }
            }
        }
        return sum;
    }
};
static_assert(sizeof(Fan) == 3 * 8 + 8 * 4, "src/fan.rs has the same record");
