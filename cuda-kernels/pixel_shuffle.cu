// Pixel unshuffle: channel (c r + i) r + j of the finest activation holds the pixels (r y + i, r x + j) of channel c.
// With it go the scalars around the network (lane_scalars.cuh), so that they cost no pass of their own.
//
// Shapes: images [lane][c][r height][r width], activations [lane][c r r][height][width]. Overwrites. Thread -> value of
// the activation, blockIdx.z -> lane. r is `side`.
#include "common.cuh"
#include "lane_scalars.cuh"

// The pixel of an image that value i of an activation comes from.
__device__ __forceinline__ int pixel_of(int i, int height, int width, int side) {
    const int x = i % width, y = i / width % height, channel = i / (width * height);
    const int c = channel / (side * side), row = y * side + channel / side % side, col = x * side + channel % side;
    return (c * height * side + row) * width * side + col;
}

// Which linear or affine map: `direction` in src/pixel_shuffle.rs.
enum Direction { FORWARD, VJP, TANGENT };

// activation = input_scale image + input_shift, of the tangent without the shift; of the vjp: output image.
extern "C" __global__ void __launch_bounds__(BLOCK)
    pixel_unshuffle(const int* __restrict__ lanes, const LaneScalars* __restrict__ scalars,
                    const float* __restrict__ image, float* __restrict__ activation, int n, int height,
                    int width, int side, int direction) {
    const int lane = this_lane(lanes);
    const LaneScalars at = scalars[lane];
    const float scale = direction == VJP ? at.output : at.input_scale;
    const float shift = direction == FORWARD ? at.input_shift : 0.0f;
    const long long first = static_cast<long long>(lane) * n;
    for_each_element(n, [&](int i) {
        activation[first + i] = scale * image[first + pixel_of(i, height, width, side)] + shift;
    });
}

// out = output activation + (skip_scale image + skip_shift), of the tangent without the shift; of the vjp: input_scale
// activation + skip_scale image.
extern "C" __global__ void __launch_bounds__(BLOCK)
    pixel_shuffle(const int* __restrict__ lanes, const LaneScalars* __restrict__ scalars,
                  const float* __restrict__ activation, const float* __restrict__ image, float* __restrict__ out, int n,
                  int height, int width, int side, int direction) {
    const int lane = this_lane(lanes);
    const LaneScalars at = scalars[lane];
    const float scale = direction == VJP ? at.input_scale : at.output;
    const float shift = direction == FORWARD ? at.skip_shift : 0.0f;
    const long long first = static_cast<long long>(lane) * n;
    for_each_element(n, [&](int i) {
        const long long pixel = first + pixel_of(i, height, width, side);
        out[pixel] = scale * activation[first + i] + (at.skip_scale * image[pixel] + shift);
    });
}
