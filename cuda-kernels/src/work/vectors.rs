//! Of the solver's vectors, its linear solves, the projector, and where images enter and leave.

use super::{Launch, Work, costs, n, one_if};
use crate::conjugate_gradient::{self, Solve};
use crate::fan::{self, Fan};
use crate::projector::{self, Parallel};
use crate::{pixel_shuffle, residual, solve, time_embedding, training_loss, vector};

/// `multiply_adds` and `values` per element of `len` elements in every lane.
fn per_element(len: i32, launch: Launch, multiply_adds: f64, values: f64) -> Work {
    let elements = n(len) * launch.lanes();
    Work::of(multiply_adds * elements, values * elements)
}

/// A projection or a smearing, and `pixels` and `values` read and written of each image and sinogram. A ray meets two
/// pixels on every line, and crosses the rows or the columns: half the angles each. The transpose has as many terms.
fn projection([height, width, n_views, n_bins]: [i32; 4], launch: Launch, pixels: f64, values: f64) -> Work {
    let (lines, rays) = (0.5 * (n(height) + n(width)), n(n_views) * n(n_bins));
    let moved = pixels * n(height) * n(width) + values * rays;
    Work::of(2.0 * rays * lines * launch.lanes(), moved * launch.lanes())
}

fn of_parallel(beam: &Parallel) -> [i32; 4] {
    [beam.height, beam.width, beam.n_views, beam.n_bins]
}

fn of_fan(beam: &Fan) -> [i32; 4] {
    [beam.height, beam.width, beam.n_views, beam.n_bins]
}

costs! {
    vector::Direction: |k, l| per_element(k.n, l, 8.0, 6.0);
    vector::Trial: |k, l| per_element(k.n, l, 1.0, 3.0);
    vector::Update: |k, l| per_element(k.n, l, 1.0, 4.0);
    vector::AddScaled: |k, l| per_element(k.n, l, 1.0, 3.0);
    vector::Copy: |k, l| per_element(k.n, l, 0.0, 2.0);
    vector::Products: |k, l| per_element(k.n, l, 3.0, 2.0);
    vector::HalfSquareChange: |k, l| per_element(k.n, l, 2.0, 2.0);

    solve::Mirror: |k, l| per_element(k.height * k.width, l, 1.0, 2.0);
    solve::Weigh: |k, l| per_element(k.n, l, 0.5, 3.0);

    training_loss::Loss: |k, l| per_element(k.n, l, 2.0, 3.0);
    residual::Backward: |k, l| per_element(k.n, l, 0.0, 2.0 + n(k.accumulate));
    pixel_shuffle::Unshuffle: |k, l| per_element(k.n, l, 1.0, 2.0);
    pixel_shuffle::Shuffle: |k, l| per_element(k.n, l, 2.0, 3.0);

    time_embedding::Waves: |k, l| per_element(k.half, l, 0.0, 4.0);
    time_embedding::All: |k, l| {
        let layers = [k.at.hidden, k.at.embedding, k.at.to_shifts].map(|layer| n(layer.n_in) * n(layer.n_out));
        let [hidden, embedding, shifts] = layers;
        let blocks = l.grid[0] as f64 * l.lanes();
        Work::of(blocks * (hidden + embedding) + shifts * l.lanes(), layers.iter().sum::<f64>() + l.n_threads())
    };

    // The image is there in two orders.
    projector::Forward: |k, l| projection(of_parallel(&k.beam), l, 2.0, 1.0);
    projector::Adjoint: |k, l| projection(of_parallel(&k.beam), l, 1.0, 1.0);
    projector::Transpose: |k, l| Work::moving(2.0 * n(k.height) * n(k.width) * l.lanes());
    // A ray's record has the size of six values.
    fan::Forward: |k, l| projection(of_fan(&k.beam), l, 2.0, 7.0);
    fan::Adjoint: |k, l| projection(of_fan(&k.beam), l, 1.0, 7.0);

    conjugate_gradient::Begin: |k, l| per_element(k.n, l, 1.0, 2.0);
    conjugate_gradient::Conjugate: |k, l| per_element(k.height, l, 2.0 * n(k.width), 4.0 * n(k.width));
    // Roots are read, and two sinograms written; where all weights are 1, one.
    conjugate_gradient::Project: |k, l| projection(of_parallel(&k.beam), l, 2.0, 1.0 + 2.0 * weighted(&k.at));
    conjugate_gradient::ProjectFan: |k, l| projection(of_fan(&k.beam), l, 2.0, 7.0 + 2.0 * weighted(&k.at));
    conjugate_gradient::Advance: |k, l| projection(of_parallel(&k.beam), l, 5.0, 3.0 + weighted(&k.at));
    conjugate_gradient::AdvanceFan: |k, l| projection(of_fan(&k.beam), l, 5.0, 9.0 + weighted(&k.at));
}

fn weighted(solve: &Solve) -> f64 {
    one_if(!solve.roots.is_null())
}
