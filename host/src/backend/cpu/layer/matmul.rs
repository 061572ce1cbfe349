//! The small matrix products of self-attention, out = or += A B, with A read through any two strides.
//!
//! They run inside a task on that task's scratch, where B and the output are rows of at most a few dozen columns.

use super::super::simd::{load_first, store_first};
use pulp::{Simd, WithSimd};

/// Rows summed at a time.
const ROWS: usize = 6;

/// out[m][n] (+)= sum over k of a[m row_step + k k_step] b[k][n], k ascending.
pub(crate) struct MatMul<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) row_step: usize,
    pub(crate) k_step: usize,
    pub(crate) b: &'a [f32],
    pub(crate) b_stride: usize,
    /// Rows, sums and columns.
    pub(crate) size: (usize, usize, usize),
    pub(crate) accumulate: bool,
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
}

impl WithSimd for MatMul<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { product::<S, 4>(simd, self) } else { product::<S, 2>(simd, self) }
    }
}

#[inline(always)]
fn product<S: Simd, const N: usize>(simd: S, task: MatMul<'_>) {
    let MatMul { a, row_step, k_step, b, b_stride, size: (m, k, n), accumulate, out, out_stride } = task;
    for row in (0..m).step_by(ROWS) {
        for col in (0..n).step_by(N * S::F32_LANES) {
            let mut valid = [0; N];
            for (j, valid) in valid.iter_mut().enumerate() {
                *valid = n.saturating_sub(col + j * S::F32_LANES).min(S::F32_LANES);
            }
            let mut sums = [[simd.splat_f32s(0.0); N]; ROWS];
            for k in 0..k {
                let mut x = [simd.splat_f32s(0.0); N];
                for (j, (x, &valid)) in x.iter_mut().zip(&valid).enumerate() {
                    if valid > 0 {
                        *x = load_first(simd, b, k * b_stride + col + j * S::F32_LANES, valid);
                    }
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let weight = simd.splat_f32s(a[(row + i).min(m - 1) * row_step + k * k_step]);
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = simd.mul_add_e_f32s(weight, x, *sum);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(m - row) {
                for (j, (&sum, &valid)) in sums.iter().zip(&valid).enumerate().filter(|(_, (_, valid))| **valid > 0) {
                    let at = (row + i) * out_stride + col + j * S::F32_LANES;
                    let before = if accumulate { load_first(simd, out, at, valid) } else { simd.splat_f32s(0.0) };
                    store_first(simd, out, at, valid, simd.add_f32s(before, sum));
                }
            }
        }
    }
}
