//! Vectors of trajectories: arithmetic with operators, and the functions that a Gaussian mixture needs.

use crate::backend::cpu::simd;
use pulp::Simd;
use std::ops::{Add, Mul, Neg, Sub};

/// One number of each of `S::F32_LANES` trajectories.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    simd: S,
    v: S::f32s,
}

/// One answer, yes or no, of each trajectory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask<S: Simd> {
    simd: S,
    m: S::m32s,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    fn of(self, v: S::f32s) -> Self {
        Self { simd: self.simd, v }
    }

    /// The same number in every trajectory.
    #[inline(always)]
    pub(super) fn splat(simd: S, value: f32) -> Self {
        Self { simd, v: simd.splat_f32s(value) }
    }

    /// The numbers of `values[at..]`.
    #[inline(always)]
    pub(super) fn load(simd: S, values: &[f32], at: usize) -> Self {
        Self { simd, v: simd::load::<S>(values, at) }
    }

    /// Writes the numbers to `values[at..]`.
    #[inline(always)]
    pub(super) fn store(self, values: &mut [f32], at: usize) {
        simd::store_first(self.simd, values, at, S::F32_LANES, self.v);
    }

    /// `self * factor + term`, rounded once where the machine can.
    #[inline(always)]
    pub(super) fn mul_add(self, factor: Self, term: Self) -> Self {
        self.of(self.simd.mul_add_e_f32s(self.v, factor.v, term.v))
    }

    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        self.of(self.simd.max_f32s(self.v, other.v))
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        self.of(self.simd.abs_f32s(self.v))
    }

    #[inline(always)]
    pub(super) fn recip(self) -> Self {
        self.of(self.simd.div_f32s(self.simd.splat_f32s(1.0), self.v))
    }

    #[inline(always)]
    pub(super) fn less_than(self, other: Self) -> Mask<S> {
        Mask { simd: self.simd, m: self.simd.less_than_f32s(self.v, other.v) }
    }

    #[inline(always)]
    pub(super) fn at_most(self, other: Self) -> Mask<S> {
        Mask { simd: self.simd, m: self.simd.less_than_or_equal_f32s(self.v, other.v) }
    }

    /// `e^self` to 2.5e-7 relative in [-87, 88]; clamped outside.
    #[inline(always)]
    pub(super) fn exp(self) -> Self {
        self.of(simd::exp(self.simd, self.v))
    }

    /// `e^self - 1` to 3e-7 relative in [-87, 88]; clamped outside.
    ///
    /// With `self = n ln 2 + r`, `|r| <= ln(2)/2`: `2^n (e^r - 1) + (2^n - 1)`, where only the first term is rounded.
    /// The polynomial is that of [`simd::exp`].
    #[inline(always)]
    pub(super) fn exp_m1(self) -> Self {
        // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
        const ROUND: f32 = 12_582_912.0;
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        const POLYNOMIAL: [f32; 6] =
            [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
        let simd = self.simd;
        let splat = |value| Self::splat(simd, value);
        let x = self.of(simd.min_f32s(simd.max_f32s(self.v, simd.splat_f32s(-87.0)), simd.splat_f32s(88.0)));
        let rounded = x.mul_add(splat(std::f32::consts::LOG2_E), splat(ROUND));
        let n = rounded - splat(ROUND);
        let r = n.mul_add(splat(-LN_2_LOW), n.mul_add(splat(-LN_2_HIGH), x));
        let mut p = splat(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            p = p.mul_add(r, splat(*coefficient));
        }
        let grown = p.mul_add(r * r, r);
        // 2^n: n + 127 into the exponent field.
        let biased = simd.add_u32s(simd.transmute_u32s_f32s(rounded.v), simd.splat_u32s(127));
        let power = self.of(simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(biased, simd.splat_u32s(23))));
        power.mul_add(grown, power - splat(1.0))
    }

    /// `ln(1 + self)` for `self` in [sqrt(1/2) - 1, sqrt(2) - 1], to 2e-7 relative. Polynomial after Cephes' `logf`.
    #[inline(always)]
    pub(super) fn ln_1p_near_zero(self) -> Self {
        const POLYNOMIAL: [f32; 9] = [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_8e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ];
        let splat = |value| Self::splat(self.simd, value);
        let mut p = splat(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            p = p.mul_add(self, splat(*coefficient));
        }
        let square = self * self;
        self + square.mul_add(p * self, square * splat(-0.5))
    }

    /// `(m, e)` with `self = m 2^e` and `m` in [sqrt(1/2), sqrt(2)), for finite `self >= 1`.
    #[inline(always)]
    pub(super) fn mantissa_and_exponent(self) -> (Self, Self) {
        /// Bits of sqrt(1/2), and of 2^23: a number below 2^23 in its low bits makes it 2^23 plus that number.
        const SQRT_HALF: u32 = 0x3f35_04f3;
        const TWO_23: u32 = 0x4b00_0000;
        let simd = self.simd;
        let bits = simd.transmute_u32s_f32s(self.v);
        let e = simd.wrapping_dyn_shr_u32s(simd.sub_u32s(bits, simd.splat_u32s(SQRT_HALF)), simd.splat_u32s(23));
        let m = simd.sub_u32s(bits, simd.wrapping_dyn_shl_u32s(e, simd.splat_u32s(23)));
        let e = self.of(simd.transmute_f32s_u32s(simd.add_u32s(e, simd.splat_u32s(TWO_23))));
        (self.of(simd.transmute_f32s_u32s(m)), e - Self::splat(simd, 8_388_608.0))
    }

    /// `ln(self)` for finite `self >= 1`, to 2e-7 relative to `ln(self)` or 2e-7 of `self - 1`.
    #[inline(always)]
    pub(super) fn ln(self) -> Self {
        let (m, e) = self.mantissa_and_exponent();
        let near = (m - Self::splat(self.simd, 1.0)).ln_1p_near_zero();
        e.mul_add(Self::splat(self.simd, std::f32::consts::LN_2), near)
    }
}

