//! Mistakes that show only beyond one block of threads, or with large numbers: the checks must see each of them.

use gradus_tests::stand_in::{Mistake, library_with};
use std::process::Command;

/// With the test that must fail.
const MISTAKES: [(&str, Mistake); 6] = [
    // The gain of another channel, where a channel has more than one share of pixels.
    (
        "networks",
        Mistake {
            source: "group_norm",
            right: "gain[first_channel + i / shares]",
            wrong: "gain[first_channel + i % per_group]",
        },
    ),
    // The first share's sums for all of a channel.
    (
        "networks",
        Mistake {
            source: "group_norm",
            right: "sums[first_plane * shares + i];",
            wrong: "sums[first_plane * shares + i / shares * shares];",
        },
    ),
    // Bins beyond a block's.
    (
        "projections",
        Mistake {
            source: "projector",
            right: "const int bin = blockIdx.x * BLOCK + threadIdx.x,",
            wrong: "const int bin = threadIdx.x,",
        },
    ),
    // More than 64 views.
    ("projections", Mistake { source: "projector", right: "angle < n_views;", wrong: "angle < min(n_views, 64);" }),
    // The second row of tiles.
    (
        "convolutions_on_tensor_cores",
        Mistake {
            source: "conv_tf32",
            right: "top = blockIdx.x / tiles_across * TILE_ROWS,",
            wrong: "top = blockIdx.x / (1000 * tiles_across),",
        },
    ),
    // A softmax without its maximum.
    (
        "attentions",
        Mistake {
            source: "attention",
            right: "larger = fmaxf(larger, at.scale * product[i][k]);",
            wrong: "larger = fmaxf(larger, 0.0f);",
        },
    ),
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
        assert!(!done.status.success() && said.contains("relative distance"), "nothing saw {mistake:?}: {said}");
    }
}
