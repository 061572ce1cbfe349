//! Filtered backprojection.

use super::geometry::Geometry;
use super::geometry_error::GeometryError;
use super::projection_error::{ProjectionError, check_lengths};
use super::resample::{Comb, LANES, Machine, PAD, Places};
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner, num_complex::Complex};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::sync::Arc;

/// Image rows that one task backprojects.
const TILE: usize = 4;

/// A gap between neighbouring angles counts as a wedge nobody measured when it is this many times the mean gap.
const WEDGE: f64 = 8.0;

/// What tames the ramp filter's high frequencies; f is in cycles per bin, at most 1/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// 1: sharpest, noisiest.
    #[default]
    Ramp,
    /// sin(pi f) / (pi f): 0.64 at the highest frequency.
    SheppLogan,
    /// (1 + cos(2 pi f)) / 2: 0 at the highest frequency, smoothest.
    Hann,
}

impl Window {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Ramp, "ramp"), (Self::SheppLogan, "shepp-logan"), (Self::Hann, "hann")];

    fn gain(self, f: f64) -> f64 {
        match self {
            Self::Ramp => 1.0,
            Self::SheppLogan if f == 0.0 => 1.0,
            Self::SheppLogan => (PI * f).sin() / (PI * f),
            Self::Hann => 0.5 + 0.5 * (2.0 * PI * f).cos(),
        }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(Self::ALL.iter().find(|(window, _)| window == self).map_or("", |(_, name)| name))
    }
}

/// A name that is no window's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a filter window; choose `ramp`, `shepp-logan` or `hann`")]
pub struct UnknownWindow(pub String);

impl std::str::FromStr for Window {
    type Err = UnknownWindow;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|&(window, _)| window).ok_or_else(|| UnknownWindow(name.to_owned()))
    }
}

/// Reconstructs by filtered backprojection.
///
/// **Equation.** x(r) = sum_a w_a (h * y_a)(s_a(r)), the Radon inversion formula as a sum over views (Kak and Slaney
/// 1988, eq. 3.61). s_a(r) is where the ray through pixel r meets the detector, between bins by linear interpolation;
/// outside the detector there is nothing.
/// h is the band-limited ramp, sampled in space so that it has no bias at frequency 0: with bins of width d,
/// h_0 = 1/(4 d^2), h_n = -1/(pi n d)^2 for odd n, else 0; times the window; rows are padded with zeros to at least twice their
/// length. w_a is half the angle to the neighbours on either side, modulo pi, so that views may be
/// unequally spaced and may cover pi or 2 pi; a wedge without views is left out.
///
/// **Shapes and units.** Sinogram `[angle][bin]` without unit, image `[row][col]` in 1/mm.
///
/// **Determinism.** Any number of threads gives the same bits.
///
/// # Examples
/// ```
/// use gradus::ct::{FilteredBackprojector, Geometry, Window};
/// let geometry = Geometry::covering(64, 64, 30);
/// let sinogram = vec![0.0; geometry.sinogram_len()];
/// let mut image = vec![0.0; geometry.image_len()];
/// FilteredBackprojector::new(geometry, Window::Hann)?.filtered_backproject(&sinogram, &mut image)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FilteredBackprojector {
    geometry: Geometry,
    machine: Machine,
    fft: [Arc<dyn Fft<f64>>; 2],
    /// Frequency response, the scale of the inverse transform included.
    response: Vec<f64>,
    views: Vec<View>,
    /// Filtered and weighted, `[angle][bin]` with zeros on either side.
    filtered: Vec<f32>,
}

/// One angle of the backprojection, with the places of a row's pixels on the detector.
#[derive(Debug, Clone)]
struct View {
    weight: f64,
    pixels_on_detector: Places,
}

impl std::fmt::Debug for FilteredBackprojector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilteredBackprojector").field("geometry", &self.geometry).finish_non_exhaustive()
    }
}

