//! Winograd's F(4, 3) along rows: four outputs of a 3-tap kernel from six products in place of twelve.
//!
//! Output and kernel are polynomials in a variable that stands for a shift by one row, multiplied by their values at
//! six points: 0, -a, a, -b, b and infinity. With a^2 = 1/2 and b^2 = 2 the rounding error stays within twice that of
//! the twelve products; the customary 1 and 2 cost twice as much again. The kernel's side is in [`super::stencil`].

use pulp::Simd;

/// Rows of the output that are made together.
pub(crate) const ROWS: usize = 4;
/// Planes of the input, and phases of the output.
pub(crate) const PLANES: usize = 6;
/// Planes of a 1x1 convolution: all but those of -b and b.
pub(crate) const POINT_PLANES: usize = 4;

/// a; its square is 1/2.
pub(crate) const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// b; its square is 2.
pub(crate) const B: f32 = std::f32::consts::SQRT_2;

/// d_i = in[4 g - 1 + i] to the planes.
#[inline(always)]
pub(crate) fn planes<S: Simd>(simd: S, d: [S::f32s; ROWS + 2]) -> [S::f32s; PLANES] {
    let [d_0, d_1, d_2, d_3, d_4, d_5] = d;
    let scaled = |factor: f32, x: S::f32s, y: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
    let (even_a, odd_a) = (scaled(-2.0, d_2, d_4), scaled(-2.0, d_1, d_3));
    let (even_b, odd_b) = (scaled(-0.5, d_2, d_4), scaled(-0.5, d_1, d_3));
    [
        scaled(-2.5, d_2, simd.add_f32s(d_0, d_4)),
        scaled(A, odd_a, even_a),
        scaled(-A, odd_a, even_a),
        scaled(B, odd_b, even_b),
        scaled(-B, odd_b, even_b),
        scaled(-2.5, d_3, simd.add_f32s(d_1, d_5)),
    ]
}

/// The rows of a 1x1 convolution to its planes: what [`join`] makes of them are the rows again.
#[inline(always)]
pub(crate) fn point_planes<S: Simd>(simd: S, d: [S::f32s; ROWS]) -> [S::f32s; POINT_PLANES] {
    let [d_0, d_1, d_2, d_3] = d;
    let scaled = |factor: f32, x: S::f32s, y: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
    [scaled(-2.0, d_2, d_0), scaled(A, d_1, d_2), scaled(-A, d_1, d_2), scaled(-0.5, d_1, d_3)]
}

/// The sums of the phases to four rows.
#[inline(always)]
pub(crate) fn join<S: Simd>(simd: S, m: [S::f32s; PLANES]) -> [S::f32s; ROWS] {
    let [m_0, m_1, m_2, m_3, m_4, m_5] = m;
    let scaled = |factor: f32, x: S::f32s, y: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
    let (even_a, odd_a) = (simd.add_f32s(m_1, m_2), simd.sub_f32s(m_1, m_2));
    let (even_b, odd_b) = (simd.add_f32s(m_3, m_4), simd.sub_f32s(m_3, m_4));
    [
        simd.add_f32s(simd.add_f32s(even_a, even_b), m_0),
        scaled(A, odd_a, simd.mul_f32s(simd.splat_f32s(B), odd_b)),
        scaled(0.5, even_a, simd.mul_f32s(simd.splat_f32s(2.0), even_b)),
        scaled(0.5 * A, odd_a, scaled(2.0 * B, odd_b, m_5)),
    ]
}

/// The transpose of [`join`].
#[inline(always)]
pub(crate) fn split<S: Simd>(simd: S, d: [S::f32s; ROWS]) -> [S::f32s; PLANES] {
    let [d_0, d_1, d_2, d_3] = d;
    let scaled = |factor: f32, x: S::f32s, y: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
    let (even_a, odd_a) = (scaled(0.5, d_2, d_0), scaled(0.5, d_3, d_1));
    let (even_b, odd_b) = (scaled(2.0, d_2, d_0), scaled(2.0, d_3, d_1));
    [d_0, scaled(A, odd_a, even_a), scaled(-A, odd_a, even_a), scaled(B, odd_b, even_b), scaled(-B, odd_b, even_b), d_3]
}
