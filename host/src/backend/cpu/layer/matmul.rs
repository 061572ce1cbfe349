//! The small matrix products of self-attention, out = or += A B, with A read through any two strides.
//!
//! They run inside a task on that task's scratch, where B and the output are rows of at most a few dozen columns.

use super::super::simd::{load_first, store_first};
use pulp::{Simd, WithSimd};

/// Rows summed at a time.
const ROWS: usize = 6;

/// A matrix whose value (row, col) stands at `row row_stride + col col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

/// A matrix of contiguous rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
}

/// A matrix of contiguous rows, to write.
pub(crate) struct RowsMut<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) stride: usize,
}

/// Rows and columns of a product, and the numbers that each of its values is a sum of.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) sums: usize,
    pub(crate) cols: usize,
}

/// out[row][col] (+)= sum over k of a[row][k] b[k][col], k ascending.
pub(crate) struct MatMul<'a> {
    pub(crate) a: Matrix<'a>,
    pub(crate) b: Rows<'a>,
    pub(crate) size: Size,
    pub(crate) accumulate: bool,
    pub(crate) out: RowsMut<'a>,
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
    let MatMul { a, b, size: Size { rows: m, sums: k, cols: n }, accumulate, out } = task;
    for row in (0..m).step_by(ROWS) {
        // Rows beyond the last repeat it, and are not stored.
        let mut starts = [0; ROWS];
        for (i, start) in starts.iter_mut().enumerate() {
            *start = (row + i).min(m - 1) * a.row_stride;
        }
        for col in (0..n).step_by(N * S::F32_LANES) {
            let mut valid = [0; N];
            for (j, valid) in valid.iter_mut().enumerate() {
                *valid = n.saturating_sub(col + j * S::F32_LANES).min(S::F32_LANES);
            }
            let rows = || (0..k).map(|k| (k * a.col_stride, &b.values[k * b.stride + col..]));
            let sums = if n - col >= N * S::F32_LANES {
                accumulate_rows::<S, N>(simd, a.values, &starts, rows(), &[S::F32_LANES; N])
            } else {
                accumulate_rows::<S, N>(simd, a.values, &starts, rows(), &valid)
            };
            for (i, sums) in sums.iter().enumerate().take(m - row) {
                for (j, (&sum, &valid)) in sums.iter().zip(&valid).enumerate().filter(|(_, (_, valid))| **valid > 0) {
                    let at = (row + i) * out.stride + col + j * S::F32_LANES;
                    let before =
                        if accumulate { load_first(simd, out.values, at, valid) } else { simd.splat_f32s(0.0) };
                    store_first(simd, out.values, at, valid, simd.add_f32s(before, sum));
                }
            }
        }
    }
}

/// Sums of a[start + offset] b[j] over the `(offset, b)` of `rows`; vectors of `b` without valid values are not read.
#[inline(always)]
fn accumulate_rows<'a, S: Simd, const N: usize>(
    simd: S,
    a: &[f32],
    starts: &[usize; ROWS],
    rows: impl Iterator<Item = (usize, &'a [f32])>,
    valid: &[usize; N],
) -> [[S::f32s; N]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); N]; ROWS];
    for (offset, b) in rows {
        let mut x = [simd.splat_f32s(0.0); N];
        for (j, (x, &valid)) in x.iter_mut().zip(valid).enumerate() {
            if valid > 0 {
                *x = load_first(simd, b, j * S::F32_LANES, valid);
            }
        }
        for (sums, start) in sums.iter_mut().zip(starts) {
            let weight = simd.splat_f32s(a[start + offset]);
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = simd.mul_add_e_f32s(weight, x, *sum);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::super::simd::tests::all_archs;
    use super::*;

    /// Every stride and remainder against a product in f64.
    #[test]
    fn products_match_f64() {
        for arch in all_archs() {
            for (m, k, n) in [(1, 1, 1), (7, 5, 3), (6, 9, 64), (13, 4, 70), (12, 8, 33)] {
                for (row_stride, col_stride) in [(k, 1), (1, m)] {
                    let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.37).sin()).collect();
                    let b: Vec<f32> = (0..k * n).map(|i| (i as f32 * 0.61).cos()).collect();
                    let mut out = vec![1.0; m * n];
                    arch.dispatch(MatMul {
                        a: Matrix { values: &a, row_stride, col_stride },
                        b: Rows { values: &b, stride: n },
                        size: Size { rows: m, sums: k, cols: n },
                        accumulate: true,
                        out: RowsMut { values: &mut out, stride: n },
                    });
                    for (i, found) in out.iter().enumerate() {
                        let product =
                            |l| f64::from(a[i / n * row_stride + l * col_stride]) * f64::from(b[l * n + i % n]);
                        let exact = 1.0 + (0..k).map(product).sum::<f64>();
                        assert!((f64::from(*found) - exact).abs() < 1e-5, "{arch:?} {m} {k} {n}");
                    }
                }
            }
        }
    }
}
