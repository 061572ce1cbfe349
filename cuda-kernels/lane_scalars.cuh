// The scalars of a lane: its smoothing level, and how h follows from the network's output U at it,
//
//     x_in = input_scale x + input_shift,   h = skip x_in + output U(x_in, t),
//     J_h^T v = input_scale (skip v + J_U^T (output v)).
#pragma once

// `LaneScalars` in src/pixel_shuffle.rs.
struct LaneScalars {
    // the last two: skip input_scale, skip input_shift
    float t, input_scale, input_shift, output, skip_scale, skip_shift;
};
