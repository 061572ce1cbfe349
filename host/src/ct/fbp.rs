//! Filtered backprojection.

use super::extension::extended_geometry;
use super::geometry::{Beam, Fan, Geometry};
use super::geometry_error::GeometryError;
use super::projection_error::{ProjectionError, check_lengths};
use super::ramp::RampFilter;
use super::resample::{Comb, LANES, Machine, PAD, Places};
use super::sight::Sight;
use super::view_weights::missing_bins;
use super::window::Window;
use pulp::Arch;
use rayon::prelude::*;

/// Image rows that one task backprojects.
const TILE: usize = 4;

/// Reconstructs by filtered backprojection.
///
/// **Equation.** x(r) = sum_a w_a (h * y_a)(s_a(r)), the Radon inversion formula as a sum over views (Kak and Slaney
/// 1988, eq. 3.61). s_a(r) is where the ray through pixel r meets the detector, between bins by linear interpolation;
/// outside the detector there is nothing.
/// h is the band-limited ramp, sampled in space so that it has no bias at frequency 0: with bins of width d,
/// h_0 = 1/(4 d^2), h_n = -1/(pi n d)^2 for odd n, else 0; times the window; rows are padded with zeros to at least
/// twice their length. w_a is half the angle to the neighbours on either side, modulo pi, so that views may be
/// unequally spaced and may cover pi or 2 pi; a wedge without views is left out.
///
/// In a fan, with D from the source to the axis (eqs. 3.86 and 3.75 there),
///
/// ```text
/// x(r) = sum_a (D / U_a(r))^2 (h * (w_a cos g y_a))(s_a(r)),
/// ```
///
/// where g is the angle from the middle of the fan, U_a(r) how far r is from the source, along the middle ray for a
/// flat detector and straight for a curved one, d the width of a bin at the axis, and w_a also shares a line between
/// the two rays that run along it, be there a full turn of views, half a turn and the fan, or less. On a curved
/// detector h_n is (n b / sin n b)^2 as large, b the angle between bins.
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
    filter: RampFilter,
    views: Views,
    /// Length of a filtered row.
    stride: usize,
    /// Filtered and weighted, `[angle][bin]` with zeros on either side.
    filtered: Vec<f32>,
}

/// Places of a row's pixels on the detector, view by view.
#[derive(Debug, Clone)]
enum Views {
    Parallel(Machine, Vec<Places>),
    Fan(Arch, Vec<Sight>),
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
        // Of a displaced detector, views from the other side see lines past its near end, and what the ramp leaves
        // there of its own view belongs to them.
        let added = missing_bins(&geometry);
        let whole = extended_geometry(&geometry, added);
        let views = match &whole.beam {
            Beam::Parallel => Views::parallel(&whole),
            Beam::Fan(fan) => Views::fan(&whole, fan),
        };
        let stride = whole.n_bins + 2 * PAD;
        let filtered = vec![0.0; geometry.angles_rad.len() * stride];
        Ok(Self { filter: RampFilter::new(&geometry, added, window), views, stride, filtered, geometry })
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
        self.filter.apply(sinogram, &mut self.filtered);
        let (width, stride) = (self.geometry.width, self.stride);
        let (filtered, views) = (&self.filtered, &self.views);
        image.par_chunks_mut(TILE * width).enumerate().for_each(|(tile, rows)| {
            for (i, row) in rows.chunks_mut(width).enumerate() {
                views.smear(filtered, stride, tile * TILE + i, row);
            }
        });
        Ok(())
    }
}

impl Views {
    fn parallel(geometry: &Geometry) -> Self {
        let views = geometry.angles_rad.iter().map(|&angle| {
            let (sin, cos) = angle.sin_cos();
            let step = geometry.pixel_mm / geometry.bin_width_mm;
            let corner = geometry.column_x_mm(0.0) * cos + geometry.row_y_mm(0.0) * sin;
            let comb = Comb::new(cos * step, 1.0);
            Places { first: geometry.bin_at(corner), per_line: -sin * step, comb }
        });
        Self::Parallel(Machine::detect(), views.collect())
    }

    fn fan(geometry: &Geometry, fan: &Fan) -> Self {
        let sights = (0..geometry.angles_rad.len()).map(|view| Sight::new(geometry, fan, view, true));
        Self::Fan(Arch::new(), sights.collect())
    }

