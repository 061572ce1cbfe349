//! Joseph's projector and its exact transpose.

use super::geometry::Geometry;
use super::geometry_error::GeometryError;
use super::projection_error::{ProjectionError, check_lengths};
use super::rays::{Rays, Segment};
use super::resample::{Comb, LANES, Machine, PAD, Places};
use rayon::prelude::*;

/// Image lines that one task of the adjoint computes; a constant, so that the work is cut alike for any number of threads.
const TILE: usize = 4;

/// One view: where its rays meet the lines, and, solved for the bin, where a line's pixels lie on the detector.
#[derive(Debug, Clone)]
struct View {
    along_rows: bool,
    /// Length of ray from one line to the next.
    length_mm: f32,
    bins_on_line: Places,
    pixels_on_detector: Places,
}

impl View {
    fn new(segment: Segment) -> Self {
        let Rays::Parallel { first, per_line, step, length_mm } = segment.rays;
        let back = Comb::new(1.0 / step, step.abs());
        Self {
            along_rows: segment.along_rows,
            length_mm: length_mm as f32,
            bins_on_line: Places { first, per_line, comb: Comb::new(step, 1.0) },
            pixels_on_detector: Places { first: -first / step, per_line: -per_line / step, comb: back },
        }
    }
}

/// The linear map A from images to sinograms for one geometry, and its transpose.
///
/// **Equation.** Joseph's method: with the rays of an angle crossing the image lines (rows if |cos a| >= |sin a|, else
/// columns) at places p,
///
/// ```text
/// (A x)[a][k] = L_a sum_lines sum_j hat(p_line,k - j) x[line][j],     hat(d) = max(0, 1 - |d|),
/// ```
///
/// where L_a is the length of ray between two lines (Joseph 1982, IEEE TMI 1, 192). Outside the image there is nothing.
///
/// **Shapes and units.** Image `[row][col]` in 1/mm, sinogram `[angle][bin]` without unit; lengths in mm.
///
/// **Determinism.** Both maps gather: each output value is summed by one task in a fixed order, so any number of threads
/// gives the same bits. Places are computed in f64, sums are f32.
///
/// **Memory.** Everything is allocated in [`Projector::new`]: one padded copy of the image, of its transpose and of the
/// sinogram. The methods take `&mut self` because they work in these buffers; clone a projector to use it twice at once.
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
    machine: Machine,
    views: Vec<View>,
    padded_rows: Vec<f32>,
    padded_columns: Vec<f32>,
    padded_sinogram: Vec<f32>,
    /// What the views along columns contribute to the adjoint, `[col][row]`.
    column_image: Vec<f32>,
}

impl Projector {
    /// Prepares the projector of a geometry and allocates its buffers.
    ///
    /// # Errors
    /// [`GeometryError`] when the geometry makes no sense.
    pub fn new(geometry: Geometry) -> Result<Self, GeometryError> {
        geometry.validate()?;
        let views: Vec<View> =
            (0..geometry.angles_rad.len()).flat_map(|view| geometry.rays(view)).map(View::new).collect();
        let (height, width) = (geometry.height, geometry.width);
        Ok(Self {
            machine: Machine::detect(),
            padded_rows: vec![0.0; height * (width + 2 * PAD)],
            padded_columns: vec![0.0; width * (height + 2 * PAD)],
            padded_sinogram: vec![0.0; views.len() * (geometry.n_bins + 2 * PAD)],
            column_image: vec![0.0; geometry.image_len()],
            views,
            geometry,
        })
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
        let (height, width) = (self.geometry.height, self.geometry.width);
        self.padded_rows.par_chunks_mut(width + 2 * PAD).zip(image.par_chunks(width)).for_each(|(padded, row)| {
            padded[PAD..PAD + width].copy_from_slice(row);
        });
        self.padded_columns.par_chunks_mut(LANES * (height + 2 * PAD)).enumerate().for_each(|(tile, padded)| {
            for (row, pixels) in image.chunks_exact(width).enumerate() {
                for (column, &pixel) in padded.chunks_exact_mut(height + 2 * PAD).zip(&pixels[tile * LANES..]) {
                    column[PAD + row] = pixel;
                }
            }
        });
        let (geometry, rows, columns, machine) =
            (&self.geometry, &self.padded_rows, &self.padded_columns, self.machine);
        sinogram.par_chunks_mut(self.geometry.n_bins).zip(&self.views).for_each(|(bins, view)| {
            let lines = if view.along_rows { rows } else { columns };
            let (length, n_lines) = geometry.line_length_and_count(view.along_rows);
            let (places, stride) = (&view.bins_on_line, length + 2 * PAD);
            for (block, bins) in bins.chunks_mut(LANES).enumerate() {
                let reached = places.lines_reached(block, length, n_lines);
                let values = lines[reached.start * stride..reached.end * stride].chunks_exact(stride);
                let sum = machine.sample_lines(values.zip(reached).map(
                    #[inline(always)]
                    |(values, line)| (values, places.at(line, block), &places.comb),
                ));
                bins.iter_mut().zip(sum).for_each(|(bin, sum)| *bin = sum * view.length_mm);
            }
        });
        Ok(())
    }

    /// The transpose: `image` = A^T `sinogram` (overwrites).
    ///
    /// # Errors
    /// [`ProjectionError`] when a buffer has the wrong length; nothing is written then.
    ///
    /// # Accuracy
    /// |<Ax, y> - <x, A^T y>| < 1e-6 ||A|| ||x|| ||y|| (`adjoint_is_the_transpose`), and 1e-6 in relative L2 norm of the
    /// same sum in f64.
    pub fn adjoint(&mut self, sinogram: &[f32], image: &mut [f32]) -> Result<(), ProjectionError> {
        check_lengths(&self.geometry, image.len(), sinogram.len())?;
        let (height, width, n_bins) = (self.geometry.height, self.geometry.width, self.geometry.n_bins);
        let stride = n_bins + 2 * PAD;
        let views = self.padded_sinogram.par_chunks_mut(stride).zip(sinogram.par_chunks(n_bins)).zip(&self.views);
        views.for_each(|((padded, bins), view)| {
            padded[PAD..].iter_mut().zip(bins).for_each(|(to, bin)| *to = bin * view.length_mm);
        });
        let padded = &self.padded_sinogram;
        let (views, machine) = (&self.views, self.machine);
        let gather = |along_rows: bool, line: usize, pixels: &mut [f32]| {
            for (block, pixels) in pixels.chunks_mut(LANES).enumerate() {
                let views = padded.chunks_exact(stride).zip(views).filter(|(_, view)| view.along_rows == along_rows);
                let sum = machine.sample_lines(views.map(
                    #[inline(always)]
                    |(bins, View { pixels_on_detector: places, .. })| (bins, places.at(line, block), &places.comb),
                ));
                pixels.copy_from_slice(&sum[..pixels.len()]);
            }
        };
        self.column_image.par_chunks_mut(TILE * height).enumerate().for_each(|(tile, columns)| {
            columns.chunks_exact_mut(height).enumerate().for_each(|(i, column)| gather(false, tile * TILE + i, column));
        });
        let columns = &self.column_image;
        image.par_chunks_mut(TILE * width).enumerate().for_each(|(tile, rows)| {
            for (row, pixels) in rows.chunks_exact_mut(width).enumerate() {
                gather(true, tile * TILE + row, pixels);
            }
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
