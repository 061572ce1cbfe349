//! Both maps of a parallel beam, whose rays meet a line at equal distances.

use super::geometry::Geometry;
use super::lines::Lines;
use super::rays::{Rays, Segment};
use super::resample::{Comb, LANES, Machine, PAD, Places};
use rayon::prelude::*;

/// The views of a parallel beam, with room for a sinogram.
#[derive(Debug, Clone)]
pub(super) struct ParallelViews {
    machine: Machine,
    n_bins: usize,
    views: Vec<View>,
    /// A sinogram times the lengths of ray, `[angle][bin]` with zeros on either side.
    padded: Vec<f32>,
}

/// One view: where its rays meet the lines, and, solved for the bin, where a line's pixels lie on the detector.
#[derive(Debug, Clone)]
struct View {
    along_rows: bool,
    /// Pixels of a line, and number of lines.
    length: usize,
    n_lines: usize,
    /// Length of ray from one line to the next.
    length_mm: f32,
    bins_on_line: Places,
    pixels_on_detector: Places,
}

impl View {
    /// `None` for the rays of a fan.
    fn new(geometry: &Geometry, segment: &Segment) -> Option<Self> {
        let Rays::Parallel { first, per_line, step, length_mm } = segment.rays else { return None };
        let (length, n_lines) = geometry.line_length_and_count(segment.along_rows);
        let back = Comb::new(1.0 / step, step.abs());
        Some(Self {
            along_rows: segment.along_rows,
            length,
            n_lines,
            length_mm: length_mm as f32,
            bins_on_line: Places { first, per_line, comb: Comb::new(step, 1.0) },
            pixels_on_detector: Places { first: -first / step, per_line: -per_line / step, comb: back },
        })
    }
}

impl ParallelViews {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let segments = (0..geometry.angles_rad.len()).flat_map(|view| geometry.rays(view));
        let views: Vec<View> = segments.filter_map(|segment| View::new(geometry, &segment)).collect();
        let n_bins = geometry.n_bins;
        Self { machine: Machine::detect(), n_bins, padded: vec![0.0; views.len() * (n_bins + 2 * PAD)], views }
    }

    /// Line integrals of one view (overwrites `bins`).
    pub(super) fn project(&self, view: usize, lines: &Lines, bins: &mut [f32]) {
        let (view, machine) = (&self.views[view], self.machine);
        let (values, stride) = lines.along(view.along_rows);
        let places = &view.bins_on_line;
        for (block, bins) in bins.chunks_mut(LANES).enumerate() {
            let reached = places.lines_reached(block, view.length, view.n_lines);
            let values = values[reached.start * stride..reached.end * stride].chunks_exact(stride);
            let sum = machine.sample_lines(values.zip(reached).map(
                #[inline(always)]
                |(values, line)| (values, places.at(line, block), &places.comb),
            ));
            bins.iter_mut().zip(sum).for_each(|(bin, sum)| *bin = sum * view.length_mm);
        }
    }

    /// Takes over the sinogram that [`ParallelViews::gather`] smears.
    pub(super) fn load(&mut self, sinogram: &[f32]) {
        let padded = self.padded.par_chunks_mut(self.n_bins + 2 * PAD);
        padded.zip(sinogram.par_chunks(self.n_bins)).zip(&self.views).for_each(|((padded, bins), view)| {
            padded[PAD..].iter_mut().zip(bins).for_each(|(to, bin)| *to = bin * view.length_mm);
        });
    }

    /// Write the share of the views along rows, or along columns, in the transpose on neighbouring lines (overwrites).
    pub(super) fn gather(&self, along_rows: bool, first_line: usize, lines: &mut [f32], length: usize) {
        for (line, pixels) in (first_line..).zip(lines.chunks_exact_mut(length)) {
            self.gather_line(along_rows, line, pixels);
        }
    }

    fn gather_line(&self, along_rows: bool, line: usize, pixels: &mut [f32]) {
        let stride = self.n_bins + 2 * PAD;
        for (block, pixels) in pixels.chunks_mut(LANES).enumerate() {
            let views = self.padded.chunks_exact(stride).zip(&self.views);
            let sum = self.machine.sample_lines(views.filter(|(_, view)| view.along_rows == along_rows).map(
                #[inline(always)]
                |(bins, View { pixels_on_detector: places, .. })| (bins, places.at(line, block), &places.comb),
            ));
            pixels.copy_from_slice(&sum[..pixels.len()]);
        }
    }
}
