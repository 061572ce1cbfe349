//! Scans whose detector or image does not hold all of the object, or of which rays were not measured.

use super::Measurement;
use super::ray_noise::believed_photons;
use crate::ct::GeometryError;
use crate::data::scan::Scan;
use crate::image::Image;
use crate::trust::{Field, fill_bins};

/// The part of a scan's object that detector and image do not hold, and the rays that were not measured. They are dark
/// by the photons that the scan states, unless its data contradict these.
///
/// # Errors
/// Those of [`Field::of`].
pub fn field_of(scan: &Scan) -> Result<Field, GeometryError> {
    Field::of(&scan.geometry, &scan.sinogram, believed_photons(scan))
}

/// The scan with an image that holds all of the object, and with values in the place of those of dead bins; what stands
/// for a dark ray is no more than half a photon, whatever was written for it.
#[must_use]
pub fn in_field(scan: &Scan, field: &Field) -> Scan {
    let mut scan = scan.clone();
    fill_bins(&mut scan.sinogram, scan.geometry.n_bins, &field.dead_bins);
    if let Some(photons) = scan.photons {
        let most = (2.0 * photons).ln() as f32;
        field.dark_rays.iter().for_each(|ray| scan.sinogram[*ray] = scan.sinogram[*ray].min(most));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};

    /// Photons that the data contradict make no ray dark, and what stands for a dark ray is half a photon at most.
    #[test]
    fn rays_are_dark_by_photons_that_are_believed() {
        let scan = |photons| {
            let simulation = Simulation { photons: Some(photons), ..Simulation::default() };
            simulate(&ellipses(1, 64), 2.0, &simulation).unwrap()
        };
        let bright = scan(1e5);
        assert!(field_of(&bright).unwrap().dark_rays.is_empty());
        let misstated = Scan { photons: Some(3.0), ..bright };
        assert!(field_of(&misstated).unwrap().dark_rays.is_empty());
        let mut dark = scan(30.0);
        let found = field_of(&dark).unwrap();
        assert!(!found.dark_rays.is_empty());
        let clamped = in_field(&dark, &found);
        assert_eq!(clamped.sinogram, dark.sinogram, "a simulation writes half a photon");
        found.dark_rays.iter().for_each(|ray| dark.sinogram[*ray] = 800.0);
        assert_eq!(in_field(&dark, &found).sinogram, clamped.sinogram);
    }
}
