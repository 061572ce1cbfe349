//! SiLU: s(z) = z sigma(z) with sigma(z) = 1/(1 + e^-z), and s'(z) = sigma(z) (1 + z (1 - sigma(z))).

use super::super::simd::exp;
use pulp::Simd;

/// e^-z and sigma(z).
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, z: S::f32s) -> (S::f32s, S::f32s) {
    let one = simd.splat_f32s(1.0);
    let decay = exp(simd, simd.neg_f32s(z));
    (decay, simd.div_f32s(one, simd.add_f32s(one, decay)))
}

/// s(z).
#[inline(always)]
pub(crate) fn silu<S: Simd>(simd: S, z: S::f32s) -> S::f32s {
    simd.mul_f32s(z, sigmoid(simd, z).1)
}

/// The vjp of one element: d_s s'(z).
#[inline(always)]
pub(crate) fn silu_vjp<S: Simd>(simd: S, z: S::f32s, d_s: S::f32s) -> S::f32s {
    let (decay, sigma) = sigmoid(simd, z);
    // 1 - sigma = e^-z sigma, without the cancellation.
    let rest = simd.mul_f32s(z, simd.mul_f32s(decay, sigma));
    let slope = simd.mul_add_e_f32s(sigma, rest, sigma);
    simd.mul_f32s(d_s, slope)
}

/// s'(z) and s''(z) = sigma(z) (1 - sigma(z)) (2 + z (1 - 2 sigma(z))).
#[inline(always)]
pub(crate) fn silu_slopes<S: Simd>(simd: S, z: S::f32s) -> (S::f32s, S::f32s) {
    let (decay, sigma) = sigmoid(simd, z);
    let rest = simd.mul_f32s(decay, sigma);
    let slope = simd.mul_add_e_f32s(sigma, simd.mul_f32s(z, rest), sigma);
    let bend = simd.mul_add_e_f32s(z, simd.sub_f32s(rest, sigma), simd.splat_f32s(2.0));
    (slope, simd.mul_f32s(simd.mul_f32s(sigma, rest), bend))
}

#[cfg(test)]
mod tests {
    use super::super::super::simd::tests::all_archs;
    use super::super::super::simd::{for_each_vector, load_first, store_first};
    use super::*;
    use pulp::WithSimd;

    struct Both<'a>(&'a [f32], &'a mut [f32], &'a mut [f32]);

    impl WithSimd for Both<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for_each_vector::<S>(
                self.0.len(),
                #[inline(always)]
                |at, valid, _| {
                    let z = load_first(simd, self.0, at, valid);
                    store_first(simd, self.1, at, valid, silu(simd, z));
                    store_first(simd, self.2, at, valid, silu_vjp(simd, z, simd.splat_f32s(1.0)));
                },
            );
        }
    }

    #[test]
    fn value_and_slope_match_f64() {
        let z: Vec<f32> = (-400..=400).map(|i| i as f32 * 0.25).collect();
        for arch in all_archs() {
            let (mut value, mut slope) = (z.clone(), z.clone());
            arch.dispatch(Both(&z, &mut value, &mut slope));
            for ((&z, &value), &slope) in z.iter().zip(&value).zip(&slope) {
                let z = f64::from(z);
                let sigma = 1.0 / (1.0 + (-z).exp());
                assert!((f64::from(value) - z * sigma).abs() <= 3e-7 * (z * sigma).abs() + 1e-30, "silu({z})");
                let exact = sigma * (1.0 + z * (1.0 - sigma));
                assert!((f64::from(slope) - exact).abs() <= 5e-7 * (exact.abs() + 0.1), "silu'({z})");
            }
        }
    }
}
