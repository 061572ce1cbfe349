//! The error of the model: what pixels and bins of finite size add to the noise of line integrals.

use super::geometry::Geometry;

/// Model error over the second difference of the sinogram from pixel to pixel. Between exact integrals and those of
/// their mean over pixels, images of ellipses give 0.04 where the object is made of the pixels themselves, 0.11 where
/// edges run between them, and 0.15 with bins half as wide.
const MODEL_PER_DIFFERENCE: f64 = 0.15;
/// Least share of a ray in the variance of the model's error: air, whose own is none, may have a table in it.
const LEAST_SHARE: f64 = 0.02;
/// Line integral over the usual one from which on a ray has a whole share.
const WHOLE_SHARE: f64 = 0.3;
/// Largest share of a ray along an edge where views are few, and what is added for each square of views a place.
const MOST_SHARE: f64 = 1.0;
const MORE_SHARE: f64 = 6.0;
/// Pixels by which the object's shadow is taken to be wider: the error is largest at its rim, where line integrals are
/// small.
const RIM: usize = 2;

/// Standard deviation of what pixels and bins of finite size add to the error of a line integral: rays through edges
/// are no sums over pixels.
///
/// **Equation.** 0.15 times the root mean square of y_{k-s} - 2 y_k + y_{k+s} along the detector, s bins as wide as a
/// pixel, without the part 6 v_k of noise of variance v_k; 0 where the rest is less than noise may leave, three times
/// the standard deviation of that mean. An object that the pixels resolve has little of it. Where the sinogram holds
/// [means by taps](super::means_by_taps), v_k is that of a bin before, and 6 what the taps leave of it.
#[must_use]
pub fn model_error(sinogram: &[f32], geometry: &Geometry, taps: &[f64], variance: impl Fn(usize) -> f64) -> f64 {
    let Differences { noise: share, neighbours } = Differences::of(taps, geometry);
    let (mut sum, mut uncertainty, mut count) = (0.0, 0.0, 0);
    for (ray, difference) in second_differences(sinogram, geometry) {
        let noise = share * variance(ray);
        sum += difference.powi(2) - noise;
        uncertainty += neighbours * 2.0 * noise * noise;
        count += 1;
    }
    let is_seen = sum > 3.0 * f64::sqrt(uncertainty);
    if is_seen { MODEL_PER_DIFFERENCE * (sum / f64::from(count)).sqrt() } else { 0.0 }
}

/// The share of each ray in the variance of the model's error, from 0.02 to 1.
///
/// **Equation.** min(q / (0.3 m), 1), but at least v^2: q is the largest line integral within two pixels of the ray, m
/// the mean of all, each weighted by itself, v the [number of views for each place](Geometry::views_for_each_place).
/// A ray through air passes no edge: where views are few, such rays tell most about the outline. Where each place is
/// seen again and again, the error averages out best over rays that count alike.
///
/// Shares in proportion to the ray's own line integral cost a disc of water 1.2 dB, seen by 180 views on 256 x 256
/// pixels, these 0.5 dB: the rim of a disc has a line integral of almost nothing, and most of the error.
/// [`edge_shares`] make up for that.
#[must_use]
pub fn model_shares(sinogram: &[f32], geometry: &Geometry) -> Vec<f64> {
    let least = geometry.views_for_each_place().powi(2).clamp(LEAST_SHARE, 1.0);
    let positive = |p: &f32| f64::from(p.max(0.0));
    let (sum, squares) = sinogram.iter().map(positive).fold((0.0, 0.0), |(sum, squares), p| (sum + p, squares + p * p));
    let whole = WHOLE_SHARE * if sum > 0.0 { squares / sum } else { 1.0 };
    let reach = RIM * bins_of_a_pixel(geometry);
    let of_view = |view: &[f32]| -> Vec<f64> {
        let near = |k: usize| &view[k.saturating_sub(reach)..(k + reach + 1).min(view.len())];
        let largest = |k: usize| near(k).iter().map(positive).fold(0.0, f64::max);
        (0..view.len()).map(|k| (largest(k) / whole).clamp(least, 1.0)).collect()
    };
    sinogram.chunks(geometry.n_bins.max(1)).flat_map(of_view).collect()
}

