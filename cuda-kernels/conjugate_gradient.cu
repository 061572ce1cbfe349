// Conjugate gradients on M d = r with M = A^T W A + mu I, from d = 0 [HS52], for several slices with systems of their
// own:
//
//     p <- P r + b p                              solve_conjugate     and |p|^2
//     s <- W^(1/2) A p                            solve_project       and |s|^2:  a = <r, P r> / (|s|^2 + mu |p|^2)
//     d <- d + a p,  A d <- A d + a s,
//     r <- r - a (A^T W^(1/2) s + mu p)           solve_advance       and <r, P r>:  b = that / that before
//
// with P = (diag(A^T W 1) + mu I)^-1 where there are weights, else 1. `solve_begin` clears d and A d. The scalars stay
// on the device, in the record of a slice's recurrence: its rules are those of core's `ConjugateGradient`. So the host
// asks for all iterations at once, and a recurrence that has come to its end makes the launches that are left do
// nothing.
//
// Shapes: images [lane][row][col], sinograms [lane][angle][bin]; recurrences one per entry of the list of lanes.
// Index map: as in projector.cu; solve_conjugate a square of pixels, which it turns over on the way (see
// projector_transpose); blockIdx.z -> entry of the list. Sums: f64, as partial_sums.cuh says, then rounded to f32.
#include <cfloat>

#include "fan.cuh"
#include "partial_sums.cuh"
#include "projector.cuh"

// What a recurrence asks for next.
enum Asks : unsigned { BEGIN, CURVATURE, ADVANCE, DONE };

// `Recurrence` in src/conjugate_gradient.rs.
struct Recurrence {
    double conjugate_square;    // |p|^2
    float damping;              // mu
    float tolerance;            // |r| over what it was at first, from which on the system counts as solved
    unsigned least, most;       // iterations: in any case, and until the system is solved
    unsigned made, answers;     // iterations, and numbers that were told
    unsigned asks;
    float scalar;               // b or a
    float initial_square, residual_square;

    __device__ __forceinline__ static bool is_square(float told) { return isfinite(told) && told >= 0.0f; }

    __device__ __forceinline__ void end(float square) {
        asks = DONE;
        residual_square = square;
    }
    __device__ __forceinline__ void go_on(float momentum) {
        const bool is_left = residual_square > FLT_MIN / FLT_EPSILON && isfinite(residual_square);
        const bool is_solved = sqrtf(residual_square) <= tolerance * sqrtf(initial_square);
        asks = is_left && made < most && (made < least || !is_solved) ? CURVATURE : DONE;
        scalar = momentum;
    }
    __device__ __forceinline__ void begin(float square) {
        initial_square = residual_square = square;
        go_on(0.0f);
    }
    __device__ __forceinline__ void take_curvature(float told) {
        ++answers;
        if (!is_square(told)) return end(told);
        scalar = residual_square / told;
        asks = isfinite(scalar) ? ADVANCE : DONE;
    }
    __device__ __forceinline__ void take_residual(float told) {
        ++answers;
        if (!is_square(told)) return end(told);
        const float momentum = told / residual_square;
        ++made;
        residual_square = told;
        go_on(momentum);
    }
};
static_assert(sizeof(Recurrence) == 8 + 10 * 4, "src/conjugate_gradient.rs has the same record");

// `Solve` in src/conjugate_gradient.rs.
struct Solve {
    const int* lanes;
    Recurrence* recurrences;
    float *r, *p, *transposed, *d;       // images; transposed holds the columns of p as rows
    const float* seen;                   // A^T W 1, negative where P = 1; null where it is everywhere
    const float* roots;                  // W^(1/2); null where W = I
    float *s, *weighted, *of_direction;  // sinograms: s, W^(1/2) s (the same place where W = I), A d
    Sums sums;
};
static_assert(sizeof(Solve) == 14 * 8, "src/conjugate_gradient.rs has the same record");

// (P r)[i].
__device__ __forceinline__ float scaled(const Solve& at, long long i, float damping, float r) {
    if (!at.seen || at.seen[i] < 0.0f) return r;
    return 1.0f / (at.seen[i] + damping) * r;
}

extern "C" __global__ void __launch_bounds__(BLOCK) solve_begin(const Solve at, int n, int n_values) {
    const long long image = of_lane(at.lanes, n), sinogram = of_lane(at.lanes, n_values);
    const float damping = at.recurrences[blockIdx.z].damping;
    double square[1] = {}, total[1];
    for_each_element(n, [&](int i) {
        at.d[image + i] = 0.0f;
        const float r = at.r[image + i];
        square[0] += static_cast<double>(r) * scaled(at, image + i, damping, r);
    });
    for_each_element(n_values, [&](int i) { at.of_direction[sinogram + i] = 0.0f; });
    if (add_up(square, at.sums, total)) at.recurrences[blockIdx.z].begin(static_cast<float>(total[0]));
}

