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

/// The same, with sums over all blocks: their shares are written, counted, and added up by the last block.
fn with_sums(work: Work) -> Work {
    work.waiting(3.0)
}

/// Rows, columns, views and bins.
type Sizes = [i32; 4];

/// Pixels of a ray, or views of a pixel, that are read at a time.
const AT_A_TIME: f64 = 4.0;

/// A projection, and `pixels` and `values` read and written of each image and sinogram. A ray meets two pixels on every
/// line, and crosses the rows or the columns: half the angles each. The transpose has as many terms.
fn projection(sizes: Sizes, launch: Launch, pixels: f64, values: f64) -> Work {
    let [height, width, n_views, n_bins] = sizes;
    let (lines, rays) = (0.5 * (n(height) + n(width)), n(n_views) * n(n_bins));
    let moved = pixels * n(height) * n(width) + values * rays;
    Work::of(2.0 * rays * lines * launch.lanes(), moved * launch.lanes()).waiting(n(height.max(width)) / AT_A_TIME)
}

/// The transpose, likewise: a pixel walks over the views.
fn smearing(sizes: Sizes, launch: Launch, pixels: f64, values: f64) -> Work {
    let work = projection(sizes, launch, pixels, values);
    Work { waits: super::LEAST_WAITS + n(sizes[2]) / AT_A_TIME, ..work }
}

fn of_parallel(beam: &Parallel) -> Sizes {
    [beam.height, beam.width, beam.n_views, beam.n_bins]
}

fn of_fan(beam: &Fan) -> Sizes {
    [beam.height, beam.width, beam.n_views, beam.n_bins]
}

costs! {
    vector::Direction: |k, l| with_sums(per_element(k.n, l, 8.0, 6.0));
    vector::Trial: |k, l| per_element(k.n, l, 1.0, 3.0);
    vector::Update: |k, l| per_element(k.n, l, 1.0, 4.0);
    vector::AddScaled: |k, l| per_element(k.n, l, 1.0, 3.0);
    vector::Copy: |k, l| per_element(k.n, l, 0.0, 2.0);
    vector::Products: |k, l| with_sums(per_element(k.n, l, 3.0, 2.0));
    vector::HalfSquareChange: |k, l| with_sums(per_element(k.n, l, 2.0, 2.0));

    solve::Mirror: |k, l| per_element(k.height * k.width, l, 1.0, 2.0);
    solve::Weigh: |k, l| per_element(k.n, l, 0.5, 3.0);

    training_loss::Loss: |k, l| with_sums(per_element(k.n, l, 2.0, 3.0));
    residual::Backward: |k, l| per_element(k.n, l, 0.0, 2.0 + n(k.accumulate));
    pixel_shuffle::Unshuffle: |k, l| per_element(k.n, l, 1.0, 2.0);
    pixel_shuffle::Shuffle: |k, l| per_element(k.n, l, 2.0, 3.0);

    time_embedding::Waves: |k, l| per_element(k.half, l, 0.0, 4.0);
    time_embedding::All: |k, l| {
        let layers = [k.at.hidden, k.at.embedding, k.at.to_shifts];
        let [hidden, embedding, shifts] = layers.map(|layer| n(layer.n_in) * n(layer.n_out));
        let blocks = l.grid[0] as f64 * l.lanes();
        let multiply_adds = blocks * (hidden + embedding) + shifts * l.lanes();
        let work = Work::of(multiply_adds, hidden + embedding + shifts + l.n_threads());
        // One layer after the other, eight inputs at a time.
        work.waiting(layers.iter().map(|layer| (n(layer.n_in) / 8.0).ceil()).sum())
    };

    // The image is there in two orders.
    projector::Forward: |k, l| projection(of_parallel(&k.beam), l, 2.0, 1.0);
    projector::Adjoint: |k, l| smearing(of_parallel(&k.beam), l, 1.0, 1.0);
    projector::Transpose: |k, l| Work::moving(2.0 * n(k.height) * n(k.width) * l.lanes());
    // A ray's record has the size of six values.
    fan::Forward: |k, l| projection(of_fan(&k.beam), l, 2.0, 7.0);
    fan::Adjoint: |k, l| smearing(of_fan(&k.beam), l, 1.0, 7.0);

    conjugate_gradient::Begin: |k, l| with_sums(per_element(k.n, l, 1.0, 2.0));
    conjugate_gradient::Conjugate: |k, l| with_sums(per_element(k.height, l, 2.0 * n(k.width), 4.0 * n(k.width)));
    // Roots are read, and two sinograms written; where all weights are 1, one.
    conjugate_gradient::Project: |k, l| {
        with_sums(projection(of_parallel(&k.beam), l, 2.0, 1.0 + 2.0 * weighted(&k.at)))
    };
    conjugate_gradient::ProjectFan: |k, l| {
        with_sums(projection(of_fan(&k.beam), l, 2.0, 7.0 + 2.0 * weighted(&k.at)))
    };
    conjugate_gradient::Advance: |k, l| {
        with_sums(smearing(of_parallel(&k.beam), l, 5.0, 3.0 + weighted(&k.at)))
    };
    conjugate_gradient::AdvanceFan: |k, l| with_sums(smearing(of_fan(&k.beam), l, 5.0, 9.0 + weighted(&k.at)));
}

fn weighted(solve: &Solve) -> f64 {
    one_if(!solve.roots.is_null())
}
