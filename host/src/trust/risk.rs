//! Conformal risk control: a factor for which the share of pixels that intervals miss is bounded for patients to come.

/// The largest share of pixels that is told apart: misses beyond it count as much.
const MOST: f64 = 0.5;

/// The smallest factor `q` for which
///
/// ```text
/// (sum_i min(miss_i(q), 1/2) + 1/2) / (n + 1) <= miss,
/// ```
///
/// where `miss_i(q)` is the share of the pixels of patient `i` with |error|/spread above `q`. `ratios` holds those of
/// each patient. Then a further patient, exchangeable with these, has at most the share `miss` of pixels outside of
/// `q` times the spread, on average over patients; a patient who has more than half outside counts as half. `None`
/// for too few patients, 4 for a tenth.
///
/// Angelopoulos, Bates, Fisch, Lei, Schuster: Conformal Risk Control, ICLR 2024, with the loss's bound 1/2.
#[must_use]
pub fn controlled_factor(ratios: &mut [Vec<f32>], miss: f64) -> Option<f64> {
    ratios.iter_mut().for_each(|own| own.sort_by(f32::total_cmp));
    let n = ratios.len() as f64;
    let risk = |factor: f32| {
        let missed = |own: &Vec<f32>| share_above(own, factor).min(MOST);
        (ratios.iter().map(missed).sum::<f64>() + MOST) / (n + 1.0)
    };
    let largest = ratios.iter().filter_map(|own| own.last()).copied().fold(0.0, f32::max);
    if risk(largest) > miss {
        return None;
    }
    // The risk falls with the factor, by steps: `high` always has little enough of it.
    let (mut low, mut high) = (0.0, largest);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if risk(middle) <= miss { high = middle } else { low = middle }
    }
    Some(high.into())
}

/// The share of sorted numbers that are above a limit.
fn share_above(sorted: &[f32], limit: f32) -> f64 {
    let above = sorted.len() - sorted.partition_point(|ratio| *ratio <= limit);
    above as f64 / sorted.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::signed;

    /// Patients who differ in the size of their errors.
    fn patients(n: usize, seed: u64) -> Vec<Vec<f32>> {
        let sizes = signed(n, seed);
        let errors = |(k, size): (usize, f32)| {
            signed(500, seed + 1 + k as u64).iter().map(|z| (1.0 + 0.3 * size) * z.abs()).collect()
        };
        sizes.into_iter().enumerate().map(errors).collect()
    }

    #[test]
    fn patients_to_come_are_covered() {
        let mut covered = 0.0;
        for trial in 0..40 {
            let factor = controlled_factor(&mut patients(20, 1000 * trial), 0.1).unwrap() as f32;
            let mut new = patients(20, 1000 * trial + 500);
            new.iter_mut().for_each(|own| own.sort_by(f32::total_cmp));
            covered += new.iter().map(|own| 1.0 - share_above(own, factor)).sum::<f64>() / 800.0;
        }
        // 0.9, and (1/2 - 0.1)/20 more for so few patients.
        assert!((0.9..0.935).contains(&covered), "{covered}");
    }

    #[test]
    fn too_few_patients_promise_nothing() {
        assert_eq!(controlled_factor(&mut patients(3, 1), 0.1), None);
        assert_eq!(controlled_factor(&mut [], 0.1), None);
        assert!(controlled_factor(&mut patients(4, 1), 0.1).is_some());
    }
}
