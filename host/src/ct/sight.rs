//! Where the pixels of an image lie on the detector of a fan.

use super::geometry::{Detector, Fan, Geometry};
use super::resample::PAD;

/// A view from the source: pixel j of line l is (`across`, `depth`) away from it, across and along the ray through the
/// axis, in pixels; both are affine in l and j.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    detector: Detector,
    /// Bins per unit of across / depth, or of its angle.
    bins_per_unit: f64,
    /// Which bin, as a fraction, the ray through the axis meets.
    centre: f64,
    source_to_axis: f64,
    across: Affine,
    depth: Affine,
}

#[derive(Debug, Clone, Copy)]
struct Affine {
    at_origin: f64,
    per_line: f64,
    per_pixel: f64,
}

impl Affine {
    #[inline(always)]
    fn at(&self, line: f64, pixel: f64) -> f64 {
        self.at_origin + line * self.per_line + pixel * self.per_pixel
    }
}

/// The bin, as a fraction, that sees a pixel, and how it changes along the line: at pixel j + e it is about
/// `bin` + e (`per_pixel` + e `bend`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) bin: f64,
    pub(super) per_pixel: f64,
    pub(super) bend: f64,
    /// How far the pixel is from the source: along the ray through the axis for a flat detector, straight for a curved
    /// one.
    pub(super) away: f64,
}

/// A walk along a line, pixel by pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    sight: &'a Sight,
    across: f64,
    depth: f64,
    bin: f64,
}

impl Sight {
    pub(super) fn new(g: &Geometry, fan: &Fan, view: usize, along_rows: bool) -> Self {
        let (sin, cos) = g.angles_rad[view].sin_cos();
        let source_to_axis = fan.source_to_axis_mm / g.pixel_mm;
        let (x, y) = (g.column_x_mm(0.0) / g.pixel_mm, g.row_y_mm(0.0) / g.pixel_mm);
        // x grows by 1 from column to column, y falls by 1 from row to row.
        let affine = |at_origin: f64, of_x: f64, of_y: f64| {
            let (per_line, per_pixel) = if along_rows { (-of_y, of_x) } else { (of_x, -of_y) };
            Affine { at_origin: at_origin + x * of_x + y * of_y, per_line, per_pixel }
        };
        Self {
            detector: fan.detector,
            bins_per_unit: fan.source_to_detector_mm / g.bin_width_mm,
            centre: g.bin_at(0.0),
            source_to_axis,
            across: affine(0.0, cos, sin),
            depth: affine(source_to_axis, -sin, cos),
        }
    }

    /// The value at a pixel of a view whose bins lie after [`PAD`] zeros, between bins by linear interpolation, times
    /// the square of the distance from the source to the axis over that from the source to the pixel: along the ray
    /// through the axis for a flat detector, straight for a curved one.
    #[inline(always)]
    pub(super) fn sample(&self, bins: &[f32], line: f64, pixel: f64) -> f32 {
        let (t, d) = (self.across.at(line, pixel), self.depth.at(line, pixel));
        let (towards, distance_squared) = match self.detector {
            Detector::Flat => (t / d, d * d),
            Detector::Curved => ((t / d).atan(), t * t + d * d),
        };
        let place = self.centre + self.bins_per_unit * towards;
        let floor = place.floor();
        let start = (floor as i32).saturating_add(PAD as i32);
        match bins.get(start as u32 as usize..).and_then(|rest| rest.first_chunk()) {
            Some(&[here, next]) => {
                let value = f64::from(here) + (place - floor) * f64::from(next - here);
                (value * self.source_to_axis * self.source_to_axis / distance_squared) as f32
            }
            None => 0.0,
        }
    }

