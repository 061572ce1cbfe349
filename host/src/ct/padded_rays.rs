//! The rays of a fan's segment, as a line of pixels finds them: windows for the transpose's inner loop.

use super::geometry::{Fan, Geometry};
use super::ray_window::{CENTRE, Gather, RayWindow};
use super::resample::{LANES, PAD};
use super::sight::{PLACES, Seen, Walk};
use std::array::from_fn;

/// Pixels of a block on either side of its middle.
pub(super) const HALF: f64 = LANES as f64 / 2.0;

/// The distance of the second order in [`Seen`] from the truth over a block.
///
/// With r pixels from the source to the circle around the image, what a pixel covers on the detector grows by at most
/// (1 - (HALF + 1) / r)^-2 <= 1 + 22 / r from the middle of a block to a pixel's width beyond its ends, for r >= 64,
/// and the third order is at most HALF^3 / r^2 times it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Margins {
    growth: f64,
    remainder: f64,
    /// The source is far enough for windows.
    far: bool,
}

impl Margins {
    pub(super) fn new(geometry: &Geometry, fan: &Fan) -> Self {
        let distance = (fan.source_to_axis_mm - geometry.radius_mm()) / geometry.pixel_mm;
        Self { growth: 1.0 + 22.0 / distance, remainder: (HALF / distance).powi(2) * HALF, far: distance >= 64.0 }
    }

    /// The bins from the one that sees a pixel to the farthest ray that may be near it.
    #[inline(always)]
    fn reach(&self, per_pixel: f64) -> f64 {
        per_pixel.abs() * (self.growth + self.remainder) + 1e-3
    }

    /// True if a window holds the rays near `half` pixels on either side of its middle.
    #[inline(always)]
    pub(super) fn fits(&self, per_pixel: f64, half: f64) -> bool {
        let around = per_pixel.abs() * (half * self.growth) + self.reach(per_pixel);
        self.far && around <= (CENTRE - 1) as f64
    }
}

/// The rays of a segment, as a line of pixels finds them.
pub(super) struct PaddedRays<'a> {
    pub(super) values: &'a [f32],
    pub(super) steepness: &'a [f32],
    pub(super) curvature: f32,
    pub(super) first_bin: f64,
}

impl PaddedRays<'_> {
    /// Adds to blocks of pixels the rays near them, by one or more parts of each block; the walk begins in the middle
    /// of the first part.
    #[inline(always)]
    pub(super) fn add_blocks<'b, W: Gather, const N: usize>(
        &self,
        w: W,
        parts: [&[f32; LANES]; N],
        mut walk: Walk<'_>,
        margins: &Margins,
        blocks: impl Iterator<Item = &'b mut [f32; LANES]>,
    ) {
        let pixels = (LANES / N) as f64;
        let (mut near, mut at) = (Near::new(&walk.look(pixels), self.first_bin, margins), 0);
        for sums in blocks {
            for part in parts {
                if at == PLACES {
                    (near, at) = (Near::new(&walk.look(pixels), self.first_bin, margins), 0);
                }
                self.add(w, part, &near, at, sums);
                at += 1;
            }
        }
    }

    /// Adds to pixels the rays near them.
    #[inline(always)]
    fn add<W: Gather>(&self, w: W, pixels: &[f32; LANES], near: &Near, at: usize, sums: &mut [f32; LANES]) {
        // Out of range, which `as` makes of whatever is far off, there are only zeros.
        let start = near.first[at].saturating_add(PAD as i32 - CENTRE as i32) as u32 as usize;
        let values = self.values.get(start..).and_then(|rest| rest.first_chunk());
        let steepness = self.steepness.get(start..).and_then(|rest| rest.first_chunk());
        if let (Some(values), Some(steepness)) = (values, steepness) {
            let window = RayWindow {
                pixels,
                values,
                steepness,
                fraction: near.fraction[at],
                away: near.away[at],
                curvature: self.curvature,
                before: near.before[at],
                per_pixel: near.per_pixel[at],
                bend: near.bend[at],
                n_near: near.n_near[at],
            };
            w.add(sums, &window);
        }
    }
}

/// The sight of some pixels, as a window of rays needs it.
struct Near {
    /// The bin that sees a pixel, and the fraction beyond it.
    first: [i32; PLACES],
    fraction: [f32; PLACES],
    away: [f32; PLACES],
    before: [f32; PLACES],
    per_pixel: [f32; PLACES],
    bend: [f32; PLACES],
    n_near: [u32; PLACES],
}

impl Near {
    #[inline(always)]
    fn new(seen: &Seen, first_bin: f64, margins: &Margins) -> Self {
        let floor: [f64; PLACES] = from_fn(|k| (seen.bin[k] - first_bin).floor());
        let fraction: [f32; PLACES] = from_fn(|k| (seen.bin[k] - first_bin - floor[k]) as f32);
        let reach: [f64; PLACES] = from_fn(|k| margins.reach(seen.per_pixel[k]));
        Self {
            first: from_fn(|k| floor[k] as i32),
            fraction,
            away: from_fn(|k| seen.away[k] as f32),
            before: from_fn(|k| (CENTRE as f32 - reach[k] as f32) + fraction[k]),
            per_pixel: from_fn(|k| seen.per_pixel[k] as f32),
            bend: from_fn(|k| seen.bend[k] as f32),
            n_near: from_fn(|k| (2.0 * reach[k]).ceil() as u32),
        }
    }
}
