//! Joseph's projector and its exact transpose.

use super::geometry::{GeometryError, ParallelBeam};
use super::resample::{Comb, LANES, Machine, PAD, Places};
use rayon::prelude::*;

/// Image lines that one task of the adjoint computes; a constant, so that the work is cut alike for any number of threads.
const TILE: usize = 4;

/// A buffer of the wrong length was handed to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectionError {
    /// The image has not `height * width` pixels.
    ImageLength {
        /// What the geometry asks for.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// The sinogram has not `n_angles * n_bins` values.
    SinogramLength {
        /// What the geometry asks for.
        expected: usize,
        /// What came.
        got: usize,
    },
}

impl std::fmt::Display for ProjectionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, expected, got) = match self {
            Self::ImageLength { expected, got } => ("image", expected, got),
            Self::SinogramLength { expected, got } => ("sinogram", expected, got),
        };
        write!(f, "the {what} has {got} values, but its geometry has {expected}; give a buffer of that length")
    }
}

impl std::error::Error for ProjectionError {}

/// Checks the lengths of an image and a sinogram against a geometry.
pub(super) fn check_lengths(g: &ParallelBeam, image: usize, sinogram: usize) -> Result<(), ProjectionError> {
    let (pixels, values) = (g.image_len(), g.sinogram_len());
    if image != pixels {
        Err(ProjectionError::ImageLength { expected: pixels, got: image })
    } else if sinogram != values {
        Err(ProjectionError::SinogramLength { expected: values, got: sinogram })
    } else {
        Ok(())
    }
}

/// One angle, seen along the image lines (rows or columns) that its rays cross most steeply.
///
/// The ray of bin k crosses line `l` at the place p = first + l per_line + k step, counted in pixels along the line;
/// solved for k, that says where a pixel lies on the detector.
#[derive(Debug, Clone)]
struct View {
    along_rows: bool,
    /// Length of ray from one line to the next.
    length_mm: f32,
    bins_on_line: Places,
    pixels_on_detector: Places,
}

