//! Joseph's projector and its exact transpose.

use super::fan::FanViews;
use super::geometry::{Beam, Geometry};
use super::geometry_error::GeometryError;
use super::lines::Lines;
use super::parallel::ParallelViews;
use super::projection_error::{ProjectionError, check_lengths};
use rayon::prelude::*;

/// Image lines that one task of the adjoint computes; a constant, so that the work is cut alike for any number of
/// threads.
const TILE: usize = 4;

/// The views of a geometry, by its beam.
#[derive(Debug, Clone)]
enum Views {
    Parallel(ParallelViews),
    Fan(FanViews),
}

/// The linear map A from images to sinograms for one geometry, and its transpose.
///
/// **Equation.** Joseph's method: with the ray of bin k at angle a crossing the image lines (rows or columns, whichever
/// it crosses most steeply) at places p,
///
/// ```text
/// (A x)[a][k] = L_ak sum_lines sum_j hat(p_line - j) x[line][j],     hat(d) = max(0, 1 - |d|),
/// ```
///
/// where L_ak is the length of ray between two lines (Joseph 1982, IEEE TMI 1, 192). Outside the image there is
/// nothing.
///
/// **Shapes and units.** Image `[row][col]` in 1/mm, sinogram `[angle][bin]` without unit; lengths in mm.
///
/// **Determinism.** Both maps gather: each output value is summed by one task in a fixed order, so any number of
/// threads gives the same bits. Places are computed in f64, sums are f32.
///
/// **Memory.** Everything is allocated in [`Projector::new`]: one padded copy of the image, of its transpose and of the
/// sinogram; for a fan, eight values of f32 a ray. The methods take `&mut self` because they work in these buffers;
/// clone a projector to use it twice at once.
///
/// # Examples
/// ```
/// use gradus::ct::{Geometry, Projector};
/// let mut projector = Projector::new(Geometry::covering(64, 64, 30))?;
/// let image = vec![0.02; 64 * 64];
/// let mut sinogram = vec![0.0; projector.geometry().sinogram_len()];
/// projector.forward_project(&image, &mut sinogram)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Projector {
    geometry: Geometry,
    views: Views,
    lines: Lines,
    /// The share of the views along columns in the adjoint, `[col][row]`.
    column_image: Vec<f32>,
}

impl Projector {
    /// Prepares the projector of a geometry and allocates its buffers.
    ///
    /// # Errors
    /// [`GeometryError`] when the geometry makes no sense.
    pub fn new(geometry: Geometry) -> Result<Self, GeometryError> {
        geometry.validate()?;
        let views = match &geometry.beam {
            Beam::Parallel => Views::Parallel(ParallelViews::new(&geometry)),
            Beam::Fan(fan) => Views::Fan(FanViews::new(&geometry, fan)),
        };
        let (lines, column_image) = (Lines::new(&geometry), vec![0.0; geometry.image_len()]);
        Ok(Self { geometry, views, lines, column_image })
    }

    /// The geometry this projector was made for.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Line integrals of an image: `sinogram` = A `image` (overwrites).
    ///
    /// # Errors
    /// [`ProjectionError`] when a buffer has the wrong length; nothing is written then.
    ///
    /// # Accuracy
    /// 1e-6 in relative L2 norm of the same sum in f64 (`both_maps_are_joseph_in_f64`).
    pub fn forward_project(&mut self, image: &[f32], sinogram: &mut [f32]) -> Result<(), ProjectionError> {
        check_lengths(&self.geometry, image.len(), sinogram.len())?;
        self.lines.load(image);
        let (views, lines) = (&self.views, &self.lines);
        sinogram.par_chunks_mut(self.geometry.n_bins).enumerate().for_each(|(view, bins)| match views {
            Views::Parallel(views) => views.project(view, lines, bins),
            Views::Fan(views) => views.project(view, lines, bins),
        });
        Ok(())
    }

    /// The transpose: `image` = A^T `sinogram` (overwrites).
    ///
    /// # Errors
    /// [`ProjectionError`] when a buffer has the wrong length; nothing is written then.
    ///
    /// # Accuracy
    /// |<Ax, y> - <x, A^T y>| < 1e-6 ||A|| ||x|| ||y|| (`adjoint_is_the_transpose`), and 1e-6 in relative L2 norm of
    /// the same sum in f64.
    pub fn adjoint(&mut self, sinogram: &[f32], image: &mut [f32]) -> Result<(), ProjectionError> {
        check_lengths(&self.geometry, image.len(), sinogram.len())?;
        let (height, width) = (self.geometry.height, self.geometry.width);
        match &mut self.views {
            Views::Parallel(views) => views.load(sinogram),
            Views::Fan(views) => views.load(sinogram),
        }
        let views = &self.views;
        let gather = |along_rows: bool, tile: usize, lines: &mut [f32], length: usize| match views {
            Views::Parallel(views) => views.gather(along_rows, tile * TILE, lines, length),
            Views::Fan(views) => views.gather(along_rows, tile * TILE, lines, length),
        };
        let tiles = self.column_image.par_chunks_mut(TILE * height).enumerate();
        tiles.for_each(|(tile, columns)| gather(false, tile, columns, height));
        let columns = &self.column_image;
        image.par_chunks_mut(TILE * width).enumerate().for_each(|(tile, rows)| {
            gather(true, tile, rows, width);
            for (col, column) in columns.chunks_exact(height).enumerate() {
                rows.iter_mut().skip(col).step_by(width).zip(&column[tile * TILE..]).for_each(|(to, add)| *to += add);
            }
        });
        Ok(())
    }

    /// Estimates ||A||, the largest singular value, from below by power iteration on A^T A.
    ///
    /// A has no negative entry, so a constant image is never orthogonal to the leading singular vector, and nothing
    /// random is needed. Stops when an iteration changes the estimate by less than 1e-6 of it, or after
    /// `max_iterations`.
    #[must_use]
    pub fn norm(&mut self, max_iterations: usize) -> f64 {
        let mut image = vec![1.0f32; self.geometry.image_len()];
        let mut sinogram = vec![0.0f32; self.geometry.sinogram_len()];
        let mut estimate = 0.0f64;
        for _ in 0..max_iterations {
            let length = image.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
            if length == 0.0 {
                break; // no ray meets the image
            }
            image.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
            if self.forward_project(&image, &mut sinogram).is_err() || self.adjoint(&sinogram, &mut image).is_err() {
                break;
            }
            let next = sinogram.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
            let change = (next - estimate).abs();
            estimate = next;
            if change <= 1e-6 * next {
                break;
            }
        }
        estimate
    }
}

#[cfg(test)]
mod tests;
