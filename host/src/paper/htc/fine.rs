//! Images on smaller pixels.

use crate::image::Image;

/// The image with `factor` x `factor` pixels for each of its own, by cubic convolution \[Key81, a = -1/2\]; beyond its
/// sides it goes on as at them.
pub(super) fn fine(image: &Image, factor: usize) -> Image {
    let Image { height, width, pixels } = image;
    let (rows, cols) = (samples(*height, factor), samples(*width, factor));
    let along_rows: Vec<f32> = pixels.chunks_exact(*width).flat_map(|row| resampled(&cols, |col| row[col])).collect();
    let wide = cols.len();
    let mut fine = Image::zeros(rows.len(), wide);
    for col in 0..wide {
        let column = resampled(&rows, |row| along_rows[row * wide + col]);
        fine.pixels.iter_mut().skip(col).step_by(wide).zip(column).for_each(|(pixel, value)| *pixel = value);
    }
    fine
}

/// Four neighbours and their shares.
type Sample = ([usize; 4], [f32; 4]);

fn samples(n: usize, factor: usize) -> Vec<Sample> {
    let sample = |k: usize| {
        let place = (k as f64 + 0.5) / factor as f64 - 0.5;
        let (first, u) = (place.floor() as isize - 1, (place - place.floor()) as f32);
        let neighbours = [0, 1, 2, 3].map(|k| (first + k).clamp(0, n as isize - 1) as usize);
        let (v, w) = (1.0 - u, u * (1.0 - u));
        (neighbours, [-0.5 * v * w, v + w * (v - 0.5 * u), u + w * (u - 0.5 * v), -0.5 * u * w])
    };
    (0..n * factor).map(sample).collect()
}

fn resampled(samples: &[Sample], value: impl Fn(usize) -> f32) -> Vec<f32> {
    let sum = |(neighbours, shares): &Sample| neighbours.iter().zip(shares).map(|(k, share)| share * value(*k)).sum();
    samples.iter().map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quadratic images away from the sides, and constant ones everywhere, are met exactly.
    #[test]
    fn quadratics_are_interpolated_exactly() {
        let value = |y: f32, x: f32| 1.0 + 0.3 * y - 0.2 * x + 0.01 * x * x + 0.02 * x * y;
        let mut image = Image::zeros(9, 11);
        image.pixels.iter_mut().enumerate().for_each(|(k, p)| *p = value((k / 11) as f32, (k % 11) as f32));
        let fine = fine(&image, 4);
        assert_eq!((fine.height, fine.width), (36, 44));
        let place = |k: usize| (k as f32 + 0.5) / 4.0 - 0.5;
        for row in 8..28 {
            for col in 8..36 {
                let (found, wanted) = (fine.pixels[row * 44 + col], value(place(row), place(col)));
                assert!((found - wanted).abs() < 1e-5, "{row} {col}: {found} {wanted}");
            }
        }
        let constant = super::fine(&Image { height: 3, width: 2, pixels: vec![0.7; 6] }, 5);
        assert!(constant.pixels.iter().all(|p| (p - 0.7).abs() < 1e-6));
    }
}
