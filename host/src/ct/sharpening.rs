//! An approximate inverse of A A^T along the rows of a sinogram.

use super::geometry::Geometry;
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner, num_complex::Complex};
use std::f64::consts::PI;
use std::sync::Arc;

/// The symmetric positive filter M with the response f/(f + f_0), which makes `A M A^T` nearly the same for all that A
/// sees.
///
/// **Equation.** A bin of A A^T y sees the rows of the other views through bands that cross its own: a filter 1/f, the
/// ramp's inverse. Beyond `f_0 = N/(pi D)` cycles a bin, with N views of D bins, N views are too few to meet at such
/// detail (Crowther's criterion), and a bin sees little but itself. M undoes the sum of both.
///
/// **Shapes.** `[angle][bin]`, in place. Same bits for any number of threads.
pub(super) struct Sharpening {
    n_bins: usize,
    fft: [Arc<dyn Fft<f64>>; 2],
    /// Frequency response, the scale of the inverse transform included.
    response: Vec<f64>,
}

impl Sharpening {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let (n_views, n_bins) = (geometry.angles_rad.len(), geometry.n_bins);
        // Rows are linear, not circular: the filter is a section of a positive one, and positive.
        let n = (2 * n_bins).next_power_of_two();
        let mut planner = FftPlanner::new();
        let crossed = n_views as f64 / (PI * n_bins as f64);
        let response = |k: usize| {
            let frequency = k.min(n - k) as f64 / n as f64 + 0.5 / n_bins as f64;
            frequency / (frequency + crossed) / n as f64
        };
        let fft = [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        Self { n_bins, fft, response: (0..n).map(response).collect() }
    }

    /// M y. Two rows are filtered as one complex row: the response is real and even.
    pub(super) fn apply(&self, sinogram: &mut [f32]) {
        let (n_bins, n, fft) = (self.n_bins, self.response.len(), &self.fft);
        let scratch_len = fft.iter().map(|fft| fft.get_inplace_scratch_len()).max().unwrap_or(0);
        let zero = Complex::new(0.0, 0.0);
        sinogram.par_chunks_mut(2 * n_bins).for_each_init(
            || (vec![zero; n], vec![zero; scratch_len]),
            |(buffer, scratch), rows| {
                let (first, second) = rows.split_at_mut(n_bins);
                buffer.fill(zero);
                buffer.iter_mut().zip(&*first).for_each(|(to, &y)| to.re = f64::from(y));
                buffer.iter_mut().zip(&*second).for_each(|(to, &y)| to.im = f64::from(y));
                fft[0].process_with_scratch(buffer, scratch);
                buffer.iter_mut().zip(&self.response).for_each(|(value, gain)| *value *= gain);
                fft[1].process_with_scratch(buffer, scratch);
                first.iter_mut().zip(&*buffer).for_each(|(y, value)| *y = value.re as f32);
                second.iter_mut().zip(&*buffer).for_each(|(y, value)| *y = value.im as f32);
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::signed;
    use crate::vector::dot;

    /// An odd number of views, so that the last row has no partner.
    #[test]
    fn it_is_symmetric_and_positive() {
        let geometry = Geometry::covering(32, 32, 7);
        let sharpening = Sharpening::new(&geometry);
        for seed in 0..4 {
            let [x, y] = [seed, 9 + seed].map(|seed| signed(geometry.sinogram_len(), seed));
            let [mx, my] = [&x, &y].map(|of| {
                let mut of = of.clone();
                sharpening.apply(&mut of);
                of
            });
            let (one, other, size) = (dot(&mx, &y), dot(&x, &my), (dot(&x, &x) * dot(&y, &y)).sqrt());
            assert!((one - other).abs() < 1e-6 * size, "{one} {other}");
            assert!(dot(&x, &mx) > 0.0);
        }
    }

    #[test]
    fn it_damps_what_many_views_see_together() {
        let geometry = Geometry::covering(64, 64, 90);
        let shrunk = |of: fn(usize) -> f32| {
            let wave: Vec<f32> = (0..geometry.sinogram_len()).map(|k| of(k % geometry.n_bins)).collect();
            let mut sharpened = wave.clone();
            Sharpening::new(&geometry).apply(&mut sharpened);
            (dot(&sharpened, &sharpened) / dot(&wave, &wave)).sqrt()
        };
        let (flat, fine) = (shrunk(|_| 1.0), shrunk(|bin| if bin % 2 == 0 { 1.0 } else { -1.0 }));
        assert!(flat < 0.1 && (0.4..0.8).contains(&fine), "{flat} {fine}");
    }
}
