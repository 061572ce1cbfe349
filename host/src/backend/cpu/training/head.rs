//! The matrices of one head of a self-attention in training, and their products; the formulas are in `attention.rs`.

use super::super::blocked::{Activation, Blocked};
use super::super::layer::matmul::{MatMul, Matrix, Rows, RowsMut, Size};
use pulp::Arch;

/// The matrices of one head.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    /// `[key][query]`.
    pub(super) p: Vec<f32>,
    pub(super) dot_s: Vec<f32>,
    pub(super) d_dot_s: Vec<f32>,
    pub(super) d_s: Vec<f32>,
    /// `[q | k | v | mixed][channel][pixel]` of each quantity.
    pub(super) channels: [Vec<f32>; 4],
    pub(super) turned: [Vec<f32>; 2],
    pub(super) columns: [Vec<f32>; 2],
}

impl AttentionScratch {
    pub(super) fn new(channels: usize, pixels: usize) -> Self {
        let zeros = |n: usize| vec![0.0; n];
        let (matrix, vector) = (pixels * pixels, channels * pixels);
        Self {
            p: zeros(matrix),
            dot_s: zeros(matrix),
            d_dot_s: zeros(matrix),
            d_s: zeros(matrix),
            channels: std::array::from_fn(|_| zeros(4 * vector)),
            turned: std::array::from_fn(|_| zeros(vector)),
            columns: std::array::from_fn(|_| zeros(pixels)),
        }
    }
}

/// Products with one head's shape.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) arch: Arch,
    pub(super) c: usize,
    pub(super) n: usize,
    pub(super) scale: f32,
}

impl Head {
    fn multiply(&self, a: Matrix<'_>, b: &[f32], size: Size, accumulate: bool, out: &mut [f32]) {
        let stride = size.cols;
        let (b, out) = (Rows { values: b, stride }, RowsMut { values: out, stride });
        self.arch.dispatch(MatMul { a, b, size, accumulate, out });
    }

    /// out[row][col] (+)= sum over channels of rows[channel][row] cols[channel][col].
    pub(super) fn outer(&self, rows: &[f32], cols: &[f32], add: bool, out: &mut [f32]) {
        let a = Matrix { values: rows, row_stride: 1, col_stride: self.n };
        self.multiply(a, cols, Size { rows: self.n, sums: self.c, cols: self.n }, add, out);
    }

    /// out[channel][col] (+)= sum over rows of x[channel][row] matrix[row][col].
    pub(super) fn inner(&self, x: &[f32], matrix: &[f32], add: bool, out: &mut [f32]) {
        let a = Matrix { values: x, row_stride: self.n, col_stride: 1 };
        self.multiply(a, matrix, Size { rows: self.c, sums: self.n, cols: self.n }, add, out);
    }

    /// out[channel][row] (+)= sum over columns of matrix[row][col] x[channel][col].
    pub(super) fn inner_transposed(
        &self,
        matrix: &[f32],
        x: &[f32],
        add: bool,
        out: &mut [f32],
        turned: &mut [Vec<f32>; 2],
    ) {
        let (n, c) = (self.n, self.c);
        let [x_turned, sum] = turned;
        let (x_turned, sum) = (&mut x_turned[..n * c], &mut sum[..n * c]);
        transpose(&x[..n * c], n, x_turned);
        let a = Matrix { values: matrix, row_stride: n, col_stride: 1 };
        self.multiply(a, x_turned, Size { rows: n, sums: n, cols: c }, false, sum);
        for (channel, out) in out.chunks_exact_mut(n).take(c).enumerate() {
            for (out, row) in out.iter_mut().zip(sum.chunks_exact(c)) {
                *out = if add { *out + row[channel] } else { row[channel] };
            }
        }
    }

    pub(super) fn scale(&self, matrix: &mut [f32]) {
        matrix.iter_mut().for_each(|value| *value *= self.scale);
    }
}

/// `[channel][pixel]` to `[pixel][channel]`.
fn transpose(x: &[f32], n: usize, out: &mut [f32]) {
    let c = x.len() / n;
    for (pixel, out) in out.chunks_exact_mut(c).enumerate() {
        out.iter_mut().enumerate().for_each(|(channel, out)| *out = x[channel * n + pixel]);
    }
}

/// sums[col] = sum down the column of a b.
pub(super) fn column_sums(a: &[f32], b: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for (a, b) in a.chunks_exact(sums.len()).zip(b.chunks_exact(sums.len())) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
}

/// matrix = p (matrix - column).
pub(super) fn softmax_slope(p: &[f32], column: &[f32], matrix: &mut [f32]) {
    for (matrix, p) in matrix.chunks_exact_mut(column.len()).zip(p.chunks_exact(column.len())) {
        matrix.iter_mut().zip(p.iter().zip(column)).for_each(|(value, (p, column))| *value = p * (*value - column));
    }
}

/// Copies `c` channels from `first` on to `[channel][pixel]`.
pub(super) fn gather(activation: Activation<'_>, first: usize, c: usize, out: &mut [f32]) {
    let layout = activation.layout();
    for (channel, out) in out.chunks_exact_mut(layout.height * layout.width).take(c).enumerate() {
        for (row, out) in out.chunks_exact_mut(layout.width).enumerate() {
            out.copy_from_slice(activation.row(first + channel, row));
        }
    }
}

/// The way back from [`gather`].
pub(super) fn scatter(x: &[f32], layout: Blocked, first: usize, c: usize, out: &mut [f32]) {
    let pixels = layout.height * layout.width;
    for (channel, x) in x.chunks_exact(pixels).take(c).enumerate() {
        for block in 0..layout.n_blocks() {
            let (from, n) = (block * layout.rows * layout.width, layout.block_pixels(block));
            out[layout.start(block, first + channel)..][..n].copy_from_slice(&x[from..from + n]);
        }
    }
}