// With b = 0 what p held is not looked at.
extern "C" __global__ void __launch_bounds__(BLOCK) solve_conjugate(const Solve at, int height, int width) {
    __shared__ float square[SQUARE][SQUARE + 1];
    Recurrence& recurrence = at.recurrences[blockIdx.z];
    if (recurrence.asks != CURVATURE) return;
    const float momentum = recurrence.scalar, damping = recurrence.damping;
    const long long first = of_lane(at.lanes, height * width);
    const int x = threadIdx.x % SQUARE, left = blockIdx.x * SQUARE, top = blockIdx.y * SQUARE;
    double sum[1] = {}, total[1];
    for (int y = threadIdx.x / SQUARE; y < SQUARE; y += BLOCK / SQUARE) {
        if (top + y >= height || left + x >= width) continue;
        const long long i = first + static_cast<long long>(top + y) * width + left + x;
        const float from = scaled(at, i, damping, at.r[i]);
        const float next = momentum == 0.0f ? from : from + momentum * at.p[i];
        at.p[i] = square[y][x] = next;
        sum[0] += static_cast<double>(next) * next;
    }
    __syncthreads();
    for (int y = threadIdx.x / SQUARE; y < SQUARE; y += BLOCK / SQUARE)
        if (left + y < width && top + x < height)
            at.transposed[first + static_cast<long long>(left + y) * height + top + x] = square[x][y];
    if (add_up(sum, at.sums, total)) recurrence.conjugate_square = total[0];
}

template <class Beam>
__device__ __forceinline__ void project_conjugate(const Solve& at, const Beam& beam) {
    Recurrence& recurrence = at.recurrences[blockIdx.z];
    if (recurrence.asks != CURVATURE) return;
    const int bin = blockIdx.x * BLOCK + threadIdx.x, view = blockIdx.y;
    double square[1] = {}, total[1];
    if (bin < beam.n_bins) {
        const long long image = of_lane(at.lanes, beam.height * beam.width);
        const long long place = of_lane(at.lanes, beam.n_views * beam.n_bins) + view * beam.n_bins + bin;
        const float root = at.roots ? at.roots[place] : 1.0f;
        const float value = root * beam.ray({at.p + image, at.transposed + image}, view, bin);
        at.s[place] = value;
        if (at.roots) at.weighted[place] = root * value;
        square[0] = static_cast<double>(value) * value;
    }
    if (add_up(square, at.sums, total))
        recurrence.take_curvature(static_cast<float>(total[0] + recurrence.damping * recurrence.conjugate_square));
}

template <class Beam>
__device__ __forceinline__ void advance(const Solve& at, const Beam& beam) {
    Recurrence& recurrence = at.recurrences[blockIdx.z];
    if (recurrence.asks != ADVANCE) return;
    const float length = recurrence.scalar, damping = recurrence.damping;
    const int n = beam.height * beam.width, n_values = beam.n_views * beam.n_bins;
    const long long image = of_lane(at.lanes, n), sinogram = of_lane(at.lanes, n_values);
    double square[1] = {}, total[1];
    for_each_element(n, [&](int i) {
        const float normal = beam.pixel(at.weighted + sinogram, i / beam.width, i % beam.width);
        const float along = at.p[image + i];
        at.d[image + i] += length * along;
        const float rest = at.r[image + i] - length * normal - length * damping * along;
        at.r[image + i] = rest;
        square[0] += static_cast<double>(rest) * scaled(at, image + i, damping, rest);
    });
    for_each_element(n_values, [&](int i) { at.of_direction[sinogram + i] += length * at.s[sinogram + i]; });
    if (add_up(square, at.sums, total)) recurrence.take_residual(static_cast<float>(total[0]));
}

extern "C" __global__ void __launch_bounds__(BLOCK) solve_project(const Solve at, const Parallel beam) {
    project_conjugate(at, beam);
}
extern "C" __global__ void __launch_bounds__(BLOCK) solve_advance(const Solve at, const Parallel beam) {
    advance(at, beam);
}
extern "C" __global__ void __launch_bounds__(BLOCK) solve_project_fan(const Solve at, const Fan beam) {
    project_conjugate(at, beam);
}
extern "C" __global__ void __launch_bounds__(BLOCK) solve_advance_fan(const Solve at, const Fan beam) {
    advance(at, beam);
}
