// Kernels with one fault each, and two without: the stand-in must object to the former and to nothing else.
//
// All are meant to compute out[i] = in[i] + in[(i + 1) mod n] for one block of n = 64 threads.
constexpr int N = 64;
#define PLANTED extern "C" __global__ void

PLANTED sound(const float* in, float* out, int n) {
    __shared__ float tile[N];
    const int i = threadIdx.x;
    tile[i] = in[i];
    __syncthreads();
    out[i] = tile[i] + tile[(i + 1) % n];
}

PLANTED sound_twice(const float* in, float* out, int n) {
    __shared__ float tile[N];
    const int i = threadIdx.x;
    float sum = 0;
    for (int round = 0; round < 2; ++round) {
        tile[i] = in[(i + round) % n];
        __syncthreads();
        sum += tile[(i + 32) % n];
        __syncthreads();
    }
    out[i] = sum;
}

// Neighbours may not have written yet.
PLANTED missing_barrier(const float* in, float* out, int n) {
    __shared__ float tile[N];
    const int i = threadIdx.x;
    tile[i] = in[i];
    out[i] = tile[i] + tile[(i + 1) % n];
}

// The second round overwrites what a neighbour has still to read in the first.
PLANTED missing_second_barrier(const float* in, float* out, int n) {
    __shared__ float tile[N];
    const int i = threadIdx.x;
    float sum = 0;
    for (int round = 0; round < 2; ++round) {
        tile[i] = in[(i + round) % n];
        __syncthreads();
        sum += tile[(i + 32) % n];
    }
    out[i] = sum;
}

PLANTED exit_before_barrier(const float* in, float* out, int n) {
    if (threadIdx.x >= 60) return;
    __syncthreads();
    out[threadIdx.x] = in[threadIdx.x] * n;
}

PLANTED two_barriers(const float* in, float* out, int n) {
    if (threadIdx.x % 2 == 0) {
        __syncthreads();
        out[threadIdx.x] = in[threadIdx.x] * n;
    } else {
        __syncthreads();
    }
}

PLANTED barrier_in_a_branch(const float* in, float* out, int n) {
    if (threadIdx.x % 2 == 0) __syncthreads();
    const float other = __shfl_xor_sync(0xffffffffu, in[threadIdx.x], 1);
    out[threadIdx.x] = other * n;
}

PLANTED shuffle_with_the_gone(const float* in, float* out, int n) {
    if (threadIdx.x >= 60) return;
    out[threadIdx.x] = n * __shfl_down_sync(0xffffffffu, in[threadIdx.x], 1);
}

PLANTED unwritten_shared(const float* in, float* out, int n) {
    __shared__ float tile[N];
    const int i = threadIdx.x;
    if (i > 0) tile[i] = in[i];
    __syncthreads();
    out[i] = tile[i] + tile[(i + 1) % n];
}

PLANTED unwritten_result(const float* in, float* out, int n) {
    const int i = threadIdx.x;
    if (i != 7) out[i] = in[i] + in[(i + 1) % n];
}

PLANTED read_behind(const float* in, float* out, int) { out[threadIdx.x] = in[threadIdx.x + 1]; }
PLANTED write_behind(const float* in, float* out, int) { out[threadIdx.x + 1] = in[threadIdx.x]; }
PLANTED write_in_front(const float* in, float* out, int) { out[static_cast<int>(threadIdx.x) - 1] = in[threadIdx.x]; }
PLANTED write_far(const float* in, float* out, int n) { out[threadIdx.x + 100000LL * n] = in[threadIdx.x]; }

PLANTED shared_overrun(const float* in, float* out, int n) {
    __shared__ float tile[N];
    const int i = threadIdx.x;
    tile[i] = in[i];
    __syncthreads();
    out[i] = tile[i + 1] * n;
}

// What was on its way has not arrived.
PLANTED copy_not_waited_for(const float* in, float* out, int n) {
    __shared__ float4 tile[N / 4];
    const int i = threadIdx.x, next = (i + 1) % n;
    if (4 * i < n) stand_in::begin_copy(&tile[i], reinterpret_cast<const float4*>(in) + i);
    __syncthreads();
    out[i] = (&tile[i / 4].x)[i % 4] + (&tile[next / 4].x)[next % 4];
}

PLANTED copy_waited_for(const float* in, float* out, int n) {
    __shared__ float4 tile[N / 4];
    const int i = threadIdx.x, next = (i + 1) % n;
    if (4 * i < n) stand_in::begin_copy(&tile[i], reinterpret_cast<const float4*>(in) + i);
    stand_in::wait_for_copies();
    __syncthreads();
    out[i] = (&tile[i / 4].x)[i % 4] + (&tile[next / 4].x)[next % 4];
}

PLANTED misaligned(const float* in, float* out, int n) {
    const int i = threadIdx.x;
    if (4 * i + 5 < n) out[i] = reinterpret_cast<const float4*>(in + 4 * i + 1)->x;
}

PLANTED index_overflow(const float* in, float* out, int n) {
    const int i = threadIdx.x, product = (i + 1) * (n << 24);
    out[i] = in[(product & 1) % n];
}

// Every thread adds to the same value: seen by the race detector only.
PLANTED scatter(const float* in, float* out, int n) { out[n - 64] += in[threadIdx.x]; }
