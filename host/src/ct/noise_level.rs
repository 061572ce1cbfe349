//! The level of the noise, from the sinogram alone.

/// Standard deviation of white noise in a sinogram of views of `n_bins` bins; 0 when no view has three bins.
///
/// **Equation.** With e = (y_{k-1} - 2 y_k + y_{k+1}) / sqrt 6 along each view, a smooth object cancels and e has the
/// standard deviation of the noise; its robust estimate is median |e| / 0.6745.
#[must_use]
pub fn estimate_noise(sinogram: &[f32], n_bins: usize) -> f64 {
    let mut differences: Vec<f32> = sinogram
        .chunks_exact(n_bins.max(1))
        .flat_map(|view| view.windows(3))
        .map(|y| ((y[0] - 2.0 * y[1] + y[2]) / 6.0_f32.sqrt()).abs())
        .collect();
    if differences.is_empty() {
        return 0.0;
    }
    let middle = differences.len() / 2;
    let (_, median, _) = differences.select_nth_unstable_by(middle, f32::total_cmp);
    f64::from(*median) / 0.674_489_75
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::noise::relative_gaussian;

    #[test]
    fn finds_the_level_on_top_of_a_smooth_object() {
        let clean: Vec<f32> = (0..200 * 60).map(|k| 5.0 * (1.0 - ((k % 200) as f32 / 100.0 - 1.0).powi(2))).collect();
        let mut noisy = clean.clone();
        let std = f64::from(relative_gaussian(&mut noisy, 0.1, 3).unwrap());
        assert!((estimate_noise(&noisy, 200) / std - 1.0).abs() < 0.05);
        assert!(estimate_noise(&clean, 200) < 1e-3);
    }

    #[test]
    fn narrow_detectors_tell_nothing() {
        assert_eq!(estimate_noise(&[1.0, 2.0, 3.0, 4.0], 2), 0.0);
        assert_eq!(estimate_noise(&[], 0), 0.0);
    }
}
