//! Sums over vectors: `f32` data, `f64` sums.
//!
//! Every sum runs over the same eight partial sums in the same order, so that the loop vectorises and the bits do not
//! depend on the machine or on threads.
//!
//! ```
//! assert_eq!(gradus::vector::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
//! ```

const LANES: usize = 8;

/// `sum_i term(a_i, b_i)`, over the shorter length.
fn reduce(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut partial = [0.0_f64; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((partial, a), b) in partial.iter_mut().zip(a).zip(b) {
            *partial += term(f64::from(*a), f64::from(*b));
        }
    }
    for ((partial, a), b) in partial.iter_mut().zip(a_rest).zip(b_rest) {
        *partial += term(f64::from(*a), f64::from(*b));
    }
    let [p0, p1, p2, p3, p4, p5, p6, p7] = partial;
    ((p0 + p4) + (p1 + p5)) + ((p2 + p6) + (p3 + p7))
}

/// `<a, b>`.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    reduce(a, b, |a, b| a * b)
}

/// `|found - wanted| / |wanted|`; NaN when anything is, or where the lengths differ.
#[must_use]
pub fn distance(found: &[f32], wanted: &[f32]) -> f64 {
    if found.len() != wanted.len() {
        return f64::NAN;
    }
    (reduce(found, wanted, |f, w| (f - w) * (f - w)) / dot(wanted, wanted)).sqrt()
}

/// `1/2 |b|^2 - 1/2 |a|^2` as `1/2 <b - a, b + a>`, which does not cancel.
#[must_use]
pub fn half_square_change(a: &[f32], b: &[f32]) -> f64 {
    0.5 * reduce(a, b, |a, b| (b - a) * (b + a))
}

/// `<a, a - b>` and `|a - b|^2`.
#[must_use]
pub fn difference_products(a: &[f32], b: &[f32]) -> [f32; 2] {
    [reduce(a, b, |a, b| a * (a - b)) as f32, reduce(a, b, |a, b| (a - b) * (a - b)) as f32]
}

/// `y <- y + a x`.
pub fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_to_f64_at_any_length() {
        for n in [0_u16, 1, 7, 8, 9, 1000] {
            let a: Vec<f32> = (0..n).map(|i| f32::from(i) * 0.37 - 3.0).collect();
            let b: Vec<f32> = a.iter().map(|a| 1.0 - a * a).collect();
            let wanted: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((dot(&a, &b) - wanted).abs() <= 1e-12 * wanted.abs());
            let change: f64 = 0.5 * (dot(&b, &b) - dot(&a, &a));
            assert!((half_square_change(&a, &b) - change).abs() <= 1e-12 * dot(&b, &b));
        }
    }

    #[test]
    fn distances_are_relative() {
        assert!((distance(&[3.0, 4.0], &[0.0, 5.0]) - 0.4_f64.sqrt()).abs() < 1e-15);
        assert!(distance(&[1.0], &[1.0, 0.0]).is_nan() && distance(&[f32::NAN], &[1.0]).is_nan());
    }

    #[test]
    fn a_small_change_of_a_large_square_keeps_its_digits() {
        let a = [1e4_f32; 64];
        let b = a.map(|a| a + 0.001_953_125);
        let wanted = 64.0 * 0.5 * 0.001_953_125 * (2e4 + 0.001_953_125);
        assert!((half_square_change(&a, &b) / wanted - 1.0).abs() < 1e-12);
    }
}
