//! A smooth random field, and the places where it exceeds a level.

use super::ellipses::uniform;
use super::polygon::{Point, Window, dot};
use crate::image::Image;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// Waves of a field.
const COUNT: usize = 12;

/// `g(p) = sum_k cos(<w_k, p> + phase_k) - level`.
pub(super) struct Waves {
    waves: [(Point, f64); COUNT],
    level: f64,
}

impl Waves {
    /// Waves of about one length in all directions of the plane before `from_plane`, a symmetric map out of the plane
    /// in which the field is drawn.
    pub(super) fn random(rng: &mut ChaCha8Rng, from_plane: &[Point; 2]) -> Self {
        let length = 0.12 * libm::pow(4.0, uniform(rng));
        let level = libm::sqrt(COUNT as f64 / 2.0) * (0.1 + 1.1 * uniform(rng));
        let waves = [(); COUNT].map(|()| {
            let number = TAU / length * (0.6 + 0.6 * uniform(rng));
            let (sine, cosine) = libm::sincos(TAU * uniform(rng));
            let wave = [number * cosine, number * sine];
            (from_plane.map(|row| dot(row, wave)), TAU * uniform(rng))
        });
        Self { waves, level }
    }

    /// Multiplies each pixel with the share of it where `g > 0`, by the field's value and slope in its middle.
    pub(super) fn multiply(&self, image: &mut Image, window: &Window) {
        let middle = |begin: f64, k: usize| begin + (k as f64 + 0.5) * window.pixel;
        // cos(a + b) from the sines and cosines of its columns and rows.
        let along = |number: f64, begin: f64, phase: f64| -> Vec<(f64, f64)> {
            (0..window.size).map(|k| libm::sincos(number * middle(begin, k) + phase)).collect()
        };
        let cols = self.waves.map(|(wave, _)| along(wave[0], window.corner[0], 0.0));
        let rows = self.waves.map(|(wave, phase)| along(wave[1], window.corner[1], phase));
        for (i, line) in image.pixels.chunks_exact_mut(window.size.max(1)).enumerate() {
            for (j, pixel) in line.iter_mut().enumerate().filter(|(_, pixel)| **pixel != 0.0) {
                let (mut value, mut slope) = (-self.level, [0.0; 2]);
                for (k, (wave, _)) in self.waves.iter().enumerate() {
                    let ((s, c), (t, d)) = (cols[k][j], rows[k][i]);
                    value += c * d - s * t;
                    let sine = s * d + c * t;
                    slope = [slope[0] - wave[0] * sine, slope[1] - wave[1] * sine];
                }
                let width = (dot(slope, slope).sqrt() * window.pixel).max(1e-9);
                *pixel *= (0.5 + value / width).clamp(0.0, 1.0) as f32;
            }
        }
    }
}
