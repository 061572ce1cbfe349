//! The level of the noise, from the sinogram alone.

/// The standard deviation of a normal distribution over the median of its absolute values.
const STD_PER_MEDIAN: f64 = 1.482_602_2;
/// Bins at each end of the detector that are looked at for air: one in so many, and at least this many.
const END: usize = 16;
const LEAST_END: usize = 3;
/// Largest line integral of air over the largest of the scan.
const AIR: f64 = 0.02;
/// Values of air that exceed their median by more than twice their median deviation, at most, of all: noise has 0.09.
const ABOVE: f64 = 0.2;

/// Standard deviation of the noise in a sinogram of views of `n_bins` bins; 0 when no view has three bins.
///
/// **Equation.** The larger of two. With e = (y_{k-1} - 2 y_k + y_{k+1}) / sqrt 6 along each view, a smooth object
/// cancels and e has the standard deviation of white noise: median |e| / 0.6745. Where bins share their noise, as
/// behind a scintillator, that is too little, and the scatter in [`noise_in_air`] is right.
#[must_use]
pub fn estimate_noise(sinogram: &[f32], n_bins: usize) -> f64 {
    differences_over(sinogram, n_bins, |_| 1.0).max(noise_in_air(sinogram, n_bins).unwrap_or(0.0))
}

/// The scatter of second differences along the detector over that of independent noise of this variance, ray by ray;
/// rays of infinite variance were not measured.
///
/// **Equation.** median |y_{k-1} - 2 y_k + y_{k+1}| / sqrt(v_{k-1} + 4 v_k + v_{k+1}) / 0.6745.
#[must_use]
pub fn differences_over(sinogram: &[f32], n_bins: usize, variance: impl Fn(usize) -> f64) -> f64 {
    let n_bins = n_bins.max(1);
    let rays = (0..sinogram.len() / n_bins).flat_map(|view| view * n_bins + 1..((view + 1) * n_bins).max(1) - 1);
    let differences = rays.filter_map(|k| {
        let of_noise = variance(k - 1) + 4.0 * variance(k) + variance(k + 1);
        let difference = f64::from((sinogram[k - 1] - 2.0 * sinogram[k] + sinogram[k + 1]).abs());
        of_noise.is_finite().then(|| (difference / of_noise.sqrt()) as f32)
    });
    median(differences.collect()).map_or(0.0, |median| STD_PER_MEDIAN * median)
}

/// The scatter of the values at the detector's ends, whatever bins share of it; `None` where an object reaches there.
///
/// **Equation.** median |y - m| / 0.6745 over the last sixteenth of the bins at an end, with their median m; the mean
/// of both ends. An end is air where |m| is less than 0.02 of the largest line integral, or not more than the scatter.
#[must_use]
pub fn noise_in_air(sinogram: &[f32], n_bins: usize) -> Option<f64> {
    let end = (n_bins / END).max(LEAST_END);
    if n_bins < 4 * end {
        return None;
    }
    let largest = f64::from(sinogram.iter().fold(0.0_f32, |a, b| a.max(*b)));
    let scatter = |from: usize| {
        let values: Vec<f32> =
            sinogram.chunks_exact(n_bins).flat_map(|view| &view[from..from + end]).copied().collect();
        let middle = median(values.clone())?;
        let deviation = median(values.iter().map(|y| (y - middle as f32).abs()).collect())?;
        let above = values.iter().filter(|y| f64::from(**y) - middle > 2.0 * deviation).count();
        let (std, is_noise) = (STD_PER_MEDIAN * deviation, (above as f64) < ABOVE * values.len() as f64);
        (middle.abs() <= AIR * largest || (is_noise && middle.abs() <= std)).then_some(std)
    };
    Some(0.5 * (scatter(0)? + scatter(n_bins - end)?))
}

/// The middle one of some numbers, which need not be sorted.
fn median(mut values: Vec<f32>) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| f64::from(*values.select_nth_unstable_by(middle, f32::total_cmp).1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::noise::relative_gaussian;

    /// Parabolas that reach from end to end, or are surrounded by air.
    fn smooth(air: usize) -> Vec<f32> {
        let of_bin = |k: usize| {
            let s = (k as f32 - 100.0) / (100 - air) as f32;
            5.0 * (1.0 - s * s).max(if air == 0 { -1.0 } else { 0.0 }) + if air == 0 { 1.0 } else { 0.0 }
        };
        (0..200 * 60).map(|k| of_bin(k % 200)).collect()
    }

    #[test]
    fn finds_the_level_on_top_of_a_smooth_object() {
        for air in [0, 30] {
            let clean = smooth(air);
            let mut noisy = clean.clone();
            let std = f64::from(relative_gaussian(&mut noisy, 0.1, 3).unwrap());
            assert!((estimate_noise(&noisy, 200) / std - 1.0).abs() < 0.05, "{}", estimate_noise(&noisy, 200));
            assert!(estimate_noise(&clean, 200) < 2e-3);
            assert_eq!(noise_in_air(&noisy, 200).is_some(), air > 0);
        }
    }

    /// Noise of standard deviation 0.05, blurred by 0.7 and 1.5 bins: then 0.0320 and 0.0217.
    #[test]
    fn neighbours_that_share_their_noise_hide_none_of_it() {
        let clean = smooth(30);
        let mut white = vec![1.0_f32; clean.len()];
        relative_gaussian(&mut white, 0.05, 7).unwrap();
        white.iter_mut().for_each(|z| *z -= 1.0);
        for (blur, right) in [(0.7_f64, 0.0320), (1.5, 0.0217)] {
            let kernel =
                [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5].map(|k: i32| (-0.5 * (f64::from(k) / blur).powi(2)).exp());
            let sum: f64 = kernel.iter().sum();
            let blurred = |k: usize| -> f64 {
                let at = |j: usize| f64::from(white[(k + white.len() + j - 5) % white.len()]);
                kernel.iter().enumerate().map(|(j, weight)| weight / sum * at(j)).sum()
            };
            let noisy: Vec<f32> = clean.iter().enumerate().map(|(k, y)| y + blurred(k) as f32).collect();
            let found = estimate_noise(&noisy, 200);
            assert!((found / right - 1.0).abs() < 0.08, "{found} for {right}");
        }
    }

    #[test]
    fn an_object_that_reaches_the_ends_in_some_views_is_no_air() {
        let mut ends: Vec<f32> = (0..60 * 64).map(|k| 2.0 * ((k / 64) as f32 / 60.0).powi(3)).collect();
        assert_eq!(noise_in_air(&ends, 64), None);
        relative_gaussian(&mut ends, 0.05, 3).unwrap();
        assert_eq!(noise_in_air(&ends, 64), None);
        let mut noise = vec![1.0_f32; ends.len()];
        relative_gaussian(&mut noise, 1.0, 3).unwrap();
        noise.iter_mut().for_each(|y| *y -= 0.5);
        assert!((noise_in_air(&noise, 64).unwrap() - 1.0).abs() < 0.1, "noise, about a level of half of it");
    }

    #[test]
    fn narrow_detectors_tell_nothing() {
        assert_eq!(estimate_noise(&[1.0, 2.0, 3.0, 4.0], 2), 0.0);
        assert_eq!(estimate_noise(&[], 0), 0.0);
    }
}
