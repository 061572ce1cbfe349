//! The level of free rays: line integrals of nothing are 0.

use crate::ct::estimate_noise;

/// Share of the bins at each end that see air, where the object is within the detector.
const SHARE: usize = 16;
/// Views of air vary by less than this share of an offset, besides noise.
const FLAT: f64 = 0.02;
/// Standard deviations beyond which noise does not explain a difference.
const STDS: f64 = 5.0;

/// The value that both ends of the detector have in all views, where it is not 0: an offset of all rays, as a wrong
/// number of photons or a forgotten logarithm makes it. An object that reaches beyond the detector falls off towards
/// its ends, or differs from view to view.
pub fn offset(sinogram: &[f32], n_bins: usize) -> Option<f64> {
    let width = n_bins / SHARE;
    if width < 2 {
        return None;
    }
    let mean = |bins: &[f32]| bins.iter().map(|y| f64::from(*y)).sum::<f64>() / bins.len() as f64;
    // Four blocks a view: the outer and the inner half of either end.
    let blocks = sinogram.chunks_exact(n_bins).flat_map(|view| {
        let (lower, upper) = (&view[..width], &view[n_bins - width..]);
        [&lower[..width / 2], &lower[width / 2..], &upper[..width / 2], &upper[width / 2..]].map(mean)
    });
    let blocks: Vec<f64> = blocks.collect();
    // What falls off towards the ends does so in all views.
    let falls = blocks.as_chunks::<4>().0.iter().map(|[outer, inner, within, end]| inner + within - outer - end);
    let fall = falls.sum::<f64>() / (blocks.len() as f64 / 2.0);
    let level = blocks.iter().sum::<f64>() / blocks.len() as f64;
    let noise = estimate_noise(sinogram, n_bins) / (width as f64 / 2.0).sqrt();
    let most = STDS * noise + FLAT * level.abs();
    let is_level = blocks.iter().all(|block| (block - level).abs() <= most);
    // The mean of so many differences of two blocks.
    let is_flat = is_level && fall.abs() <= STDS * noise * (4.0 / blocks.len() as f64).sqrt();
    let is_offset = level.abs() > STDS * noise && level.abs() > FLAT;
    (is_flat && is_offset).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::{Geometry, Projector};
    use crate::test_support::signed;

    /// A scan of a disc of this radius in 64 x 64 pixels, by a detector of so many bins of one pixel, with noise.
    fn scan(radius: f64, n_bins: usize, add: f32) -> Vec<f32> {
        let covering = Geometry::covering(64, 64, 20);
        let geometry = Geometry { n_bins, bin_width_mm: 1.0, ..covering };
        let disc = (0..64 * 64).map(|k| {
            let (row, col) = ((k / 64) as f64 - 31.5, (k % 64) as f64 - 31.5);
            if row.hypot(col) < radius { 0.02 } else { 0.0 }
        });
        let mut sinogram = vec![0.0; geometry.sinogram_len()];
        Projector::new(geometry).unwrap().forward_project(&disc.collect::<Vec<f32>>(), &mut sinogram).unwrap();
        let noise = signed(sinogram.len(), 7);
        sinogram.iter().zip(noise).map(|(y, z)| y + 0.01 * z + add).collect()
    }

    #[test]
    fn air_that_is_not_at_zero_is_an_offset() {
        let found = offset(&scan(20.0, 91, 10.0_f32.ln()), 91).unwrap();
        assert!((found - 10.0_f64.ln()).abs() < 0.01, "{found}");
        assert_eq!(offset(&scan(20.0, 91, 0.0), 91), None, "air at 0");
    }

    #[test]
    fn an_object_beyond_the_detector_is_none() {
        for n_bins in [40, 48, 56] {
            assert_eq!(offset(&scan(30.0, n_bins, 0.0), n_bins), None, "{n_bins}");
        }
    }
}