/// The share of a ray along an edge, where it exceeds [`model_shares`]: pixels render such rays worst.
///
/// **Equation.** min(|e| over its root mean square, 1 + 6 v^2), where e^2 = (y_{k-s} - 2 y_k + y_{k+s})^2 - 6 v_k as in
/// [`model_error`], 0 where that is negative. By e^2 itself smooth rays are trusted too far: an image that has to do
/// without edges between its pixels errs on all rays.
///
/// PSNR in dB of the default method by equal shares, by [`model_shares`], and by the larger of those and these. 1e6
/// photons; means of `ellipses:1` and `2` simulated with `parts = 3`, which are made of their pixels; of two images
/// from exact line integrals of ellipses; and of four slices of the training of 256 x 256 pixels, from which 128 x 128
/// are reconstructed:
///
/// | views | v | of pixels | | | of edges | | | slices | |
/// |---|---|---|---|---|---|---|---|---|---|
/// | 8 | 0.04 | 28.3 | 29.0 | 29.0 | 28.4 | 30.6 | 30.6 | | |
/// | 20 | 0.1 | 37.5 | 41.0 | 40.9 | 37.0 | 37.7 | 37.7 | 35.0 | 35.0 |
/// | 60 | 0.3 | 47.2 | 47.6 | 47.7 | 40.1 | 40.3 | 40.6 | 38.0 | 38.4 |
/// | 180 | 0.9 | 49.5 | 49.5 | 49.6 | 41.7 | 41.7 | 44.4 | 39.3 | 40.6 |
/// | 720 | 3.6 | 50.1 | 50.1 | 50.0 | 41.8 | 41.8 | 45.1 | | |
///
/// Without a bound, 20 and 60 views have 38.7 and 41.9 dB of edges, 35.5 and 39.0 of slices, but 40.3 and 47.4 of
/// pixels. A disc of water with inserts, 320 mm on 256 x 256 pixels, 180 views of 1e5 photons, has 46.2 dB for 44.9,
/// 45.4 by equal shares. Other methods go without: total variation loses 0.5 to 5 dB by shares without a bound, DDS and
/// DiffPIR 0.2 to 4.
#[must_use]
pub fn edge_shares(sinogram: &[f32], geometry: &Geometry, taps: &[f64], variance: impl Fn(usize) -> f64) -> Vec<f64> {
    let share = Differences::of(taps, geometry).noise;
    let mut squares = vec![0.0; sinogram.len()];
    for (ray, difference) in second_differences(sinogram, geometry) {
        squares[ray] = (difference * difference - share * variance(ray)).max(0.0);
    }
    let most = MOST_SHARE + MORE_SHARE * geometry.views_for_each_place().powi(2);
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    squares.into_iter().map(|square| if mean > 0.0 { (square / mean).sqrt().min(most) } else { 0.0 }).collect()
}

/// The rays that have a second difference from pixel to pixel, with it.
fn second_differences<'a>(sinogram: &'a [f32], geometry: &Geometry) -> impl Iterator<Item = (usize, f64)> + 'a {
    let (n_bins, stride) = (geometry.n_bins.max(1), bins_of_a_pixel(geometry));
    sinogram.chunks_exact(n_bins).enumerate().flat_map(move |(view, bins)| {
        (stride..bins.len().saturating_sub(stride)).map(move |middle| {
            let y = [middle - stride, middle, middle + stride].map(|k| f64::from(bins[k]));
            (view * n_bins + middle, y[0] - 2.0 * y[1] + y[2])
        })
    })
}

/// Bins over the image of a pixel at the rotation axis, at least one.
fn bins_of_a_pixel(geometry: &Geometry) -> usize {
    (geometry.bins_for_each_pixel().round() as usize).max(1)
}

/// White noise in second differences of means by taps.
struct Differences {
    /// The variance of a difference over that of a bin: 6 without means.
    noise: f64,
    /// Variance of a sum of squared differences over the sum of their variances, as they share bins with their
    /// neighbours: 1 + 2 (16 + 1)/36 without means.
    neighbours: f64,
}

