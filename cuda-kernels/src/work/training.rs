//! Of training: gradients of weights, tangents, and gradients of both.

use super::{Launch, Work, costs, n, one_if};
use crate::conv_weights::{self, WeightFinish, WeightGradient};
use crate::norm_training::{self, Norm};
use crate::{attention_training, conv_pack, conv_weights_tf32, group_norm, linear_training};

/// Products of the steady and the moving operand at `taps` taps; both pairs, where there are two.
fn weight_gradient(at: &WeightGradient, launch: Launch, taps: f64) -> Work {
    let pairs = 1.0 + one_if(at.steady[0].first != at.steady[1].first);
    let pixels = pairs * n(at.n_lanes) * n(at.steady_height) * n(at.steady_width);
    let moving = pairs * n(at.n_lanes) * n(at.moving_height) * n(at.moving_width) * n(at.n_moving);
    let matrix = n(at.n_steady) * n(at.n_moving) * taps;
    Work::of(pixels * matrix, pixels * n(at.n_steady) + moving + launch.lanes() * matrix)
}

fn weight_finish(at: &WeightFinish) -> Work {
    let weights = n(at.n_steady) * n(at.n_moving) * n(at.n_taps);
    Work::moving(weights * (n(at.n_splits) + 1.0))
}

/// `values` per value of the norm's channels.
fn norm(at: &Norm, launch: Launch, values: f64) -> Work {
    let all = n(at.n_channels) * n(at.n_pixels) * launch.lanes();
    Work::of(2.0 * all, values * all)
}

/// Sums of every share of every channel, four of them, and the coefficients.
fn norm_means(at: &Norm, launch: Launch) -> Work {
    let shares = (n(at.n_pixels) / group_norm::PIXELS as f64).ceil();
    Work::moving(n(at.n_channels) * launch.lanes() * (4.0 * shares + 8.0))
}

fn linear(n_in: f64, n_out: f64, lanes: f64) -> Work {
    Work::of(n_in * n_out * lanes, n_in * n_out + lanes * (n_in + 2.0 * n_out))
}

costs! {
    conv_weights::Same: |k, l| weight_gradient(&k.at, l, 9.0);
    conv_weights::Down: |k, l| weight_gradient(&k.at, l, 9.0);
    conv_weights::Up: |k, l| weight_gradient(&k.at, l, 9.0);
    conv_weights::Point: |k, l| weight_gradient(&k.at, l, 1.0);
    conv_weights_tf32::Same: |k, l| weight_gradient(&k.at, l, 9.0);
    conv_weights_tf32::Down: |k, l| weight_gradient(&k.at, l, 9.0);
    conv_weights_tf32::Up: |k, l| weight_gradient(&k.at, l, 9.0);
    conv_weights::Sums: |k, l| Work::moving(n(k.n_out) * n(k.n_pixels) * l.lanes());
    conv_weights::Finish: |k, _| weight_finish(&k.at);
    // Of many convolutions no more than the threads have values: four each.
    conv_pack::Pack: |_, l| Work::moving(2.0 * l.n_threads() * if l.grid[1] > 1 { 4.0 } else { 1.0 });

    norm_training::Forward: |k, l| norm(&k.at, l, 2.0);
    norm_training::Tangent: |k, l| norm(&k.at, l, 3.0);
    norm_training::DotSums: |k, l| norm(&k.at, l, 2.0);
    norm_training::DDotSums: |k, l| norm(&k.at, l, 3.0);
    norm_training::DSums: |k, l| norm(&k.at, l, 3.0 + 2.0 * n(k.at.with_tangents));
    norm_training::DotMeans: |k, l| norm_means(&k.at, l);
    norm_training::DDotMeans: |k, l| norm_means(&k.at, l);
    norm_training::DMeans: |k, l| norm_means(&k.at, l);
    norm_training::Inputs: |k, l| {
        let values = n(k.at.n_pixels) * l.grid[1] as f64 * l.lanes();
        let read = 2.0 + 2.0 * one_if(!k.dot_x.is_null()) + n(k.accumulate);
        Work::of(2.0 * values, (read + 1.0) * values)
    };
    norm_training::Weights: |k, _| {
        let shares = (n(k.at.n_pixels) / group_norm::PIXELS as f64).ceil();
        Work::moving(n(k.at.n_channels) * (4.0 * shares * n(k.at.n_lanes) + 2.0))
    };

    attention_training::Multiply: |k, l| {
        let (rows, inner, cols) = (n(k.at.rows), n(k.at.inner), n(k.at.cols));
        let (pairs, products) = (n(k.at.n_pairs), l.lanes());
        let moved = pairs * (rows * inner + inner * cols) + rows * cols;
        Work::of(products * pairs * rows * inner * cols, products * moved)
    };
    attention_training::Softmax: |k, l| Work::moving(2.0 * n(k.n) * n(k.n) * l.lanes());
    attention_training::Centre: |k, l| Work::of(n(k.n) * n(k.n) * l.lanes(), 4.0 * n(k.n) * n(k.n) * l.lanes());

    linear_training::Forward: |k, l| linear(n(k.n_in), n(k.n_out), l.lanes());
    linear_training::Backward: |k, l| linear(n(k.n_in), n(k.n_out), l.lanes());
    linear_training::Weights: |k, l| linear(n(k.n_in), l.grid[1] as f64, n(k.n_lanes));
}
