//! Views that an object reaches beyond, continued past the detector's ends.

use super::geometry::Geometry;

/// Bins at an end whose fall says how far an object goes on.
const END: usize = 6;

/// A round object on the axis, as the last bins at an end of a view see it.
///
/// **Equation.** y^2 = c (R^2 - s^2), s and R in bins from the axis: the line through y^2 over s^2 at the last six bins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cylinder {
    /// c.
    density: f64,
    /// R^2; infinite where line integrals do not fall towards the end.
    radius_squared: f64,
    /// s at the end.
    end: f64,
}

impl Cylinder {
    /// The one that fits an end of a view; `None` for a view of fewer than twelve bins, and where the end has none.
    #[must_use]
    pub fn at_end(geometry: &Geometry, view: &[f32], is_upper: bool) -> Option<Self> {
        if view.len() < 2 * END || view.len() != geometry.n_bins {
            return None;
        }
        let bin = |k: usize| if is_upper { view.len() - 1 - k } else { k };
        let place = |k: usize| (geometry.bin_position_mm(bin(k) as f64) / geometry.bin_width_mm).abs();
        let squares: [f64; END] = std::array::from_fn(|k| f64::from(view[bin(k)]) * f64::from(view[bin(k)].abs()));
        let places: [f64; END] = std::array::from_fn(|k| place(k) * place(k));
        let mean = |values: &[f64; END]| values.iter().sum::<f64>() / END as f64;
        let (square, middle) = (mean(&squares), mean(&places));
        let spread: f64 = places.iter().map(|place| (place - middle).powi(2)).sum();
        let rise: f64 = places.iter().zip(&squares).map(|(place, y)| (middle - place) * (y - square)).sum();
        if square <= 0.0 || spread <= 0.0 {
            return None;
        }
        let density = rise / spread;
        let radius_squared = if density > 0.0 { middle + square / density } else { f64::INFINITY };
        Some(Self { density, radius_squared, end: place(0) })
    }

    /// Bins from the end to where the object ends.
    #[must_use]
    pub fn bins_beyond(&self) -> f64 {
        self.radius_squared.max(0.0).sqrt() - self.end
    }

    /// The line integral `k` bins beyond the end, of an object that ends `most` bins from there at the latest; `square`
    /// is that of the line integral at the end.
    fn beyond(&self, k: usize, most: usize, square: f64) -> f64 {
        let (at, largest) = (self.end + k as f64, self.end + most as f64);
        if self.radius_squared <= largest * largest {
            return (self.density * (self.radius_squared - at * at)).max(0.0).sqrt();
        }
        let share = (largest * largest - at * at) / (largest * largest - self.end * self.end);
        (square * share.max(0.0)).sqrt()
    }
}

/// The geometry of a detector with so many bins more at its lower and upper end.
#[must_use]
pub fn extended_geometry(geometry: &Geometry, bins: [usize; 2]) -> Geometry {
    let shift = (bins[0] as f64 - bins[1] as f64) / 2.0;
    Geometry {
        n_bins: geometry.n_bins + bins[0] + bins[1],
        detector_offset_mm: geometry.detector_offset_mm + shift * geometry.bin_width_mm,
        ..geometry.clone()
    }
}

/// The sinogram on that detector, each view continued as by a cylinder that fits its ends (Hsieh et al. 2004, Med. Phys.
/// 31, 2385).
#[must_use]
pub fn extended_sinogram(geometry: &Geometry, sinogram: &[f32], bins: [usize; 2]) -> Vec<f32> {
    let continued = |view: &[f32], is_upper: bool| -> Vec<f32> {
        let most = bins[usize::from(is_upper)];
        let last = f64::from(if is_upper { view[view.len() - 1] } else { view[0] }.max(0.0));
        match Cylinder::at_end(geometry, view, is_upper) {
            Some(cylinder) => (1..=most).map(|k| cylinder.beyond(k, most, last * last) as f32).collect(),
            None => vec![0.0; most],
        }
    };
    let extended = |view: &[f32]| -> Vec<f32> {
        let lower = continued(view, false).into_iter().rev();
        lower.chain(view.iter().copied()).chain(continued(view, true)).collect()
    };
    sinogram.chunks_exact(geometry.n_bins.max(1)).flat_map(extended).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fbp::FilteredBackprojector;
    use super::super::test_support::{Ellipse, analytic_sinogram, relative_error};
    use super::super::window::Window;
    use super::*;

    #[test]
    fn a_cylinder_is_continued_to_its_edge() {
        let g = Geometry { n_bins: 64, bin_width_mm: 1.0, ..Geometry::covering(64, 64, 90) };
        let disc = Ellipse::disc(0.02, 45.0, (0.0, 0.0));
        let (more, whole) = ([20, 16], extended_geometry(&g, [20, 16]));
        assert_eq!((whole.n_bins, whole.bin_position_mm(20.0)), (100, g.bin_position_mm(0.0)));
        let found = extended_sinogram(&g, &analytic_sinogram(&g, &[disc]), more);
        let wanted = analytic_sinogram(&whole, &[disc]);
        assert!(relative_error(&found, &wanted) < 0.03, "{}", relative_error(&found, &wanted));
        // Inside, filtered backprojection is right where it was half too dense.
        let middle = |g: &Geometry, sinogram: &[f32]| {
            let mut image = vec![0.0; g.image_len()];
            FilteredBackprojector::new(g.clone(), Window::Hann)
                .unwrap()
                .filtered_backproject(sinogram, &mut image)
                .unwrap();
            f64::from(image[32 * 64 + 32]) / 0.02
        };
        let (cut, continued) = (middle(&g, &analytic_sinogram(&g, &[disc])), middle(&whole, &found));
        println!("cut off {cut}, continued {continued}");
        assert!(cut > 1.1 && (continued - 1.0).abs() < 0.02, "{cut} {continued}");
    }

    #[test]
    fn ends_in_air_and_narrow_views_are_continued_by_nothing() {
        let of = |n_bins: usize| Geometry { n_bins, bin_width_mm: 1.0, ..Geometry::covering(8, 8, 2) };
        assert_eq!(extended_sinogram(&of(12), &[0.0; 24], [2, 3]), vec![0.0; 34]);
        assert_eq!(extended_sinogram(&of(2), &[1.0; 4], [1, 1]), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(extended_sinogram(&of(4), &[1.0; 4], [0, 0]), [1.0; 4]);
        let level = Cylinder::at_end(&of(12), &[1.0; 12], true).unwrap();
        assert!(level.bins_beyond().is_infinite() && level.beyond(3, 3, 1.0) == 0.0 && level.beyond(1, 3, 1.0) > 0.5);
    }
}
