//! Numbers that stand out from the rest.

/// A mean square that stands out is larger than this many times the usual one.
const TIMES: f64 = 1.5;
/// And by this many of the deviations that others have, and that noise alone makes.
const STDS: f64 = 7.0;
/// The standard deviation of a normal distribution over the median of its absolute values.
const STD_PER_MEDIAN: f64 = 1.482_602_2;

/// Mean squares, of `count` numbers each, that are much larger than the others: the largest first.
pub(super) fn outliers(means: &[f64], count: usize) -> Vec<usize> {
    let Some(usual) = median(means.to_vec()) else { return Vec::new() };
    let scatter = median(means.iter().map(|mean| (mean - usual).abs()).collect()).unwrap_or(0.0) * STD_PER_MEDIAN;
    let by_noise = usual * (2.0 / count.max(1) as f64).sqrt();
    let most = (usual + STDS * scatter.max(by_noise)).max(TIMES * usual);
    let mut found: Vec<usize> = (0..means.len()).filter(|k| means[*k] > most).collect();
    found.sort_by(|a, b| means[*b].total_cmp(&means[*a]));
    found
}

/// The middle one of the numbers that are numbers.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_much_larger_than_the_rest_stands_out() {
        let mut means: Vec<f64> = (0..60).map(|k| 1.0 + 0.05 * f64::from(k % 5)).collect();
        assert_eq!(outliers(&means, 100), Vec::<usize>::new());
        (means[7], means[30], means[8]) = (3.0, 9.0, f64::NAN);
        assert_eq!(outliers(&means, 100), [30, 7]);
        // Few numbers scatter more.
        assert_eq!(outliers(&means, 5), [30]);
        assert_eq!(outliers(&[], 5), Vec::<usize>::new());
    }
}
