//! Vectors of any width: loads, stores, `exp`, and sums whose order does not depend on the width.

use pulp::{Simd, bytemuck};

/// Sums run over 16 interleaved partial sums whatever the vector width, so that all instruction sets agree.
const SUM_PARTS: usize = 16;

/// Loads a full vector from `x[at..]`.
#[inline(always)]
pub(crate) fn load<S: Simd>(x: &[f32], at: usize) -> S::f32s {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&x[at..at + S::F32_LANES]))
}

/// Loads `n` values from `x[at..]`, zeros behind them.
#[inline(always)]
pub(crate) fn load_first<S: Simd>(simd: S, x: &[f32], at: usize, n: usize) -> S::f32s {
    if n == S::F32_LANES { load::<S>(x, at) } else { simd.partial_load_f32s(&x[at..at + n]) }
}

/// Stores the first `n` values to `x[at..]`.
#[inline(always)]
pub(crate) fn store_first<S: Simd>(simd: S, x: &mut [f32], at: usize, n: usize, value: S::f32s) {
    let x = &mut x[at..at + n];
    if n == S::F32_LANES {
        bytemuck::cast_slice_mut(x).copy_from_slice(bytemuck::bytes_of(&value));
    } else {
        simd.partial_store_f32s(x, value);
    }
}

/// `value` with zeros from value `n` on.
#[inline(always)]
fn keep_first<S: Simd>(simd: S, value: S::f32s, n: usize) -> S::f32s {
    if n == S::F32_LANES {
        return value;
    }
    let mut values = [0.0; SUM_PARTS];
    store_first(simd, &mut values, 0, n, value);
    load::<S>(&values, 0)
}

/// Calls `body(at, valid, part)` for every vector of `0..n`: its first element, the number of its elements that exist,
/// and the part of a [`Sum`] that it belongs to.
#[inline(always)]
pub(crate) fn for_each_vector<S: Simd>(n: usize, mut body: impl FnMut(usize, usize, usize)) {
    let width = S::F32_LANES;
    let whole = n - n % SUM_PARTS;
    let mut at = 0;
    while at < whole {
        for part in 0..SUM_PARTS / width {
            body(at + part * width, width, part);
        }
        at += SUM_PARTS;
    }
    for part in 0..(n - whole).div_ceil(width) {
        let at = whole + part * width;
        body(at, width.min(n - at), part);
    }
}

/// A sum over elements in 16 interleaved parts, element i in part i mod 16.
#[derive(Clone, Copy)]
pub(crate) struct Sum<S: Simd> {
    parts: [S::f32s; SUM_PARTS],
}

impl<S: Simd> Sum<S> {
    #[inline(always)]
    pub(crate) fn zero(simd: S) -> Self {
        Self { parts: [simd.splat_f32s(0.0); SUM_PARTS] }
    }

    /// Adds the first `valid` values of `value`.
    #[inline(always)]
    pub(crate) fn add(&mut self, simd: S, part: usize, valid: usize, value: S::f32s) {
        self.parts[part] = simd.add_f32s(self.parts[part], keep_first(simd, value, valid));
    }

    /// Adds the first `valid` values of `a * b`.
    #[inline(always)]
    pub(crate) fn add_product(&mut self, simd: S, part: usize, valid: usize, a: S::f32s, b: S::f32s) {
        self.parts[part] = simd.mul_add_e_f32s(keep_first(simd, a, valid), b, self.parts[part]);
    }

    /// The sum, its 16 parts added in f64, in order.
    #[inline(always)]
    pub(crate) fn total(&self) -> f64 {
        let parts: &[f32] = bytemuck::cast_slice(&self.parts[..SUM_PARTS / S::F32_LANES]);
        parts.iter().fold(0.0, |sum, &v| sum + f64::from(v))
    }
}

/// e^x to about 1e-7 relative, for x in [-87, 88]; clamped outside. Polynomial of degree 6 after Cephes' `expf`.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 = LN_2_HIGH + LN_2_LOW, the first exact in few bits.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = simd.min_f32s(simd.max_f32s(x, simd.splat_f32s(-87.0)), simd.splat_f32s(88.0));
    let rounded = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(rounded, simd.splat_f32s(ROUND));
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_HIGH), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_LOW), r);
    let mut p = simd.splat_f32s(POLYNOMIAL[0]);
    for &coefficient in &POLYNOMIAL[1..] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(coefficient));
    }
    let p = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), simd.add_f32s(r, simd.splat_f32s(1.0)));
    // Times 2^n: n into the exponent field.
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use pulp::{Arch, WithSimd};

    /// Every instruction set this machine can run, the portable one first.
    pub(crate) fn all_archs() -> Vec<Arch> {
        #[allow(unused_mut)]
        let mut archs = vec![Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
            archs.extend(pulp::x86::V4::try_new().map(Arch::V4));
        }
        archs
    }

    struct ExpAll<'a>(&'a mut [f32]);

    impl WithSimd for ExpAll<'_> {
        type Output = f64;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            let mut sum = Sum::zero(simd);
            for_each_vector::<S>(
                self.0.len(),
                #[inline(always)]
                |at, valid, part| {
                    let e = exp(simd, load_first(simd, self.0, at, valid));
                    sum.add(simd, part, valid, e);
                    store_first(simd, self.0, at, valid, e);
                },
            );
            sum.total()
        }
    }

    #[test]
    fn exp_is_accurate_on_every_instruction_set() {
        for arch in all_archs() {
            let x: Vec<f32> = (0..17_501).map(|i| -87.0 + i as f32 * 0.01).collect();
            let mut y = x.clone();
            arch.dispatch(ExpAll(&mut y));
            for (x, y) in x.iter().zip(&y) {
                let exact = f64::from(*x).exp();
                assert!((f64::from(*y) / exact - 1.0).abs() < 2.5e-7, "{arch:?}: exp({x}) = {y}, expected {exact}");
            }
        }
    }

    #[test]
    fn sums_do_not_depend_on_the_vector_width() {
        for n in [1, 7, 16, 21, 100, 1000] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let sums: Vec<f64> = all_archs().into_iter().map(|arch| arch.dispatch(ExpAll(&mut x.clone()))).collect();
            let exact: f64 = x.iter().map(|&v| f64::from(v).exp()).sum();
            // The portable path has no fused multiply-add, so it may differ in the last bits of exp.
            assert!(sums.iter().all(|s| (s / exact - 1.0).abs() < 1e-6), "{sums:?} {exact}");
            assert!(sums[1..].windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits()), "{sums:?}");
        }
    }
}
