//! The ramp filter along the rows of a sinogram.

use super::extension::extended_geometry;
use super::geometry::{Beam, Detector, Geometry};
use super::resample::PAD;
use super::view_weights::{angle_weights, displaced_weights, ray_weights};
use super::window::Window;
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner, num_complex::Complex};
use std::f64::consts::PI;
use std::sync::Arc;

/// No two bins of a curved detector are farther apart.
const WIDEST_RAD: f64 = 0.9 * PI;

/// Filters rows and weighs them for the sum over views; the equations stand at
/// [`FilteredBackprojector`](super::FilteredBackprojector).
#[derive(Clone)]
pub(super) struct RampFilter {
    n_bins: usize,
    /// Bins that are added at the lower and upper end, in which nothing was measured.
    added: [usize; 2],
    fft: [Arc<dyn Fft<f64>>; 2],
    /// Frequency response, the scale of the inverse transform included.
    response: Vec<f64>,
    /// Factors on the values before the filter, `[angle][bin]`: those of a fan, and of a displaced detector.
    rays: Vec<f64>,
    /// Factors on the rows after it.
    views: Vec<f64>,
}

impl RampFilter {
    /// Filtered rows go on over the bins `added` to the geometry's at either end.
    pub(super) fn new(geometry: &Geometry, added: [usize; 2], window: Window) -> Self {
        let n = (2 * (geometry.n_bins + added[0] + added[1])).next_power_of_two();
        let mut planner = FftPlanner::new();
        let fft = [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        let (rays, views) = match geometry.beam {
            Beam::Parallel => {
                if added == [0, 0] {
                    (Vec::new(), angle_weights(&geometry.angles_rad))
                } else {
                    (displaced_weights(geometry), vec![1.0; geometry.angles_rad.len()])
                }
            }
            Beam::Fan(fan) => {
                let mut rays = ray_weights(geometry, &fan);
                let cosines: Vec<f64> =
                    (0..geometry.n_bins).map(|k| fan.sin_cos(geometry.bin_position_mm(k as f64)).1).collect();
                rays.iter_mut().zip(cosines.iter().cycle()).for_each(|(weight, cosine)| *weight *= cosine);
                (rays, vec![1.0; geometry.angles_rad.len()])
            }
        };
        let response = response(&*fft[0], window, &extended_geometry(geometry, added));
        Self { n_bins: geometry.n_bins, added, response, fft, rays, views }
    }

    /// Filters `sinogram`, two rows as one complex row, as the response is real and even; `filtered` has [`PAD`] zeros
    /// on either side of each row, and keeps them.
    pub(super) fn apply(&self, sinogram: &[f32], filtered: &mut [f32]) {
        let (n_bins, n) = (self.n_bins, self.response.len());
        let [below, above] = self.added;
        let row = below + n_bins + above;
        let (fft, response) = (&self.fft, &self.response);
        let zero = Complex::new(0.0, 0.0);
        let scratch_len = fft.iter().map(|fft| fft.get_inplace_scratch_len()).max().unwrap_or(0);
        let pairs = filtered.par_chunks_mut(2 * (row + 2 * PAD)).zip(sinogram.par_chunks(2 * n_bins));
        pairs.zip(self.views.par_chunks(2)).enumerate().for_each_init(
            || (vec![zero; n], vec![zero; scratch_len]),
            |(buffer, scratch), (pair, ((filtered, rows), views))| {
                let (first, second) = rows.split_at(n_bins);
                buffer.fill(zero);
                buffer.iter_mut().skip(below).zip(first).for_each(|(to, &y)| to.re = f64::from(y));
                buffer.iter_mut().skip(below).zip(second).for_each(|(to, &y)| to.im = f64::from(y));
                for (view, weights) in self.rays.chunks_exact(n_bins).skip(2 * pair).take(2).enumerate() {
                    let parts = buffer
                        .iter_mut()
                        .skip(below)
                        .map(|value| if view == 0 { &mut value.re } else { &mut value.im });
                    parts.zip(weights).for_each(|(part, weight)| *part *= weight);
                }
                fft[0].process_with_scratch(buffer, scratch);
                buffer.iter_mut().zip(response).for_each(|(value, gain)| *value *= gain);
                fft[1].process_with_scratch(buffer, scratch);
                for (part, (padded, weight)) in filtered.chunks_mut(row + 2 * PAD).zip(views).enumerate() {
                    let values = buffer.iter().map(|value| if part == 0 { value.re } else { value.im });
                    padded[PAD..PAD + row].iter_mut().zip(values).for_each(|(to, v)| *to = (v * weight) as f32);
                }
            },
        );
    }
}

/// The ramp filter's response on the transform's frequencies, times the window, divided by the transform's length.
///
/// h_0 = 1/(4 d^2), h_n = -1/(pi n d)^2 for odd n, else 0, times d, where d is the distance from bin to bin, in a fan
/// brought to the axis. On a curved detector, whose bins are apart by b in angle, taps are (n b / sin n b)^2 as large;
/// those that no two bins are apart are left as they are.
fn response(fft: &dyn Fft<f64>, window: Window, geometry: &Geometry) -> Vec<f64> {
    let n = fft.len();
    let (width_mm, spread): (f64, Box<dyn Fn(usize) -> f64>) = match geometry.beam {
        Beam::Parallel => (geometry.bin_width_mm, Box::new(|_| 1.0)),
        Beam::Fan(fan) => {
            let width_mm = geometry.bin_width_mm * fan.source_to_axis_mm / fan.source_to_detector_mm;
            let angle = match fan.detector {
                Detector::Flat => 0.0,
                Detector::Curved => geometry.bin_width_mm / fan.source_to_detector_mm,
            };
            let n_bins = geometry.n_bins;
            let spread = move |apart: usize| {
                let angle = angle * apart as f64;
                if angle > 0.0 && angle < WIDEST_RAD && apart < n_bins { (angle / angle.sin()).powi(2) } else { 1.0 }
            };
            (width_mm, Box::new(spread))
        }
    };
    let mut kernel: Vec<Complex<f64>> = (0..n)
        .map(|i| match i.min(n - i) {
            0 => 0.25,
            apart if apart % 2 == 1 => -(PI * apart as f64).powi(-2) * spread(apart),
            _ => 0.0,
        })
        .map(|tap| Complex::new(tap / width_mm, 0.0))
        .collect();
    fft.process(&mut kernel);
    let frequency = |i: usize| i.min(n - i) as f64 / n as f64;
    kernel.iter().enumerate().map(|(i, value)| value.re * window.gain(frequency(i)) / n as f64).collect()
}