impl<S: Simd> Mask<S> {
    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        Self { simd: self.simd, m: self.simd.and_m32s(self.m, other.m) }
    }

    /// `self` and not `other`.
    #[inline(always)]
    pub(super) fn and_not(self, other: Self) -> Self {
        self.and(Self { simd: self.simd, m: self.simd.not_m32s(other.m) })
    }

    #[inline(always)]
    pub(super) fn select(self, yes: Lanes<S>, no: Lanes<S>) -> Lanes<S> {
        yes.of(self.simd.select_f32s(self.m, yes.v, no.v))
    }

    /// The number of trajectories whose answer is yes.
    #[inline(always)]
    pub(super) fn count(self) -> u32 {
        let one = Lanes::splat(self.simd, 1.0);
        // A sum of at most 16 ones is exact.
        self.simd.reduce_sum_f32s(self.select(one, Lanes::splat(self.simd, 0.0)).v) as u32
    }

    #[inline(always)]
    pub(super) fn any(self) -> bool {
        self.count() > 0
    }
}

impl<S: Simd> Add for Lanes<S> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.of(self.simd.add_f32s(self.v, other.v))
    }
}

impl<S: Simd> Sub for Lanes<S> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.of(self.simd.sub_f32s(self.v, other.v))
    }
}

impl<S: Simd> Mul for Lanes<S> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.of(self.simd.mul_f32s(self.v, other.v))
    }
}

impl<S: Simd> Neg for Lanes<S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.of(self.simd.neg_f32s(self.v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::simd::tests::all_archs;
    use pulp::WithSimd;

    #[derive(Clone, Copy, Debug)]
    enum Function {
        ExpM1,
        Ln1pNearZero,
        Ln,
    }

    struct Apply<'a>(Function, &'a mut [f32]);

    impl WithSimd for Apply<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for at in (0..self.1.len()).step_by(S::F32_LANES) {
                let x = Lanes::load(simd, self.1, at);
                let y = match self.0 {
                    Function::ExpM1 => x.exp_m1(),
                    Function::Ln1pNearZero => x.ln_1p_near_zero(),
                    Function::Ln => x.ln(),
                };
                y.store(self.1, at);
            }
        }
    }

    /// The largest error of `function` relative to `exact`, on every instruction set.
    fn largest_error(function: Function, x: impl Fn(usize) -> f32, exact: fn(f64) -> f64) -> f64 {
        let x: Vec<f32> = (0..16_000).map(x).collect();
        let errors = all_archs().into_iter().map(|arch| {
            let mut y = x.clone();
            arch.dispatch(Apply(function, &mut y));
            let pairs = x.iter().zip(&y).filter(|(x, _)| exact(f64::from(**x)) != 0.0);
            pairs.map(|(x, y)| (f64::from(*y) / exact(f64::from(*x)) - 1.0).abs()).fold(0.0, f64::max)
        });
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn functions_have_the_stated_errors() {
        let wide = |k: usize| -87.0 + k as f32 * (174.0 / 16_000.0);
        // Down to 1e-12 on both sides of zero.
        let tiny = |k: usize| if k.is_multiple_of(2) { 1.0 } else { -1.0 } * 0.29 * (-(k as f32) * 1.6e-3).exp();
        assert!(largest_error(Function::ExpM1, wide, f64::exp_m1) < 3e-7);
        assert!(largest_error(Function::ExpM1, tiny, f64::exp_m1) < 3e-7);
        assert!(largest_error(Function::Ln1pNearZero, tiny, f64::ln_1p) < 2e-7);
        assert!(largest_error(Function::Ln1pNearZero, |k| -0.29 + k as f32 * 4.4e-5, f64::ln_1p) < 2e-7);
        assert!(largest_error(Function::Ln, |k| 1.0 + k as f32 * 3e-4, f64::ln) < 2e-7);
    }
}
