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
    /// The same with the third order.
    farthest: f32,
    /// The source is far enough for windows.
    far: bool,
}

impl Margins {
    pub(super) fn new(geometry: &Geometry, fan: &Fan) -> Self {
        let distance = (fan.source_to_axis_mm - geometry.radius_mm()) / geometry.pixel_mm;
        let growth = 1.0 + 22.0 / distance;
        let farthest = (growth + (HALF / distance).powi(2) * HALF) as f32;
        Self { growth, farthest, far: distance >= 64.0 }
    }

    /// The bins from the one that sees a pixel to the farthest ray that may be near it.
    #[inline(always)]
    fn reach(&self, per_pixel: f32) -> f32 {
        per_pixel.abs() * self.farthest + 1e-3
    }

    /// True if a window holds the rays near `half` pixels on either side of its middle.
    #[inline(always)]
    pub(super) fn fits(&self, per_pixel: f64, half: f64) -> bool {
        let around = per_pixel.abs() * (half * self.growth) + f64::from(self.reach(per_pixel as f32));
        self.far && around <= (CENTRE - 1) as f64
    }
}

/// Bins so far off are seen by no window.
const FAR: f64 = 1e9;
/// Added to a whole number of less than 2^51, has it in the last bits: 3/2 2^52.
const LAST_BITS: f64 = 6_755_399_441_055_744.0;

/// The rays of a segment, as a line of pixels finds them.
pub(super) struct PaddedRays<'a> {
    pub(super) values: &'a [f32],
    pub(super) steepness: &'a [f32],
    pub(super) curvature: f32,
    pub(super) first_bin: f64,
}

impl PaddedRays<'_> {
    /// Adds to blocks of pixels the rays near them, by one or more parts of each block; the walk begins in the middle
    /// of the first part, and has a place in the middle of each.
    #[inline(always)]
    pub(super) fn add_blocks<W: Gather, const N: usize>(
        &self,
        w: W,
        parts: [&[f32; LANES]; N],
        mut walk: Walk<'_>,
        margins: &Margins,
        blocks: &mut [[f32; LANES]],
    ) {
        for blocks in blocks.chunks_mut(PLACES / N) {
            let near = Near::new(&walk.look(), self.first_bin, margins, blocks.len() * N);
            // The usual numbers are written out, so that loops over them are unrolled.
            match near.n_near {
                ..=2 => self.add_near(w, parts, &near, 2, blocks),
                3 => self.add_near(w, parts, &near, 3, blocks),
                more => self.add_near(w, parts, &near, more, blocks),
            }
        }
    }

    #[inline(always)]
    fn add_near<W: Gather, const N: usize>(
        &self,
        w: W,
        parts: [&[f32; LANES]; N],
        near: &Near,
        n_near: usize,
        blocks: &mut [[f32; LANES]],
    ) {
        for (block, sums) in blocks.iter_mut().enumerate() {
            for (part, pixels) in parts.into_iter().enumerate() {
                self.add(w, pixels, near, block * N + part, n_near, sums);
            }
        }
    }

    /// Adds to pixels the rays near them.
    #[inline(always)]
    fn add<W: Gather>(
        &self,
        w: W,
        pixels: &[f32; LANES],
        near: &Near,
        at: usize,
        n_near: usize,
        sums: &mut [f32; LANES],
    ) {
        // Out of range, where negative numbers are too, there are only zeros.
        let start = near.first[at] as u32 as usize;
        let steepness = &self.steepness[..self.values.len()];
        let values = self.values.get(start..).and_then(|rest| rest.first_chunk());
        let steepness = steepness.get(start..).and_then(|rest| rest.first_chunk());
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
                n_near,
            };
            w.add(sums, &window);
        }
    }
}

/// The sight of some pixels, as a window of rays needs it.
struct Near {
    /// The beginning of the window in which a pixel sees the middle bin, and the fraction beyond that bin.
    first: [i32; PLACES],
    fraction: [f32; PLACES],
    away: [f32; PLACES],
    before: [f32; PLACES],
    per_pixel: [f32; PLACES],
    bend: [f32; PLACES],
    /// The most rays that may be near a pixel.
    n_near: usize,
}

impl Near {
    #[inline(always)]
    fn new(seen: &Seen, first_bin: f64, margins: &Margins, n_used: usize) -> Self {
        let bin = seen.bin.map(|bin| bin - first_bin);
        let floor = bin.map(f64::floor);
        let fraction: [f32; PLACES] = from_fn(|k| (bin[k] - floor[k]) as f32);
        let per_pixel = seen.per_pixel.map(|bins| bins as f32);
        let reach = per_pixel.map(|bins| margins.reach(bins));
        // Places behind the blocks may lie at the source, where a pixel covers any number of bins.
        let used = reach.into_iter().take(n_used);
        let most = used.fold(0.0, |most: f32, reach| if reach > most { reach } else { most });
        Self {
            first: floor.map(|floor| whole(floor + (PAD as f64 - CENTRE as f64))),
            fraction,
            away: seen.away.map(|away| away as f32),
            before: from_fn(|k| (CENTRE as f32 - reach[k]) + fraction[k]),
            per_pixel,
            bend: seen.bend.map(|bend| bend as f32),
            n_near: (2.0 * most).ceil() as usize,
        }
    }
}

/// A whole number as `i32`; one that is too large, or NaN, as one that is far off.
#[inline(always)]
fn whole(number: f64) -> i32 {
    // Compared so that each is one instruction for all places, which `as` is not.
    let number = if number > -FAR { number } else { -FAR };
    let number = if number < FAR { number } else { FAR };
    (number + LAST_BITS).to_bits() as i32
}
