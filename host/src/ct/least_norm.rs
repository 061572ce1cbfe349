//! The image of least norm that explains line integrals: what they determine, and nothing else.

use super::projection_error::{ProjectionError, check_lengths};
use super::projector::Projector;
use super::sharpening::Sharpening;
use crate::vector::{add_scaled, dot};

/// Times that a solve is begun anew from what it found, where its recurrence has drifted from the residual.
const RENEWALS: usize = 3;

/// `A^+ y` for one geometry.
///
/// **Equation.** `<A x - y, M (A x - y)>` over the rays that were measured goes down by conjugate gradients on its
/// normal equations \[HS52\] from x = 0; M, a positive filter of rows (`sharpening.rs`), nearly inverts A A^T.
/// Every iterate is A^T of something, so that it has no part that A does not see, and the limit is the image of least
/// norm among those that explain y. What A sees well comes first; what it hardly sees takes hundreds of steps.
///
/// **Shapes.** Images `[row][col]`, sinograms `[angle][bin]`. Same bits for any number of threads.
pub struct LeastNorm<'a> {
    projector: &'a mut Projector,
    /// True for rays that count.
    is_measured: &'a dyn Fn(usize) -> bool,
    sharpening: Sharpening,
}

/// The end of a solve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeastNormEnd {
    /// Steps made, one projection and one adjoint each.
    pub steps: usize,
    /// |A x - y| / |y| over the rays that count.
    pub left: f64,
}

impl<'a> LeastNorm<'a> {
    /// For the rays of a projector that were measured.
    #[must_use]
    pub fn new(projector: &'a mut Projector, is_measured: &'a dyn Fn(usize) -> bool) -> Self {
        let sharpening = Sharpening::new(projector.geometry());
        Self { projector, is_measured, sharpening }
    }

    /// Leaves in `image`, whatever it held, what explains all but the share `tolerance` of `sinogram`, or as much as
    /// `most` steps explain.
    ///
    /// # Errors
    /// When a buffer does not fit the geometry; `image` is untouched then.
    pub fn solve(
        &mut self,
        sinogram: &[f32],
        image: &mut [f32],
        tolerance: f64,
        most: usize,
    ) -> Result<LeastNormEnd, ProjectionError> {
        check_lengths(self.projector.geometry(), image.len(), sinogram.len())?;
        image.fill(0.0);
        let mut wanted = sinogram.to_vec();
        self.mask(&mut wanted);
        let size = dot(&wanted, &wanted).sqrt();
        let (mut residual, mut steps, mut left) = (wanted.clone(), 0, size);
        for _ in 0..RENEWALS {
            if left <= tolerance * size || steps >= most {
                break;
            }
            steps += self.descend(&mut residual, image, tolerance * size, most - steps)?;
            self.projector.forward_project(image, &mut residual)?;
            residual.iter_mut().zip(&wanted).for_each(|(r, y)| *r = y - *r);
            self.mask(&mut residual);
            left = dot(&residual, &residual).sqrt();
        }
        Ok(LeastNormEnd { steps, left: if size > 0.0 { left / size } else { 0.0 } })
    }

    /// Adds to `image` what explains `residual`, until that is at most `enough`; the number of steps.
    fn descend(
        &mut self,
        residual: &mut [f32],
        image: &mut [f32],
        enough: f64,
        most: usize,
    ) -> Result<usize, ProjectionError> {
        let (mut gradient, mut seen) = (vec![0.0; image.len()], vec![0.0; residual.len()]);
        let mut sharp = self.sharpened(residual);
        self.projector.adjoint(&sharp, &mut gradient)?;
        let (mut direction, mut square) = (gradient.clone(), dot(&gradient, &gradient));
        for done in 0..most {
            if dot(residual, residual).sqrt() <= enough || square <= 0.0 {
                return Ok(done);
            }
            self.projector.forward_project(&direction, &mut seen)?;
            self.mask(&mut seen);
            let sharp_seen = self.sharpened(&seen);
            let length = square / dot(&seen, &sharp_seen);
            if !length.is_finite() {
                return Ok(done);
            }
            add_scaled(image, length as f32, &direction);
            add_scaled(residual, -length as f32, &seen);
            add_scaled(&mut sharp, -length as f32, &sharp_seen);
            self.projector.adjoint(&sharp, &mut gradient)?;
            let before = std::mem::replace(&mut square, dot(&gradient, &gradient));
            let turn = (square / before) as f32;
            direction.iter_mut().zip(&gradient).for_each(|(p, g)| *p = g + turn * *p);
        }
        Ok(most)
    }

    /// M of a residual of the rays that count.
    fn sharpened(&self, residual: &[f32]) -> Vec<f32> {
        let mut sharp = residual.to_vec();
        self.sharpening.apply(&mut sharp);
        self.mask(&mut sharp);
        sharp
    }

    fn mask(&self, sinogram: &mut [f32]) {
        let values = sinogram.iter_mut().enumerate().filter(|(ray, _)| !(self.is_measured)(*ray));
        values.for_each(|(_, value)| *value = 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::{Detector, Fan, Geometry};
    use crate::test_support::signed;

    fn check(geometry: &Geometry, is_measured: &dyn Fn(usize) -> bool) {
        let x = signed(geometry.image_len(), 3);
        let mut projector = Projector::new(geometry.clone()).unwrap();
        let (mut y, mut found) = (vec![0.0; geometry.sinogram_len()], vec![0.0; x.len()]);
        projector.forward_project(&x, &mut y).unwrap();
        let end = LeastNorm::new(&mut projector, is_measured).solve(&y, &mut found, 1e-5, 10_000).unwrap();
        println!("{} steps leave {:e}", end.steps, end.left);
        assert!(end.left <= 1e-5, "{end:?}");
        // A^T of something, with the same line integrals: what is left is at right angles to it.
        let rest: Vec<f32> = x.iter().zip(&found).map(|(x, z)| x - z).collect();
        let cosine = dot(&found, &rest) / (dot(&found, &found) * dot(&rest, &rest)).sqrt();
        assert!(cosine.abs() < 3e-3 && dot(&rest, &rest) > 0.05 * dot(&x, &x), "{cosine}");
    }

    #[test]
    fn what_the_data_determine_is_found_in_any_beam() {
        let fan = |detector| Fan { detector, source_to_axis_mm: 60.0, source_to_detector_mm: 100.0 };
        check(&Geometry::covering(32, 32, 12), &|_| true);
        check(&Geometry::covering(33, 20, 7), &|_| true);
        check(&Geometry::covering_by_fan(32, 32, 9, fan(Detector::Flat)), &|_| true);
        check(&Geometry::covering_by_fan(32, 32, 9, fan(Detector::Curved)), &|_| true);
    }

    #[test]
    fn rays_that_were_not_measured_determine_nothing() {
        let geometry = Geometry::covering(24, 24, 10);
        let n_bins = geometry.n_bins;
        check(&geometry, &|ray| ray % n_bins != 17 && ray > 2 * n_bins);
        let (mut projector, mut image) = (Projector::new(geometry.clone()).unwrap(), vec![1.0; 576]);
        let ones = vec![1.0; geometry.sinogram_len()];
        let end = LeastNorm::new(&mut projector, &|_| false).solve(&ones, &mut image, 1e-5, 9);
        assert_eq!(end, Ok(LeastNormEnd { steps: 0, left: 0.0 }));
        assert!(image.iter().all(|x| *x == 0.0));
    }
}
