//! Random images of overlapping ellipses, made on the fly from a seed.
use crate::image::Image;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::f64::consts::TAU;

/// exp(-20): where the product of uniforms stops that counts a Poisson(20) number of ellipses.
const EXP_MINUS_MEAN_COUNT: f64 = 2.061_153_622_438_558e-9;
const MEAN_VALUE: f64 = 0.4;
/// Key of the generator; the image's seed chooses the stream under it.
const KEY: [u8; 32] = *b"gradus: pictures of the ellipses";
/// Below this many pixels a side no pixel lies where an ellipse can reach.
const SMALLEST: usize = 3;

/// Image number `seed` of the ellipses data set, `size` x `size` pixels with values in [0, 1].
///
/// n ~ Poisson(20) ellipses; value ~ Exp(mean 0.4), half axes a, b ~ U(-0.5, 0.5) (only their squares enter), centre
/// ~ U(-0.5, 0.5)^2, rotation ~ U(0, 2 pi). Values add where ellipses overlap; the image is divided by its maximum.
/// Pixel (i, j) sits at (-1 + 2i/(size-1), -1 + 2j/(size-1)). An image that would be black is drawn again.
///
/// Each seed has a ChaCha8 stream of its own. Only the generator's integers, IEEE arithmetic and `libm` enter, so a
/// seed gives the same bits on every machine. (The distributions of `rand_distr` do not promise that here: they take
/// their logarithms from the standard library as soon as any dependency asks `num-traits` for `std`.)
///
/// Sizes below 3 give a black image.
///
/// ```
/// let image = gradus::data::ellipses::ellipses(7, 128);
/// assert_eq!(image.range(), (0.0, 1.0));
/// ```
#[must_use]
pub fn ellipses(seed: u64, size: usize) -> Image {
    let mut image = Image::zeros(size, size);
    if size < SMALLEST {
        return image;
    }
    let mut rng = ChaCha8Rng::from_seed(KEY);
    rng.set_stream(seed);
    loop {
        let values = sum_of_ellipses(&mut rng, size);
        let largest = values.iter().fold(0.0, |a: f64, &b| a.max(b));
        if largest > 0.0 {
            image.pixels.iter_mut().zip(&values).for_each(|(pixel, value)| *pixel = (value / largest) as f32);
            return image;
        }
    }
}

/// The ellipses of one image, added up in the order they are drawn.
fn sum_of_ellipses(rng: &mut ChaCha8Rng, size: usize) -> Vec<f64> {
    let mut values = vec![0.0; size * size];
    for _ in 0..poisson(rng) {
        Ellipse::random(rng).add_to(&mut values, size);
    }
    values
}

struct Ellipse {
    value: f64,
    half_axes: [f64; 2],
    centre: [f64; 2],
    rotation_rad: f64,
}

impl Ellipse {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        let value = -MEAN_VALUE * libm::log1p(-uniform(rng));
        let half_axes = [uniform(rng) - 0.5, uniform(rng) - 0.5];
        let centre = [uniform(rng) - 0.5, uniform(rng) - 0.5];
        Self { value, half_axes, centre, rotation_rad: TAU * uniform(rng) }
    }

    /// Adds the value to every pixel with ((c u + s v)/a)^2 + ((-s u + c v)/b)^2 <= 1, (u, v) seen from the centre.
    fn add_to(&self, values: &mut [f64], size: usize) {
        let (sine, cosine) = libm::sincos(self.rotation_rad);
        let [a2, b2] = self.half_axes.map(|half_axis| half_axis * half_axis);
        let coordinate = |k: usize| -1.0 + 2.0 * k as f64 / (size - 1) as f64;
        // No pixel farther from the centre than the longer half axis belongs; one pixel more at both ends covers
        // rounding.
        let reach = self.half_axes[0].abs().max(self.half_axes[1].abs());
        let pixel = |x: f64| ((x + 1.0) / 2.0 * (size - 1) as f64).max(0.0) as usize;
        let from_to = |low: f64, high: f64| pixel(low).saturating_sub(1)..(pixel(high) + 3).min(size);
        // In a row, the sum is A v^2 + 2 B u v + C u^2 with A C - B^2 = 1/(a b)^2: at most 1 for |v + (B/A) u| <=
        // sqrt(D)/A, D = A - (u/(a b))^2. Both ends are looked for around there.
        let square = sine * sine / a2 + cosine * cosine / b2;
        let slope = cosine * sine * (1.0 / a2 - 1.0 / b2) / square;
        for i in from_to(self.centre[0] - reach, self.centre[0] + reach) {
            let u = coordinate(i) - self.centre[0];
            let inside = |j: usize| {
                let v = coordinate(j) - self.centre[1];
                let along = cosine * u + sine * v;
                let across = cosine * v - sine * u;
                along * along / a2 + across * across / b2 <= 1.0
            };
            let room = 1.0 - u * u / (a2 * b2 * square);
            // Far more than rounding away from any pixel that belongs.
            if room < -1e-3 {
                continue;
            }
            let (middle, half) = (self.centre[1] - slope * u, (room.max(0.0) / square).sqrt());
            let mut cols = from_to(middle - half, middle + half);
            // Between two pixels that belong all do, by far more than rounding: the sum is convex.
            let Some(first) = cols.find(|&j| inside(j)) else { continue };
            let last = cols.rev().find(|&j| inside(j)).unwrap_or(first);
            values[i * size + first..=i * size + last].iter_mut().for_each(|pixel| *pixel += self.value);
        }
    }
}

