//! Of the solver's vectors, its linear solves, the projector, and where images enter and leave.

use super::{Launch, Work, costs, n};
use crate::{pixel_shuffle, projector, residual, solve, time_embedding, training_loss, vector};

/// `multiply_adds` and `values` per element of `len` elements in every lane.
fn per_element(len: i32, launch: Launch, multiply_adds: f64, values: f64) -> Work {
    let elements = n(len) * launch.lanes();
    Work::of(multiply_adds * elements, values * elements)
}

/// Lines that a ray crosses: the rows or the columns, half the angles each.
fn lines(height: i32, width: i32) -> f64 {
    0.5 * (n(height) + n(width))
}

costs! {
    vector::Direction: |k, l| per_element(k.n, l, 8.0, 6.0);
    vector::Trial: |k, l| per_element(k.n, l, 1.0, 3.0);
    vector::Update: |k, l| per_element(k.n, l, 1.0, 4.0);
    vector::AddScaled: |k, l| per_element(k.n, l, 1.0, 3.0);
    vector::Copy: |k, l| per_element(k.n, l, 0.0, 2.0);
    vector::Products: |k, l| per_element(k.n, l, 2.0, 2.0);
    vector::HalfSquareChange: |k, l| per_element(k.n, l, 2.0, 2.0);
    vector::Finish: |k, l| Work::moving(2.0 * n(k.n_blocks) * l.grid[0] as f64);

    solve::Conjugate: |k, l| per_element(k.n, l, 2.0, 3.0);
    solve::Advance: |k, l| per_element(k.n, l, 4.0, 6.0);
    solve::Clear: |k, l| per_element(k.n, l, 0.0, 1.0);
    solve::Mirror: |k, l| per_element(k.height * k.width, l, 1.0, 2.0);
    solve::Weigh: |k, l| per_element(k.n, l, 0.5, 3.0);

    training_loss::Loss: |k, l| per_element(k.n, l, 2.0, 3.0);
    residual::Backward: |k, l| per_element(k.n, l, 0.0, 2.0 + n(k.accumulate));
    pixel_shuffle::Unshuffle: |k, l| per_element(k.n, l, 1.0, 2.0);
    pixel_shuffle::Shuffle: |k, l| per_element(k.n, l, 2.0, 3.0);

    time_embedding::Waves: |k, l| per_element(k.half, l, 0.0, 4.0);
    time_embedding::Linear: |k, l| {
        let weights = n(k.n_in) * n(k.n_out);
        Work::of(weights * l.lanes(), weights + l.lanes() * (n(k.n_in) + n(k.n_out)))
    };

    // Two pixels a line; the image is there in two orders.
    projector::Forward: |k, l| {
        let (views, pixels) = (l.grid[1] as f64, n(k.height) * n(k.width));
        let rays = views * n(k.n_bins);
        Work::of(2.0 * rays * lines(k.height, k.width) * l.lanes(), (2.0 * pixels + rays) * l.lanes())
    };
    // The transpose has as many terms as the projector: two pixels a line of a ray.
    projector::Adjoint: |k, l| {
        let rays = n(k.n_views) * n(k.n_bins);
        Work::of(2.0 * rays * lines(k.height, k.width) * l.lanes(), (n(k.height) * n(k.width) + rays) * l.lanes())
    };
    projector::Transpose: |k, l| Work::moving(2.0 * n(k.height) * n(k.width) * l.lanes());
}