impl FilteredBackprojector {
    /// Prepares filter and weights and allocates the buffers.
    ///
    /// # Errors
    /// [`GeometryError`] when the geometry makes no sense.
    pub fn new(geometry: Geometry, window: Window) -> Result<Self, GeometryError> {
        geometry.validate()?;
        let n = (2 * geometry.n_bins).next_power_of_two();
        let mut planner = FftPlanner::new();
        let fft = [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        let views = geometry.angles_rad.iter().zip(angle_weights(&geometry.angles_rad)).map(|(&angle, weight)| {
            let (sin, cos) = angle.sin_cos();
            let step = geometry.pixel_mm / geometry.bin_width_mm;
            let corner = geometry.column_x_mm(0.0) * cos + geometry.row_y_mm(0.0) * sin;
            let comb = Comb::new(cos * step, 1.0);
            let places = Places { first: geometry.bin_at(corner), per_line: -sin * step, comb };
            View { weight, pixels_on_detector: places }
        });
        Ok(Self {
            machine: Machine::detect(),
            response: response(&*fft[0], window, geometry.bin_width_mm),
            fft,
            views: views.collect(),
            filtered: vec![0.0; geometry.angles_rad.len() * (geometry.n_bins + 2 * PAD)],
            geometry,
        })
    }

    /// The geometry this reconstruction was made for.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Reconstructs `image` from `sinogram` (overwrites).
    ///
    /// # Errors
    /// [`ProjectionError`] when a buffer has the wrong length; nothing is written then.
    ///
    /// # Accuracy
    /// 1 % inside a disc of 256 x 256 pixels from 360 views, and an error that falls with resolution
    /// (`a_disc_comes_back`).
    pub fn filtered_backproject(&mut self, sinogram: &[f32], image: &mut [f32]) -> Result<(), ProjectionError> {
        check_lengths(&self.geometry, image.len(), sinogram.len())?;
        self.filter(sinogram);
        let (width, stride) = (self.geometry.width, self.geometry.n_bins + 2 * PAD);
        let (filtered, views, machine) = (&self.filtered, &self.views, self.machine);
        image.par_chunks_mut(TILE * width).enumerate().for_each(|(tile, rows)| {
            for (i, row) in rows.chunks_mut(width).enumerate() {
                let line = tile * TILE + i;
                for (block, pixels) in row.chunks_mut(LANES).enumerate() {
                    let sum = machine.sample_lines(filtered.chunks_exact(stride).zip(views).map(
                        #[inline(always)]
                        |(bins, View { pixels_on_detector: places, .. })| (bins, places.at(line, block), &places.comb),
                    ));
                    pixels.copy_from_slice(&sum[..pixels.len()]);
                }
            }
        });
        Ok(())
    }

    /// Filters and weights the rows, two real ones as one complex row: the response is real and even.
    fn filter(&mut self, sinogram: &[f32]) {
        let (n_bins, n) = (self.geometry.n_bins, self.response.len());
        let (fft, response) = (&self.fft, &self.response);
        let zero = Complex::new(0.0, 0.0);
        let scratch_len = fft.iter().map(|fft| fft.get_inplace_scratch_len()).max().unwrap_or(0);
        let pairs = self.filtered.par_chunks_mut(2 * (n_bins + 2 * PAD));
        pairs.zip(sinogram.par_chunks(2 * n_bins)).zip(self.views.par_chunks(2)).for_each_init(
            || (vec![zero; n], vec![zero; scratch_len]),
            |(buffer, scratch), ((filtered, rows), views)| {
                let (first, second) = rows.split_at(n_bins);
                buffer.fill(zero);
                buffer.iter_mut().zip(first).for_each(|(to, &y)| to.re = f64::from(y));
                buffer.iter_mut().zip(second).for_each(|(to, &y)| to.im = f64::from(y));
                fft[0].process_with_scratch(buffer, scratch);
                buffer.iter_mut().zip(response).for_each(|(value, gain)| *value *= gain);
                fft[1].process_with_scratch(buffer, scratch);
                for (part, (padded, view)) in filtered.chunks_mut(n_bins + 2 * PAD).zip(views).enumerate() {
                    let values = buffer.iter().map(|value| if part == 0 { value.re } else { value.im });
                    padded[PAD..PAD + n_bins].iter_mut().zip(values).for_each(|(to, v)| *to = (v * view.weight) as f32);
                }
            },
        );
    }
}

/// The ramp filter's response on the transform's frequencies, times the window, divided by the transform's length.
fn response(fft: &dyn Fft<f64>, window: Window, bin_width_mm: f64) -> Vec<f64> {
    let n = fft.len();
    let mut kernel: Vec<Complex<f64>> = (0..n)
        .map(|i| match i.min(n - i) {
            0 => 0.25,
            distance if distance % 2 == 1 => -(PI * distance as f64).powi(-2),
            _ => 0.0,
        })
        .map(|tap| Complex::new(tap / bin_width_mm, 0.0))
        .collect();
    fft.process(&mut kernel);
    let frequency = |i: usize| i.min(n - i) as f64 / n as f64;
    kernel.iter().enumerate().map(|(i, value)| value.re * window.gain(frequency(i)) / n as f64).collect()
}

/// The share of the half circle that each view stands for; adds up to pi unless a wedge is missing.
fn angle_weights(angles_rad: &[f64]) -> Vec<f64> {
    let n = angles_rad.len();
    let mut order: Vec<(f64, usize)> = angles_rad.iter().map(|a| a.rem_euclid(PI)).zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let gap = |i: usize| if i + 1 < n { order[i + 1].0 - order[i].0 } else { order[0].0 + PI - order[i].0 };
    let is_wedge = |gap: f64| gap > WEDGE * PI / n as f64;
    let missing: Vec<f64> = (0..n).map(gap).filter(|&g| is_wedge(g)).collect();
    let typical = (PI - missing.iter().sum::<f64>()) / (n - missing.len()).max(1) as f64;
    let gaps: Vec<f64> = (0..n).map(gap).map(|g| if is_wedge(g) { typical } else { g }).collect();
    let mut weights = vec![0.0; n];
    for (i, &(_, view)) in order.iter().enumerate() {
        weights[view] = 0.5 * (gaps[i] + gaps[(i + n - 1) % n]);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::super::test_support::*;
    use super::*;

    fn reconstruct(g: &Geometry, window: Window, sinogram: &[f32]) -> Vec<f32> {
        let mut image = vec![f32::NAN; g.image_len()];
        FilteredBackprojector::new(g.clone(), window).unwrap().filtered_backproject(sinogram, &mut image).unwrap();
        image
    }

    /// Mean and largest deviation from `value` over the inner 80 % of a disc.
    fn inside(g: &Geometry, image: &[f32], disc: &Ellipse) -> (f64, f64) {
        let inner = Ellipse { half_axes: (0.8 * disc.half_axes.0, 0.8 * disc.half_axes.1), ..*disc };
        let at = |i: usize| (g.column_x_mm((i % g.width) as f64), g.row_y_mm((i / g.width) as f64));
        let values: Vec<f64> =
            (0..image.len()).filter(|&i| inner.contains(at(i).0, at(i).1)).map(|i| f64::from(image[i])).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().fold(0.0, |worst, v| worst.max((v - disc.value).abs())))
    }

    fn disc_for(g: &Geometry) -> Ellipse {
        let side = g.height as f64 * g.pixel_mm;
        Ellipse::disc(0.021, 0.3 * side, (0.1 * side, 0.05 * side))
    }

    #[test]
    fn a_disc_comes_back() {
        let errors = [64, 128, 256].map(|n| {
            let g = Geometry::covering(n, n, 360 * n / 256);
            let disc = disc_for(&g);
            let image = reconstruct(&g, Window::Ramp, &analytic_sinogram(&g, &[disc]));
            let (mean, worst) = inside(&g, &image, &disc);
            println!("{n}: mean {}, worst {}", mean / disc.value, worst / disc.value);
            assert!((mean / disc.value - 1.0).abs() < 0.01);
            assert!(n < 256 || worst / disc.value < 0.01);
            relative_error(&image, &draw(&g, &[disc], 8))
        });
        println!("relative L2 errors {errors:?}");
        assert!(errors[0] > errors[1] && errors[1] > errors[2], "{errors:?}");
    }

    #[test]
    fn units_offsets_and_any_set_of_angles_give_the_same_value() {
        let square = Geometry::covering(96, 96, 180);
        let scaled = Geometry { pixel_mm: 0.4, bin_width_mm: 0.4 * square.bin_width_mm, ..square.clone() };
        let wider = Geometry { n_bins: 200, ..square.clone() };
        let mut squeezed = square.clone(); // denser around pi/2, still unequal at the seam
        squeezed.angles_rad.iter_mut().for_each(|a| *a += 0.3 * (2.0 * *a).sin());
        let full = Geometry { angles_rad: (0..360).map(|k| f64::from(k) * PI / 180.0).collect(), ..square.clone() };
        let backwards = Geometry { angles_rad: square.angles_rad.iter().rev().map(|a| -a).collect(), ..square.clone() };
        let offset = Geometry { detector_offset_mm: -9.3, ..wider.clone() };
        let coarse = Geometry { n_bins: 60, bin_width_mm: 2.6, ..square.clone() };
        let fine = Geometry { n_bins: 450, bin_width_mm: 0.35, ..square.clone() };
        for g in [square, scaled, wider, squeezed, full, backwards, offset, coarse, fine] {
            for window in [Window::Ramp, Window::SheppLogan, Window::Hann] {
                let disc = disc_for(&g);
                let image = reconstruct(&g, window, &analytic_sinogram(&g, &[disc]));
                let (mean, _) = inside(&g, &image, &disc);
                assert!((mean / disc.value - 1.0).abs() < 0.01, "{window} {} {g:?}", mean / disc.value);
            }
        }
    }

    #[test]
    fn a_wrong_offset_shows() {
        let g = Geometry { n_bins: 200, detector_offset_mm: -9.3, ..Geometry::covering(96, 96, 180) };
        let disc = [disc_for(&g)];
        let (sinogram, truth) = (analytic_sinogram(&g, &disc), draw(&g, &disc, 8));
        let error = |offset| {
            let g = Geometry { detector_offset_mm: offset, ..g.clone() };
            relative_error(&reconstruct(&g, Window::Ramp, &sinogram), &truth)
        };
        assert!(4.0 * error(-9.3) < error(0.0) && 4.0 * error(-9.3) < error(9.3), "{} {}", error(-9.3), error(0.0));
    }

    #[test]
    fn weights_add_up_to_the_half_circle_and_skip_a_wedge() {
        let even: Vec<f64> = (0..60).map(|k| (f64::from(k) + 0.5) * PI / 60.0).collect();
        assert!(angle_weights(&even).iter().all(|w| (w - PI / 60.0).abs() < 1e-12));
        let wedge = angle_weights(&even[..40]);
        assert!(wedge.iter().all(|w| (w - PI / 60.0).abs() < 1e-12), "{wedge:?}");
        let golden: Vec<f64> = (0..50).map(|k| f64::from(k) * 1.941_611).collect();
        assert!((angle_weights(&golden).iter().sum::<f64>() - PI).abs() < 1e-12);
        assert_eq!(angle_weights(&[0.4]), [PI]);
        assert!((angle_weights(&[0.4, 0.4]).iter().sum::<f64>() - PI).abs() < 1e-12);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let g = Geometry::covering(50, 61, 19);
        let sinogram = signed(g.sinogram_len(), 4);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| reconstruct(&g, Window::Hann, &sinogram)).iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn windows_have_names() {
        for (window, name) in Window::ALL {
            assert_eq!((name.parse(), window.to_string()), (Ok(window), name.to_owned()));
            assert_eq!(serde_json::to_string(&window).unwrap(), format!("\"{name}\""));
        }
        assert!("cosine".parse::<Window>().unwrap_err().to_string().contains("`cosine`"));
    }

    #[test]
    fn wrong_lengths_are_told() {
        let g = Geometry::covering(8, 8, 3);
        let mut fbp = FilteredBackprojector::new(g, Window::Ramp).unwrap();
        assert!(fbp.filtered_backproject(&[0.0; 5], &mut [0.0; 64]).is_err());
    }
}