impl Differences {
    fn of(taps: &[f64], geometry: &Geometry) -> Self {
        let stride = bins_of_a_pixel(geometry);
        let mut difference = vec![0.0; taps.len() + 2 * stride];
        for (k, tap) in taps.iter().enumerate() {
            for (at, factor) in [(0, 1.0), (stride, -2.0), (2 * stride, 1.0)] {
                difference[k + at] += factor * tap;
            }
        }
        let shared = |lag: usize| difference.iter().zip(&difference[lag..]).map(|(a, b)| a * b).sum::<f64>();
        let noise = shared(0);
        let later = (1..difference.len()).map(|lag| (shared(lag) / noise).powi(2)).sum::<f64>();
        Self { noise, neighbours: 1.0 + 2.0 * later }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::means_by_taps;
    use crate::ct::noise::relative_gaussian;

    #[test]
    fn edges_are_an_error_of_the_model_and_noise_is_none() {
        let geometry = Geometry { n_bins: 200, ..Geometry::covering(128, 128, 60) };
        let steps: Vec<f32> = (0..200 * 60).map(|k| if k % 200 % 20 < 10 { 1.0 } else { 0.0 }).collect();
        // A second difference of 1 on either side of each of 19 edges.
        let found = model_error(&steps, &geometry, &[1.0], |_| 0.0);
        assert!((found / (0.15 * (38.0_f64 / 198.0).sqrt()) - 1.0).abs() < 1e-6, "{found}");
        let mut noise = vec![1.0_f32; 200 * 60];
        let std = f64::from(relative_gaussian(&mut noise, 0.1, 3).unwrap());
        assert_eq!(model_error(&noise, &geometry, &[1.0], |_| std * std), 0.0);
        assert_eq!(model_error(&steps, &Geometry { n_bins: 0, ..geometry }, &[1.0], |_| 0.0), 0.0);
    }

    /// Noise alone is none where bins are averaged, and the variance of their differences is what is said.
    #[test]
    fn means_of_noise_are_no_error_of_the_model() {
        let geometry = Geometry { n_bins: 400, bin_width_mm: 0.5, ..Geometry::covering(128, 128, 60) };
        for taps in [vec![1.0], vec![0.25, 0.5, 0.25]] {
            let mut noise = vec![1.0_f32; 400 * 60];
            let variance = f64::from(relative_gaussian(&mut noise, 0.1, 3).unwrap()).powi(2);
            let means = means_by_taps(&noise, 400, &taps);
            assert_eq!(model_error(&means, &geometry, &taps, |_| variance), 0.0);
            let squares: Vec<f64> = second_differences(&means, &geometry).map(|(_, d)| d * d / variance).collect();
            let found = squares.iter().sum::<f64>() / squares.len() as f64;
            assert!((found / Differences::of(&taps, &geometry).noise - 1.0).abs() < 0.03, "{found}");
        }
        let adjacent = Differences::of(&[1.0], &Geometry::covering(128, 128, 60));
        assert!((adjacent.noise - 6.0).abs() + (adjacent.neighbours - 1.0 - 34.0 / 36.0).abs() < 1e-12);
    }

    #[test]
    fn air_beside_the_rim_has_the_least_share_where_views_are_few() {
        let view = [-0.1, 0.0, 0.0, 0.0, 0.3, 1.0, 3.0, 1.0, 0.3, 0.0];
        let whole = 0.3 * 11.18 / 5.6;
        let of = |angles, view: &[f32]| {
            model_shares(view, &Geometry { n_bins: view.len(), ..Geometry::covering(128, 128, angles) })
        };
        let least = (60.0 / (64.0 * std::f64::consts::PI)).powi(2);
        for (angles, least) in [(20, 0.02), (60, least)] {
            let right = [least, least, 0.3 / whole, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
            let found = of(angles, &view);
            assert!(found.iter().zip(right).all(|(found, right)| (found - right).abs() < 1e-6), "{found:?}");
        }
        assert_eq!(of(720, &view), [1.0; 10]);
        assert_eq!(of(20, &[0.0; 8]), [0.02; 8]);
        // Each view by itself.
        let two: Vec<f32> = [[0.0; 10], view].concat();
        let geometry = Geometry { n_bins: 10, ..Geometry::covering(128, 128, 20) };
        assert_eq!(model_shares(&two, &geometry)[..10], [0.02; 10]);
        assert!(model_shares(&[], &geometry).is_empty());
    }

    #[test]
    fn rays_along_edges_have_the_largest_share() {
        let geometry = Geometry { n_bins: 12, ..Geometry::covering(128, 128, 100) };
        let step = |height: f32| [1.0; 6].into_iter().chain([1.0 + height; 6]);
        let two: Vec<f32> = step(1.0).chain(step(3.0)).collect();
        // Second differences of 1 and 3 on either side of the steps, whose mean square is 20/24.
        let most = 1.0 + 6.0 * geometry.views_for_each_place().powi(2);
        assert!((2.0..3.0).contains(&most), "one of two below it");
        let mut right = [0.0; 24];
        for (ray, difference) in [(5, 1.0), (6, 1.0), (17, 3.0), (18, 3.0)] {
            right[ray] = f64::min(difference / f64::sqrt(20.0 / 24.0), most);
        }
        let found = edge_shares(&two, &geometry, &[1.0], |_| 0.0);
        assert!(found.iter().zip(right).all(|(found, right)| (found - right).abs() < 1e-6), "{found:?}");
        // Noise of its variance explains a difference.
        assert_eq!(edge_shares(&two, &geometry, &[1.0], |_| 1.6), [0.0; 24]);
        let found = edge_shares(&two, &geometry, &[1.0], |ray| if ray == 5 { 1.0 } else { 0.0 });
        assert!(found[5] == 0.0 && found[6] > 1.0, "{found:?}");
        assert_eq!(edge_shares(&[1.0; 24], &geometry, &[1.0], |_| 0.0), [0.0; 24]);
        assert!(edge_shares(&[], &geometry, &[1.0], |_| 0.0).is_empty());
    }
}
