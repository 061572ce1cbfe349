//! Total variation: forward differences of an image, 0 across its border, and their transpose.

/// ||grad||^2 of forward differences in two dimensions is below this.
pub(super) const GRADIENT_NORM_SQUARED: f64 = 8.0;

/// A row of an image and the one below it, which is the row itself at the bottom: no difference across the border.
pub(super) fn row_and_below(image: &[f32], width: usize, row: usize) -> (&[f32], &[f32]) {
    let here = &image[row * width..(row + 1) * width];
    (here, image.get((row + 1) * width..(row + 2) * width).unwrap_or(here))
}

/// The isotropic total variation of an image: sum over pixels of the length of its forward differences.
#[must_use]
pub fn total_variation(image: &[f32], width: usize) -> f64 {
    let mut sum = 0.0f64;
    for row in 0..image.len().checked_div(width).unwrap_or(0) {
        let (here, below) = row_and_below(image, width, row);
        for col in 0..width {
            let (right, down) = (here[(col + 1).min(width - 1)] - here[col], below[col] - here[col]);
            sum += f64::from(right * right + down * down).sqrt();
        }
    }
    sum
}

/// `image` += grad^T (right, down).
pub(super) fn add_gradient_transposed(image: &mut [f32], right: &[f32], down: &[f32], width: usize) {
    let height = image.len() / width;
    for (row, pixels) in image.chunks_exact_mut(width).enumerate() {
        let here = row * width;
        for (col, pixel) in pixels.iter_mut().enumerate() {
            let from_left = if col > 0 { right[here + col - 1] } else { 0.0 };
            let to_right = if col + 1 < width { right[here + col] } else { 0.0 };
            let from_above = if row > 0 { down[here + col - width] } else { 0.0 };
            let to_below = if row + 1 < height { down[here + col] } else { 0.0 };
            *pixel += (from_left - to_right) + (from_above - to_below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::*;
    use super::*;

    #[test]
    fn gradient_and_its_transpose_belong_together() {
        for (height, width) in [(7, 5), (1, 6), (6, 1), (8, 8)] {
            let (x, right, down) = (signed(height * width, 1), signed(height * width, 2), signed(height * width, 3));
            let mut left = 0.0;
            for row in 0..height {
                let (here, below) = row_and_below(&x, width, row);
                for col in 0..width {
                    left += f64::from((here[(col + 1).min(width - 1)] - here[col]) * right[row * width + col]);
                    left += f64::from((below[col] - here[col]) * down[row * width + col]);
                }
            }
            let mut transposed = vec![0.0; x.len()];
            add_gradient_transposed(&mut transposed, &right, &down, width);
            assert!((left - dot(&x, &transposed)).abs() < 1e-5, "{height} {width}");
        }
    }

    #[test]
    fn variation_of_a_step_is_its_length() {
        let image: Vec<f32> = (0..12 * 9).map(|i| if i % 9 < 4 { 0.0 } else { 2.5 }).collect();
        assert!((total_variation(&image, 9) - 12.0 * 2.5).abs() < 1e-9);
        assert_eq!(total_variation(&[], 0), 0.0);
    }
}
