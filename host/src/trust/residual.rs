//! The misfit of an image to its data, ray by ray. All that a run says about it is computed from here.

use super::rays::Rays;
use crate::ct::{ProjectionError, Projector};
use crate::image::Image;

/// The part of the data that an image leaves unexplained.
///
/// **Equation.** `r_i = (A x - y)_i / sigma_i`, with `sigma_i` the standard deviation of the noise of ray i. For the
/// true image it is the noise alone, so that the mean of `r^2` (chi squared a ray) is 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Residual {
    /// `r`, one row a view, without unit; infinite where data without noise are not met.
    pub image: Image,
    /// Number of rays that count: those of weight 0 were not measured.
    pub(super) n_measured: usize,
    /// |A x - y| / |y| over the rays that count.
    pub(super) relative: f64,
    /// The mean of `r^2` over the rays that count of each view, and of each bin; NaN where none does.
    pub(super) by_view: Vec<f64>,
    pub(super) by_bin: Vec<f64>,
}

/// A sum of squares, and of how many numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    squares: f64,
    count: f64,
}

impl Sum {
    fn add(&mut self, value: f32) {
        self.squares += f64::from(value) * f64::from(value);
        self.count += 1.0;
    }

    fn mean(self) -> f64 {
        self.squares / self.count
    }
}

impl Residual {
    /// That of an image, in the units of the sinogram.
    ///
    /// # Errors
    /// When the image or the sinogram does not fit the projector's geometry.
    pub fn of(image: &Image, rays: &Rays<'_>, projector: &mut Projector) -> Result<Self, ProjectionError> {
        let (height, width) = (projector.geometry().angles_rad.len(), projector.geometry().n_bins);
        let mut values = vec![0.0; height * width];
        if rays.sinogram.len() != values.len() {
            return Err(ProjectionError::SinogramLength { expected: values.len(), got: rays.sinogram.len() });
        }
        projector.forward_project(&image.pixels, &mut values)?;
        let (mut n_measured, mut misfit, mut size) = (0, 0.0, 0.0);
        let (mut by_view, mut by_bin) = (vec![Sum::default(); height], vec![Sum::default(); width]);
        for (ray, (value, y)) in values.iter_mut().zip(rays.sinogram).enumerate() {
            let (weight, difference) = (rays.weight(ray), f64::from(*value) - f64::from(*y));
            let noise = rays.noise_std / weight.sqrt();
            *value = if difference == 0.0 { 0.0 } else { (difference / noise) as f32 };
            if weight > 0.0 {
                n_measured += 1;
                misfit += difference * difference;
                size += f64::from(*y) * f64::from(*y);
                by_view[ray / width].add(*value);
                by_bin[ray % width].add(*value);
            }
        }
        let [by_view, by_bin] = [by_view, by_bin].map(|sums| sums.into_iter().map(Sum::mean).collect());
        let relative = if misfit == 0.0 { 0.0 } else { (misfit / size).sqrt() };
        Ok(Self { image: Image { height, width, pixels: values }, n_measured, relative, by_view, by_bin })
    }

    /// The mean of `r^2` over the rays that were measured: 1 for the true image, on average.
    #[must_use]
    pub fn chi_squared(&self) -> f64 {
        let squares = self.image.pixels.iter().map(|r| f64::from(*r) * f64::from(*r));
        squares.sum::<f64>() / self.n_measured.max(1) as f64
    }

    /// Chi squared a ray of each view; NaN for a view that was not measured.
    #[must_use]
    pub fn by_view(&self) -> &[f64] {
        &self.by_view
    }

    /// Chi squared a ray of each bin; NaN for a bin that was not measured.
    #[must_use]
    pub fn by_bin(&self) -> &[f64] {
        &self.by_bin
    }

    /// |A x - y| / |y|: what is unexplained over what was measured, whatever the noise.
    #[must_use]
    pub fn relative(&self) -> f64 {
        self.relative
    }
}
