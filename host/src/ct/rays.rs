//! Crossings of a view's rays with the lines of an image: one derivation for every projector and every test.

use super::geometry::{Beam, Fan, Geometry};
use std::ops::Range;

/// Neighbouring bins of a view whose rays all cross rows most steeply, or all columns.
///
/// A line is a row or a column of pixels, and a place on it is counted in pixels: column c of a row has its middle at
/// the place c, row r of a column at the place r. The ray of bin k meets line l at a_k + b_k l.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) bins: Range<usize>,
    /// True if the lines are rows.
    pub(crate) along_rows: bool,
    /// The lines in front of the source; on the others no ray comes near a pixel.
    pub(crate) lines: Range<usize>,
    pub(crate) rays: Rays,
}

/// The rays of a segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rays {
    /// Equally spaced: a_k = `first` + k `step`, b_k = `per_line`.
    Parallel {
        first: f64,
        per_line: f64,
        step: f64,
        /// Length of ray from one line to the next.
        length_mm: f64,
    },
    /// One for each bin, in order.
    Fan(Vec<Crossing>),
}

/// A ray meets line l at the place `first` + l `per_line`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Crossing {
    pub(crate) first: f64,
    pub(crate) per_line: f64,
    /// Length of ray from one line to the next.
    pub(crate) length_mm: f64,
}

impl Geometry {
    /// The rays of one view, in segments of neighbouring bins that cover the detector in order.
    ///
    /// **Equation.** A ray is the line x cos t + y sin t = s; with |cos t| >= |sin t| it is solved for x on every row,
    /// else for y on every column. Rows count against y.
    pub(crate) fn rays(&self, view: usize) -> Vec<Segment> {
        let direction = self.angles_rad[view].sin_cos();
        match &self.beam {
            Beam::Parallel => vec![self.parallel_rays(direction)],
            Beam::Fan(fan) => self.fan_rays(fan, direction),
        }
    }

    fn parallel_rays(&self, (sin, cos): (f64, f64)) -> Segment {
        let along_rows = crosses_rows(sin, cos);
        let Crossing { first, per_line, length_mm } = self.crossing(sin, cos, self.bin_position_mm(0.0));
        let step = self.bin_width_mm / (if along_rows { cos } else { -sin } * self.pixel_mm);
        let lines = 0..self.line_length_and_count(along_rows).1;
        Segment { bins: 0..self.n_bins, along_rows, lines, rays: Rays::Parallel { first, per_line, step, length_mm } }
    }

    /// As [`Fan`] has it: t = a - g and s = `source_to_axis_mm` sin g, and a ray runs along (-sin t, cos t).
    fn fan_rays(&self, fan: &Fan, (sin, cos): (f64, f64)) -> Vec<Segment> {
        let source = (fan.source_to_axis_mm * sin, -fan.source_to_axis_mm * cos);
        let (mut segments, mut previous) = (Vec::<Segment>::new(), None);
        for k in 0..self.n_bins {
            let (sin_g, cos_g) = fan.sin_cos(self.bin_position_mm(k as f64));
            let (sin_t, cos_t) = (sin * cos_g - cos * sin_g, cos * cos_g + sin * sin_g);
            let along_rows = crosses_rows(sin_t, cos_t);
            let crossing = self.crossing(sin_t, cos_t, fan.source_to_axis_mm * sin_g);
            let upwards = if along_rows { -cos_t } else { -sin_t } > 0.0;
            match segments.last_mut() {
                Some(Segment { bins, rays: Rays::Fan(crossings), .. }) if previous == Some((along_rows, upwards)) => {
                    bins.end = k + 1;
                    crossings.push(crossing);
                }
                _ => {
                    let lines = self.lines_in_front(source, along_rows, upwards);
                    segments.push(Segment { bins: k..k + 1, along_rows, lines, rays: Rays::Fan(vec![crossing]) });
                }
            }
            previous = Some((along_rows, upwards));
        }
        segments
    }

    /// The lines that rays reach which leave the source towards higher lines (`upwards`) or lower ones.
    fn lines_in_front(&self, (x, y): (f64, f64), along_rows: bool, upwards: bool) -> Range<usize> {
        let line = if along_rows {
            (self.height as f64 - 1.0) / 2.0 - y / self.pixel_mm
        } else {
            (self.width as f64 - 1.0) / 2.0 + x / self.pixel_mm
        };
        let n_lines = self.line_length_and_count(along_rows).1;
        let clamped = |line: f64| line.clamp(0.0, n_lines as f64) as usize;
        if upwards { clamped(line.floor() + 1.0)..n_lines } else { 0..clamped(line.ceil()) }
    }

    /// Pixels of a line, and number of lines, for lines that are rows or columns.
    pub(crate) fn line_length_and_count(&self, along_rows: bool) -> (usize, usize) {
        if along_rows { (self.width, self.height) } else { (self.height, self.width) }
    }