    /// A walk that begins at a pixel of a line.
    #[inline(always)]
    pub(super) fn walk(&self, line: f64, pixel: f64) -> Walk<'_> {
        let (across, depth) = (self.across.at(line, pixel), self.depth.at(line, pixel));
        let bin = match self.detector {
            Detector::Flat => 0.0, // is made anew at every step
            Detector::Curved => self.centre + self.bins_per_unit * (across / depth).atan(),
        };
        Walk { sight: self, across, depth, bin }
    }

    /// How much, times [`Seen::away`], the ray of bin `k` moves along a line from one bin to the next, in pixels: with
    /// derivatives along the line t', d' and g = (k - c) / F
    ///
    /// ```text
    /// flat: 1 / (F t' - (k - c) d'),      curved: 1 / (F (t' cos g - d' sin g)).
    /// ```
    pub(super) fn steepness(&self, k: usize) -> f64 {
        let (from_centre, dt, dd) = (k as f64 - self.centre, self.across.per_pixel, self.depth.per_pixel);
        match self.detector {
            Detector::Flat => 1.0 / (self.bins_per_unit * dt - from_centre * dd),
            Detector::Curved => {
                let (sin, cos) = (from_centre / self.bins_per_unit).sin_cos();
                1.0 / (self.bins_per_unit * (dt * cos - dd * sin))
            }
        }
    }

    /// 1 / F^2 of a curved detector, 0 of a flat one.
    pub(super) fn curvature(&self) -> f64 {
        match self.detector {
            Detector::Flat => 0.0,
            Detector::Curved => self.bins_per_unit.powi(-2),
        }
    }
}

impl Walk<'_> {
    /// What is seen here.
    ///
    /// **Equation.** With t = across and d = depth, and derivatives along the line t', d':
    ///
    /// ```text
    /// flat:    k = c + F t / d,         k' = F (t' d - t d') / d^2,   k'' / 2 = -k' d' / d
    /// curved:  k = c + F atan(t / d),   k' = F (t' d - t d') / r^2,   k'' / 2 = -k' (t t' + d d') / r^2
    /// with r^2 = t^2 + d^2
    /// ```
    #[inline(always)]
    pub(super) fn seen(&self) -> Seen {
        let (dt, dd) = (self.sight.across.per_pixel, self.sight.depth.per_pixel);
        let (t, d) = (self.across, self.depth);
        let turned = self.sight.bins_per_unit * (dt * d - t * dd);
        match self.sight.detector {
            Detector::Flat => {
                let inverse = 1.0 / d;
                let per_pixel = turned * (inverse * inverse);
                let bin = self.sight.centre + self.sight.bins_per_unit * t * inverse;
                Seen { bin, per_pixel, bend: -per_pixel * dd * inverse, away: d }
            }
            Detector::Curved => {
                let square = t * t + d * d;
                let inverse = 1.0 / square;
                let per_pixel = turned * inverse;
                let bend = -per_pixel * (t * dt + d * dd) * inverse;
                Seen { bin: self.bin, per_pixel, bend, away: square.sqrt() }
            }
        }
    }

    /// The walk `pixels` further on.
    #[inline(always)]
    pub(super) fn after(&self, pixels: f64) -> Self {
        let (dt, dd) = (self.sight.across.per_pixel, self.sight.depth.per_pixel);
        let (across, depth) = (self.across + pixels * dt, self.depth + pixels * dd);
        let bin = match self.sight.detector {
            Detector::Flat => self.bin,
            Detector::Curved => {
                // The angle between here and there, by cross and dot product.
                let (cross, dot) = (self.depth * dt - self.across * dd, self.across * across + self.depth * depth);
                self.bin + self.sight.bins_per_unit * small_atan(pixels * cross / dot)
            }
        };
        Self { across, depth, bin, ..*self }
    }

    /// The most bins that a pixel covers from here to `pixels` further on.
    pub(super) fn most_per_pixel(&self, pixels: f64) -> f64 {
        let ends = [self.seen(), self.after(pixels).seen()].map(|seen| seen.per_pixel.abs());
        let most = ends[0].max(ends[1]);
        match self.sight.detector {
            Detector::Flat => most,
            // In between it is where the line is nearest to the source: F / distance.
            Detector::Curved => {
                let (dt, dd) = (self.sight.across.per_pixel, self.sight.depth.per_pixel);
                let to_nearest = -(self.across * dt + self.depth * dd);
                let nearest = self.sight.bins_per_unit / (dt * self.depth - self.across * dd).abs();
                if (0.0..pixels).contains(&to_nearest) { most.max(nearest) } else { most }
            }
        }
    }
}

/// atan z to 1e-10 for |z| <= 1/4.
#[inline(always)]
fn small_atan(z: f64) -> f64 {
    let square = z * z;
    let late = 1.0 / 9.0 + square * (-1.0 / 11.0 + square / 13.0);
    z * (1.0 + square * (-1.0 / 3.0 + square * (1.0 / 5.0 + square * (-1.0 / 7.0 + square * late))))
}