/// Uniform on [0, 1), on the grid of 2^-53.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 * STEP
}

/// Poisson(20) by Knuth's product of uniforms, which needs no function that could differ between machines.
fn poisson(rng: &mut ChaCha8Rng) -> usize {
    let mut product = uniform(rng);
    let mut count = 0;
    while product > EXP_MINUS_MEAN_COUNT {
        product *= uniform(rng);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::checksum;

    #[test]
    fn a_seed_pins_the_bits() {
        let image = ellipses(1, 128);
        let middle = &image.pixels[64 * 128 + 62..64 * 128 + 66];
        assert_eq!(middle, [0.411_097_26, 0.411_097_26, 0.411_097_26, 0.299_790_17]);
        assert_eq!(checksum(&image), 2_730_272_831_175_584_811);
    }

    /// Every pixel by the inequality, for ellipses down to a hair's breadth.
    #[test]
    fn ellipses_hold_the_pixels_of_their_definition() {
        let mut rng = ChaCha8Rng::from_seed(KEY);
        for k in 0..3000 {
            let mut ellipse = Ellipse::random(&mut rng);
            if k % 3 == 0 {
                ellipse.half_axes[1] *= 1e-3;
            }
            let size = 3 + k % 50;
            let (mut values, mut wanted) = (vec![0.0; size * size], vec![0.0; size * size]);
            ellipse.add_to(&mut values, size);
            let (sine, cosine) = libm::sincos(ellipse.rotation_rad);
            let [a2, b2] = ellipse.half_axes.map(|half_axis| half_axis * half_axis);
            for (k, wanted) in wanted.iter_mut().enumerate() {
                let [u, v] = [k / size, k % size].map(|k| -1.0 + 2.0 * k as f64 / (size - 1) as f64);
                let (u, v) = (u - ellipse.centre[0], v - ellipse.centre[1]);
                let (along, across) = (cosine * u + sine * v, cosine * v - sine * u);
                if along * along / a2 + across * across / b2 <= 1.0 {
                    *wanted += ellipse.value;
                }
            }
            assert_eq!(values, wanted);
        }
    }

    #[test]
    fn seeds_differ_and_repeat() {
        assert_eq!(ellipses(5, 32), ellipses(5, 32));
        assert_ne!(ellipses(5, 32), ellipses(6, 32));
    }

    #[test]
    fn small_sizes_end() {
        for size in 0..SMALLEST {
            assert_eq!(ellipses(0, size), Image::zeros(size, size));
        }
        assert_eq!(ellipses(0, SMALLEST).range().1, 1.0);
    }

    #[test]
    fn draws_have_the_stated_moments() {
        let mut rng = ChaCha8Rng::from_seed(KEY);
        let n = 20_000;
        let counts: Vec<f64> = (0..n).map(|_| poisson(&mut rng) as f64).collect();
        let values: Vec<f64> = (0..n).map(|_| Ellipse::random(&mut rng).value).collect();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let count_mean = mean(&counts);
        let count_variance = mean(&counts.iter().map(|c| (c - count_mean).powi(2)).collect::<Vec<_>>());
        // Five standard errors of each estimate.
        assert!((count_mean - 20.0).abs() < 5.0 * (20.0 / n as f64).sqrt(), "{count_mean}");
        assert!((count_variance - 20.0).abs() < 5.0 * 20.0 * (2.0 / n as f64).sqrt(), "{count_variance}");
        assert!((mean(&values) - 0.4).abs() < 5.0 * 0.4 / (n as f64).sqrt(), "{}", mean(&values));
    }

    /// A NumPy program of the same description gives mean 0.1073 (standard error 0.0005) and standard deviation
    /// 0.1938 over 3000 images; means of single images scatter by 0.027.
    #[test]
    fn pixel_values_have_the_moments_of_an_independent_program() {
        let images: Vec<Image> = (0..300).map(|seed| ellipses(seed, 64)).collect();
        let pixels: Vec<f64> = images.iter().flat_map(|i| &i.pixels).map(|&p| f64::from(p)).collect();
        let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
        let variance = pixels.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / pixels.len() as f64;
        let five_standard_errors = 5.0 * 0.027 / 300f64.sqrt();
        assert!((mean - 0.1073).abs() < five_standard_errors, "{mean}");
        assert!((variance.sqrt() - 0.1938).abs() < five_standard_errors, "{}", variance.sqrt());
    }
}
