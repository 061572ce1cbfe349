//! Parts that the searches for the rotation axis share: views as they lie around the circle, and their mean.

/// A place on the detector in bins, counted from 0, and its standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) bin: f64,
    pub(super) uncertainty: f64,
}

/// From each view to the next one around the circle of this period; views that come again are the same.
pub(super) fn gaps(angles_rad: &[f64], period: f64) -> Vec<f64> {
    let mut sorted: Vec<f64> = angles_rad.iter().map(|angle| angle.rem_euclid(period)).collect();
    sorted.sort_by(f64::total_cmp);
    let around = sorted.first().map(|first| first + period);
    let after = sorted.iter().skip(1).copied().chain(around);
    sorted.iter().zip(after).map(|(angle, next)| next - angle).collect()
}

/// The views' mean, without the straight line through the detector's ends.
pub(super) fn profile(n_bins: usize, sinogram: &[f32]) -> Vec<f64> {
    let n_views = (sinogram.len() / n_bins) as f64;
    let of_bin = |k: usize| sinogram.chunks_exact(n_bins).map(|view| f64::from(view[k])).sum::<f64>() / n_views;
    without_line(&(0..n_bins).map(of_bin).collect::<Vec<_>>())
}

/// A view without the straight line through the means of its ends, which would be a step where zeros begin.
pub(super) fn without_line(view: &[f64]) -> Vec<f64> {
    let n = view.len();
    let ends = (n / 32).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&view[..ends]), mean(&view[n - ends..]));
    let slope = (last - first) / (n - ends).max(1) as f64;
    let begin = first - slope * (ends as f64 - 1.0) / 2.0;
    view.iter().enumerate().map(|(k, value)| value - begin - slope * k as f64).collect()
}
