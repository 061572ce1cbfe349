//! Scans on larger pixels, with neighbouring bins taken together.

use crate::ct::Geometry;
use crate::data::scan::Scan;

/// The same scan with `factor` x `factor` pixels as one, and as many bins; bins that are left over at the upper end are
/// left out. Sides must be multiples of `factor`.
pub(super) fn coarse(scan: &Scan, factor: usize) -> Scan {
    let fine = &scan.geometry;
    let n_bins = fine.n_bins / factor;
    let (width, left_out) = (factor as f64, (fine.n_bins - n_bins * factor) as f64);
    let views = scan.sinogram.chunks_exact(fine.n_bins);
    let mean = |bins: &[f32]| bins.iter().sum::<f32>() / factor as f32;
    let sinogram = views.flat_map(|view| view.chunks_exact(factor).map(mean)).collect();
    let geometry = Geometry {
        height: fine.height / factor,
        width: fine.width / factor,
        pixel_mm: fine.pixel_mm * width,
        n_bins,
        bin_width_mm: fine.bin_width_mm * width,
        // The middle of what is left lies lower.
        detector_offset_mm: fine.detector_offset_mm + 0.5 * left_out * fine.bin_width_mm,
        ..fine.clone()
    };
    Scan { geometry, sinogram, ..scan.clone() }
}

/// The same scan with those of its views that `keep` names by their numbers.
pub(super) fn with_views(scan: &Scan, keep: impl Fn(usize) -> bool) -> Scan {
    let geometry = &scan.geometry;
    let views = scan.sinogram.chunks_exact(geometry.n_bins).enumerate().filter(|(view, _)| keep(*view));
    let sinogram = views.flat_map(|(_, bins)| bins).copied().collect();
    let angles = geometry.angles_rad.iter().enumerate().filter(|(view, _)| keep(*view));
    let angles_rad = angles.map(|(_, angle)| *angle).collect();
    Scan { sinogram, geometry: Geometry { angles_rad, ..geometry.clone() }, ..scan.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::disc::disc;
    use crate::simulate::{Simulation, simulate};

    /// A coarse scan has the means of the fine one where the fine one has them, in mm.
    #[test]
    fn bins_keep_their_places() {
        let simulation = Simulation { angles: 6, noise: 0.0, source_to_axis_mm: Some(90.0), ..Simulation::default() };
        let fine = simulate(&disc(3, 32), 0.5, &simulation).unwrap();
        let n_bins = fine.geometry.n_bins;
        assert_eq!(n_bins % 4, 3);
        let coarse = coarse(&fine, 4);
        let [g, c] = [&fine.geometry, &coarse.geometry];
        assert_eq!((c.height, c.pixel_mm, c.n_bins), (8, 2.0, n_bins / 4));
        for k in 0..c.n_bins {
            let wanted = g.bin_position_mm(4.0 * k as f64 + 1.5);
            assert!((c.bin_position_mm(k as f64) - wanted).abs() < 1e-9);
            let mean = fine.sinogram[2 * n_bins + 4 * k..][..4].iter().sum::<f32>() / 4.0;
            assert_eq!(coarse.sinogram[2 * c.n_bins + k], mean);
        }
    }

    #[test]
    fn views_are_kept_with_their_angles() {
        let fine = simulate(&disc(3, 16), 1.0, &Simulation { angles: 7, ..Simulation::default() }).unwrap();
        let kept = with_views(&fine, |view| view % 3 == 1);
        assert_eq!(kept.geometry.angles_rad, [1, 4].map(|view| fine.geometry.angles_rad[view]));
        assert_eq!(
            kept.sinogram[..kept.geometry.n_bins],
            fine.sinogram[kept.geometry.n_bins..][..kept.geometry.n_bins]
        );
    }
}