    /// Sums the views on one image row (overwrites); a row of `filtered` has `stride` values.
    fn smear(&self, filtered: &[f32], stride: usize, row: usize, pixels: &mut [f32]) {
        match self {
            Self::Parallel(machine, views) => {
                for (block, pixels) in pixels.chunks_mut(LANES).enumerate() {
                    let sum = machine.sample_lines(filtered.chunks_exact(stride).zip(views).map(
                        #[inline(always)]
                        |(bins, places)| (bins, places.at(row, block), &places.comb),
                    ));
                    pixels.copy_from_slice(&sum[..pixels.len()]);
                }
            }
            Self::Fan(arch, views) => arch.dispatch(
                #[inline(always)]
                || {
                    pixels.fill(0.0);
                    for (bins, sight) in filtered.chunks_exact(stride).zip(views) {
                        for (col, pixel) in pixels.iter_mut().enumerate() {
                            *pixel += sight.sample(bins, row as f64, col as f64);
                        }
                    }
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::Detector;
    use super::super::test_support::*;
    use super::*;
    use std::f64::consts::{PI, TAU};

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

    /// Half of the detector, and a little more, over a full turn sees every line at least once.
    #[test]
    fn a_displaced_detector_over_a_full_turn_gives_the_same_value() {
        let full = Geometry {
            angles_rad: (0..360).map(|k| f64::from(k).to_radians()).collect(),
            ..Geometry::covering(96, 96, 1)
        };
        for (n_bins, offset) in [(80, -28.0), (80, 28.0), (100, 17.0)] {
            let g = Geometry { n_bins, detector_offset_mm: offset, ..full.clone() };
            let disc = disc_for(&g);
            let image = reconstruct(&g, Window::Hann, &analytic_sinogram(&g, &[disc]));
            let (mean, worst) = inside(&g, &image, &disc);
            assert!((mean / disc.value - 1.0).abs() < 0.01 && worst / disc.value < 0.03, "{mean} {worst} {offset}");
        }
    }

    /// Ten views over a quarter of a turn: the wedge that nobody measured is not filled by the views at its ends.
    #[test]
    fn few_views_over_part_of_a_turn_do_not_stand_for_the_rest() {
        let angles_rad = (0..10).map(|k| f64::from(k) * PI / 20.0).collect();
        let g = Geometry { angles_rad, ..Geometry::covering(96, 96, 1) };
        let disc = [disc_for(&g)];
        let image = reconstruct(&g, Window::Hann, &analytic_sinogram(&g, &disc));
        let error = relative_error(&image, &draw(&g, &disc, 8));
        println!("relative error {error}");
        assert!(error < 0.75, "{error}");
    }

    fn fan(detector: Detector, n: usize, n_views: usize, turn: f64) -> Geometry {
        let fan = Fan { detector, source_to_axis_mm: 1.7 * n as f64, source_to_detector_mm: 2.5 * n as f64 };
        let angles_rad = (0..n_views).map(|k| 0.4 + turn * k as f64 / n_views as f64).collect();
        Geometry { angles_rad, ..Geometry::covering_by_fan(n, n, 1, fan) }
    }

    #[test]
    fn a_disc_comes_back_from_fans() {
        for detector in [Detector::Flat, Detector::Curved] {
            // A full turn, half a turn and the fan (half the fan is 0.43), and some more.
            for turn in [TAU, PI + 0.9, PI + 1.6] {
                let errors = [64, 128, 256].map(|n| {
                    let g = fan(detector, n, 600 * n / 256, turn);
                    let disc = disc_for(&g);
                    let image = reconstruct(&g, Window::Ramp, &analytic_sinogram(&g, &[disc]));
                    let (mean, worst) = inside(&g, &image, &disc);
                    println!("{detector:?}, {turn}, {n}: mean {}, worst {}", mean / disc.value, worst / disc.value);
                    assert!((mean / disc.value - 1.0).abs() < 0.01);
                    assert!(n < 256 || worst / disc.value < 0.01);
                    relative_error(&image, &draw(&g, &[disc], 8))
                });
                println!("relative L2 errors {errors:?}");
                assert!(errors[0] > errors[1] && errors[1] > errors[2], "{errors:?}");
            }
        }
    }

    #[test]
    fn fans_of_any_unit_offset_and_set_of_angles_give_the_same_value() {
        for detector in [Detector::Flat, Detector::Curved] {
            let full = fan(detector, 96, 360, TAU);
            let scaled = full.scaled(0.4);
            let offset = Geometry { detector_offset_mm: -19.3, n_bins: 180, ..full.clone() };
            let mut squeezed = full.clone();
            squeezed.angles_rad.iter_mut().for_each(|a| *a += 0.3 * (2.0 * *a).sin());
            let backwards: Vec<f64> = full.angles_rad.iter().rev().map(|a| 2.0 - a).collect();
            let backwards = Geometry { angles_rad: backwards, ..full.clone() };
            let mut shuffled = fan(detector, 96, 240, PI + 1.2);
            shuffled.angles_rad = (0..240).map(|k| shuffled.angles_rad[k * 77 % 240]).collect();
            let fine = Geometry { n_bins: 411, bin_width_mm: full.bin_width_mm / 3.0, ..full.clone() };
            for g in [full, scaled, offset, squeezed, backwards, shuffled, fine] {
                let disc = disc_for(&g);
                let image = reconstruct(&g, Window::Hann, &analytic_sinogram(&g, &[disc]));
                let (mean, _) = inside(&g, &image, &disc);
                assert!((mean / disc.value - 1.0).abs() < 0.01, "{} {g:?}", mean / disc.value);
            }
        }
    }

    /// Views of 2 rad: what is seen once must not be taken for half.
    #[test]
    fn part_of_a_turn_keeps_the_mean_along_seen_directions() {
        let (part, full) = (fan(Detector::Flat, 96, 200, 2.0), fan(Detector::Flat, 96, 628, TAU));
        let disc = disc_for(&part);
        let of = |g: &Geometry| reconstruct(g, Window::Hann, &analytic_sinogram(g, &[disc]));
        let value = |image: &[f32]| inside(&part, image, &disc).0 / disc.value;
        let (part, full) = (value(&of(&part)), value(&of(&full)));
        println!("2 rad: {part}, full turn: {full}");
        // 2 of pi rad of directions are seen.
        assert!((part / full - 2.0 / PI).abs() < 0.05, "{part} {full}");
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
    fn any_number_of_threads_gives_the_same_bits() {
        for g in [Geometry::covering(50, 61, 19), fan(Detector::Curved, 53, 19, 4.0)] {
            let sinogram = signed(g.sinogram_len(), 4);
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let image = pool.install(|| reconstruct(&g, Window::Hann, &sinogram));
                image.iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
            };
            assert_eq!(run(1), run(2));
            assert_eq!(run(1), run(3));
        }
    }

    #[test]
    fn wrong_lengths_are_told() {
        let g = Geometry::covering(8, 8, 3);
        let mut fbp = FilteredBackprojector::new(g, Window::Ramp).unwrap();
        assert!(fbp.filtered_backproject(&[0.0; 5], &mut [0.0; 64]).is_err());
    }
}