    /// Crossings of the ray x cos t + y sin t = `s_mm` with the lines that it crosses most steeply.
    fn crossing(&self, sin: f64, cos: f64, s_mm: f64) -> Crossing {
        let (x, y) = (self.column_x_mm(0.0), self.row_y_mm(0.0));
        let (middle_row, middle_column) = ((self.height as f64 - 1.0) / 2.0, (self.width as f64 - 1.0) / 2.0);
        let (first, per_line, steepness) = if crosses_rows(sin, cos) {
            (middle_column + (s_mm - y * sin) / (cos * self.pixel_mm), sin / cos, cos.abs())
        } else {
            (middle_row - (s_mm - x * cos) / (sin * self.pixel_mm), cos / sin, sin.abs())
        };
        Crossing { first, per_line, length_mm: self.pixel_mm / steepness }
    }
}

/// True if the ray x cos t + y sin t = s crosses rows more steeply than columns.
fn crosses_rows(sin: f64, cos: f64) -> bool {
    cos.abs() >= sin.abs()
}

#[cfg(test)]
impl Segment {
    /// The ray of bin `k`.
    pub(crate) fn crossing(&self, k: usize) -> Crossing {
        match &self.rays {
            &Rays::Parallel { first, per_line, step, length_mm } => {
                Crossing { first: first + k as f64 * step, per_line, length_mm }
            }
            Rays::Fan(crossings) => crossings[k - self.bins.start],
        }
    }

    /// The place at which the ray of bin `k` meets line `line`.
    pub(crate) fn place(&self, k: usize, line: usize) -> f64 {
        let Crossing { first, per_line, .. } = self.crossing(k);
        first + line as f64 * per_line
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::Detector;
    use super::super::test_support::fans;
    use super::*;
    use std::f64::consts::PI;

    /// Two points that the ray of a bin passes: the source and the bin, or two on x cos a + y sin a = s.
    fn points(g: &Geometry, view: usize, k: usize) -> [(f64, f64); 2] {
        let ((sin, cos), s) = (g.angles_rad[view].sin_cos(), g.bin_position_mm(k as f64));
        let at = |along: f64, away: f64| (along * cos - away * sin, along * sin + away * cos);
        match g.beam {
            Beam::Parallel => [at(s, -1e3), at(s, 1e3)],
            Beam::Fan(Fan { detector, source_to_axis_mm: d, source_to_detector_mm: length }) => {
                let bin = match detector {
                    Detector::Flat => at(s, length - d),
                    Detector::Curved => at(length * (s / length).sin(), length * (s / length).cos() - d),
                };
                [at(0.0, -d), bin]
            }
        }
    }

    /// The points at which a ray meets the first and the last line are on the way between source and bin, and as far
    /// apart as the lengths between lines add up to.
    #[test]
    fn rays_run_where_the_geometry_says() {
        let angles_rad: Vec<f64> =
            (0..29).map(|k| f64::from(k) * 0.2831 - 0.7).chain([0.0, 0.5, 1.0].map(|q| q * PI)).collect();
        let parallel =
            Geometry { detector_offset_mm: 1.7, bin_width_mm: 0.6, pixel_mm: 0.8, ..Geometry::covering(20, 31, 1) };
        for g in fans().into_iter().chain([Geometry { angles_rad, ..parallel }]) {
            for view in 0..g.angles_rad.len() {
                let segments = g.rays(view);
                assert!(segments.iter().flat_map(|s| s.bins.clone()).eq(0..g.n_bins));
                for segment in &segments {
                    segment.bins.clone().for_each(|k| check_ray(&g, segment, k, points(&g, view, k)));
                }
            }
        }
    }

    fn check_ray(g: &Geometry, segment: &Segment, k: usize, [from, to]: [(f64, f64); 2]) {
        let Segment { along_rows, lines, .. } = segment;
        let last = g.line_length_and_count(*along_rows).1 - 1;
        let point = |line: usize| {
            let (place, line) = (segment.place(k, line), line as f64);
            let (row, col) = if *along_rows { (line, place) } else { (place, line) };
            (g.column_x_mm(col), g.row_y_mm(row))
        };
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        for line in [0, last] {
            let (x, y) = (point(line).0 - from.0, point(line).1 - from.1);
            assert!((x * dy - y * dx).abs() / dx.hypot(dy) < 1e-9, "bin {k}, line {line} of {g:?}");
            assert_eq!(x * dx + y * dy > 0.0, lines.contains(&line), "bin {k}, line {line} of {g:?}");
        }
        let length = (point(last).0 - point(0).0).hypot(point(last).1 - point(0).1);
        let crossing = segment.crossing(k);
        assert!((length - last as f64 * crossing.length_mm).abs() < 1e-9 && crossing.per_line.abs() <= 1.0 + 1e-12);
    }
}
