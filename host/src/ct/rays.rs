//! Where the rays of a view cross the lines of an image: one derivation for every projector and every test.

use super::geometry::{Beam, Geometry};
use std::ops::Range;

/// Neighbouring bins of a view whose rays all cross rows most steeply, or all columns.
///
/// A line is a row or a column of pixels, and a place on it is counted in pixels: column c of a row has its middle at
/// the place c, row r of a column at the place r. The ray of bin k meets line l at a_k + b_k l.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) bins: Range<usize>,
    /// Whether the lines are rows.
    pub(crate) along_rows: bool,
    pub(crate) rays: Rays,
}

/// The rays of a segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rays {
    /// a_k = `first` + k `step`, b_k = `per_line`.
    Parallel {
        first: f64,
        per_line: f64,
        step: f64,
        /// Length of ray from one line to the next.
        length_mm: f64,
    },
}

impl Geometry {
    /// The rays of one view, in segments of neighbouring bins that cover the detector in order.
    ///
    /// **Equation.** A ray is the line x cos t + y sin t = s; with |cos t| >= |sin t| it is solved for x on every row, else for
    /// y on every column. Rows count against y.
    pub(crate) fn rays(&self, view: usize) -> Vec<Segment> {
        match self.beam {
            Beam::Parallel => {
                let (sin, cos) = self.angles_rad[view].sin_cos();
                let crossing = self.crossing(sin, cos, self.bin_position_mm(0.0));
                let step = if crossing.along_rows { cos } else { -sin };
                let rays = Rays::Parallel {
                    first: crossing.first,
                    per_line: crossing.per_line,
                    step: self.bin_width_mm / (step * self.pixel_mm),
                    length_mm: crossing.length_mm,
                };
                vec![Segment { bins: 0..self.n_bins, along_rows: crossing.along_rows, rays }]
            }
        }
    }

    /// Pixels of a line, and number of lines, for lines that are rows or columns.
    pub(crate) fn line_length_and_count(&self, along_rows: bool) -> (usize, usize) {
        if along_rows { (self.width, self.height) } else { (self.height, self.width) }
    }

    /// Crossings of the ray x cos t + y sin t = `s_mm`.
    fn crossing(&self, sin: f64, cos: f64, s_mm: f64) -> Crossing {
        let (x, y) = (self.column_x_mm(0.0), self.row_y_mm(0.0));
        let (middle_row, middle_column) = ((self.height as f64 - 1.0) / 2.0, (self.width as f64 - 1.0) / 2.0);
        let along_rows = cos.abs() >= sin.abs();
        let (first, per_line, steepness) = if along_rows {
            (middle_column + (s_mm - y * sin) / (cos * self.pixel_mm), sin / cos, cos.abs())
        } else {
            (middle_row - (s_mm - x * cos) / (sin * self.pixel_mm), cos / sin, sin.abs())
        };
        Crossing { along_rows, first, per_line, length_mm: self.pixel_mm / steepness }
    }
}

/// A ray meets line l at the place `first` + l `per_line`.
struct Crossing {
    along_rows: bool,
    first: f64,
    per_line: f64,
    length_mm: f64,
}

impl Rays {
    /// The place at which the ray of bin `k` meets line `line`.
    #[cfg(test)]
    pub(crate) fn place(&self, k: usize, line: usize) -> f64 {
        let Self::Parallel { first, per_line, step, .. } = self;
        first + k as f64 * step + line as f64 * per_line
    }

    /// Length of the ray of bin `k` from one line to the next.
    #[cfg(test)]
    pub(crate) fn length_mm(&self, _k: usize) -> f64 {
        let Self::Parallel { length_mm, .. } = self;
        *length_mm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// The points at which a ray meets the first and the last line lie on x cos a + y sin a = s_k, and as far apart as
    /// the lengths between lines add up to.
    #[test]
    fn rays_run_where_the_geometry_says() {
        let angles_rad = (0..29).map(|k| f64::from(k) * 0.2831 - 0.7).chain([0.0, 0.5, 1.0].map(|q| q * PI)).collect();
        let g = Geometry { detector_offset_mm: 1.7, bin_width_mm: 0.6, pixel_mm: 0.8, ..Geometry::covering(20, 31, 1) };
        let g = Geometry { angles_rad, ..g };
        for (view, angle) in g.angles_rad.iter().enumerate() {
            let segments = g.rays(view);
            assert_eq!(
                segments.iter().flat_map(|s| s.bins.clone()).collect::<Vec<_>>(),
                (0..g.n_bins).collect::<Vec<_>>()
            );
            for Segment { bins, along_rows, rays } in segments {
                let last = g.line_length_and_count(along_rows).1 - 1;
                for k in bins {
                    let point = |line: usize| {
                        let (place, line) = (rays.place(k, line), line as f64);
                        let (row, col) = if along_rows { (line, place) } else { (place, line) };
                        (g.column_x_mm(col), g.row_y_mm(row))
                    };
                    let (from, to) = (point(0), point(last));
                    for (x, y) in [from, to] {
                        let s = x * angle.cos() + y * angle.sin();
                        assert!((s - g.bin_position_mm(k as f64)).abs() < 1e-9, "view {view}, bin {k}: {s}");
                    }
                    let length = (to.0 - from.0).hypot(to.1 - from.1);
                    assert!((length - last as f64 * rays.length_mm(k)).abs() < 1e-9, "view {view}, bin {k}: {length}");
                }
            }
        }
    }
}
