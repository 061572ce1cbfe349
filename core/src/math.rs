//! Scalar functions and sums, the same bits on every target.
//!
//! Functions come from `libm`, not from the target's own library. Sums carry what rounding lost in a second `f32`
//! (Dekker 1971): twice the precision, on targets that have no `f64`.

/// `e^x`.
#[must_use]
pub fn exp(x: f32) -> f32 {
    libm::expf(x)
}

/// `e^x - 1`, accurate for small `x`.
#[must_use]
pub fn exp_m1(x: f32) -> f32 {
    libm::expm1f(x)
}

/// Natural logarithm.
#[must_use]
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// `ln(1 + x)`, accurate for small `x`.
#[must_use]
pub fn ln_1p(x: f32) -> f32 {
    libm::log1pf(x)
}

/// Square root.
#[must_use]
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}

/// The nearest `f32`.
#[must_use]
#[expect(clippy::as_conversions, reason = "the one place where a count becomes a real number")]
pub const fn real(count: u32) -> f32 {
    count as f32
}

/// A running sum in about twice the precision of `f32`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sum {
    sum: f32,
    lost: f32,
}

impl Sum {
    /// Adds one term.
    pub fn add(&mut self, term: f32) {
        let total = self.sum + term;
        let rounded = if self.sum.abs() >= term.abs() { (self.sum - total) + term } else { (term - total) + self.sum };
        // An infinite sum stays infinite: its correction would be a NaN.
        let correction = if total.is_finite() { rounded + self.lost } else { 0.0 };
        self.sum = total + correction;
        self.lost = if total.is_finite() { correction - (self.sum - total) } else { 0.0 };
    }

    /// The sum so far. Infinite when a partial sum overflowed.
    #[must_use]
    pub const fn value(self) -> f32 {
        self.sum
    }
}

/// Compensated sum of `terms`.
pub fn sum(terms: impl IntoIterator<Item = f32>) -> f32 {
    let mut sum = Sum::default();
    terms.into_iter().for_each(|term| sum.add(term));
    sum.value()
}

/// `<a, b>` over the shorter length.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a.iter().zip(b).map(|(a, b)| a * b))
}

/// `<a, a - b>` and `|a - b|^2` over the shorter length.
#[must_use]
pub fn difference_products(a: &[f32], b: &[f32]) -> [f32; 2] {
    let (mut product, mut square) = (Sum::default(), Sum::default());
    for (a, b) in a.iter().zip(b) {
        let difference = a - b;
        product.add(a * difference);
        square.add(difference * difference);
    }
    [product.value(), square.value()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_what_cancellation_would_lose() {
        assert_eq!(sum([1e8, 1.0, -1e8, 1.0]), 2.0);
        let n = 1_000_000;
        let mean = sum((0..n).map(|_| 0.1)) / real(n);
        assert!((mean - 0.1).abs() < 1e-8, "{mean}");
    }

    #[test]
    fn an_overflowing_sum_is_infinite_not_nan() {
        assert_eq!(sum([f32::MAX, f32::MAX, 1.0]), f32::INFINITY);
    }
}
