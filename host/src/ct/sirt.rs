//! The simultaneous iterative reconstruction technique.

use super::projection_error::{ProjectionError, check_lengths};
use super::projector::Projector;
use std::ops::ControlFlow;

/// Least squares by steps that every ray and every pixel scales by its own sum.
///
/// **Equation.** `x <- x + C A^T R (y - A x)` (Gilbert 1972, J. Theor. Biol. 36, 105), where `R` and `C` are diagonal
/// with the inverse sums of the rows and the columns of `A`, and 0 for rays and pixels that do not meet; `A` has no
/// negative entry. The limit minimises `|R^(1/2) (A x - y)|`; fewer iterations keep its noise and its streaks out.
///
/// **Shapes.** Images `[row][col]`, sinograms `[angle][bin]`. All buffers are allocated in [`Sirt::new`]. Same bits for
/// any number of threads.
#[derive(Debug, Clone)]
pub struct Sirt {
    projector: Projector,
    /// `R`.
    of_rays: Vec<f32>,
    /// `C`.
    of_pixels: Vec<f32>,
    residual: Vec<f32>,
    step: Vec<f32>,
}

impl Sirt {
    /// Takes a projector and finds its sums.
    ///
    /// # Errors
    /// Never with a projector whose own lengths agree.
    pub fn new(mut projector: Projector) -> Result<Self, ProjectionError> {
        let (pixels, values) = (projector.geometry().image_len(), projector.geometry().sinogram_len());
        let (mut of_rays, mut of_pixels) = (vec![0.0; values], vec![0.0; pixels]);
        projector.forward_project(&vec![1.0; pixels], &mut of_rays)?;
        projector.adjoint(&vec![1.0; values], &mut of_pixels)?;
        for sum in of_rays.iter_mut().chain(&mut of_pixels) {
            *sum = if *sum > 0.0 { 1.0 / *sum } else { 0.0 };
        }
        Ok(Self { projector, of_rays, of_pixels, residual: vec![0.0; values], step: vec![0.0; pixels] })
    }

    /// Makes `iterations` iterations from what `image` holds, and leaves the result there; the number made.
    ///
    /// `observer` is called after each one and may end them.
    ///
    /// # Errors
    /// When a buffer does not fit the geometry; `image` is untouched then.
    pub fn reconstruct(
        &mut self,
        sinogram: &[f32],
        image: &mut [f32],
        iterations: usize,
        mut observer: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<usize, ProjectionError> {
        check_lengths(self.projector.geometry(), image.len(), sinogram.len())?;
        for iteration in 1..=iterations {
            self.projector.forward_project(image, &mut self.residual)?;
            for ((r, y), weight) in self.residual.iter_mut().zip(sinogram).zip(&self.of_rays) {
                *r = weight * (y - *r);
            }
            self.projector.adjoint(&self.residual, &mut self.step)?;
            let steps = self.step.iter().zip(&self.of_pixels);
            image.iter_mut().zip(steps).for_each(|(x, (step, weight))| *x += weight * step);
            if observer(iteration).is_break() {
                return Ok(iteration);
            }
        }
        Ok(iterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::Geometry;

    fn sirt(views: usize) -> Sirt {
        Sirt::new(Projector::new(Geometry::covering(24, 20, views)).unwrap()).unwrap()
    }

    fn distance(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// In the norm in which it steps, no iteration leads away from an image that explains the data.
    #[test]
    fn every_iteration_comes_nearer_to_the_true_image() {
        let mut sirt = sirt(40);
        let truth: Vec<f32> =
            (0..24 * 20_usize).map(|k| if (k / 20).abs_diff(12) + (k % 20) / 2 < 9 { 0.7 } else { 0.1 }).collect();
        let mut sinogram = vec![0.0; sirt.residual.len()];
        sirt.projector.forward_project(&truth, &mut sinogram).unwrap();
        let scale: Vec<f32> = sirt.of_pixels.iter().map(|c| (1.0 / c).sqrt()).collect();
        let scaled = |x: &[f32]| x.iter().zip(&scale).map(|(x, s)| x * s).collect::<Vec<f32>>();
        let (mut image, wanted) = (vec![0.0; truth.len()], scaled(&truth));
        let mut before = distance(&scaled(&image), &wanted);
        let first = before;
        for _ in 0..50 {
            sirt.reconstruct(&sinogram, &mut image, 1, |_| ControlFlow::Continue(())).unwrap();
            let now = distance(&scaled(&image), &wanted);
            assert!(now <= before * 1.000_001, "{now} after {before}");
            before = now;
        }
        assert!(before < 0.2 * first, "{before} of {first}");
        sirt.reconstruct(&sinogram, &mut image, 500, |_| ControlFlow::Continue(())).unwrap();
        let mut found = vec![0.0; sinogram.len()];
        sirt.projector.forward_project(&image, &mut found).unwrap();
        let misfit = distance(&found, &sinogram) / distance(&sinogram, &vec![0.0; sinogram.len()]);
        assert!(misfit < 0.01, "{misfit}");
    }

    /// A constant image has every ray at its sum: one iteration finds it.
    #[test]
    fn a_constant_image_takes_one_iteration() {
        let mut sirt = sirt(7);
        let mut sinogram = vec![0.0; sirt.residual.len()];
        sirt.projector.forward_project(&[0.5; 24 * 20], &mut sinogram).unwrap();
        let mut image = vec![0.0; 24 * 20];
        let made = sirt.reconstruct(&sinogram, &mut image, 9, |_| ControlFlow::Break(())).unwrap();
        assert_eq!(made, 1);
        assert!(image.iter().all(|x| (x - 0.5).abs() < 1e-5));
        assert!(sirt.reconstruct(&sinogram[1..], &mut image, 1, |_| ControlFlow::Continue(())).is_err());
    }
}
