//! Mistakes that show only beyond one block of threads, or with large numbers: the checks must see each of them.

use gradus_tests::stand_in::{Mistake, library_with};
use std::process::Command;

/// A mistake with the test that must fail.
const fn seen_by(
    test: &'static str,
    [source, file]: [&'static str; 2],
    [right, wrong]: [&'static str; 2],
) -> (&'static str, Mistake) {
    (test, Mistake { source, file, right, wrong })
}

const MISTAKES: [(&str, Mistake); 20] = [
    // The gain of another channel of a group.
    seen_by(
        "networks_on_tensor_cores",
        ["conv_tensor", "conv_norm.cuh"],
        ["const double scale = norm.gain[channel] * rstd;", "const double scale = norm.gain[first] * rstd;"],
    ),
    // The first tile's sums for all of a channel.
    seen_by("networks", ["conv", "conv_norm.cuh"], ["__ldcg(&sums[i]);", "__ldcg(&sums[i / n_tiles * n_tiles]);"]),
    // Bins beyond a block's.
    seen_by(
        "projections",
        ["projector", "projector.cuh"],
        ["const int bin = blockIdx.x * BLOCK + threadIdx.x,", "const int bin = threadIdx.x,"],
    ),
    // More than 64 views.
    seen_by("projections", ["projector", "projector.cuh"], ["angle < n_views;", "angle < min(n_views, 64);"]),
    // Of a fan's rays near a pixel those on one side.
    seen_by("projections", ["fan", "fan.cuh"], ["row - rows, col - cols", "row, col"]),
    // Rays that leave out their first line.
    seen_by(
        "projections",
        ["fan", "fan.cuh"],
        ["length, segment.first_line, segment.end_line)", "length, segment.first_line + 1, segment.end_line)"],
    ),
    // A curvature without its damping.
    seen_by(
        "solves",
        ["conjugate_gradient", "conjugate_gradient.cu"],
        ["total[0] + recurrence.damping * recurrence.conjugate_square", "total[0]"],
    ),
    // Solves that do not end where nothing is left to solve.
    seen_by(
        "solves",
        ["conjugate_gradient", "conjugate_gradient.cu"],
        ["residual_square > FLT_MIN / FLT_EPSILON && isfinite", "residual_square >= 0.0f && isfinite"],
    ),
    // And some that go on until their squares have no digits left.
    seen_by(
        "solves",
        ["conjugate_gradient", "conjugate_gradient.cu"],
        ["residual_square > FLT_MIN / FLT_EPSILON && isfinite", "residual_square > 0.0f && isfinite"],
    ),
    // The second row of tiles.
    seen_by(
        "convolutions_on_tensor_cores",
        ["conv_tensor", "conv_tensor.cu"],
        ["top = blockIdx.x / tiles_across * TILE_ROWS,", "top = blockIdx.x / (1000 * tiles_across),"],
    ),
    // What TF32 numbers of the inputs leave.
    seen_by(
        "convolutions_on_tensor_cores",
        ["conv_tensor", "conv_tensor.cu"],
        ["pair.z = to_tf32(first - pair.x)", "pair.z = 0"],
    ),
    // What those of the weights leave.
    seen_by(
        "convolutions_on_tensor_cores",
        ["conv_pack", "conv_pack.cu"],
        ["to[128] = to_tf32(sum - number);", "to[128] = 0;"],
    ),
    // Channels beyond two chunks.
    seen_by(
        "convolutions_on_tensor_cores",
        ["conv_tensor", "conv_tensor.cu"],
        ["inputs.stage(first, shared.tile);", "inputs.stage(min(first, L::CHUNK), shared.tile);"],
    ),
    // P for dS in the second of two sums of one tile.
    seen_by("attentions", ["attention", "attention.cu"], ["entries.store(slope);", "entries.store(score);"]),
    // The second before all threads have added up the first.
    seen_by("attentions", ["attention", "attention.cu"], ["if (WITH_P && WITH_SLOPES) __syncthreads();", ""]),
    // Pixels beyond two tiles.
    seen_by(
        "attentions",
        ["attention", "attention.cu"],
        ["next_b = is_last ? first_b + B : first_b;", "next_b = is_last ? B : first_b;"],
    ),
    // Of a result beyond a block's channels the first ones.
    seen_by(
        "attentions",
        ["attention", "attention.cu"],
        ["stage(at, right, first_channel, first_b, of_b);", "stage(at, right, 0, first_b, of_b);"],
    ),
    // A softmax without its maximum.
    seen_by(
        "attentions",
        ["attention", "attention.cu"],
        ["larger[i] = fmaxf(larger[i], scale * score[i][j]);", "larger[i] = fmaxf(larger[i], 0.0f);"],
    ),
    // A sum that stays as it was where a later tile has a larger score.
    seen_by(
        "attentions",
        ["attention", "attention.cu"],
        ["if (SUM == MIXED) of_p.rescale(factor);", "if (SUM == MIXED && first_b == 0) of_p.rescale(factor);"],
    ),
    // Likewise the total of the exponentials.
    seen_by("attentions", ["attention", "attention.cu"], ["total[i] *= before;", "total[i] *= 1.0f;"]),
];

/// Runs the checks in processes of their own, with the library of each mistake for the machine's driver.
pub fn all_are_seen() {
    for (test, mistake) in MISTAKES {
        let folder = library_with(&mistake).unwrap();
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("GRADUS_STAND_IN", "none")
            .env("LD_LIBRARY_PATH", folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        // By a check, not by the driver.
        let is_seen = said.contains("relative distance") || said.contains(" for ") || said.contains("assertion");
        assert!(!done.status.success() && is_seen, "nothing saw {mistake:?}: {said}");
    }
}
