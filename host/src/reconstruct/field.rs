//! Scans whose detector or image does not hold all of the object, or of which rays were not measured.

use super::Measurement;
use crate::data::scan::Scan;
use crate::image::Image;
use crate::trust::{Field, fill_bins};

/// The scan with an image that holds all of the object, and with values in the place of those of dead bins.
#[must_use]
pub fn in_field(scan: &Scan, field: &Field) -> Scan {
    let mut scan = scan.clone();
    fill_bins(&mut scan.sinogram, scan.geometry.n_bins, &field.dead_bins);
    if let Some((height, width)) = field.wider {
        (scan.geometry.height, scan.geometry.width) = (height, width);
        scan.truth = None;
    }
    scan
}

impl Measurement {
    /// The same measurement, in which rays that measured nothing weigh nothing, and filtered backprojection continues
    /// the object beyond the detector's ends.
    #[must_use]
    pub fn within(mut self, field: &Field) -> Self {
        let n_bins = self.geometry.n_bins;
        let of_bin = |bin: &usize| (*bin..self.sinogram.len()).step_by(n_bins);
        let unmeasured: Vec<usize> =
            field.dead_bins.iter().flat_map(of_bin).chain(field.dark_rays.iter().copied()).collect();
        if !unmeasured.is_empty() {
            for weights in [Some(&mut self.weights), self.pixel_wide.as_mut().map(|own| &mut own.weights)] {
                let weights = weights.map(|own| own.get_or_insert_with(|| vec![1.0; self.sinogram.len()]));
                weights.into_iter().for_each(|own| unmeasured.iter().for_each(|ray| own[*ray] = 0.0));
            }
        }
        self.beyond_detector = field.beyond_detector;
        self
    }
}

/// The middle of an image that was made on a wider grid.
#[must_use]
pub fn cut_to(image: &Image, height: usize, width: usize) -> Image {
    let (top, left) = (image.height.saturating_sub(height) / 2, image.width.saturating_sub(width) / 2);
    let rows = image.rows().skip(top).take(height);
    Image { height, width, pixels: rows.flat_map(|row| &row[left..left + width]).copied().collect() }
}