impl View {
    fn new(g: &ParallelBeam, angle_rad: f64) -> Self {
        let (sin, cos) = angle_rad.sin_cos();
        let (s, x, y) = (g.bin_position_mm(0.0), g.column_x_mm(0.0), g.row_y_mm(0.0));
        let (middle_row, middle_column) = ((g.height as f64 - 1.0) / 2.0, (g.width as f64 - 1.0) / 2.0);
        let along_rows = cos.abs() >= sin.abs();
        // x cos + y sin = s, solved for the coordinate along the line; rows count against y.
        let (first, per_line, step, steepness) = if along_rows {
            let step = g.bin_width_mm / (cos * g.pixel_mm);
            (middle_column + (s - y * sin) / (cos * g.pixel_mm), sin / cos, step, cos.abs())
        } else {
            let step = -g.bin_width_mm / (sin * g.pixel_mm);
            (middle_row - (s - x * cos) / (sin * g.pixel_mm), cos / sin, step, sin.abs())
        };
        let back = Comb::new(1.0 / step, step.abs());
        Self {
            along_rows,
            length_mm: (g.pixel_mm / steepness) as f32,
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
/// use gradus::ct::{ParallelBeam, Projector};
/// let mut projector = Projector::new(ParallelBeam::covering(64, 64, 30))?;
/// let image = vec![0.02; 64 * 64];
/// let mut sinogram = vec![0.0; projector.geometry().sinogram_len()];
/// projector.forward_project(&image, &mut sinogram)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Projector {
    geometry: ParallelBeam,
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
    pub fn new(geometry: ParallelBeam) -> Result<Self, GeometryError> {
        geometry.validate()?;
        let views: Vec<View> = geometry.angles_rad.iter().map(|&angle| View::new(&geometry, angle)).collect();
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
    pub fn geometry(&self) -> &ParallelBeam {
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
        let (rows, columns, machine) = (&self.padded_rows, &self.padded_columns, self.machine);
        sinogram.par_chunks_mut(self.geometry.n_bins).zip(&self.views).for_each(|(bins, view)| {
            let (lines, n_lines, length) =
                if view.along_rows { (rows, height, width) } else { (columns, width, height) };
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
mod tests {
    use super::super::test_support::*;
    use super::*;
    use npyz::npz::NpzArchive;

    /// Every (ray, pixel, weight) of Joseph's sum; `place` says how the crossings of a ray with the lines are computed.
    fn weights(
        g: &ParallelBeam,
        place: impl Fn(&ParallelBeam, f64, f64, usize) -> Vec<f64>,
    ) -> Vec<(usize, usize, f64)> {
        let mut all = Vec::new();
        for (view, &angle) in g.angles_rad.iter().enumerate() {
            let (sin, cos) = angle.sin_cos();
            let along_rows = cos.abs() >= sin.abs();
            let (length, n_lines) = if along_rows { (g.width, g.height) } else { (g.height, g.width) };
            let length_mm = g.pixel_mm / cos.abs().max(sin.abs());
            for k in 0..g.n_bins {
                for (line, p) in place(g, angle, k as f64, n_lines).into_iter().enumerate() {
                    let near = p.floor();
                    for (j, weight) in [(near, 1.0 - (p - near)), (near + 1.0, p - near)] {
                        if j >= 0.0 && j < length as f64 {
                            let (row, col) = if along_rows { (line, j as usize) } else { (j as usize, line) };
                            all.push((view * g.n_bins + k, row * g.width + col, weight * length_mm));
                        }
                    }
                }
            }
        }
        all
    }

    fn apply(weights: &[(usize, usize, f64)], image: &[f32], n_rays: usize) -> Vec<f32> {
        let mut out = vec![0.0f64; n_rays];
        weights.iter().for_each(|&(ray, pixel, w)| out[ray] += w * f64::from(image[pixel]));
        out.into_iter().map(|v| v as f32).collect()
    }

    fn apply_transposed(weights: &[(usize, usize, f64)], sinogram: &[f32], n_pixels: usize) -> Vec<f32> {
        let mut out = vec![0.0f64; n_pixels];
        weights.iter().for_each(|&(ray, pixel, w)| out[pixel] += w * f64::from(sinogram[ray]));
        out.into_iter().map(|v| v as f32).collect()
    }

    /// Crossings in f64, each on its own.
    fn exact_places(g: &ParallelBeam, angle: f64, k: f64, n_lines: usize) -> Vec<f64> {
        let ((sin, cos), s) = (angle.sin_cos(), g.bin_position_mm(k));
        let along = |line: usize| match cos.abs() >= sin.abs() {
            true => (s - g.row_y_mm(line as f64) * sin) / cos / g.pixel_mm + (g.width as f64 - 1.0) / 2.0,
            false => (g.height as f64 - 1.0) / 2.0 - (s - g.column_x_mm(line as f64) * cos) / sin / g.pixel_mm,
        };
        (0..n_lines).map(along).collect()
    }

    /// Crossings as ASTRA 2.5 finds them: in f32, from line to line by adding the slope. Unit pixels, no offset.
    fn astra_places(g: &ParallelBeam, angle: f64, k: f64, n_lines: usize) -> Vec<f64> {
        let ((sin, cos), half) = (angle.sin_cos(), (g.height as f32 - 1.0) / 2.0);
        let detector = |axis: f64| {
            let start = (-0.5 * g.n_bins as f64 * axis * g.bin_width_mm) as f32;
            start + (k as f32 + 0.5) * (axis * g.bin_width_mm) as f32
        };
        let (x, y) = (detector(cos), detector(sin));
        let (mut place, slope) = if cos.abs() >= sin.abs() {
            let slope = -sin as f32 / cos as f32;
            ((x + (half - y) * slope) + half, slope)
        } else {
            let slope = cos as f32 / -sin as f32;
            (-(y + (-half - x) * slope - half), slope)
        };
        let walk = |_| {
            let here = place;
            place -= slope;
            f64::from(here)
        };
        (0..n_lines).map(walk).collect()
    }

    fn golden(name: &str) -> Vec<f32> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/joseph_parallel.npz");
        let mut archive = NpzArchive::open(path).unwrap();
        let array = archive.by_name(name).unwrap().unwrap();
        match array.try_data::<f32>() {
            Ok(data) => data.map(Result::unwrap).collect(),
            Err(array) => array.data::<f64>().unwrap().map(|v| v.unwrap() as f32).collect(),
        }
    }

    fn golden_projector() -> Projector {
        Projector::new(ParallelBeam::covering(48, 48, 30)).unwrap()
    }

    /// Sizes odd and even, not square, off centre, bins wider and narrower than pixels, angles of every quadrant.
    fn geometries() -> Vec<ParallelBeam> {
        let mut all = Vec::new();
        for (height, width) in [(16, 16), (17, 17), (33, 20), (21, 48), (1, 9), (7, 1)] {
            for (pixel_mm, bin_width_mm, offset) in
                [(1.0, 1.0, 0.0), (0.7, 0.45, 1.3), (0.5, 0.8, -2.2), (1.0, 0.2, 0.4), (0.3, 1.1, 0.15)]
            {
                let diagonal = (height as f64).hypot(width as f64) * pixel_mm;
                all.push(ParallelBeam {
                    height,
                    width,
                    pixel_mm,
                    angles_rad: (0..23)
                        .map(|k| f64::from(k) * 0.2831 - 0.7)
                        .chain([0.0, 1.0, 2.0, 3.0].map(quarter))
                        .collect(),
                    n_bins: (diagonal / bin_width_mm) as usize + height % 2 + 1,
                    bin_width_mm,
                    detector_offset_mm: offset,
                });
            }
        }
        all
    }

    fn quarter(k: f64) -> f64 {
        k * std::f64::consts::FRAC_PI_2
    }

    #[test]
    fn both_maps_are_joseph_in_f64() {
        for g in geometries().into_iter().chain([ParallelBeam::covering(100, 100, 17)]) {
            let (image, sinogram) = (signed(g.image_len(), 1), signed(g.sinogram_len(), 2));
            let (mut ax, mut aty) = (vec![f32::NAN; sinogram.len()], vec![f32::NAN; image.len()]);
            let mut projector = Projector::new(g.clone()).unwrap();
            projector.forward_project(&image, &mut ax).unwrap();
            projector.adjoint(&sinogram, &mut aty).unwrap();
            let weights = weights(&g, exact_places);
            let forward = relative_error(&ax, &apply(&weights, &image, ax.len()));
            let adjoint = relative_error(&aty, &apply_transposed(&weights, &sinogram, aty.len()));
            assert!(forward < 1e-6 && adjoint < 1e-6, "{forward:e} {adjoint:e} {g:?}");
        }
    }

    /// The golden file pins the conventions. Joseph's weights at the places that ASTRA computes give ASTRA's results;
    /// those places carry f32 rounding that adds up from line to line (3e-5 in the results), so the projector, which has
    /// exact places, must miss them by what exact arithmetic misses them, and by no more.
    #[test]
    fn golden_vectors_of_astra() {
        let mut projector = golden_projector();
        let g = projector.geometry().clone();
        let (image, adjoint_in) = (golden("image"), golden("adjoint_in"));
        let (sinogram, adjoint_out) = (golden("sinogram"), golden("adjoint_out"));
        let errors = |weights: Vec<(usize, usize, f64)>| {
            let ax = apply(&weights, &image, sinogram.len());
            let aty = apply_transposed(&weights, &adjoint_in, image.len());
            [relative_error(&ax, &sinogram), relative_error(&aty, &adjoint_out)]
        };
        let (at_their_places, exact) = (errors(weights(&g, astra_places)), errors(weights(&g, exact_places)));
        let (mut ax, mut aty) = (vec![f32::NAN; g.sinogram_len()], vec![f32::NAN; g.image_len()]);
        projector.forward_project(&image, &mut ax).unwrap();
        projector.adjoint(&adjoint_in, &mut aty).unwrap();
        let ours = [relative_error(&ax, &sinogram), relative_error(&aty, &adjoint_out)];
        println!(
            "against ASTRA, forward and adjoint: {at_their_places:?} at its places, {exact:?} exact, {ours:?} ours"
        );
        for i in 0..2 {
            assert!(at_their_places[i] < 1e-5, "{at_their_places:?}");
            assert!((ours[i] - exact[i]).abs() < 1e-6, "{ours:?} {exact:?}");
        }
    }

    #[test]
    fn adjoint_is_the_transpose() {
        let mut worst = (0.0f64, 0.0f64);
        for (seed, g) in geometries().into_iter().chain([ParallelBeam::covering(64, 64, 30)]).enumerate() {
            let mut projector = Projector::new(g.clone()).unwrap();
            let x = signed(g.image_len(), seed as u64);
            let mut ax = vec![0.0; g.sinogram_len()];
            projector.forward_project(&x, &mut ax).unwrap();
            // y random decides the mismatch; y near A x makes the scale well conditioned.
            let noise = signed(ax.len(), 1000 + seed as u64);
            let near: Vec<f32> = ax.iter().zip(&noise).map(|(a, n)| a + 0.1 * n).collect();
            let mut aty = vec![f32::NAN; g.image_len()];
            for y in [&noise, &near] {
                projector.adjoint(y, &mut aty).unwrap();
                let (left, right) = (dot(&ax, y), dot(&x, &aty));
                let mismatch = (left - right).abs() / (projector.norm(100) * norm(&x) * norm(y));
                worst.0 = worst.0.max(mismatch);
                assert!(mismatch < 1e-6, "{mismatch:e} {g:?}");
                if std::ptr::eq(y, &near) {
                    worst.1 = worst.1.max((left / right - 1.0).abs());
                    assert!((left / right - 1.0).abs() < 1e-6, "scale {} {g:?}", left / right);
                }
            }
        }
        println!("worst mismatch {:e}, worst scale error {:e}", worst.0, worst.1);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let g = ParallelBeam { detector_offset_mm: 0.3, ..ParallelBeam::covering(61, 50, 19) };
        let (x, y) = (signed(g.image_len(), 5), signed(g.sinogram_len(), 6));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut projector = Projector::new(g.clone()).unwrap();
            let (mut ax, mut aty) = (vec![0.0; y.len()], vec![0.0; x.len()]);
            pool.install(|| projector.forward_project(&x, &mut ax).and_then(|()| projector.adjoint(&y, &mut aty)))
                .unwrap();
            ax.iter().chain(&aty).map(|v| v.to_bits()).collect::<Vec<u32>>()
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn a_used_projector_forgets() {
        let g = ParallelBeam::covering(19, 23, 9);
        let (x, y) = (signed(g.image_len(), 1), signed(g.sinogram_len(), 2));
        let (mut fresh, mut used) = (Projector::new(g.clone()).unwrap(), Projector::new(g.clone()).unwrap());
        let (mut a, mut b) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let mut sinogram = vec![0.0; y.len()];
        used.forward_project(&signed(x.len(), 3), &mut sinogram).unwrap();
        used.adjoint(&sinogram, &mut b).unwrap();
        fresh.adjoint(&y, &mut a).unwrap();
        used.adjoint(&y, &mut b).unwrap();
        assert_eq!(a, b);
    }

    #[test]
    fn discs_and_ellipses_come_near_their_line_integrals() {
        let shapes = |n: f64| {
            let disc = Ellipse::disc(1.3, 0.27 * n, (0.13 * n, -0.08 * n));
            let ellipse =
                Ellipse { value: 0.8, half_axes: (0.3 * n, 0.12 * n), centre: (-0.1 * n, 0.07 * n), rotation_rad: 0.7 };
            [disc, ellipse]
        };
        for which in 0..2 {
            let errors = [64, 128, 256].map(|n| {
                let g = ParallelBeam::covering(n, n, 45);
                let shape = [shapes(n as f64)[which]];
                let mut sinogram = vec![0.0; g.sinogram_len()];
                Projector::new(g.clone()).unwrap().forward_project(&draw(&g, &shape, 8), &mut sinogram).unwrap();
                relative_error(&sinogram, &analytic_sinogram(&g, &shape))
            });
            println!("shape {which}: errors at 64, 128, 256: {errors:?}");
            assert!(errors[0] > errors[1] && errors[1] > errors[2] && errors[2] <= 0.01, "{errors:?}");
        }
    }

    #[test]
    fn norm_is_reached_and_never_passed() {
        let g = ParallelBeam::covering(24, 24, 20);
        let mut projector = Projector::new(g.clone()).unwrap();
        let norm_of_a = projector.norm(200);
        let mut sinogram = vec![0.0; g.sinogram_len()];
        for seed in 0..20 {
            let x: Vec<f32> = signed(g.image_len(), seed).iter().map(|v| v.abs()).collect();
            projector.forward_project(&x, &mut sinogram).unwrap();
            let ratio = norm(&sinogram) / norm(&x) / norm_of_a;
            assert!(ratio < 1.0 && ratio > 0.7, "{ratio}");
        }
    }

    #[test]
    fn wrong_lengths_are_told() {
        let mut projector = golden_projector();
        let (mut sinogram, mut image) = (vec![0.0; 69 * 30], vec![0.0; 48 * 48]);
        let error = projector.forward_project(&image[1..], &mut sinogram).unwrap_err();
        assert_eq!(error, ProjectionError::ImageLength { expected: 2304, got: 2303 });
        let error = projector.adjoint(&sinogram[2..], &mut image).unwrap_err();
        assert_eq!(error, ProjectionError::SinogramLength { expected: 2070, got: 2068 });
        assert!(error.to_string().contains("2068"));
    }
}
