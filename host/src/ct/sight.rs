//! Places of an image's pixels on the detector of a fan.

use super::geometry::{Detector, Fan, Geometry};
use super::resample::PAD;
use std::array::from_fn;

/// A view from the source: pixel j of line l is (`across`, `depth`) away from it, across and along the ray through the
/// axis, in pixels; both are affine in l and j.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    detector: Detector,
    /// Bins per unit of across / depth, or of its angle.
    bins_per_unit: f64,
    /// The bin, as a fraction, that the ray through the axis meets.
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

/// Pixels of a line that are looked at together.
pub(super) const PLACES: usize = 8;

/// The bins, as fractions, that see some pixels of a line, and how they change along it: at pixel j + e it is about
/// `bin` + e (`per_pixel` + e `bend`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) bin: [f64; PLACES],
    pub(super) per_pixel: [f64; PLACES],
    pub(super) bend: [f64; PLACES],
    /// The distances of the pixels from the source: along the ray through the axis for a flat detector, straight for a
    /// curved one.
    pub(super) away: [f64; PLACES],
}

/// A walk along a line, in steps of some pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    sight: &'a Sight,
    pixels: f64,
    /// The next places.
    across: [f64; PLACES],
    depth: [f64; PLACES],
    /// The bin that sees the first of them, of a curved detector.
    bin: f64,
    /// Cross product of where the walk is and of its direction, which does not change, in bins.
    turned: f64,
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

    /// A walk that begins at a pixel of a line and has a place every `pixels` of them.
    #[inline(always)]
    pub(super) fn walk(&self, line: f64, pixel: f64, pixels: f64) -> Walk<'_> {
        let (t, d) = (self.across.at(line, pixel), self.depth.at(line, pixel));
        let (dt, dd) = (self.across.per_pixel, self.depth.per_pixel);
        let bin = match self.detector {
            Detector::Flat => 0.0, // is made anew at every step
            Detector::Curved => self.centre + self.bins_per_unit * (t / d).atan(),
        };
        Walk {
            sight: self,
            pixels,
            across: from_fn(|k| t + k as f64 * (pixels * dt)),
            depth: from_fn(|k| d + k as f64 * (pixels * dd)),
            bin,
            turned: self.turned(t, d),
        }
    }

    /// The cross product of a place and of the direction of its line, in bins.
    #[inline(always)]
    fn turned(&self, across: f64, depth: f64) -> f64 {
        self.bins_per_unit * (self.across.per_pixel * depth - across * self.depth.per_pixel)
    }

    /// The most bins that a pixel covers on `pixels` of a line from `pixel` on.
    #[inline(always)]
    pub(super) fn most_per_pixel(&self, line: f64, pixel: f64, pixels: f64) -> f64 {
        let (dt, dd) = (self.across.per_pixel, self.depth.per_pixel);
        let (t, d) = (self.across.at(line, pixel), self.depth.at(line, pixel));
        let (last_t, last_d) = (t + pixels * dt, d + pixels * dd);
        let turned = self.turned(t, d).abs();
        match self.detector {
            Detector::Flat => turned / d.abs().min(last_d.abs()).powi(2),
            // In between it is where the line is nearest to the source: F / distance.
            Detector::Curved => {
                let most = turned / (t * t + d * d).min(last_t * last_t + last_d * last_d);
                let to_nearest = -(t * dt + d * dd);
                let nearest = self.bins_per_unit.powi(2) / turned;
                if (0.0..pixels).contains(&to_nearest) { most.max(nearest) } else { most }
            }
        }
    }

    /// The move along a line, times [`Seen::away`], from the ray of bin `k` to the next bin's, in pixels: with
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
    /// Looks from the next places; the walk goes on behind them.
    ///
    /// **Equation.** With t = across and d = depth, and derivatives along the line t', d':
    ///
    /// ```text
    /// flat:    k = c + F t / d,         k' = F (t' d - t d') / d^2,   k'' / 2 = -k' d' / d
    /// curved:  k = c + F atan(t / d),   k' = F (t' d - t d') / r^2,   k'' / 2 = -k' (t t' + d d') / r^2
    /// with r^2 = t^2 + d^2
    /// ```
    #[inline(always)]
    pub(super) fn look(&mut self) -> Seen {
        let seen = match self.sight.detector {
            Detector::Flat => self.on_line(),
            Detector::Curved => self.on_arc(),
        };
        let (dt, dd) = (self.sight.across.per_pixel, self.sight.depth.per_pixel);
        self.across.iter_mut().for_each(|t| *t += PLACES as f64 * (self.pixels * dt));
        self.depth.iter_mut().for_each(|d| *d += PLACES as f64 * (self.pixels * dd));
        seen
    }

    #[inline(always)]
    fn on_line(&self) -> Seen {
        let (t, d) = (&self.across, &self.depth);
        let (centre, scale, dd) = (self.sight.centre, self.sight.bins_per_unit, self.sight.depth.per_pixel);
        let inverse: [f64; PLACES] = from_fn(|k| 1.0 / d[k]);
        let per_pixel: [f64; PLACES] = from_fn(|k| self.turned * (inverse[k] * inverse[k]));
        Seen {
            bin: from_fn(|k| centre + scale * t[k] * inverse[k]),
            bend: from_fn(|k| -per_pixel[k] * dd * inverse[k]),
            per_pixel,
            away: *d,
        }
    }

    #[inline(always)]
    fn on_arc(&mut self) -> Seen {
        let (t, d, pixels) = (&self.across, &self.depth, self.pixels);
        let (dt, dd) = (self.sight.across.per_pixel, self.sight.depth.per_pixel);
        let square: [f64; PLACES] = from_fn(|k| t[k] * t[k] + d[k] * d[k]);
        let inverse: [f64; PLACES] = from_fn(|k| 1.0 / square[k]);
        let per_pixel: [f64; PLACES] = from_fn(|k| self.turned * inverse[k]);
        // The angle from each place to the next, by cross and dot product.
        let along: [f64; PLACES] = from_fn(|k| t[k] * dt + d[k] * dd);
        let scale = self.sight.bins_per_unit;
        let cross = pixels * self.turned / scale;
        let steps: [f64; PLACES] = from_fn(|k| scale * small_atan(cross / (square[k] + pixels * along[k])));
        let mut bin = [self.bin; PLACES];
        for k in 1..PLACES {
            bin[k] = bin[k - 1] + steps[k - 1];
        }
        self.bin = bin[PLACES - 1] + steps[PLACES - 1];
        Seen { bin, bend: from_fn(|k| -per_pixel[k] * along[k] * inverse[k]), per_pixel, away: square.map(f64::sqrt) }
    }
}

/// atan z to 1e-10 for |z| <= 1/4.
#[inline(always)]
fn small_atan(z: f64) -> f64 {
    let square = z * z;
    let late = 1.0 / 9.0 + square * (-1.0 / 11.0 + square * (1.0 / 13.0));
    z * (1.0 + square * (-1.0 / 3.0 + square * (1.0 / 5.0 + square * (-1.0 / 7.0 + square * late))))
}
